"""Runs the suites, each straight at a broker and through an agent, and says where that makes a difference."""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
from collections.abc import Collection, Sequence
from pathlib import Path

from tests.brokers import NEWEST, SUITES
from tests.client_suites.differences import unexplained
from tests.client_suites.outcomes import Comparison, Outcomes, counted
from tests.client_suites.served import served
from tests.client_suites.suites import CannotRun, Runner, Suite, suites

_MANY = 40
"""Tests that end otherwise beyond which that is no matter of load."""


def main(arguments: Sequence[str]) -> int:
    """Run what was asked for; 1 where something differs that has no documented reason."""
    known = suites()
    parser = argparse.ArgumentParser(prog="script/client-suites", description=__doc__)
    parser.add_argument("suites", nargs="*", metavar="SUITE", help=f"{', '.join(known)}; without any: all")
    parser.add_argument("--broker", default=NEWEST, choices=SUITES, help="version of RabbitMQ (default: %(default)s)")
    parser.add_argument("--test", action="append", default=[], metavar="NAME", help="this test alone (repeatable)")
    given = parser.parse_args(arguments)
    if wrong := [name for name in given.suites if name not in known]:
        parser.error(f"no suite is called {wrong[0]!r}, but {', '.join(known)}")
    cache = Path(os.environ.get("LETRADE_TOPO_CACHE") or Path.home() / ".cache" / "letrade-topo")
    folder = cache / "client-suites"
    folder.mkdir(parents=True, exist_ok=True)
    chosen = [known[name] for name in given.suites or known]
    try:  # all of them run, whatever the first one found
        return max([_compare(suite, suite.made(folder), given.broker, given.test) for suite in chosen])
    except CannotRun as error:
        print(f"error: {error}", file=sys.stderr)
        return 1


def _compare(suite: Suite, runner: Runner, broker: str, tests: Collection[str]) -> int:
    found = Comparison(*(_run(runner, broker, tests, straight=straight) for straight in (True, False)))
    suspects = unexplained(suite.name, found.lost) + found.gained
    if 0 < len(suspects) <= _MANY:
        print(f"==> once more: {', '.join(suspects)}", file=sys.stderr)
        found = found.again(*(_run(runner, broker, suspects, straight=straight) for straight in (True, False)))
    print(f"{suite.name} {suite.version}, straight:         {counted(found.straight)}")
    print(f"{suite.name} {suite.version}, through an agent: {counted(found.through)}")
    wrong = unexplained(suite.name, found.lost)
    for test in found.lost:
        print(f"  {'DIFFERS' if test in wrong else 'documented'}: {test}")
    for test in found.gained:
        print(f"  passes through an agent alone: {test}")
    return 1 if wrong else 0


def _run(runner: Runner, broker: str, tests: Collection[str], *, straight: bool) -> Outcomes:
    with (
        tempfile.TemporaryDirectory(prefix="client-suites-") as temporary,
        served(broker, Path(temporary), straight=straight) as environment,
    ):
        print(f"==> RabbitMQ {broker}, {'straight' if straight else 'through an agent'}", file=sys.stderr)
        return runner(environment, tests)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
