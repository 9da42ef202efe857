"""When to look again: at an interval, later and later while it fails, never at the same moment as others. Pure."""

from __future__ import annotations

from collections.abc import Callable
from enum import Enum, auto
from typing import Final

STANDBY_SECONDS: Final = 5.0
"""Between two attempts to lead: a third of the lease, so that a leader who died is replaced within one and a third."""
BUSY_SECONDS: Final = 10.0
"""Before the next look when another run holds the lock."""
FIRST_PAUSE_SECONDS: Final = 1.0
LONGEST_PAUSE_SECONDS: Final = 300.0
_SPREAD: Final = 0.1


class PassOutcome(Enum):
    """How a pass ended, as far as the next one depends on it."""

    DONE = auto()
    STANDBY = auto()
    BUSY = auto()
    FAILED = auto()


class Schedule:
    """Says how long to wait.

    Args:
        interval_seconds: from the beginning of one pass to the beginning of the next.
        random: a number from 0 to 1, another each time.
    """

    def __init__(self, interval_seconds: float, random: Callable[[], float]) -> None:
        self._interval = interval_seconds
        self._random = random
        self.failures = 0
        """In a row."""

    def after(self, outcome: PassOutcome, took_seconds: float) -> float:
        """Seconds to wait after a pass that took so long.

        The interval is only ever shortened, by up to a tenth: what is changed by hand is seen within one. After a
        failure the pause doubles each time, from a second up to the interval, at most five minutes; half of it is
        random, so that controllers do not all ask a broker that has just come back at once.
        """
        if outcome is PassOutcome.FAILED:
            self.failures += 1
            longest = min(self._interval, LONGEST_PAUSE_SECONDS)
            pause = min(FIRST_PAUSE_SECONDS * 2.0 ** min(self.failures - 1, 20), longest)
            return pause * (0.5 + 0.5 * self._random())
        self.failures = 0
        match outcome:
            case PassOutcome.STANDBY:
                wait = min(STANDBY_SECONDS, self._interval)
            case PassOutcome.BUSY:
                wait = min(BUSY_SECONDS, self._interval)
            case _:
                wait = self._interval - took_seconds
        return max(0.0, wait - _SPREAD * self._random() * min(wait, self._interval))
