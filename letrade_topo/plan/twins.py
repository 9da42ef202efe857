"""Bindings that differ from another one in their arguments alone, where arguments mean nothing. Pure.

Only headers exchanges look at arguments. On the others two such bindings are one way, which the broker lists twice; and
with Khepri deleting one of them may end the way, though the other is still listed (4.0.5: direct and fanout exchanges;
4.3.6: none). So with the one that goes, the one that stays is made again.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator

from letrade_topo.broker.objects import Binding, BrokerObject, Exchange
from letrade_topo.broker.order import Stage
from letrade_topo.broker.state import LiveState
from letrade_topo.model.routes import PREDEFINED_TYPES
from letrade_topo.model.topology import ExchangeType
from letrade_topo.plan.change import Action, Change, ChangeReason
from letrade_topo.plan.holders import is_of_exclusive_queue

Way = tuple[str, str, str, str]


def way_of(binding: Binding) -> Way:
    """What routing knows of a binding, but on headers exchanges."""
    return binding.source, binding.destination_type, binding.destination, binding.routing_key


def twins(changes: Collection[Change], live: LiveState, stage_of: Callable[[BrokerObject], Stage]) -> Iterator[Change]:
    """The bindings that stay, to be made again beside those that go.

    Args:
        changes: all of the plan.
        live: as read.
        stage_of: the stage of an object.
    """
    known = {change.address for change in changes}
    gone = {
        way_of(change.object)
        for change in changes
        if change.action is Action.DELETE and isinstance(change.object, Binding)
    }
    for address, thing in live.objects.items():
        if not isinstance(thing, Binding) or address in known or way_of(thing) not in gone:
            continue
        if not _looks_at_arguments(thing.source, live) and not is_of_exclusive_queue(thing, live):
            yield Change(Action.REPLACE, thing, thing, ChangeReason.TWIN, stage_of(thing))


def _looks_at_arguments(source: str, live: LiveState) -> bool:
    found = live.objects.get(Exchange(source, "").address)
    kind = found.type if isinstance(found, Exchange) else PREDEFINED_TYPES.get(source)
    return kind == ExchangeType.HEADERS
