"""What a plan says about a broker, counted for metrics and named for a log line. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from enum import StrEnum
from typing import Final

from letrade_topo.broker.objects import Kind
from letrade_topo.plan.change import Change, ChangeReason
from letrade_topo.plan.plan import Plan

OTHER_KINDS: Final = ("listener", "operator-policy", "parameter")
"""What findings are about besides objects (`letrade_topo.plan.findings`)."""

KINDS: Final = (*(kind.value for kind in Kind), *OTHER_KINDS)


class Drift(StrEnum):
    """How an object differs from the topology."""

    MISSING = "missing"
    EXTRA = "extra"
    DIFFERENT = "different"
    UNMANAGEABLE = "unmanageable"
    """No write of ours repairs it: what is in effect differs although each object is as declared."""


_BY_REASON: Final = {
    ChangeReason.MISSING: Drift.MISSING,
    ChangeReason.DIFFERS: Drift.DIFFERENT,
    ChangeReason.IMMUTABLE: Drift.DIFFERENT,
    ChangeReason.REMOVED: Drift.EXTRA,
    ChangeReason.UNMANAGED: Drift.EXTRA,
}
"""A binding that is only made again with its queue is no drift."""


def drift_of(plan: Plan) -> Counter[tuple[str, Drift]]:
    """How many objects of each kind differ, and how."""
    counts: Counter[tuple[str, Drift]] = Counter()
    for change in _differing(plan):
        drift = _BY_REASON.get(change.reason)
        if drift is not None:
            counts[change.kind.value, drift] += 1
    for finding in plan.findings:
        counts[_kind(finding.address), Drift.UNMANAGEABLE] += 1
    return counts


def blocked_of(plan: Plan) -> Counter[str]:
    """How many objects of each kind differ that a repair leaves alone: a person has to allow or to do it."""
    counts = Counter(one.change.kind.value for one in plan.blocked if one.change.reason in _BY_REASON)
    counts.update(change.kind.value for change in plan.unmanaged)
    counts.update(_kind(finding.address) for finding in plan.findings)
    return counts


def objects_of(plan: Plan) -> Counter[str]:
    """How many objects of each kind are declared."""
    return Counter(one.object.kind.value for one in plan.desired.objects.values())


def differences(plan: Plan) -> tuple[str, ...]:
    """What differs, as lines for people; equal for equal drift."""
    return tuple(_lines(plan))


def _lines(plan: Plan) -> Iterator[str]:
    for change in plan.changes:
        if change.reason in _BY_REASON:
            yield f"{change.address}: {change.reason.text}"
    for one in plan.blocked:
        if one.change.reason in _BY_REASON:
            yield f"{one.change.address}: {one.change.reason.text}; blocked: {one.why}"
    for change in plan.unmanaged:
        yield f"{change.address}: {change.reason.text}; blocked: it takes apply --allow delete-unmanaged"
    for finding in plan.findings:
        yield f"{finding.address}: {finding.text}; blocked: {finding.fix}"


def _differing(plan: Plan) -> Iterator[Change]:
    yield from plan.changes
    yield from (one.change for one in plan.blocked)
    yield from plan.unmanaged


def _kind(address: str) -> str:
    return address.partition(":")[0]
