"""Plans and results of several topologies in one document; of a single one exactly as they are alone."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from importlib.metadata import version

from letrade_topo.apply.fleet import FleetResult
from letrade_topo.apply.outcome import Status
from letrade_topo.model.messages import Json
from letrade_topo.plan.change import Action
from letrade_topo.plan.plan import Plan
from letrade_topo.plan.saved import FLEET_VERSION
from letrade_topo.render import plan_json, plan_markdown, plan_text
from letrade_topo.render.markdown import code
from letrade_topo.render.plan_text import Style
from letrade_topo.render.wording import counted, on_one_line


def plans_to_json(plans: Sequence[Plan]) -> dict[str, Json]:
    """One plan as it is; several as `topologies`, each as it would be alone, with `summary` over all."""
    if len(plans) == 1:
        return plan_json.plan_to_json(plans[0])
    return document([entry(plan_json.plan_to_json(plan)) for plan in plans])


def results_to_json(done: FleetResult) -> dict[str, Json]:
    """Likewise with what became of them; `status` is `done`, `failed` or `not-begun`."""
    if _is_alone(done):
        return plan_json.result_to_json(done.results[0])
    broken_off = done.error.result if done.error is not None else None
    entries: list[dict[str, Json]] = []
    for result in done.results:
        is_done = result is not broken_off and result.count(Status.DONE) == len(result.outcomes)
        entries.append(entry(plan_json.result_to_json(result)) | {"status": "done" if is_done else "failed"})
    entries += [entry(plan_json.plan_to_json(plan)) | {"status": "not-begun"} for plan in done.not_begun]
    report = document(entries)
    sums: dict[str, Json] = {str(one): sum(result.count(one) for result in done.results) for one in Status}
    report["result_summary"] = sums | {"not_begun": len(done.not_begun)}
    return report


def document(entries: Sequence[dict[str, Json]]) -> dict[str, Json]:
    """Reports of several topologies as one; their summaries are added up."""
    sums: Counter[str] = Counter()
    for entry in entries:
        summary = entry["summary"]
        assert isinstance(summary, dict)  # noqa: S101  # every report has one
        sums.update({name: count for name, count in summary.items() if isinstance(count, int)})
    return {
        "format_version": FLEET_VERSION,
        "tool": {"name": "letrade-topo", "version": version("letrade-topo")},
        "in_sync": all(entry["in_sync"] for entry in entries),
        "topologies": list[Json](entries),
        "summary": dict(sums),
    }


def render_plans(plans: Sequence[Plan], style: Style) -> str:
    """As text: one after the other, then the sums of all."""
    shown = [plan_text.render_plan(plan, style) for plan in plans]
    return "\n\n".join(shown if len(plans) == 1 else [*shown, summary(plans)])


def render_plans_as_markdown(plans: Sequence[Plan]) -> str:
    """As Markdown, likewise."""
    shown = [plan_markdown.render_plan(plan) for plan in plans]
    return "\n\n".join(shown if len(plans) == 1 else [*shown, f"**{summary(plans)}**"])


def summary(plans: Sequence[Plan]) -> str:
    """One line about all plans."""
    if len(plans) == 1:
        return plan_text.summary(plans[0])
    sums = {action: sum(plan.counts[action] for plan in plans) for action in Action}
    changes = ", ".join(f"{count:,} to {action}" for action, count in sums.items() if count)
    nothing = "nothing to destroy" if any(plan.destroys for plan in plans) else "nothing to do"
    text = f"{counted(len(plans), 'topology', 'topologies')} together: {changes or nothing}."
    for count, what in (
        (sum(len(plan.unmanaged) for plan in plans), "not declared"),
        (sum(len(plan.findings) for plan in plans), "in effect otherwise than declared"),
        (sum(len(plan.refusals) for plan in plans), "refused"),
    ):
        text += f" {count:,} {what}." if count else ""
    return text


def render_results(done: FleetResult, style: Style) -> str:
    """What did not get done, each with the reason, and the sums; empty where nothing was to be done."""
    if _is_alone(done):
        (result,) = done.results
        return plan_text.render_result(result, style) if result.outcomes else ""
    parts = [f"{_name(one.plan)}:\n{plan_text.render_result(one, style)}" for one in done.results if one.outcomes]
    return "\n".join([*parts, *_not_begun(done, style), results_summary(done)])


def render_results_as_markdown(done: FleetResult) -> str:
    """The plans, and what did not get done."""
    shown = [plan_markdown.render_result(result) for result in done.results]
    if _is_alone(done):
        return shown[0]
    left = [f"**Not begun:** topology {_code(plan)}" for plan in done.not_begun]
    return "\n\n".join([*shown, *left, f"**{results_summary(done)}**"])


def results_summary(done: FleetResult) -> str:
    """One line about all results."""
    if _is_alone(done):
        return plan_text.result_summary(done.results[0])
    sums = {status: sum(result.count(status) for result in done.results) for status in Status}
    changes = ", ".join(f"{count:,} {status}" for status, count in sums.items() if count) or "nothing was to be done"
    count = len(done.results) + len(done.not_begun)
    text = f"{counted(count, 'topology', 'topologies')} together: {changes}."
    return text + (f" {len(done.not_begun):,} not begun." if done.not_begun else "")


def _is_alone(done: FleetResult) -> bool:
    return len(done.results) == 1 and not done.not_begun


def entry(report: dict[str, Json]) -> dict[str, Json]:
    """A report without what the whole document says."""
    return {name: value for name, value in report.items() if name not in {"format_version", "tool"}}


def _not_begun(done: FleetResult, style: Style) -> list[str]:
    return [style.paint("31", f"{_name(plan)}: not begun") for plan in done.not_begun]


def _name(plan: Plan) -> str:
    return f"Topology {plan.scope.topology!r} on vhost {on_one_line(repr(plan.scope.vhost))}"


def _code(plan: Plan) -> str:
    return f"{code(plan.scope.topology)} on vhost {code(plan.scope.vhost)}"
