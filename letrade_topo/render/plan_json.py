"""Plans and results as JSON, for programs.

The format's version is `FORMAT_VERSION` of `plan/saved.py`: minor versions only add.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from importlib.metadata import version

from letrade_topo.apply.applying import Result
from letrade_topo.apply.outcome import Outcome, Status
from letrade_topo.broker.objects import Kind
from letrade_topo.model.messages import Json
from letrade_topo.plan.change import Change, public_attributes
from letrade_topo.plan.drift import counts as drift_counts
from letrade_topo.plan.drift import kind_of
from letrade_topo.plan.finding import Finding
from letrade_topo.plan.plan import Plan
from letrade_topo.plan.saved import FORMAT_VERSION


def plan_to_json(plan: Plan) -> dict[str, Json]:
    """A plan as JSON: `format_version`, one entry per change, `summary`."""
    return {
        "format_version": FORMAT_VERSION,
        "tool": {"name": "letrade-topo", "version": version("letrade-topo")},
        "topology": plan.scope.topology,
        "vhost": plan.scope.vhost,
        "broker": {"version": plan.broker.version, "cluster": plan.broker.cluster},
        "scope": {
            "width": str(plan.reach.width),
            "tags": list[Json](plan.reach.tags),
            "not_looked_at": {str(kind): count for kind, count in plan.unseen.declared.items()},
            "listeners_looked_at": not plan.unseen.listeners,
            "only_read": [str(kind) for kind in Kind if plan.reach.reads(kind) and not plan.reach.writes(kind)],
            "remarks": list[Json](plan.remarks),
        },
        "in_sync": plan.in_sync,
        "changes": [change_to_json(change) for change in plan.changes],
        "unmanaged": [change_to_json(change) for change in plan.unmanaged],
        "findings": [_finding_to_json(one, plan) for one in plan.findings],
        "refusals": [{"address": one.address, "why": one.why, "allow": one.allow} for one in plan.refusals],
        "notices": [{"name": one.name, "text": one.text} for one in plan.notices],
        "summary": summary_to_json(plan),
    }


def summary_to_json(plan: Plan) -> dict[str, Json]:
    """How many of everything; but for `destroy`, how much differs, and how much nobody declared."""
    counts: dict[str, Json] = {str(action): count for action, count in plan.counts.items()}
    drift = {} if plan.destroys else {str(kind): count for kind, count in drift_counts(plan).items()}
    return (
        counts
        | drift
        | {
            "unmanaged": len(plan.unmanaged),
            "findings": len(plan.findings),
            "refusals": len(plan.refusals),
        }
    )


def change_to_json(change: Change) -> dict[str, Json]:
    """One change; `before` and `after` are the object's attributes, null where there is no object."""
    entry: dict[str, Json] = {
        "action": str(change.action),
        "kind": str(change.kind),
        "address": change.address,
        "before": None if change.before is None else public_attributes(change.before),
        "after": None if change.after is None else public_attributes(change.after),
        "reason": str(change.reason),
        "stage": change.stage.title,
        "origin": change.origin or None,
        "differences": [
            {"attribute": one.attribute, "before": one.before, "after": one.after} for one in change.differences
        ],
    }
    if change.removes_queue:
        entry |= {"messages": change.messages, "consumers": change.consumers}
    return entry


def result_to_json(result: Result) -> dict[str, Json]:
    """A plan and what became of it."""
    report = plan_to_json(result.plan)
    report["results"] = [_outcome_to_json(outcome) for outcome in result.outcomes]
    report["closed_connections"] = [
        {"user": one.user, "reason": one.reason, "connections": one.connections, "failure": one.failure or None}
        for one in result.ended
    ]
    report["new_findings"] = [_finding_to_json(finding, result.plan) for finding in result.new_findings]
    report["result_summary"] = {str(status): result.count(status) for status in Status}
    return report


def _finding_to_json(finding: Finding, plan: Plan) -> Json:
    return {
        "name": finding.name,
        "address": finding.address,
        "drift": str(kind_of(finding, plan.desired)),
        "text": finding.text,
        "fix": finding.fix,
    }


def dumps(report: dict[str, Json]) -> str:
    """The text that is printed."""
    return json.dumps(report, indent=2, ensure_ascii=False)


def failures(outcomes: Iterable[Outcome]) -> list[Outcome]:
    """What did not get done."""
    return [outcome for outcome in outcomes if outcome.status is not Status.DONE]


def _outcome_to_json(outcome: Outcome) -> dict[str, Json]:
    change = outcome.change
    return {
        "action": str(change.action),
        "kind": str(change.kind),
        "address": change.address,
        "status": str(outcome.status),
        "why": outcome.why or None,
        "note": outcome.note or None,
    }
