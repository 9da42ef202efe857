"""How the tests of a suite ended, and where an agent made a difference. Knows neither suites nor agents."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum


class Outcome(StrEnum):
    """How one test ended; the values are what Go calls them."""

    PASSED = "pass"
    FAILED = "fail"
    SKIPPED = "skip"


Outcomes = Mapping[str, Outcome]
"""By the name that the suite's own runner takes to run this test alone."""


def of_go(output: Iterable[str]) -> dict[str, Outcome]:
    """Read what `go test -json` prints. What began and never ended, because its process did, has failed."""
    outcomes: dict[str, Outcome] = {}
    for line in output:
        event = json.loads(line) if line.startswith("{") else {}
        name, action = event.get("Test"), event.get("Action")
        if name is None:
            continue
        outcomes.setdefault(name, Outcome.FAILED)
        if action in set(Outcome):
            outcomes[name] = Outcome(action)
    return outcomes


def said_by_go(line: str) -> str:
    """What `go test` would have printed for a line of `go test -json`."""
    return str(json.loads(line).get("Output", "")) if line.startswith("{") else line


@dataclass(frozen=True, slots=True)
class Comparison:
    """One suite, run twice.

    Args:
        straight: at the broker.
        through: through an agent beside the same version of it.
    """

    straight: Outcomes
    through: Outcomes

    @property
    def lost(self) -> list[str]:
        """What passes straight alone; also what through an agent did not get its turn."""
        passed = (name for name, outcome in self.straight.items() if outcome is Outcome.PASSED)
        return sorted(name for name in passed if self.through.get(name) is not Outcome.PASSED)

    @property
    def gained(self) -> list[str]:
        """What passes through an agent alone."""
        return Comparison(straight=self.through, through=self.straight).lost

    def again(self, straight: Outcomes, through: Outcomes) -> Comparison:
        """With some tests run once more: what passes in either run passes, as load alone may have failed it."""
        return Comparison(_better(self.straight, straight), _better(self.through, through))


def _better(first: Outcomes, second: Outcomes) -> dict[str, Outcome]:
    return {**first, **{name: outcome for name, outcome in second.items() if outcome is Outcome.PASSED}}


def counted(outcomes: Outcomes) -> str:
    """For a person: `412 passed, 3 failed, 2 skipped`."""
    ended = list(outcomes.values())
    passed, failed, skipped = (ended.count(each) for each in Outcome)
    return f"{passed} passed, {failed} failed, {skipped} skipped"
