"""Measures on a fresh private broker, prints the page, and writes it if asked to."""

from __future__ import annotations

import argparse
import datetime
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from bench.agents.machinery import Bus
from bench.bus.measure import measure
from bench.bus.report import Report
from letrade_topo.node.node import Lifetime, Node
from letrade_topo.node.settings import NodeSettings
from tests.brokers import installation_of

PAGE = Path(__file__).parent.parent.parent / "docs" / "reference" / "bus-performance.md"
_BEGIN = time.monotonic()


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure; the exit code says nothing about aims."""
    parser = argparse.ArgumentParser(prog="bench/bus/run", description=__doc__)
    parser.add_argument("--messages", type=int, default=20_000, help="messages in each round (default: 20000)")
    parser.add_argument("--broker", choices=("3.10", "4.0"), default="4.0", help="version (default: 4.0)")
    parser.add_argument("--write", action="store_true", help=f"write docs/reference/{PAGE.name}")
    options = parser.parse_args(arguments)
    installation = installation_of(options.broker)
    with tempfile.TemporaryDirectory(prefix="bench-") as name:
        node = Node(NodeSettings(Path(name, "node"), installation), lifetime=Lifetime.CALLER)
        node.start()
        try:
            bus = Bus(node, Path(name))
            bus.prepare()
            figures = measure(bus, options.messages, _say)
        finally:
            node.kill()
    page = Report(figures, installation.version, datetime.datetime.now(datetime.UTC).date()).to_markdown()
    print(page)
    if options.write:
        PAGE.write_text(page, encoding="utf-8")
    return 0


def _say(text: str) -> None:
    print(f"{time.monotonic() - _BEGIN:5.0f} s  {text}", file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
