"""Drift in every format that a pipeline reads; each difference is also a diagnostic of the topology file."""

from __future__ import annotations

from letrade_topo.plan.plan import Plan
from letrade_topo.render import plan_json, plan_markdown, plan_text


def render(plan: Plan, output_format: str, file: str, style: plan_text.Style) -> str:
    """The drift as text, json, markdown, sarif, junit or github annotations."""
    match output_format:
        case "json":
            return plan_json.dumps(plan_json.plan_to_json(plan))
        case "markdown":
            return plan_markdown.render_plan(plan)
    return plan_text.render_plan(plan, style)


def summary(plan: Plan) -> str:
    """One line: in sync, or how much is not."""
    if plan.in_sync:
        return "In sync."
    count = len(plan.changes) + len(plan.unmanaged) + len(plan.findings)
    return f"Drift: {count:,} difference{'' if count == 1 else 's'}."
