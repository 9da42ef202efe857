"""Plans and results as JSON, for programs.

The format's version is `FORMAT_VERSION` of `plan/saved.py`: minor versions only add.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from importlib.metadata import version

from letrade_topo.apply.applying import Result
from letrade_topo.apply.outcome import Outcome, Status
from letrade_topo.model.messages import Json
from letrade_topo.plan.change import Change, public_attributes
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
        "in_sync": plan.in_sync,
        "changes": [change_to_json(change) for change in plan.changes],
        "unmanaged": [change_to_json(change) for change in plan.unmanaged],
        "findings": [
            {"name": one.name, "address": one.address, "text": one.text, "fix": one.fix} for one in plan.findings
        ],
        "refusals": [{"address": one.address, "why": one.why, "allow": one.allow} for one in plan.refusals],
        "notices": [{"name": one.name, "text": one.text} for one in plan.desired.notices],
        "summary": summary_to_json(plan),
    }


def summary_to_json(plan: Plan) -> dict[str, Json]:
    """How many of everything."""
    counts: dict[str, Json] = {str(action): count for action, count in plan.counts.items()}
    return counts | {
        "unmanaged": len(plan.unmanaged),
        "findings": len(plan.findings),
        "refusals": len(plan.refusals),
    }


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
    report["result_summary"] = {str(status): result.count(status) for status in Status}
    return report


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
    }
