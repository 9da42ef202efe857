"""In which order objects are made, and why; they are deleted in the opposite order.

    vhost ─┬─ users ── limits
           └─ exchanges ── policies ── queues ── dead-letter wiring ── bindings ── topic permissions ── permissions
                                                                        └─ parameters

Objects of one stage do not depend on each other and run in parallel; a stage begins when the one before
it has ended without a failure.
"""

from __future__ import annotations

from collections.abc import Collection
from enum import IntEnum

from letrade_topo.broker.objects import (
    Binding,
    BrokerObject,
    Exchange,
    GlobalParameter,
    OperatorPolicy,
    Parameter,
    Permission,
    Policy,
    Queue,
    TopicPermission,
    User,
    UserLimit,
    Vhost,
    VhostLimit,
)


class Stage(IntEnum):
    """The stages, in the order in which objects are created and updated."""

    VHOST = 0
    """Everything else lives in it, the lock too."""
    USERS = 1
    """Permissions name them. Users alone may do nothing, so they may come early."""
    LIMITS = 2
    """A user's limits need the user."""
    EXCHANGES = 3
    """Bindings lead from them."""
    POLICIES = 4
    """Before the queues, so that a queue is born with its limits."""
    QUEUES = 5
    DEAD_LETTER_WIRING = 6
    """Before the bindings that let messages in: a message may be rejected as soon as it arrives."""
    BINDINGS = 7
    TOPIC_PERMISSIONS = 8
    """Before the permissions: an exchange without a topic permission is open to every routing key."""
    PERMISSIONS = 9
    """Nobody may publish before every queue that should receive is bound."""
    PARAMETERS = 10
    """Last: a shovel moves messages as soon as it is there."""

    @property
    def title(self) -> str:
        """The stage's name as people read it."""
        return self.name.lower().replace("_", " ")


def stage_of(thing: BrokerObject, dead_letter_exchanges: Collection[str]) -> Stage:
    """The stage in which an object is created.

    Args:
        thing: any object.
        dead_letter_exchanges: the names of the exchanges through which failed messages travel.
    """
    match thing:
        case Vhost():
            return Stage.VHOST
        case User():
            return Stage.USERS
        case UserLimit() | VhostLimit():
            return Stage.LIMITS
        case Exchange():
            return Stage.EXCHANGES
        case Policy() | OperatorPolicy():
            return Stage.POLICIES
        case Queue():
            return Stage.QUEUES
        case Binding(source=source):
            return Stage.DEAD_LETTER_WIRING if source in dead_letter_exchanges else Stage.BINDINGS
        case TopicPermission():
            return Stage.TOPIC_PERMISSIONS
        case Permission():
            return Stage.PERMISSIONS
        case Parameter() | GlobalParameter():
            return Stage.PARAMETERS
