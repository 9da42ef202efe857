"""`kill -9` of apply, and of the broker, at random moments: the next apply finishes, and nothing is left over.

The short form runs with the other tests; `script/soak` sets `--kills 20 --objects 1000`.
"""

from __future__ import annotations

import contextlib
import random
import re
import subprocess
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.brokers import RunningBroker
from tests.soak.campaign import Campaign, Phases, last_stage
from tests.soak.conftest import Summarise
from tests.tool import ended

KILLS_PER_BROKER_KILL = 4
"""The long form kills the broker a quarter as often as it kills apply, the short form once."""


def test_apply_is_killed(
    broker: RunningBroker,
    vhost_name: str,
    tmp_path: Path,
    pytestconfig: pytest.Config,
    moments: random.Random,
    summarise: Summarise,
) -> None:
    """Half of the kills meet an apply that only creates, half one that updates, creates and deletes.

    Each is in a fresh vhost. Of the moments, a third is spread over the whole of such an apply, the others over the
    part in which it writes.
    """
    kills, objects = pytestconfig.getoption("kills"), pytestconfig.getoption("objects")
    whole = _durations(broker, tmp_path, f"{vhost_name}-0", objects)
    for what, phases in zip(("creating", "changing"), whole, strict=True):
        print(f"\nundisturbed {what}: {phases.reading:.1f} s before, {phases.writing:.1f} s of writing", flush=True)
    hit = locked = begun = 0
    slowest = 0.0
    stages: Counter[str] = Counter()
    for number in range(kills):
        changes = number % 2 == 1
        campaign = Campaign(broker, tmp_path, f"{vhost_name}-{number + 1}", objects)
        file = campaign.write()
        if changes:
            campaign.apply(file)
            file = campaign.write("changed")
        share = (number // 2 + moments.random()) / ((kills + 1 - changes) // 2)
        begin = time.monotonic()
        process = campaign.start(file)
        length = whole[changes].whole
        if number % 3:
            campaign.wait_for_intent(process)
            length = whole[changes].writing
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(timeout=share * length)
        after = time.monotonic() - begin
        at_work = process.poll() is None
        process.kill()
        stage = last_stage(ended(process))
        trace = campaign.trace()
        seconds = campaign.finish(file)
        print(
            f"kill {number + 1}/{kills}: {'changing' if changes else 'creating'}, after {after:.2f} s"
            f" ({stage}{'' if at_work else '; it had ended'}), lock {'held' if trace.held_lock else 'free'},"
            f" {trace.pending} pending; the next apply took {seconds:.1f} s",
            flush=True,
        )
        campaign.end()
        hit, locked, begun = hit + at_work, locked + trace.held_lock, begun + (trace.pending > 0)
        slowest = max(slowest, seconds)
        stages[re.split(r"[\d:…]", stage)[0].strip()] += 1
    summarise(
        "kill -9 of apply",
        broker.version,
        f"{kills} kills, {objects} objects: {hit} met it at work, {locked} left the lock, {begun} left work; each next "
        f"apply finished (slowest {slowest:.1f} s), drift clean; last progress: "
        + ", ".join(f"{stage} {count}" for stage, count in stages.most_common()),
    )


def test_the_broker_is_killed(
    start_broker: Callable[..., RunningBroker],
    broker_version: str,
    tmp_path: Path,
    pytestconfig: pytest.Config,
    moments: random.Random,
    summarise: Summarise,
) -> None:
    """The broker dies during apply and comes back: one message, an exit code, and the next apply finishes."""
    objects = pytestconfig.getoption("objects")
    rounds = max(1, pytestconfig.getoption("kills") // KILLS_PER_BROKER_KILL)
    broker = start_broker(broker_version)
    whole = _durations(broker, tmp_path, "soak-0", objects)
    codes: Counter[int] = Counter()
    slowest = 0.0
    for number in range(rounds):
        changes = number % 2 == 1
        campaign = Campaign(broker, tmp_path, f"soak-{number + 1}", objects)
        file = campaign.write()
        if changes:
            campaign.apply(file)
            file = campaign.write("changed")
        broker.sync_metadata()
        moment = (number + moments.random()) / rounds * whole[changes].whole
        process = campaign.start(file)
        time.sleep(moment)  # the moment is the point: nothing to wait for
        broker.node.crash()
        answer = ended(process)
        assert answer.code in {0, 3, 69}, f"{answer.code}\n{answer.err}"
        assert "Traceback" not in answer.err, answer.err
        broker.node.start()
        campaign.follow(broker)
        seconds = campaign.finish(file)
        print(
            f"broker kill {number + 1}/{rounds}: {'changing' if changes else 'creating'}, after {moment:.2f} s"
            f" ({last_stage(answer)}), exit code {answer.code}; the next apply took {seconds:.1f} s",
            flush=True,
        )
        campaign.end()
        codes[answer.code] += 1
        slowest = max(slowest, seconds)
    summarise(
        "kill -9 of the broker",
        broker.version,
        f"{rounds} kills, {objects} objects: exit codes "
        + ", ".join(f"{code} {count}×" for code, count in sorted(codes.items()))
        + f"; each next apply finished (slowest {slowest:.1f} s), drift clean",
    )


def _durations(broker: RunningBroker, folder: Path, name: str, objects: int) -> tuple[Phases, Phases]:
    """How long an apply takes that creates everything, and then one that changes it."""
    campaign = Campaign(broker, folder, name, objects)
    creating, changing = campaign.phases(campaign.write()), campaign.phases(campaign.write("changed"))
    campaign.end()
    return creating, changing
