"""What permissions in the vhost a plan takes, as tries that write nothing. Pure.

A login that is no administrator cannot read its own permissions. But RabbitMQ looks at them before it looks at what is
declared: so a declaration that it refuses in any case says whether the name may be written
(rabbit_channel:handle_method of exchange.declare and queue.declare).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from letrade_topo.broker.addresses import Address
from letrade_topo.broker.objects import Binding, Exchange, Queue
from letrade_topo.model.names import RESERVED_PREFIX, lock_queue, vhost_record
from letrade_topo.plan.change import Action, Change
from letrade_topo.plan.guards import TOPOLOGY, GuardRefusal

ALTERNATE_EXCHANGE = "alternate-exchange"
DEAD_LETTER_EXCHANGE = "x-dead-letter-exchange"


@dataclass(frozen=True, slots=True)
class Try:
    """One question to the broker.

    Args:
        address: for which object of the plan.
        name: may it be configured?
        target: and if so, may `name` be read, and this be written? None: not asked.
        only_if_configured: that `name` may not be configured is no refusal: it is there, and stays.
    """

    address: Address
    name: str
    target: str | None = None
    only_if_configured: bool = False


def tries(changes: Iterable[Change], topology: str) -> Iterator[Try]:
    """What to ask before a plan is carried out.

    Args:
        changes: of the plan.
        topology: its name.
    """
    changes = tuple(changes)
    if not changes:
        return
    for name in (lock_queue(topology), vhost_record(topology, 0)):
        yield Try(TOPOLOGY, name)
    for change in changes:
        match change.object:
            case Exchange(name=name, arguments=arguments):
                yield Try(change.address, name, _target(change, arguments.get(ALTERNATE_EXCHANGE)))
            case Queue(name=name, arguments=arguments):
                yield Try(change.address, name, _target(change, arguments.get(DEAD_LETTER_EXCHANGE)))
            case Binding(source=source, destination=destination):
                # Asked by a queue of the exchange's name; if there is one, the answer is yes.
                if not source.startswith(RESERVED_PREFIX):
                    yield Try(change.address, source, destination, only_if_configured=True)


def refused(one: Try, user: str, *, may_configure: bool) -> GuardRefusal:
    """A try that the broker refused.

    Args:
        one: what was asked.
        user: by whom.
        may_configure: whether it was about reading and writing alone.
    """
    if one.address == TOPOLOGY:
        why = (
            f"user {user!r} may not configure {one.name!r}: the lock and the ownership record lie in the vhost; its "
            r"configure permission must cover ^letrade-topo\."
        )
    elif may_configure:
        why = f"user {user!r} lacks the read permission for {one.name!r} or the write permission for {one.target!r}"
    else:
        why = f"user {user!r} has no configure permission for {one.name!r}"
    return GuardRefusal(one.address, why, "")


def _target(change: Change, argument: object) -> str | None:
    """Where it leads, which RabbitMQ looks at when it makes the object and never again."""
    return argument if change.action is Action.CREATE and isinstance(argument, str) else None
