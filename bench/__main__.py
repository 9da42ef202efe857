"""Measures every size on fresh private brokers, prints the tables, and writes the page if asked to."""

from __future__ import annotations

import argparse
import os
import platform
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from statistics import median

from bench.measurement import Measurement, measure
from bench.tool import run_tool
from letrade_topo.node.installation import find_installation
from letrade_topo.node.node import Lifetime, Node
from letrade_topo.node.settings import NodeSettings
from tests.brokers import installation_of

PAGE = Path(__file__).parent.parent / "docs" / "reference" / "performance.md"
SIZES = (100, 1_000, 10_000)
VERSIONS = ("3.10", "4.0")
HELP_RUNS = 5
COLUMNS = (
    "objects",
    "bulk import",
    "`apply`",
    "limit",
    "raw reads",
    "`plan`",
    "`drift`",
    "own CPU",
    "limit",
    "calls",
    "peak memory",
)

HEAD = """# Measured speed

Measured by `bench/run`: each size on a fresh private broker, the broker's own work and the tool's in turns, whole
processes, medians. Ratios count; seconds depend on the machine.

- `apply`: on an empty broker, verification included, beside the broker's own `POST /api/definitions` of the same
  objects in one body. Limit: 1.5 × that, plus 2 s.
- `plan`, `drift`: with nothing to do, beside raw reads of the same listings, one after the other. Limit: 2 × that, plus
  3 s of own CPU at 10,000 objects; at most 15 HTTP calls.
- Peak memory: resident, of the largest of them. Limit: 300 MB at 10,000 objects.
"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure; the exit code says nothing about limits."""
    parser = argparse.ArgumentParser(prog="bench/run", description=__doc__)
    parser.add_argument("--objects", type=int, action="append", help="a size, repeatable")
    parser.add_argument("--broker", choices=VERSIONS, action="append", help="a version, repeatable")
    parser.add_argument("--write", action="store_true", help=f"write {PAGE.name}")
    options = parser.parse_args(arguments)
    sections = [_section(version, options.objects or SIZES) for version in options.broker or VERSIONS]
    text = "\n".join([HEAD, f"Measured on {_machine()}.", "", _help(), "", *sections])
    print(text)
    if options.write:
        PAGE.write_text(text, encoding="utf-8")
    return 0


def _section(version: str, sizes: Sequence[int]) -> str:
    installation = installation_of(version)
    lines = [
        f"## RabbitMQ {installation.version}",
        "",
        f"| {' | '.join(COLUMNS)} |",
        f"|{'--:|' * len(COLUMNS)}",
    ]
    for size in sizes:
        with tempfile.TemporaryDirectory(prefix="bench-") as folder:
            _say(f"RabbitMQ {version}, {size:,} objects")
            node = Node(NodeSettings(Path(folder, "node"), installation), lifetime=Lifetime.CALLER)
            node.start()
            try:
                lines.append(_row(measure(node, size, Path(folder), _say)))
            finally:
                node.kill()
    return "\n".join([*lines, ""])


def _row(found: Measurement) -> str:
    apply_limit = 1.5 * found.bulk_import_seconds + 2
    read_limit = 2 * found.raw_serial_seconds + 3
    cells = (
        f"{found.objects:,}",
        f"{found.bulk_import_seconds:.2f} s",
        f"{found.apply.wall_seconds:.2f} s",
        f"{apply_limit:.2f} s",
        f"{found.raw_serial_seconds:.2f} s",
        f"{found.plan.wall_seconds:.2f} s",
        f"{found.drift.wall_seconds:.2f} s",
        f"{found.plan.cpu_seconds:.2f} s",
        f"{read_limit:.2f} s",
        f"{found.calls}",
        f"{max(found.apply.peak_megabytes, found.plan.peak_megabytes, found.drift.peak_megabytes):.0f} MB",
    )
    return f"| {' | '.join(cells)} |"


def _help() -> str:
    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        taken = [run_tool("--help", folder=Path(folder)).cpu_seconds for _ in range(HELP_RUNS)]
    return f"`letrade-topo --help`: {median(taken):.2f} s of CPU (limit 0.3 s)."


def _machine() -> str:
    return (
        f"{os.cpu_count()} shared cores, {platform.machine()}, CPython {platform.python_version()}, "
        f"this machine's RabbitMQ {find_installation().version}"
    )


def _say(text: str) -> None:
    print(f"  {text}", file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
