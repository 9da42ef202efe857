"""Measures on a fresh private broker, prints the page, and writes it if asked to."""

from __future__ import annotations

import datetime
import sys
from collections.abc import Callable, Sequence

from bench.agents.machinery import BenchBus
from bench.bus.measure import measure
from bench.bus.report import BusReport
from bench.on_a_broker import Say, run


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure."""
    return run("bench/bus/run", "bus-performance.md", 20_000, _measure, arguments)


def _measure(bus: BenchBus, messages: int, say: Say) -> Callable[[str, datetime.date, bool], str]:
    figures = measure(bus, messages, say)
    return lambda version, day, _: BusReport(figures, version, day).to_markdown()


if __name__ == "__main__":
    sys.exit(main())
