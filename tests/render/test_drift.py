"""Drift in each format: both counts whatever is asked for, and only that listed."""

from __future__ import annotations

import json
from xml.etree import ElementTree

import pytest

from letrade_topo.broker.objects import Queue
from letrade_topo.broker.parameters import Parameter
from letrade_topo.plan.drift import DriftKind, DriftReport
from letrade_topo.render.drift import render, summary
from letrade_topo.render.plan_text import Style
from tests.plan.worlds import PlanWorld
from tests.topologies import orders

FORMATS = ("text", "json", "markdown", "sarif", "junit", "github")
MISSING = "permission:orders-shop"
STRANGERS = ("queue:stranger", "parameter:shovel/away")
ONLY = (None, *DriftKind)


def report(only: DriftKind | None = None) -> DriftReport:
    """One differs; a queue and a shovel are undeclared."""
    world = PlanWorld.in_sync(orders()).remove(MISSING).add(Queue("stranger"))
    world.parameters = (Parameter("shovel", "away", {"src-queue": "clerk.orders"}),)
    return DriftReport(world.plan(), only)


def rendered(found: DriftReport, output_format: str) -> str:
    """As the command prints it."""
    return render(found, output_format, "topology.yaml", Style())


def said_counts(text: str, output_format: str) -> tuple[int, int]:
    """What differs and what is undeclared, as a program would read it."""
    match output_format:
        case "json":
            counted = json.loads(text)["summary"]
        case "sarif":
            counted = json.loads(text)["runs"][0]["properties"]
        case "junit":
            suite = ElementTree.fromstring(text)[0]  # noqa: S314  # ours
            assert suite[0].tag == "properties"  # where JUnit's schema wants them
            counted = {one.get("name"): one.get("value") for one in suite.iter("property")}
        case _:
            (words,) = [line for line in text.splitlines() if "undeclared" in line]
            assert "1 differs" in words or "0 differ," in words
            counted = {"differs": "1 differs" in words, "undeclared": 2 if "2 undeclared" in words else 0}
    return int(counted["differs"]), int(counted["undeclared"])


@pytest.mark.parametrize("only", ONLY)
@pytest.mark.parametrize("output_format", FORMATS)
def test_both_counts_and_what_is_asked_for(output_format: str, only: DriftKind | None) -> None:
    """Nothing hides that there is more than what is shown."""
    text = rendered(report(only), output_format)

    assert said_counts(text, output_format) == (1, 2)
    is_shown = {address: address.partition(":")[2] in text for address in (MISSING, *STRANGERS)}
    assert is_shown == {
        MISSING: only is not DriftKind.UNDECLARED,
        **dict.fromkeys(STRANGERS, only is not DriftKind.DIFFERS),
    }


@pytest.mark.parametrize("output_format", FORMATS)
def test_zeros_are_said(output_format: str) -> None:
    """In sync as well."""
    assert said_counts(rendered(DriftReport(PlanWorld.in_sync(orders()).plan()), output_format), output_format) == (
        0,
        0,
    )


def test_json_says_what_it_is_about() -> None:
    """`in_sync` is about the broker, `only` about what is listed; each finding has its kind."""
    everything, undeclared = (json.loads(rendered(report(only), "json")) for only in (None, DriftKind.UNDECLARED))

    assert (everything["in_sync"], everything["only"]) == (False, None)
    assert [one["drift"] for one in everything["findings"]] == ["undeclared"]
    assert (undeclared["in_sync"], undeclared["only"], undeclared["changes"]) == (False, "undeclared", [])
    assert undeclared["summary"]["create"] == 0
    assert undeclared["summary"]["unmanaged"] == 1


def test_junit_passes_where_nothing_of_it_was_found() -> None:
    """As the exit code."""
    world = PlanWorld.in_sync(orders()).add(Queue("stranger"))

    suite = ElementTree.fromstring(rendered(DriftReport(world.plan(), DriftKind.DIFFERS), "junit"))  # noqa: S314  # ours

    assert suite.get("failures") == "0"
    assert [case.get("name") for case in suite.iter("testcase")] == ["drift of orders"]


@pytest.mark.parametrize(
    ("only", "line"),
    [
        (None, "Drift: 1 differs, 2 undeclared."),
        (DriftKind.DIFFERS, "Drift: 1 differs, 2 undeclared (not shown)."),
        (DriftKind.UNDECLARED, "Drift: 1 differs (not shown), 2 undeclared."),
    ],
)
def test_the_summary(only: DriftKind | None, line: str) -> None:
    """What is not shown is said to be there."""
    assert summary(report(only)) == line
    assert summary(DriftReport(PlanWorld.in_sync(orders()).plan(), only)) == "In sync."


def test_in_text_a_stranger_at_work_has_its_own_title() -> None:
    """It is no declared object that is in effect otherwise."""
    text = rendered(report(), "text")

    assert "at work here, and not declared\n  ! parameter:shovel/away" in text
    assert "in effect otherwise" not in text
    assert text.endswith("\nPlan: 1 to create. 1 differs, 2 undeclared.")
