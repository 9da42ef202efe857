"""kill -9 in the middle of replays: what a campaign and a short test have in common."""

from __future__ import annotations

import signal
import subprocess
import time
from collections.abc import Callable

from tests.queues.world import QUEUE, Dead, LetterWorld

LIMIT_SECONDS = 300.0
_POLL_SECONDS = 0.05
_FINISHED = 3
"""Runs that may end before they are killed."""


def killed_replays(world: LetterWorld, *, total: int, kills: int) -> int:
    """Replay so many letters, kill the run so often, let the last one finish; how many arrived twice.

    A run that finished before it was killed, on a machine that stood still meanwhile, gets as many letters again.
    """
    buried, killed = _bury(world, 0, total), 0
    for _ in range(kills + _FINISHED):
        before = world.count(QUEUE)
        run = world.tool.start("dlq", "replay", "--yes", str(world.file))
        _until_replayed_or_ended(world, before + total // (2 * kills), run)
        run.kill()
        _, err = run.communicate()
        assert run.returncode in {0, -signal.SIGKILL}, err
        _until_in_queues(world, buried)
        if run.returncode == 0:
            buried += _bury(world, buried, total)
            continue
        killed += 1
        if killed == kills:
            break
    assert killed == kills
    last = world.tool.start("dlq", "replay", "--yes", str(world.file))
    _, err = last.communicate(timeout=LIMIT_SECONDS)
    assert last.returncode == 0, err
    arrived = world.numbers(QUEUE)
    assert set(arrived) == set(range(buried))
    assert world.count() == 0
    doubled = arrived.total() - len(arrived)
    assert doubled <= kills, doubled
    return doubled


def _bury(world: LetterWorld, first: int, count: int) -> int:
    return len(world.bury([Dead(number) for number in range(first, first + count)]))


def _until_in_queues(world: LetterWorld, count: int) -> None:
    until(lambda: world.count(QUEUE) + world.count() >= count, "everything is in a queue again")


def _until_replayed_or_ended(world: LetterWorld, count: int, run: subprocess.Popen[str]) -> None:
    until(lambda: run.poll() is not None or world.count(QUEUE) >= count, f"{count} replayed")


def until_replayed(world: LetterWorld, count: int) -> None:
    """Wait until so many are back in their queue."""
    until(lambda: world.count(QUEUE) >= count, f"{count} replayed")


def until(condition: Callable[[], bool], what: str) -> None:
    """Wait for a condition, and fail with its name when it does not come."""
    deadline = time.monotonic() + LIMIT_SECONDS
    while not condition():
        assert time.monotonic() < deadline, f"not within {LIMIT_SECONDS:g} s: {what}"
        time.sleep(_POLL_SECONDS)
