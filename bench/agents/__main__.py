"""Measures on a fresh private broker, prints the page, and writes it if asked to."""

from __future__ import annotations

import datetime
import os
import sys
from collections.abc import Callable, Sequence

from bench.agents.machinery import Bus
from bench.agents.measure import measure
from bench.agents.report import Report
from bench.on_a_broker import Say, run

CORES_FOR_THE_RATE = 4


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure."""
    return run("bench/agents/run", "agent-performance.md", 100_000, _measure, arguments)


def _measure(bus: Bus, messages: int, say: Say) -> Callable[[str, datetime.date], str]:
    figures = measure(bus, messages, say, at_rate=(os.cpu_count() or 1) >= CORES_FOR_THE_RATE)
    return lambda version, day: Report(figures, version, day).to_markdown()


if __name__ == "__main__":
    sys.exit(main())
