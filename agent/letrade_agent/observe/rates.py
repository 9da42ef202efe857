"""How many messages a second, over the last minutes, for the status page."""

from __future__ import annotations

from collections import deque
from typing import Final, NamedTuple

from letrade_agent.measures import Measures

KEPT_SECONDS: Final = 300


class Second(NamedTuple):
    """What happened in one second.

    Attributes:
        published, delivered: messages forwarded.
        refused: in either direction.
    """

    published: float
    delivered: float
    refused: float


class Rates:
    """Samples counts; `tick` about once a second."""

    def __init__(self, measures: Measures, now: float) -> None:
        self._measures = measures
        self._at = now
        self._before = self._totals()
        self.seconds: deque[Second] = deque(maxlen=KEPT_SECONDS)

    def tick(self, now: float) -> None:
        """Take a sample.

        Args:
            now: seconds by the monotonic clock.
        """
        elapsed, totals = now - self._at, self._totals()
        if elapsed <= 0:
            return
        difference = (max(after - before, 0) / elapsed for after, before in zip(totals, self._before, strict=True))
        self.seconds.append(Second(*difference))
        self._at, self._before = now, totals

    def _totals(self) -> tuple[float, float, float]:
        published = delivered = 0
        for (direction, _, outcome), count in self._measures.messages.items():
            if outcome == "forwarded":
                published += count if direction == "publish" else 0
                delivered += count if direction in ("deliver", "get") else 0
        return published, delivered, sum(self._measures.refused.values())
