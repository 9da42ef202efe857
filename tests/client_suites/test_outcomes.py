"""Where an agent makes a difference, of outcomes alone."""

from __future__ import annotations

import pytest

from tests.client_suites.differences import DIFFERENCES, Difference, unexplained
from tests.client_suites.outcomes import Comparison, Outcome, counted, of_go, said_by_go

PASSED, FAILED, SKIPPED = Outcome
GO = """\
{"Action":"start","Package":"amqp"}
{"Action":"run","Test":"TestPasses"}
{"Action":"output","Test":"TestPasses","Output":"=== RUN\\n"}
{"Action":"pass","Test":"TestPasses","Elapsed":0.1}
{"Action":"run","Test":"TestFails"}
{"Action":"run","Test":"TestFails/part"}
{"Action":"fail","Test":"TestFails/part"}
{"Action":"fail","Test":"TestFails"}
{"Action":"run","Test":"TestSkips"}
{"Action":"skip","Test":"TestSkips"}
{"Action":"run","Test":"TestNeverEnds"}
panic: test timed out after 15m0s
{"Action":"fail","Package":"amqp"}
"""


def test_what_go_says() -> None:
    """Tests below others count for themselves; what never ended has failed."""
    outcomes = of_go(GO.splitlines())
    assert outcomes == {
        "TestPasses": PASSED,
        "TestFails": FAILED,
        "TestFails/part": FAILED,
        "TestSkips": SKIPPED,
        "TestNeverEnds": FAILED,
    }
    assert counted(outcomes) == "1 passed, 3 failed, 1 skipped"
    assert "".join(map(said_by_go, GO.splitlines(keepends=True))) == "=== RUN\npanic: test timed out after 15m0s\n"


def test_a_difference() -> None:
    """Whatever passes on one side alone; also what is skipped, or never ran, on the other."""
    straight = {"same": PASSED, "fails": PASSED, "skipped": PASSED, "missing": PASSED, "gained": FAILED, "both": FAILED}
    through = {"same": PASSED, "fails": FAILED, "skipped": SKIPPED, "gained": PASSED, "both": FAILED}
    found = Comparison(straight, through)
    assert found.lost == ["fails", "missing", "skipped"]
    assert found.gained == ["gained"]


def test_what_is_run_again() -> None:
    """What passes then was a matter of load; what passed before does not fail for it."""
    first = Comparison({"slow": FAILED, "wrong": PASSED}, {"slow": PASSED, "wrong": FAILED})
    found = first.again(straight={"slow": PASSED, "wrong": FAILED}, through={"slow": PASSED, "wrong": FAILED})
    assert found.lost == ["wrong"]
    assert found.gained == []


@pytest.mark.parametrize("difference", DIFFERENCES, ids=lambda each: f"{each.suite}: {each.tests[0]}")
def test_a_difference_that_has_a_reason(difference: Difference) -> None:
    """It covers its tests with any parameters, of any class, of its own suite alone."""
    for test in difference.tests:
        covered = [test, f"{test}[connect]", f"tests/test_amqp.py::TestCaseAmqp::{test}[a::b]"]
        assert unexplained(difference.suite, covered) == []
        assert unexplained("another", covered) == covered
        assert unexplained(difference.suite, [f"{test}_again"]) == [f"{test}_again"]
