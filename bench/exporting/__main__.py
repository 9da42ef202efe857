"""Measures every size on fresh private brokers of every version, prints the page, and writes it if asked to."""

from __future__ import annotations

import argparse
import datetime
import shutil
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median

from bench.broker_side import BrokerSide
from bench.exporting.made_by_hand import made_by_hand
from bench.page import measured_on, table, yes_or_no
from bench.tool import run_tool
from letrade_topo.node.installation import Installation
from letrade_topo.node.node import Lifetime, Node
from letrade_topo.node.settings import Listener, NodeSettings
from tests.brokers import SUITES, installation_of

PAGE = Path(__file__).parents[2] / "docs" / "reference" / "export-performance.md"
SIZES = (100, 1_000, 10_000)
ROUNDS = 5
RAW_FACTOR = 2.0
RAW_ALLOWANCE_SECONDS = 3.0
_VHOST = "by-hand"
_BEGIN = time.monotonic()

_PAGE = """\
# How long an export takes

<!-- Written by bench/exporting/run --write: change the program, not this page. -->

`letrade-topo export -o DIR` of a vhost that somebody made by hand, beside one `GET /api/definitions`, which has all of
it, read and thrown away. Of a hundred objects 60 are bindings, 25 queues (half of them with dead letters), nine
exchanges and four policies; one is a user, one its permission. `letrade-topo` is measured as a whole process, from its
start to its end. Repeat it with `bench/exporting/run`; it is never part of the tests.

The aim is at most {factor:g} × the raw read + {allowance:g} s. Figures are medians of {rounds}, taken in turns.

{machine}

{figures}
"""


@dataclass(frozen=True, slots=True)
class Exporting:
    """What was found at one size; every figure a median.

    Args:
        objects: on the broker.
        raw_seconds: of the broker's own answer.
        export_seconds: of the whole process.
        cpu_seconds: of it.
        peak_megabytes: the most of it.
    """

    objects: int
    raw_seconds: float
    export_seconds: float
    cpu_seconds: float
    peak_megabytes: float

    def row(self, version: str) -> tuple[str, ...]:
        """Of the table."""
        aim = RAW_FACTOR * self.raw_seconds + RAW_ALLOWANCE_SECONDS
        return (
            version,
            f"{self.objects:,}",
            f"{self.raw_seconds:.2f} s",
            f"{self.export_seconds:.2f} s",
            f"{self.cpu_seconds:.2f} s",
            f"{self.peak_megabytes:.0f} MB",
            f"{aim:.2f} s",
            yes_or_no(self.export_seconds <= aim),
        )


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure; the exit code says nothing about aims."""
    parser = argparse.ArgumentParser(prog="bench/exporting/run", description=__doc__)
    parser.add_argument("--objects", type=int, action="append", help="a size (repeatable; default: 100, 1000, 10000)")
    parser.add_argument(
        "--broker", choices=sorted(SUITES), action="append", help="a version (repeatable; default: all)"
    )
    parser.add_argument("--write", action="store_true", help=f"write docs/reference/{PAGE.name}")
    options = parser.parse_args(arguments)
    rows: list[tuple[str, ...]] = []
    versions = []
    for suite in options.broker or SUITES:
        installation = installation_of(suite)
        versions.append(installation.version)
        measured = (_measured(installation, objects) for objects in options.objects or SIZES)
        rows += [one.row(installation.version) for one in measured]
    page = _PAGE.format(
        factor=RAW_FACTOR,
        allowance=RAW_ALLOWANCE_SECONDS,
        rounds=ROUNDS,
        machine=measured_on(datetime.datetime.now(datetime.UTC).date(), versions),
        figures=table(("RabbitMQ", "objects", "raw read", "`export`", "own CPU", "memory", "aim", "met"), rows),
    )
    print(page)
    if options.write:
        PAGE.write_text(page, encoding="utf-8")
    return 0


def _measured(installation: Installation, objects: int) -> Exporting:
    with tempfile.TemporaryDirectory(prefix="bench-") as name:
        folder = Path(name)
        node = Node(NodeSettings(folder / "node", installation), lifetime=Lifetime.CALLER)
        node.start()
        try:
            broker = BrokerSide(node)
            broker.import_in_bulk(made_by_hand(objects, _VHOST))
            url = f"{node.url(Listener.HTTPS)}/api/definitions"
            raw, taken = [], []
            for _ in range(ROUNDS):
                raw.append(broker.read_raw([url], 1))
                taken.append(
                    run_tool("export", "--vhost", _VHOST, "-o", str(folder / "found"), node=node, folder=folder)
                )
                shutil.rmtree(folder / "found")
        finally:
            node.kill()
    found = Exporting(
        objects,
        median(raw),
        median(one.wall_seconds for one in taken),
        median(one.cpu_seconds for one in taken),
        max(one.peak_megabytes for one in taken),
    )
    at = f"{time.monotonic() - _BEGIN:5.0f} s  RabbitMQ {installation.version}, {objects:,} objects"
    print(f"{at}: {found.export_seconds:.2f} s, raw {found.raw_seconds:.2f} s", file=sys.stderr, flush=True)
    return found


if __name__ == "__main__":
    sys.exit(main())
