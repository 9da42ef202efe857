"""Measures on a fresh private broker, prints the page, and writes it and its picture if asked to."""

from __future__ import annotations

import datetime
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from bench.agents.machinery import BenchBus
from bench.agents.measure import measure
from bench.agents.picture import draw
from bench.agents.report import PICTURE, AgentReport
from bench.on_a_broker import Say, run

_IMAGES = Path(__file__).parents[2] / "docs" / "images"


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure."""
    return run("bench/agents/run", "agent-performance.md", 50_000, _measure, arguments)


def _measure(bus: BenchBus, messages: int, say: Say) -> Callable[[str, datetime.date, bool], str]:
    figures = measure(bus, messages, say)

    def page(version: str, day: datetime.date, is_kept: bool) -> str:
        if is_kept:
            draw(figures, _IMAGES / PICTURE)
        return AgentReport(figures, version, day).to_markdown()

    return page


if __name__ == "__main__":
    sys.exit(main())
