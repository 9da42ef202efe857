"""What may not be done without being told to, by name.

A refusal is a value: it says which change, why it is dangerous, and the words that allow it. A plan with a
refusal is never applied, not even in part.
"""

from __future__ import annotations

import shlex
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Self

from letrade_topo.broker.objects import (
    Address,
    Binding,
    BrokerObject,
    Exchange,
    Kind,
    Queue,
    TopicPermission,
    Vhost,
)
from letrade_topo.broker.state import LiveState
from letrade_topo.errors import TopoError
from letrade_topo.model import names
from letrade_topo.model.rules.references import PREDEFINED_EXCHANGES
from letrade_topo.plan.acceptance import reasons_to_refuse
from letrade_topo.plan.change import Action, Change, ChangeReason
from letrade_topo.plan.dead_letters import dead_letter_users
from letrade_topo.plan.migrating import obstacles, without_room
from letrade_topo.plan.ownership import OwnershipRecord

MANY_SHARE = 3
"""One in this many of a kind, or of everything, deleted at once is more likely a wrong file than a wish: a merge that
left a section empty, an overlay of another environment. However few they are: a small topology is somebody's, too."""

COUNTED_KINDS = (Kind.QUEUE, Kind.EXCHANGE, Kind.BINDING, Kind.USER, Kind.POLICY)
"""Whose deletion loses something; permissions and limits go with what they are for."""


TOPOLOGY = Address("topology")
"""What is refused when it is no single object."""


class Allowance(StrEnum):
    """The kinds of `--allow`."""

    ADOPT = "adopt"
    DELETE_UNMANAGED = "delete-unmanaged"
    DELETE_MANY = "delete-many"
    REPLACE = "replace"
    MIGRATE = "migrate"
    DELETE_MESSAGES = "delete-messages"
    DELETE_CONSUMED = "delete-consumed"
    LEADERLESS = "leaderless"

    @property
    def needs_address(self) -> bool:
        """Whether it is only given for one object, by name."""
        return self in {Allowance.DELETE_MESSAGES, Allowance.DELETE_CONSUMED}


class InvalidAllowance(TopoError):
    """`--allow` was given something it does not know."""


class UnsafePlan(TopoError):
    """A guard refuses the plan."""


@dataclass(frozen=True, slots=True)
class Allowances:
    """What the caller allowed: pairs of a kind and an address, or a kind alone."""

    given: frozenset[tuple[Allowance, str | None]] = frozenset()

    @classmethod
    def parse(cls, texts: Iterable[str]) -> Self:
        """Read `KIND` and `KIND=ADDRESS`.

        Raises:
            InvalidAllowance: an unknown kind, or one that needs an address without it.
        """
        return cls(frozenset(_parse(text) for text in texts))

    def permit(self, kind: Allowance, address: str) -> bool:
        """Whether this was allowed for this object."""
        return (kind, address) in self.given or (not kind.needs_address and (kind, None) in self.given)

    @property
    def texts(self) -> list[str]:
        """As they were written."""
        return sorted(str(kind) if address is None else f"{kind}={address}" for kind, address in self.given)


@dataclass(frozen=True, slots=True)
class GuardRefusal:
    """Why a change is refused, and what would allow it.

    Args:
        address: the object.
        why: what would be lost, with figures.
        allow: the `--allow` that permits it; empty where nothing does.
    """

    address: Address
    why: str
    allow: str

    @property
    def text(self) -> str:
        """The refusal in one line."""
        how = f"allow it with --allow {shlex.quote(self.allow)}" if self.allow else "nothing allows it"
        return f"{self.address}: {self.why}; {how}"


def assess(
    changes: Iterable[Change],
    live: LiveState,
    record: OwnershipRecord,
    allowances: Allowances,
    *,
    topology: str = "",
    destroys: bool = False,
) -> tuple[GuardRefusal, ...]:
    """Judge every change.

    Args:
        changes: with live counts on queues that would go.
        live: as read.
        record: what this topology owns.
        allowances: what the caller allowed.
        topology: its name, which derived policies begin with: they come and go with versions.
        destroys: the caller asked for everything to go, so the number of deletions is no surprise.
    """
    changes = tuple(changes)
    refusals: list[GuardRefusal] = []
    gone = {change.address for change in changes if change.action in {Action.DELETE, Action.REPLACE}}
    used = dead_letter_users(live, gone) if gone else {}
    types = _exchange_types(changes, live)
    refusals += [GuardRefusal(address, why, "") for address, why in without_room(changes, live)]
    for change in changes:
        refusals += _judge(change, allowances, used)
        if change.action is Action.MIGRATE:
            refusals += [GuardRefusal(change.address, why, "") for why in obstacles(change, live)]
        if change.after is not None:
            reasons = reasons_to_refuse(change.after, live.broker, types.get(_exchange_of(change.after), ""))
            refusals += [GuardRefusal(change.address, why, "") for why in reasons]
    if not destroys and not allowances.permit(Allowance.DELETE_MANY, ""):
        many = tuple(_many(changes, record, topology))
        if many:
            why = f"{' and '.join(many)} would be deleted at once"
            refusals.append(GuardRefusal(TOPOLOGY, why, str(Allowance.DELETE_MANY)))
    return tuple(refusals)


def _exchange_of(thing: BrokerObject) -> str:
    """The exchange that a binding leaves from, or that a topic permission is for."""
    match thing:
        case Binding(source=exchange) | TopicPermission(exchange=exchange):
            return exchange
        case _:
            return ""


def _exchange_types(changes: Iterable[Change], live: LiveState) -> Mapping[str, str]:
    """The type of every exchange, by name, as it will be."""
    found = {name: name.removeprefix("amq.") for name in PREDEFINED_EXCHANGES}
    found |= {thing.name: thing.type for thing in live.objects.values() if isinstance(thing, Exchange)}
    return found | {change.after.name: change.after.type for change in changes if isinstance(change.after, Exchange)}


def _many(changes: Iterable[Change], record: OwnershipRecord, topology: str) -> Iterator[str]:
    """Of what a great part of all that is owned would go, in words."""
    beginning = f"{Kind.POLICY}:"
    owned = {
        address
        for address in record.owned | record.pending
        if not (address.startswith(beginning) and names.is_derived_policy(topology, address.removeprefix(beginning)))
    }
    removed = {one.address for one in changes if one.reason is ChangeReason.REMOVED} & owned
    of_all, of_removed = (Counter(address.partition(":")[0] for address in some) for some in (owned, removed))
    for kind in COUNTED_KINDS:
        if of_removed[kind] and of_removed[kind] * MANY_SHARE >= of_all[kind]:
            plural = "policies" if kind is Kind.POLICY else f"{kind}s"
            yield f"{of_removed[kind]:,} of {of_all[kind]:,} owned {kind if of_all[kind] == 1 else plural}"
    if removed and len(removed) * MANY_SHARE >= len(owned):
        yield f"{len(removed):,} of {len(owned):,} owned objects"


def protected_vhost(live: LiveState, declared: bool) -> tuple[GuardRefusal, ...]:
    """Refuse to destroy what lies in a vhost that is protected from deletion.

    Args:
        live: as read.
        declared: the topology wants it protected, also where the broker knows no protection.
    """
    found = live.objects.get(Vhost(live.vhost).address)
    if not (isinstance(found, Vhost) and (found.protected or declared)):
        return ()
    why = (
        "it is protected from deletion; take that back first (`vhost_protected: false` and `letrade-topo apply`, or "
        "rabbitmqctl disable_vhost_deletion_protection)"
    )
    return (GuardRefusal(found.address, why, ""),)


def without_leaders(queues: Iterable[str], allowances: Allowances) -> tuple[GuardRefusal, ...]:
    """Refuse to write to a broker whose queues have lost their majority: what is written may hang, or be lost.

    Args:
        queues: those of the topology that have no leader.
        allowances: what the caller allowed.
    """
    why = (
        "it has no elected leader: too few of its members are running, so nothing can be published to it or consumed "
        "from it; bring its nodes back first (rabbitmq-queues quorum_status tells which)"
    )
    addresses = sorted(Queue(name).address for name in queues)
    return tuple(
        GuardRefusal(address, why, str(Allowance.LEADERLESS))
        for address in addresses
        if not allowances.permit(Allowance.LEADERLESS, address)
    )


def _parse(text: str) -> tuple[Allowance, str | None]:
    name, _, address = text.partition("=")
    try:
        kind = Allowance(name)
    except ValueError:
        kinds = ", ".join(Allowance)
        raise InvalidAllowance(f"--allow does not know {name!r}", fix=f"it knows {kinds}") from None
    if kind.needs_address and not address:
        raise InvalidAllowance(
            f"--allow {kind} needs the object's name",
            why="messages and consumers are given up one object at a time",
            fix=f"write --allow {kind}=queue:NAME; the plan shows the address",
        )
    return kind, address or None


def _judge(change: Change, allowances: Allowances, used: Mapping[Address, Address]) -> Iterator[GuardRefusal]:
    address = change.address

    def needs(kind: Allowance, why: str) -> Iterator[GuardRefusal]:
        if not allowances.permit(kind, address):
            by_name = f"{kind}={address}" if kind.needs_address else str(kind)
            yield GuardRefusal(address, why, by_name)

    if change.adopts and change.action in {Action.UPDATE, Action.REPLACE, Action.MIGRATE}:
        names = ", ".join(difference.attribute for difference in change.differences)
        yield from needs(Allowance.ADOPT, f"it was not made by this tool and differs from what is declared ({names})")
    if change.action is Action.REPLACE:
        yield from _judge_replace(change, needs_replace=not allowances.permit(Allowance.REPLACE, address))
        return
    if change.action is not Action.DELETE:
        return
    if change.removes_queue and change.messages != 0:
        yield from needs(Allowance.DELETE_MESSAGES, f"it holds {count(change.messages, 'message')}")
    if change.removes_queue and change.consumers != 0:
        yield from needs(Allowance.DELETE_CONSUMED, f"it has {count(change.consumers, 'consumer')}")
    if address in used:
        yield from needs(Allowance.DELETE_CONSUMED, f"{used[address]} dead-letters into it")


def _judge_replace(change: Change, *, needs_replace: bool) -> Iterator[GuardRefusal]:
    names = ", ".join(difference.attribute for difference in change.differences)
    if change.removes_queue and (change.messages, change.consumers) != (0, 0):
        held = f"{count(change.messages, 'message')} and {count(change.consumers, 'consumer')}"
        why = (
            f"{names} cannot change on an existing queue, and it holds {held}: only an empty, unused queue is "
            "replaced; a migration keeps what it holds and what arrives meanwhile"
        )
        yield GuardRefusal(change.address, why, str(Allowance.MIGRATE))
    elif needs_replace:
        why = (
            f"{names} cannot change on an existing {change.kind}, it would be deleted and made again, and what is "
            "published to it in that moment is not kept"
        )
        yield GuardRefusal(change.address, why, str(Allowance.REPLACE))


def count(number: int | None, what: str) -> str:
    """A figure in words; None, where the broker does not say, is not zero."""
    if number is None:
        return f"an unknown number of {what}s"
    return f"{number:,} {what}{'' if number == 1 else 's'}"
