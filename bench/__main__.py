"""Measures every size on fresh private brokers, prints the page, and writes it if asked to."""

from __future__ import annotations

import argparse
import datetime
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from statistics import median

from bench.measurement import Measurement, measure
from bench.report import BenchReport
from bench.tool import run_tool
from letrade_topo.node.installation import Installation
from letrade_topo.node.node import Lifetime, Node
from letrade_topo.node.settings import NodeSettings
from tests.brokers import SUITES, installation_of

PAGE = Path(__file__).parent.parent / "docs" / "reference" / "performance.md"
SIZES = (100, 1_000, 10_000)
VERSIONS = ("3.10", "4.0")
HELP_RUNS = 5
_BEGIN = time.monotonic()


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure; the exit code says nothing about aims."""
    parser = argparse.ArgumentParser(prog="bench/run", description=__doc__)
    parser.add_argument("--objects", type=int, action="append", help="a size (repeatable; default: 100, 1000, 10000)")
    parser.add_argument(
        "--broker", choices=sorted(SUITES), action="append", help="a version (repeatable; default: 3.10 and 4.0)"
    )
    parser.add_argument("--folder", type=Path, help="where the brokers keep their data (default: $TMPDIR)")
    parser.add_argument("--keep", type=Path, help="a folder: sizes that were measured before are not measured again")
    parser.add_argument("--write", action="store_true", help=f"write docs/reference/{PAGE.name}")
    options = parser.parse_args(arguments)
    installations = [installation_of(version) for version in options.broker or VERSIONS]
    measured = {
        installation.version: [
            _kept(installation, size, options.folder, options.keep) for size in options.objects or SIZES
        ]
        for installation in installations
    }
    page = _report(measured).to_markdown()
    print(page)
    if options.write:
        PAGE.write_text(page, encoding="utf-8")
    return 0


def _kept(installation: Installation, size: int, folder: Path | None, keep: Path | None) -> Measurement:
    """Large sizes take long: what is there is taken, what is new is kept, so that a run can be done in parts."""
    file = keep / f"{installation.version}-{size}.json" if keep else None
    if file and file.is_file():
        return Measurement.from_json(file.read_text(encoding="utf-8"))
    measurement = _measure(installation, size, folder)
    if file:
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(measurement.to_json(), encoding="utf-8")
    return measurement


def _measure(installation: Installation, size: int, folder: Path | None) -> Measurement:
    def say(text: str) -> None:
        at = f"{time.monotonic() - _BEGIN:5.0f} s  RabbitMQ {installation.version}, {size:,} objects"
        print(f"{at}: {text}", file=sys.stderr, flush=True)

    with tempfile.TemporaryDirectory(prefix="bench-", dir=folder) as name:
        node = Node(NodeSettings(Path(name, "node"), installation), lifetime=Lifetime.CALLER)
        node.start()
        try:
            return measure(node, size, Path(name), say)
        finally:
            node.kill()


def _report(measured: dict[str, list[Measurement]]) -> BenchReport:
    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        helped = [run_tool("--help", folder=Path(folder)) for _ in range(HELP_RUNS)]
    date = datetime.datetime.now(datetime.UTC).date()
    return BenchReport(
        measured, median(one.cpu_seconds for one in helped), max(one.peak_megabytes for one in helped), date
    )


if __name__ == "__main__":
    sys.exit(main())
