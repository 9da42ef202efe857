"""Which live objects a queue dead-letters into, so that none of them goes unnoticed. Pure.

Follows arguments and the policy in effect, the type of the exchange, and bindings between exchanges. Where
the broker alone could tell (headers, a missing key, exchanges of its own) whatever is bound counts.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping

from letrade_topo.broker.objects import Address, Binding, Exchange, Kind, Policy, Queue
from letrade_topo.broker.state import LiveState
from letrade_topo.model.messages import Json
from letrade_topo.model.routing import binding_matches, is_pattern


def dead_letter_users(live: LiveState, gone: Collection[Address]) -> dict[Address, Address]:
    """Objects that a queue which stays dead-letters into, each with such a queue.

    Args:
        live: as read.
        gone: what the plan deletes or makes again.
    """
    routes = _Routes(live)
    users: dict[Address, Address] = {}
    for thing in live.objects.values():
        if isinstance(thing, Queue) and thing.address not in gone:
            exchange, key = _target(thing, live, gone)
            if exchange is not None:
                for address in routes.reached(exchange, key):
                    users.setdefault(address, thing.address)
    return users


def _target(queue: Queue, live: LiveState, gone: Collection[Address]) -> tuple[str | None, str | None]:
    status = live.queues.get(queue.name)
    policy = live.objects.get(Address(f"policy:{status.policy}")) if status and status.policy else None
    definition: Mapping[str, Json] = {}
    if isinstance(policy, Policy) and policy.address not in gone:
        definition = policy.definition
    exchange, key = (
        queue.arguments.get(f"x-{name}", definition.get(name))
        for name in ("dead-letter-exchange", "dead-letter-routing-key")
    )
    return exchange if isinstance(exchange, str) else None, key if isinstance(key, str) else None


class _Routes:
    """The bindings of a broker by source, those with a plain key by that key: there may be thousands."""

    def __init__(self, live: LiveState) -> None:
        self._live = live
        self._plain: dict[tuple[str, str], list[Binding]] = {}
        self._patterns: dict[str, list[Binding]] = {}
        self._all: dict[str, list[Binding]] = {}
        for thing in live.objects.values():
            if isinstance(thing, Binding):
                self._all.setdefault(thing.source, []).append(thing)
                if is_pattern(thing.routing_key):
                    self._patterns.setdefault(thing.source, []).append(thing)
                else:
                    self._plain.setdefault((thing.source, thing.routing_key), []).append(thing)

    def reached(self, exchange: str, key: str | None) -> Iterator[Address]:
        """The exchange, and every binding, exchange and queue behind it that a key reaches."""
        if exchange == "":
            if key is not None:
                yield Queue(key).address
            return
        waiting, seen = [exchange], {exchange}
        while waiting:
            source = waiting.pop()
            yield Exchange(source, "").address
            for binding in self._leaving(source, key):
                yield binding.address
                if binding.destination_type == Kind.QUEUE:
                    yield Queue(binding.destination).address
                elif binding.destination not in seen:
                    seen.add(binding.destination)
                    waiting.append(binding.destination)

    def _leaving(self, source: str, key: str | None) -> Iterator[Binding]:
        exchange = self._live.objects.get(Exchange(source, "").address)
        kind = exchange.type if isinstance(exchange, Exchange) else None
        if key is None or kind not in {"topic", "direct"}:
            yield from self._all.get(source, ())
            return
        yield from self._plain.get((source, key), ())
        for binding in self._patterns.get(source, ()):
            if binding_matches(binding.routing_key, key) if kind == "topic" else binding.routing_key == key:
                yield binding
