"""A plan without what guards refuse: for a run that nobody watches, and that shall do the rest all the same."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

from letrade_topo.broker.addresses import Address
from letrade_topo.plan.change import Change, ChangeReason
from letrade_topo.plan.guards import TOPOLOGY, GuardRefusal
from letrade_topo.plan.holders import holders_of


@dataclass(frozen=True, slots=True)
class BlockedChange:
    """A change that is left out.

    Args:
        change: the change.
        why: the guard's reason, or what it goes with.
    """

    change: Change
    why: str


def separate(
    changes: Iterable[Change], assess: Callable[[list[Change]], Iterable[GuardRefusal]]
) -> tuple[list[Change], tuple[BlockedChange, ...]]:
    """Take out what guards refuse, and what goes with it, until they refuse nothing of what is left.

    More than once, as a guard may rely on a change that is left out: a queue that stays needs where it dead-letters to.

    Args:
        changes: in their order.
        assess: the guards.

    Returns:
        What may be done, in the same order, and what is left out.
    """
    left, blocked = list(changes), list[BlockedChange]()
    while refusals := {refusal.address: refusal.text for refusal in assess(left)}:
        reasons = [(change, _why(change, refusals)) for change in left]
        blocked += [BlockedChange(change, why) for change, why in reasons if why]
        left = [change for change, why in reasons if not why]
    return left, tuple(blocked)


def _why(change: Change, refusals: Mapping[Address, str]) -> str:
    if change.address in refusals:
        return refusals[change.address]
    if TOPOLOGY in refusals and change.reason is ChangeReason.REMOVED:
        return refusals[TOPOLOGY]
    holders = sorted(holders_of(change.object) & refusals.keys())
    return f"it goes with {holders[0]}, which is refused" if holders else ""
