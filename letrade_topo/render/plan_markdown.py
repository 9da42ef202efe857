"""Plans and results as Markdown, for a pull request's comment."""

from __future__ import annotations

import json

from letrade_topo.apply.applying import Result
from letrade_topo.model.messages import Json
from letrade_topo.plan.change import Action, Change
from letrade_topo.plan.drift import of_kind
from letrade_topo.plan.finding import Finding
from letrade_topo.plan.guards import count
from letrade_topo.plan.plan import Plan
from letrade_topo.render.markdown import code, escape
from letrade_topo.render.plan_json import failures
from letrade_topo.render.plan_text import OF_FINDINGS, result_summary, summary

MOST_ROWS = 500
"""GitHub refuses a comment of more than 65,536 characters."""


def render_plan(plan: Plan, sums: str = "") -> str:
    """A heading with the sums, a table of changes with their differences, then what stands against it.

    Args:
        plan: the plan.
        sums: if they are others than `plan_text.summary`.
    """
    lines = [
        f"### `letrade-topo`: topology {code(plan.scope.topology)} on vhost {code(plan.scope.vhost)}",
        "",
        f"**{sums or summary(plan)}** RabbitMQ {plan.broker.version}, {code(plan.broker.cluster)}.",
    ]
    for remark in plan.remarks:
        lines += ["", escape(remark)]
    if plan.changes:
        lines += ["", "| | object | why | difference |", "|---|---|---|---|"]
        lines += [_row(change) for change in plan.changes[:MOST_ROWS]]
        if len(plan.changes) > MOST_ROWS:
            lines.append(f"| | … and {len(plan.changes) - MOST_ROWS:,} more | | |")
    if plan.unmanaged:
        lines += ["", "**Not declared, left alone:**", ""]
        lines += [f"- {code(change.address)}" for change in plan.unmanaged]
    for kind, title in OF_FINDINGS.items():
        if findings := of_kind(plan.findings, kind, plan.desired):
            lines += ["", f"**{title.capitalize()}:**", "", *map(_finding, findings)]
    if plan.refusals:
        lines += ["", "**Refused:**", ""]
        lines += [f"- {code(one.address)}: {escape(one.why)}" + _allow(one.allow) for one in plan.refusals]
    return "\n".join(lines)


def render_result(result: Result) -> str:
    """The plan, and what did not get done."""
    lines = [render_plan(result.plan), "", f"**{result_summary(result)}**"]
    lines += [f"- {one.status}: {code(one.change.address)}: {escape(one.why)}" for one in failures(result.outcomes)]
    lines += [f"- migrated {code(one.change.address)}: {escape(one.note)}" for one in result.outcomes if one.note]
    if result.new_findings:
        lines += ["", "**In effect otherwise than declared, read back:**", "", *map(_finding, result.new_findings)]
    return "\n".join(lines)


def _finding(finding: Finding) -> str:
    return f"- {code(finding.address)}: {escape(finding.text)}; {escape(finding.fix)}"


def _row(change: Change) -> str:
    differences = "<br>".join(
        f"{code(one.attribute)}: {code(_value(one.before))} → {code(_value(one.after))}" for one in change.differences
    )
    if change.removes_queue and (change.messages, change.consumers) != (0, 0):
        differences += f"<br>⚠ **{count(change.messages, 'message')}, {count(change.consumers, 'consumer')}**"
    why = change.reason.text if change.action is not Action.CREATE else ""
    return f"| {change.action.symbol} | {code(change.address)} | {why} | {differences} |"


def _allow(allow: str) -> str:
    return f" ({code(f'--allow {allow}')})" if allow else ""


def _value(value: Json) -> str:
    return "(none)" if value is None else json.dumps(value, ensure_ascii=False)
