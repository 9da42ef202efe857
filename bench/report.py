"""Measurements as the page docs/reference/performance.md."""

from __future__ import annotations

import datetime
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from bench.broker_side import AS_THE_TOOL
from bench.measurement import Measurement
from bench.page import measured_on, table, yes_or_no

BULK_FACTOR = 1.5
BULK_ALLOWANCE_SECONDS = 2.0
RAW_FACTOR = 2.0
RAW_ALLOWANCE_SECONDS = 3.0
MOST_CALLS = 15
MOST_MEGABYTES = 300
MOST_HELP_SECONDS = 0.3

_PAGE = """\
# Performance

<!-- Written by bench/run --write: change the program, not this page. -->

How long `letrade-topo` takes, beside what the broker takes by itself for the same objects. Repeat it with
`bench/run`; it is never part of the tests, because a busy machine is no fault of the program.

Each size has a fresh private broker (`letrade-topo broker` uses the same code) and a generated topology like
Letrade's: quorum queues with their retry ladder, ten objects for each queue, message types with JSON Schemas,
services with their users and permissions, TLS. "Objects" are those on the broker. `letrade-topo` is measured as a
whole process, from its start to its end. Writes and the broker's own import take turns on the same node, each from an
empty state. Figures are medians; in brackets the quickest and the slowest.

{machine}

## Making everything

`apply --yes` on an empty broker, reading back included, beside one `POST /api/definitions` with the same objects in
one body. The aim is at most {bulk_factor:g} × the import + {bulk_allowance:g} s.

{making}

## Nothing to do

`plan` and `drift` on a broker that is as declared, beside reading the same listings and throwing them away. The aim
is at most {raw_factor:g} × the raw reads ({as_the_tool} at once, as the tool reads them) + {raw_allowance:g} s, and at
most {calls} HTTP requests, whatever the number of objects.

{nothing}

## Memory and start

The aims are at most {megabytes} MB of resident memory at 10,000 objects, and {help_seconds:g} s of CPU for `--help`.

{memory}

`letrade-topo --help`: {help_cpu:.2f} s of CPU, {help_megabytes:.0f} MB.
"""


@dataclass(frozen=True, slots=True)
class BenchReport:
    """All that was measured.

    Args:
        measurements: by the broker's version.
        help_cpu_seconds: of `--help`.
        help_megabytes: likewise.
        date: when.
    """

    measurements: Mapping[str, Sequence[Measurement]]
    help_cpu_seconds: float
    help_megabytes: float
    date: datetime.date

    def to_markdown(self) -> str:
        """The page."""
        rows = [(version, one) for version, measured in self.measurements.items() for one in measured]
        return _PAGE.format(
            bulk_factor=BULK_FACTOR,
            bulk_allowance=BULK_ALLOWANCE_SECONDS,
            raw_factor=RAW_FACTOR,
            raw_allowance=RAW_ALLOWANCE_SECONDS,
            as_the_tool=AS_THE_TOOL,
            calls=MOST_CALLS,
            megabytes=MOST_MEGABYTES,
            help_seconds=MOST_HELP_SECONDS,
            machine=measured_on(self.date, self.measurements),
            making=table(
                ("RabbitMQ", "objects", "rounds", "import", "`apply`", "of it own CPU", "aim", "met"),
                (_making(version, one) for version, one in rows),
            ),
            nothing=table(
                (
                    "RabbitMQ",
                    "objects",
                    "raw reads",
                    "one by one",
                    "`plan`",
                    "`drift`",
                    "own CPU",
                    "requests",
                    "aim",
                    "met",
                ),
                (_nothing(version, one) for version, one in rows),
            ),
            memory=table(
                ("RabbitMQ", "objects", "`apply`", "`plan`", "`drift`"),
                (_memory(version, one) for version, one in rows),
            ),
            help_cpu=self.help_cpu_seconds,
            help_megabytes=self.help_megabytes,
        )


def _making(version: str, one: Measurement) -> tuple[str, ...]:
    aim = BULK_FACTOR * one.bulk_import_seconds + BULK_ALLOWANCE_SECONDS
    return (
        version,
        f"{one.objects:,}",
        str(one.rounds),
        _seconds(one.bulk_import_seconds, one.bulk_spread),
        _seconds(one.apply.wall_seconds, one.apply_spread),
        _seconds(one.apply.cpu_seconds),
        _seconds(aim),
        yes_or_no(one.apply.wall_seconds <= aim),
    )


def _nothing(version: str, one: Measurement) -> tuple[str, ...]:
    aim = RAW_FACTOR * one.raw_parallel_seconds + RAW_ALLOWANCE_SECONDS
    slower = max(one.plan.wall_seconds, one.drift.wall_seconds)
    return (
        version,
        f"{one.objects:,}",
        _seconds(one.raw_parallel_seconds),
        _seconds(one.raw_serial_seconds),
        _seconds(one.plan.wall_seconds),
        _seconds(one.drift.wall_seconds),
        _seconds(max(one.plan.cpu_seconds, one.drift.cpu_seconds)),
        str(one.calls),
        _seconds(aim),
        yes_or_no(slower <= aim and one.calls <= MOST_CALLS),
    )


def _memory(version: str, one: Measurement) -> tuple[str, ...]:
    figures = (f"{taken.peak_megabytes:.0f} MB" for taken in (one.apply, one.plan, one.drift))
    return (version, f"{one.objects:,}", *figures)


def _seconds(seconds: float, spread: tuple[float, float] | None = None) -> str:
    digits = 1 if seconds >= 10 else 2
    text = f"{seconds:.{digits}f} s"
    return f"{text} ({spread[0]:.{digits}f} – {spread[1]:.{digits}f})" if spread else text
