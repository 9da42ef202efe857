"""When the controller looks again."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from letrade_topo.watch.schedule import (
    BUSY_SECONDS,
    LONGEST_PAUSE_SECONDS,
    STANDBY_SECONDS,
    PassOutcome,
    Schedule,
)

CHANCE = st.floats(0, 1)
INTERVAL = st.floats(1, 7 * 24 * 3600)


@given(INTERVAL, CHANCE, st.floats(0, 1))
def test_the_interval_is_never_stretched(interval: float, chance: float, share: float) -> None:
    """From one beginning to the next: at most the interval, at least nine tenths of it."""
    took = share * interval
    wait = Schedule(interval, lambda: chance).after(PassOutcome.DONE, took)

    assert wait + took <= interval * 1.000_001
    assert wait == 0 or wait + took >= interval * 0.899_999


def test_a_pass_that_takes_longer_is_followed_at_once() -> None:
    """There is nothing to wait for."""
    assert Schedule(10, lambda: 0.5).after(PassOutcome.DONE, 25) == 0


@given(INTERVAL, st.lists(CHANCE, min_size=1, max_size=40))
def test_failures_wait_longer_and_longer(interval: float, chances: list[float]) -> None:
    """At least half of a pause that doubles from a second up to the interval, at most five minutes."""
    numbers = iter(chances)
    schedule = Schedule(interval, lambda: next(numbers))

    for count in range(len(chances)):
        pause = min(2.0**count, interval, LONGEST_PAUSE_SECONDS)
        assert pause / 2 <= schedule.after(PassOutcome.FAILED, 0.1) <= pause
        assert schedule.failures == count + 1


def test_success_forgets_failures() -> None:
    """The first failure after it waits a second again."""
    schedule = Schedule(60, lambda: 1.0)
    for _ in range(5):
        schedule.after(PassOutcome.FAILED, 0)
    schedule.after(PassOutcome.DONE, 0)

    assert schedule.after(PassOutcome.FAILED, 0) == 1


def test_standing_by_and_waiting_for_another_run() -> None:
    """Neither waits for the next interval."""
    schedule = Schedule(3600, lambda: 0.0)

    assert schedule.after(PassOutcome.STANDBY, 1) == STANDBY_SECONDS
    assert schedule.after(PassOutcome.BUSY, 1) == BUSY_SECONDS
