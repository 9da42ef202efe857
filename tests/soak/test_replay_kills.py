"""Campaign: 10,000 dead letters replayed, and the replay killed three times."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from tests.brokers import RunningBroker
from tests.queues.kills import killed_replays
from tests.queues.world import LetterWorld
from tests.soak.conftest import Summarise

LETTERS = 10_000
KILLS = 3


@pytest.mark.long_form  # the short one is in tests/queues/test_replaying.py
def test_replay_of_many_killed(broker: RunningBroker, vhost_name: str, tmp_path: Path, summarise: Summarise) -> None:
    """Nothing lost, and at most the one in flight twice, for each kill."""
    world = LetterWorld.make(broker, vhost_name, tmp_path)
    start = time.monotonic()
    doubled = killed_replays(world, total=LETTERS, kills=KILLS)
    seconds = time.monotonic() - start
    seen = f"{LETTERS:,} letters, {KILLS} kills: 0 lost, {doubled} twice, {seconds:.0f} s in all"
    summarise("dlq replay killed", broker.version, seen)
