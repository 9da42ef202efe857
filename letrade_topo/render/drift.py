"""Drift in every format that a pipeline reads; each difference is also a diagnostic of the topology file."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from letrade_topo.load.diagnostics import Diagnostic, Location
from letrade_topo.model.rules import RuleText, Severity
from letrade_topo.plan.change import Change, Reason
from letrade_topo.plan.findings import Finding
from letrade_topo.plan.plan import Plan
from letrade_topo.render import (
    diagnostics_github,
    diagnostics_junit,
    diagnostics_sarif,
    plan_json,
    plan_markdown,
    plan_text,
)
from letrade_topo.render.plan_text import Style, shown
from letrade_topo.render.wording import counted

_E = Severity.ERROR

DRIFT_RULES: tuple[RuleText, ...] = (
    RuleText("drift-missing", _E, "declared object is missing", "The topology declares it, the broker has none."),
    RuleText("drift-differs", _E, "object differs", "The broker has it, with other attributes than declared."),
    RuleText("drift-immutable", _E, "object differs in what cannot change", "It would have to be made again."),
    RuleText("drift-rebind", _E, "binding of an object that must be made again", "It goes and comes with that object."),
    RuleText(
        "drift-removed", _E, "object is no longer declared", "This tool made it, and the topology has dropped it."
    ),
    RuleText("drift-unmanaged", _E, "object is not declared", "Nobody declared it, in a vhost that is exclusive."),
    RuleText("policy-effect", _E, "another policy is in effect", "Only one policy applies to a queue: the highest."),
    RuleText("operator-policy", _E, "operator policy is in effect", "It changes limits of a declared queue."),
    RuleText("plain-listener", _E, "plain-text listener", "The topology requires TLS, the broker listens without."),
)
"""What `drift` can find, for SARIF and the reference."""

_RULES: Mapping[str, RuleText] = {rule.id: rule for rule in DRIFT_RULES}

_FIXES = {
    Reason.REMOVED: "`letrade-topo apply` deletes it.",
    Reason.UNMANAGED: "Declare it, or delete it with `letrade-topo apply --allow delete-unmanaged`.",
    Reason.IMMUTABLE: "`letrade-topo apply --allow replace` makes it again while it is empty and unused.",
}


def render(plan: Plan, output_format: str, file: str, style: Style) -> str:
    """The drift as text, json, markdown, sarif, junit or github.

    Args:
        plan: what differs.
        output_format: one of these words.
        file: the topology file, where an object that nothing declares is reported.
        style: for text.
    """
    match output_format:
        case "json":
            return plan_json.dumps(plan_json.plan_to_json(plan))
        case "markdown":
            return plan_markdown.render_plan(plan)
        case "sarif":
            return diagnostics_sarif.render(diagnostics(plan, file), _RULES)
        case "junit":
            return diagnostics_junit.render(diagnostics(plan, file), f"drift of {plan.scope.topology}")
        case "github":
            return diagnostics_github.render(diagnostics(plan, file))
        case _:
            return plan_text.render_plan(plan, style)


def summary(plan: Plan) -> str:
    """One line: in sync, or how much is not."""
    if plan.in_sync:
        return "In sync."
    return f"Drift: {counted(len(plan.changes) + len(plan.unmanaged) + len(plan.findings), 'difference')}."


def diagnostics(plan: Plan, file: str) -> list[Diagnostic]:
    """Each difference as a problem of the file, at the place that declares it."""
    found = [_of_change(change, file) for change in (*plan.changes, *plan.unmanaged)]
    return found + [_of_finding(finding, file) for finding in plan.findings]


def _of_change(change: Change, file: str) -> Diagnostic:
    differences = "; ".join(_differences(change))
    return Diagnostic(
        rule=f"drift-{change.reason}",
        severity=_E,
        location=_location(change.origin, file),
        summary=f"{change.address}: {change.reason.text}",
        why=f"{differences}." if differences else "",
        fix=_FIXES.get(change.reason, "`letrade-topo apply` repairs it."),
    )


def _of_finding(finding: Finding, file: str) -> Diagnostic:
    return Diagnostic(
        rule=finding.name,
        severity=_E,
        location=Location(file),
        summary=f"{finding.address}: {finding.text}",
        fix=f"{finding.fix}.",
    )


def _differences(change: Change) -> Iterator[str]:
    for one in change.differences:
        yield f"{one.attribute} is {shown(one.before)} instead of {shown(one.after)}"


def _location(origin: str, file: str) -> Location:
    name, _, position = origin.rpartition(":")
    name, _, line = name.rpartition(":")
    if name and line.isdigit() and position.isdigit():
        return Location(name, int(line), int(position))
    return Location(file)
