"""In which order policies change, so that a queue that goes from one to another is never without both. Pure.

New policies come first, and deletions are a stage of their own, the last. In between, a policy lets go of a queue only
after the one that takes the queue over has it. Two that exchange queues with each other cannot both wait: one of them
holds the old queues and the new ones for a moment.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, replace

from letrade_topo.broker.objects import Policy
from letrade_topo.model.name_patterns import fits
from letrade_topo.model.pcre import matcher
from letrade_topo.plan.change import Action, Change


@dataclass(frozen=True, slots=True)
class _Update:
    """A policy that changes, the queues that it lets go of, and those that it takes over."""

    change: Change
    before: Policy
    after: Policy
    lost: frozenset[str]
    gained: frozenset[str]


def in_turn(changes: Sequence[Change], queues: Collection[str]) -> Iterator[list[Change]]:
    """The creates and updates of policies, in groups that may each be performed in any order.

    Args:
        changes: of policies.
        queues: the names of the queues that matter.

    Returns:
        Every change, and, of two policies that exchange queues, one more than once: the last time as it is to be.
    """
    creates = [change for change in changes if change.action is Action.CREATE or not isinstance(change.after, Policy)]
    if creates:
        yield creates  # and operator policies, which take no queue from another policy
    left = [_update(change, queues) for change in changes if change not in creates]
    while left:
        ready = [one for one in left if not any(one.lost & other.gained for other in left if other is not one)]
        if not ready:
            bridged = next(((one, bridge) for one in left if one.gained and (bridge := _bridge(one))), None)
            if bridged is not None:
                one, bridge = bridged
                yield [bridge]
                left[left.index(one)] = replace(one, gained=frozenset())  # it has them
                continue
            ready = left
        yield [one.change for one in ready]
        left = [one for one in left if one not in ready]


def _update(change: Change, queues: Collection[str]) -> _Update:
    before, after = change.before, change.after
    if not isinstance(before, Policy) or not isinstance(after, Policy):
        raise TypeError("an update of a policy has a policy before and after it")
    old, new = matcher(before.pattern), matcher(after.pattern)
    if old is None or new is None:  # a declared one that cannot be judged here: it waits for nobody
        return _Update(change, before, after, frozenset(), frozenset())
    had, has = frozenset(filter(old, queues)), frozenset(filter(new, queues))
    return _Update(change, before, after, had - has, has - had)


def _bridge(update: _Update) -> Change | None:
    """A change to a policy of the old queues and the new ones; None if its pattern would be too long."""
    pattern = f"(?:{update.before.pattern})|(?:{update.after.pattern})"
    return replace(update.change, after=replace(update.after, pattern=pattern)) if fits(pattern) else None
