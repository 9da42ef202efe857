"""Several plans in one document; one alone is byte for byte what it was."""

from __future__ import annotations

import json

import pytest

from letrade_topo.apply.applying import Result
from letrade_topo.apply.fleet import FleetResult
from letrade_topo.apply.outcome import Outcome, Status
from letrade_topo.broker.objects import Queue
from letrade_topo.plan.drift import DriftReport
from letrade_topo.plan.plan import Plan
from letrade_topo.render import drift, drift_fleet, fleet, plan_json, plan_markdown, plan_text
from letrade_topo.render.plan_text import Style
from tests.plan.worlds import PlanWorld
from tests.topologies import orders

STYLE = Style()


def plan(name: str = "orders") -> Plan:
    """One object to create, one undeclared."""
    world = PlanWorld.in_sync(orders(name=name, vhost=name)).remove(f"permission:{name}-shop").add(Queue("stranger"))
    return world.plan()


def result(of: Plan, status: Status = Status.DONE) -> Result:
    """All changes ended so."""
    return Result(of, tuple(Outcome(change, status, "" if status is Status.DONE else "why") for change in of.changes))


def test_one_alone_is_as_it_was() -> None:
    """In every format; the words are those of the modules for one."""
    one = plan()
    done = FleetResult((result(one, Status.FAILED),))

    assert fleet.plans_to_json([one]) == plan_json.plan_to_json(one)
    assert fleet.render_plans([one], STYLE) == plan_text.render_plan(one, STYLE)
    assert fleet.render_plans_as_markdown([one]) == plan_markdown.render_plan(one)
    assert fleet.summary([one]) == plan_text.summary(one)
    assert fleet.results_to_json(done) == plan_json.result_to_json(done.results[0])
    assert fleet.render_results(done, STYLE) == plan_text.render_result(done.results[0], STYLE)
    assert fleet.render_results_as_markdown(done) == plan_markdown.render_result(done.results[0])
    assert fleet.results_summary(done) == plan_text.result_summary(done.results[0])
    for output_format in ("text", "json", "markdown", "sarif", "junit", "github"):
        report = DriftReport(one)
        assert drift_fleet.render({"f": report}, output_format, STYLE) == drift.render(
            report, output_format, "f", STYLE
        )


def test_several_add_up() -> None:
    """Each under `topologies` as it would be alone, and the sums of all."""
    plans = [plan("one"), plan("two")]
    document = fleet.plans_to_json(plans)

    assert document["format_version"] == "2.0"
    assert document["in_sync"] is False
    alone = plan_json.plan_to_json(plans[1])
    assert document["topologies"][1] == {  # type: ignore[index]
        name: value for name, value in alone.items() if name not in {"format_version", "tool"}
    }
    assert document["summary"]["create"] == 2  # type: ignore[index,call-overload]
    assert fleet.render_plans(plans, STYLE).endswith("2 topologies together: 2 to create. 2 not declared.")


def test_what_was_not_begun_is_named() -> None:
    """In text, JSON and Markdown, by topology and vhost."""
    one, two, three = plan("one"), plan("two"), plan("three")
    done = FleetResult((result(one), result(two, Status.FAILED)), (three,))

    text = fleet.render_results(done, STYLE)
    assert "Topology 'three' on vhost 'three': not begun" in text
    assert text.endswith("3 topologies together: 1 done, 1 failed. 1 not begun.")
    entries = json.loads(plan_json.dumps(fleet.results_to_json(done)))["topologies"]
    assert [entry["status"] for entry in entries] == ["done", "failed", "not-begun"]
    assert "**Not begun:** topology `three` on vhost `three`" in fleet.render_results_as_markdown(done)


@pytest.mark.parametrize("output_format", ["text", "json", "markdown", "sarif", "junit", "github"])
def test_the_drift_of_several_is_one_document(output_format: str) -> None:
    """With both counts over all, and each object at its own file."""
    reports = {"one.yaml": DriftReport(plan("one")), "two.yaml": DriftReport(plan("two"))}
    text = drift_fleet.render(reports, output_format, STYLE)

    match output_format:
        case "json":
            summary = json.loads(text)["summary"]
            assert (summary["differs"], summary["undeclared"]) == (2, 2)
        case "sarif":
            (run,) = json.loads(text)["runs"]
            assert run["properties"] == {"differs": 2, "undeclared": 2}
        case "junit":
            assert 'name="drift of one, two"' in text
        case _:
            assert "Drift in 2 of 2 topologies: 2 differ, 2 undeclared." in text
    if output_format in {"sarif", "junit", "github"}:
        assert "one.yaml" in text
        assert "two.yaml" in text
