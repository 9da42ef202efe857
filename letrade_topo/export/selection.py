"""Which objects of a vhost are exported, and what they cannot do without. Pure."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import replace
from fnmatch import fnmatchcase
from typing import Final

from letrade_topo.broker.objects import Address, Binding, BrokerObject, Exchange, Queue
from letrade_topo.export.definitions import DefinedVhost
from letrade_topo.model.topology import VhostSettings

_TARGETS: Final = ("x-dead-letter-exchange", "alternate-exchange")


def selected(vhost: DefinedVhost, only: Sequence[str]) -> DefinedVhost:
    """A vhost with what some globs of addresses mean, and what that needs: no exchange is named that is not there.

    A queue comes with the bindings that lead to it, their exchanges, and those to which its dead letters go; an
    exchange with what leads to it and its alternate exchange.

    Args:
        vhost: all of it.
        only: globs such as `queue:orders.*`; none means all.
    """
    if not only:
        return vhost
    by_address = {one.address: one for one in vhost.objects}
    inward: dict[tuple[str, str], list[BrokerObject]] = defaultdict(list)
    for one in vhost.objects:
        if isinstance(one, Binding):
            inward[one.destination_type, one.destination].append(one)

    def needed(thing: BrokerObject) -> Iterator[BrokerObject]:
        match thing:
            case Queue(name=name) | Exchange(name=name):
                yield from inward[str(thing.kind), name]
                named = [f"exchange:{thing.arguments.get(target)}" for target in _TARGETS]
            case Binding():
                named = [f"exchange:{thing.source}", f"{thing.destination_type}:{thing.destination}"]
            case _:
                named = []
        yield from (by_address[Address(one)] for one in named if one in by_address)

    chosen = {one.address for one in vhost.objects if any(fnmatchcase(one.address, glob) for glob in only)}
    fresh = set(chosen)
    while fresh:
        fresh = {one.address for address in fresh for one in needed(by_address[address])} - chosen
        chosen |= fresh
    kept = tuple(one for one in vhost.objects if one.address in chosen)
    return replace(vhost, objects=kept, settings=VhostSettings())
