"""Which objects go when another one goes: a broker deletes more than it is told to. Pure.

    queue, exchange   its bindings
    exchange          the topic permissions on it, where the broker keeps its metadata in Khepri
    user              its permissions, topic permissions and limits

A plan names all of them: what is deleted with a holder is a deletion, what has to come back is made again.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable

from letrade_topo.broker.addresses import Address
from letrade_topo.broker.objects import (
    Binding,
    BrokerObject,
    Exchange,
    Kind,
    Permission,
    TopicPermission,
    User,
    UserLimit,
)
from letrade_topo.broker.order import Stage
from letrade_topo.broker.state import LiveState
from letrade_topo.plan.change import Action, Change, ChangeReason


def ends_of(binding: Binding) -> frozenset[Address]:
    """The addresses of the two objects that a binding goes with."""
    return frozenset(
        {Address(f"{Kind.EXCHANGE}:{binding.source}"), Address(f"{binding.destination_type}:{binding.destination}")}
    )


def holders_of(thing: BrokerObject) -> frozenset[Address]:
    """The addresses of all objects that take a thing along when they go."""
    match thing:
        case Binding():
            return ends_of(thing)
        case TopicPermission(user=user, exchange=exchange):
            return frozenset({User(user).address, Exchange(exchange, "topic").address})
        case Permission(user=user) | UserLimit(user=user):
            return frozenset({User(user).address})
        case _:
            return frozenset()


def is_of_exclusive_queue(thing: BrokerObject, live: LiveState) -> bool:
    """Whether it is a binding that its queue's own connection alone can make and remove."""
    if not isinstance(thing, Binding) or thing.destination_type != Kind.QUEUE:
        return False
    status = live.queues.get(thing.destination)
    return status is not None and status.exclusive


def taken_along(
    changes: Collection[Change], live: LiveState, stage_of: Callable[[BrokerObject], Stage]
) -> Iterable[Change]:
    """Deletions of what nobody declares or owns, and what the broker deletes all the same with what goes.

    Args:
        changes: all of the plan.
        live: as read.
        stage_of: the stage of an object.
    """
    gone = {change.address for change in changes if change.action is Action.DELETE}
    known = {change.address for change in changes}
    for address, thing in live.objects.items():
        if address not in known and holders_of(thing) & gone and not is_of_exclusive_queue(thing, live):
            yield Change(Action.DELETE, thing, None, ChangeReason.TAKEN_ALONG, stage_of(thing))
