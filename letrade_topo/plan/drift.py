"""Drift, told apart: what is otherwise than declared, and what is there although nobody declared it. Pure.

The two ask for different people: the first is repaired by `apply`, or by whoever runs the broker; of the second
somebody has to say whose it is.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import assert_never

from letrade_topo.broker.objects import Kind
from letrade_topo.expand.desired import DesiredState
from letrade_topo.plan.finding import Finding
from letrade_topo.plan.plan import Plan


class DriftKind(StrEnum):
    """Which of the two."""

    DIFFERS = "differs"
    """A declared object, or one that this tool made, is not as declared; or the broker is not as required."""
    UNDECLARED = "undeclared"
    """Somebody else's object is there, in a vhost that is exclusive, or at work on declared ones."""


@dataclass(frozen=True, slots=True)
class DriftReport:
    """A plan as drift.

    Args:
        plan: everything that was found.
        only: what is asked for; None for both.
    """

    plan: Plan
    only: DriftKind | None = None

    @property
    def shown(self) -> Plan:
        """What is asked for of the plan."""
        return self.plan if self.only is None else part(self.plan, self.only)

    @property
    def is_clean(self) -> bool:
        """Whether nothing of what is asked for was found."""
        return self.shown.in_sync


def counts(plan: Plan) -> dict[DriftKind, int]:
    """How much of each there is."""
    return {kind: _size(part(plan, kind)) for kind in DriftKind}


def part(plan: Plan, kind: DriftKind) -> Plan:
    """The plan with one of the two alone.

    What is done to an undeclared object because of another, as making its binding again, is no difference of its own:
    with that other in order it would still be there, undeclared.
    """
    undeclared = {change.address for change in plan.comparison.unmanaged}
    findings = tuple(of_kind(plan.findings, kind, plan.desired))
    match kind:
        case DriftKind.DIFFERS:
            changes = tuple(change for change in plan.changes if change.address not in undeclared)
            blocked = tuple(one for one in plan.blocked if one.change.address not in undeclared)
            comparison = replace(plan.comparison, unmanaged=())
            return replace(plan, changes=changes, blocked=blocked, comparison=comparison, findings=findings)
        case DriftKind.UNDECLARED:
            return replace(plan, changes=(), blocked=(), refusals=(), findings=findings)
        case _:
            assert_never(kind)


def of_kind(findings: Iterable[Finding], kind: DriftKind, desired: DesiredState) -> list[Finding]:
    """Those of the findings that are of this kind."""
    return [finding for finding in findings if kind_of(finding, desired) is kind]


def kind_of(finding: Finding, desired: DesiredState) -> DriftKind:
    """A finding counts for the object that it is about; what is about no object, a listener, is the broker's own."""
    is_object = finding.address.partition(":")[0] in set(Kind)
    return DriftKind.UNDECLARED if is_object and finding.address not in desired.objects else DriftKind.DIFFERS


def _size(plan: Plan) -> int:
    return len(plan.changes) + len(plan.blocked) + len(plan.unmanaged) + len(plan.findings)
