"""The program of a bench that needs a broker: a fresh one, the measurement, the page of its figures."""

from __future__ import annotations

import argparse
import datetime
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from bench.agents.machinery import BenchBus
from letrade_topo.node.node import Lifetime, Node
from letrade_topo.node.settings import NodeSettings
from tests.brokers import SUITES, installation_of

_REFERENCE = Path(__file__).parent.parent / "docs" / "reference"
_BEGIN = time.monotonic()

Say = Callable[[str], None]
Measure = Callable[[BenchBus, int, Say], Callable[[str, datetime.date, bool], str]]
"""Measures with so many messages, and returns what makes the page of the broker's version, the day, and whether it is
kept: then its pictures are made, too."""


def run(name: str, page_name: str, messages: int, measure: Measure, arguments: Sequence[str] | None) -> int:
    """Measure on a fresh private broker, print the page, and write it if asked to.

    Args:
        name: of the program.
        page_name: of the page in `docs/reference`.
        messages: so many by default.
        measure: does it.
        arguments: without the program's name; None takes the process's own.

    Returns:
        The exit code, which says nothing about aims.
    """
    parser = argparse.ArgumentParser(prog=name, description="Measures on a fresh private broker, and prints the page.")
    parser.add_argument(
        "--messages", type=int, default=messages, help=f"messages of a measurement (default: {messages})"
    )
    parser.add_argument("--broker", choices=sorted(SUITES), default="4.0", help="version (default: 4.0)")
    parser.add_argument("--write", action="store_true", help=f"write docs/reference/{page_name}")
    options = parser.parse_args(arguments)
    installation = installation_of(options.broker)
    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        node = Node(NodeSettings(Path(folder, "node"), installation), lifetime=Lifetime.CALLER)
        node.start()
        try:
            bus = BenchBus(node, Path(folder))
            bus.prepare()
            to_page = measure(bus, options.messages, _say)
        finally:
            node.kill()
    page = to_page(installation.version, datetime.datetime.now(datetime.UTC).date(), options.write)
    print(page)
    if options.write:
        (_REFERENCE / page_name).write_text(page, encoding="utf-8")
    return 0


def _say(text: str) -> None:
    print(f"{time.monotonic() - _BEGIN:5.0f} s  {text}", file=sys.stderr, flush=True)
