"""Measures on a fresh private broker, prints the page, and writes it if asked to."""

from __future__ import annotations

import datetime
import sys
from collections.abc import Callable, Sequence

from bench.agents.machinery import BenchBus
from bench.fairness.measure import measure_fairness
from bench.fairness.report import FairnessReport
from bench.on_a_broker import Say, run


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure."""
    return run("bench/fairness/run", "agent-fairness.md", 400, _measure, arguments)


def _measure(bus: BenchBus, messages: int, say: Say) -> Callable[[str, datetime.date, bool], str]:
    fairness = measure_fairness(bus, messages, say)
    return lambda version, day, _: FairnessReport(fairness, messages, version, day).to_markdown()


if __name__ == "__main__":
    sys.exit(main())
