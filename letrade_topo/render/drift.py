"""Drift in every format that a pipeline reads; each difference is also a diagnostic of the topology file."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from letrade_topo.broker.objects import Queue
from letrade_topo.load.diagnostics import Diagnostic, Location
from letrade_topo.model.messages import Json
from letrade_topo.model.rules import RuleText, Severity
from letrade_topo.plan.change import Change, ChangeReason
from letrade_topo.plan.drift import DriftKind, DriftReport, counts
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

_E = Severity.ERROR

DRIFT_RULES: tuple[RuleText, ...] = (
    RuleText("drift-missing", _E, "declared object is missing", "The topology declares it, the broker has none."),
    RuleText(
        "drift-expired", _E, "queue has expired, as declared", "`apply` makes it again; by itself it is no drift."
    ),
    RuleText("drift-differs", _E, "object differs", "The broker has it, with other attributes than declared."),
    RuleText("drift-immutable", _E, "object differs in what cannot change", "It would have to be made again."),
    RuleText("drift-under-way", _E, "migration is under way", "`apply` finishes it; `--abort-migration` goes back."),
    RuleText("drift-rebind", _E, "goes with an object that must be made again", "It is made again with that object."),
    RuleText(
        "drift-removed", _E, "object is no longer declared", "This tool made it, and the topology has dropped it."
    ),
    RuleText("drift-twin", _E, "binding beside one that goes", "It is made again: it may lead nowhere otherwise."),
    RuleText("drift-taken-along", _E, "goes with an object", "The broker deletes it with what it belongs to."),
    RuleText("drift-unmanaged", _E, "object is not declared", "Nobody declared it, in a vhost that is exclusive."),
    RuleText(
        "policy-effect", _E, "another policy is in effect, or none", "Of all that match, the broker applies one policy."
    ),
    RuleText("policy-tie", _E, "two policies of one priority", "Which of them is in effect may change."),
    RuleText("policy-unjudged", _E, "policy that could not be judged", "Neither this tool nor the broker reads it."),
    RuleText("operator-policy", _E, "operator policy is in effect", "It changes limits of a declared queue."),
    RuleText(
        "dead-letter-cycle", _E, "dead letters go round in a circle", "A rejected message comes back without end."
    ),
    RuleText("queue-state", _E, "queue that cannot be used", "It is there as declared, and does not work."),
    RuleText("exclusive-queue", _E, "queue of one connection", "Nobody else may use it; it goes with it."),
    RuleText("parameter", _E, "parameter is not declared", "A shovel or an upstream moves messages by itself."),
    RuleText("tracing", _E, "messages are traced", "Whoever may read the trace exchange reads all messages."),
    RuleText(
        "out-of-reach", _E, "differs, and this login may only read it", "Somebody with another tag can change it."
    ),
    RuleText("plain-listener", _E, "plain-text listener", "The topology requires TLS, the broker listens without."),
)
"""What `drift` can find, for SARIF and the reference."""

RULES: Mapping[str, RuleText] = {rule.id: rule for rule in DRIFT_RULES}

_FIXES = {
    ChangeReason.REMOVED: "`letrade-topo apply` deletes it.",
    ChangeReason.UNMANAGED: "Declare it, or delete it with `letrade-topo apply --allow delete-unmanaged`.",
    ChangeReason.IMMUTABLE: "`letrade-topo apply --allow replace` makes it again while it is empty and unused; with "
    "`--allow migrate` it keeps what it holds.",
    ChangeReason.UNDER_WAY: "`letrade-topo apply` finishes it; with `--abort-migration` it goes back.",
}


def render(report: DriftReport, output_format: str, file: str, style: Style) -> str:
    """The drift as text, json, markdown, sarif, junit or github; each with both counts, whatever is asked for.

    Args:
        report: what was found.
        output_format: one of these words.
        file: the topology file, where an object that nothing declares is reported.
        style: for text.
    """
    plan, sums = report.shown, _sums(report)
    found = {str(kind): count for kind, count in counts(report.plan).items()}
    subject = f"drift of {plan.scope.topology}"
    match output_format:
        case "json":
            return plan_json.dumps(to_json(report))
        case "markdown":
            return plan_markdown.render_plan(plan, sums)
        case "sarif":
            return diagnostics_sarif.render(diagnostics(plan, file), RULES, found)
        case "junit":
            return diagnostics_junit.render(diagnostics(plan, file), subject, found)
        case "github":
            problems = diagnostics_github.render(diagnostics(plan, file))
            return "\n".join(filter(None, [problems, diagnostics_github.notice(subject, f"{_told(report)}.")]))
        case _:
            return plan_text.render_plan(plan, style, sums)


def summary(report: DriftReport) -> str:
    """One line: in sync, or how much is not; both counts, whatever is asked for."""
    if report.plan.in_sync:
        queues = [change.object.name for change in report.plan.expired if isinstance(change.object, Queue)]
        told = f"In sync. Expired, as declared: {', '.join(queues)}." if queues else "In sync."
    else:
        told = f"Drift: {_told(report)}."
    return f"{told} {report.plan.unseen.line}".rstrip()


def _sums(report: DriftReport) -> str:
    planned = plan_text.planned(report.shown) if report.only is not DriftKind.UNDECLARED else ""
    refused = f"{len(report.shown.refusals):,} refused." if report.shown.refusals else ""
    return " ".join(filter(None, [planned, f"{_told(report)}.", refused, report.plan.unseen.line]))


def _told(report: DriftReport) -> str:
    return told(counts(report.plan), report.only)


def told(found: Mapping[DriftKind, int], only: DriftKind | None) -> str:
    """`3 differ, 2 undeclared`, with the one that is left out marked so."""
    differ, undeclared = found[DriftKind.DIFFERS], found[DriftKind.UNDECLARED]
    words = {
        DriftKind.DIFFERS: f"{differ:,} differs" if differ == 1 else f"{differ:,} differ",
        DriftKind.UNDECLARED: f"{undeclared:,} undeclared",
    }
    return ", ".join(
        text if only in (None, kind) or not found[kind] else f"{text} (not shown)" for kind, text in words.items()
    )


def to_json(report: DriftReport) -> dict[str, Json]:
    """As of a plan: `summary` counts what is listed, but for `differs` and `undeclared`."""
    found = {str(kind): count for kind, count in counts(report.plan).items()}
    shown = plan_json.plan_to_json(report.shown)
    return shown | {
        "in_sync": report.plan.in_sync,
        "only": report.only and str(report.only),
        "summary": plan_json.summary_to_json(report.shown) | found,
    }


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
