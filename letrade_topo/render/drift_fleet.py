"""The drift of several topologies in one document; of a single one exactly as it is alone."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

from letrade_topo.model.messages import Json
from letrade_topo.plan.drift import DriftKind, DriftReport, counts
from letrade_topo.render import diagnostics_github, diagnostics_junit, diagnostics_sarif, drift, fleet, plan_json
from letrade_topo.render.plan_text import Style
from letrade_topo.render.wording import counted


def render(reports: Mapping[str, DriftReport], output_format: str, style: Style) -> str:
    """The drift as text, json, markdown, sarif, junit or github.

    Args:
        reports: by the name of the topology's file, where an object that nothing declares is reported.
        output_format: one of these words.
        style: for text.
    """
    found = list(reports.values())
    if len(found) == 1:
        ((file, report),) = reports.items()
        return drift.render(report, output_format, file, style)
    sums = {str(kind): count for kind, count in _counts(found).items()}
    diagnostics = [one for file, report in reports.items() for one in drift.diagnostics(report.shown, file)]
    subject = f"drift of {', '.join(report.plan.scope.topology for report in found)}"
    match output_format:
        case "json":
            document = fleet.document([fleet.entry(drift.to_json(report)) for report in found])
            only: Json = found[0].only and str(found[0].only)
            return plan_json.dumps(document | {"only": only})
        case "sarif":
            return diagnostics_sarif.render(diagnostics, drift.RULES, sums)
        case "junit":
            return diagnostics_junit.render(diagnostics, subject, sums)
        case "github":
            notice = diagnostics_github.notice(subject, summary(found))
            return "\n".join(filter(None, [diagnostics_github.render(diagnostics), notice]))
        case _:
            shown = [drift.render(report, output_format, file, style) for file, report in reports.items()]
            last = f"**{summary(found)}**" if output_format == "markdown" else summary(found)
            return "\n\n".join([*shown, last])


def summary(reports: Sequence[DriftReport]) -> str:
    """One line: in sync, or how much is not."""
    if len(reports) == 1:
        return drift.summary(reports[0])
    drifting = sum(not report.plan.in_sync for report in reports)
    all_of_them = counted(len(reports), "topology", "topologies")
    if not drifting:
        return f"In sync: {all_of_them}."
    return f"Drift in {drifting:,} of {all_of_them}: {drift.told(_counts(reports), reports[0].only)}."


def _counts(reports: Sequence[DriftReport]) -> dict[DriftKind, int]:
    sums: Counter[DriftKind] = Counter()
    for report in reports:
        sums.update(counts(report.plan))
    return {kind: sums[kind] for kind in DriftKind}
