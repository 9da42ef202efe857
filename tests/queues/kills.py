"""kill -9 in the middle of replays: what a campaign and a short test have in common."""

from __future__ import annotations

import time
from collections.abc import Callable

from tests.queues.world import QUEUE, Dead, World

LIMIT_SECONDS = 300.0
_POLL_SECONDS = 0.05


def killed_replays(world: World, *, total: int, kills: int) -> int:
    """Replay so many letters, kill the run so often, let the last one finish; how many arrived twice."""
    world.bury([Dead(number) for number in range(total)])
    for kill in range(1, kills + 1):
        run = world.tool.start("dlq", "replay", "--yes", str(world.file))
        until_replayed(world, kill * total // (kills + 1))
        assert run.poll() is None
        run.kill()
        run.communicate()
        until(lambda: world.count(QUEUE) + world.count() >= total, "everything is in a queue again")
    last = world.tool.start("dlq", "replay", "--yes", str(world.file))
    _, err = last.communicate(timeout=LIMIT_SECONDS)
    assert last.returncode == 0, err
    arrived = world.numbers(QUEUE)
    assert set(arrived) == set(range(total))
    assert world.count() == 0
    doubled = arrived.total() - len(arrived)
    assert doubled <= kills, doubled
    return doubled


def until_replayed(world: World, count: int) -> None:
    """Wait until so many are back in their queue."""
    until(lambda: world.count(QUEUE) >= count, f"{count} replayed")


def until(condition: Callable[[], bool], what: str) -> None:
    """Wait for a condition, and fail with its name when it does not come."""
    deadline = time.monotonic() + LIMIT_SECONDS
    while not condition():
        assert time.monotonic() < deadline, f"not within {LIMIT_SECONDS:g} s: {what}"
        time.sleep(_POLL_SECONDS)
