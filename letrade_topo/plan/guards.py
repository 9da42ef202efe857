"""What may not be done without being told to, by name.

A refusal is a value: it says which change, why it is dangerous, and the words that allow it. A plan with a
refusal is never applied, not even in part.
"""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Self

from letrade_topo.broker.objects import Address
from letrade_topo.broker.state import LiveState
from letrade_topo.errors import TopoError
from letrade_topo.plan.change import Action, Change, Reason
from letrade_topo.plan.dead_letters import dead_letter_users
from letrade_topo.plan.ownership import OwnershipRecord

MANY_SHARE = 0.3
MANY_COUNT = 20
"""More deletions than both of these at once are more likely a wrong file than a wish (octoDNS: 30 %)."""


TOPOLOGY = Address("topology")
"""What is refused when it is no single object."""


class Allowance(StrEnum):
    """The kinds of `--allow`."""

    ADOPT = "adopt"
    DELETE_UNMANAGED = "delete-unmanaged"
    DELETE_MANY = "delete-many"
    REPLACE = "replace"
    DELETE_MESSAGES = "delete-messages"
    DELETE_CONSUMED = "delete-consumed"

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
class Refusal:
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
        how = f"allow it with --allow {shlex.quote(self.allow)}" if self.allow else "nothing allows it in this version"
        return f"{self.address}: {self.why}; {how}"


def assess(
    changes: Iterable[Change],
    live: LiveState,
    record: OwnershipRecord,
    allowances: Allowances,
    *,
    destroys: bool = False,
) -> tuple[Refusal, ...]:
    """Judge every change.

    Args:
        changes: with live counts on queues that would go.
        live: as read.
        record: what this topology owns.
        allowances: what the caller allowed.
        destroys: the caller asked for everything to go, so the number of deletions is no surprise.
    """
    changes = tuple(changes)
    refusals: list[Refusal] = []
    gone = {change.address for change in changes if change.action in {Action.DELETE, Action.REPLACE}}
    used = dead_letter_users(live, gone) if gone else {}
    for change in changes:
        refusals += _judge(change, allowances, used)
    removed = sum(change.reason is Reason.REMOVED for change in changes)
    many = removed > MANY_COUNT and removed > MANY_SHARE * len(record.owned)
    if many and not destroys and not allowances.permit(Allowance.DELETE_MANY, ""):
        why = f"{removed} of {len(record.owned)} owned objects would be deleted at once"
        refusals.append(Refusal(TOPOLOGY, why, str(Allowance.DELETE_MANY)))
    return tuple(refusals)


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


def _judge(change: Change, allowances: Allowances, used: Mapping[Address, Address]) -> Iterator[Refusal]:
    address = change.address

    def needs(kind: Allowance, why: str) -> Iterator[Refusal]:
        if not allowances.permit(kind, address):
            by_name = f"{kind}={address}" if kind.needs_address else str(kind)
            yield Refusal(address, why, by_name)

    if change.adopts and change.action in {Action.UPDATE, Action.REPLACE}:
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


def _judge_replace(change: Change, *, needs_replace: bool) -> Iterator[Refusal]:
    names = ", ".join(difference.attribute for difference in change.differences)
    if change.removes_queue and (change.messages, change.consumers) != (0, 0):
        held = f"{count(change.messages, 'message')} and {count(change.consumers, 'consumer')}"
        why = (
            f"{names} cannot change on an existing queue, and it holds {held}: only an empty, unused queue is replaced"
        )
        yield Refusal(change.address, why, "")
    elif needs_replace:
        why = (
            f"{names} cannot change on an existing {change.kind}, it would be deleted and made again, and what is "
            "published to it in that moment is not kept"
        )
        yield Refusal(change.address, why, str(Allowance.REPLACE))


def count(number: int | None, what: str) -> str:
    """A figure in words; None, where the broker does not say, is not zero."""
    if number is None:
        return f"an unknown number of {what}s"
    return f"{number:,} {what}{'' if number == 1 else 's'}"
