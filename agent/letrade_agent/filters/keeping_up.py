"""How long this agent has kept up with a queue: what decides whether a late retry can be an honest one.

Theory of operation. Whoever keeps up with a queue has seen all that was in it. It is told of moments at which that is
so: a message arrives that was signed just now, or a consumer that could take more gets nothing. Moments that follow
each other closely are a stretch. Once a stretch has lasted for `STRETCH_SECONDS`, everything that was due in the
queue when it began has come, and whatever is due earlier and comes later was put there by somebody else.

Nothing is known of a queue before: not after a restart, and not while its consumers are away or behind.
"""

from __future__ import annotations

from math import inf
from typing import Final

from letrade_topo.keys.hop import TOLERANCE_SECONDS

STRETCH_SECONDS: Final = float(TOLERANCE_SECONDS)
JUST_NOW_SECONDS: Final = 10.0
"""From signing to arrival, clocks' differences included; a message that took longer waited behind others."""
LONGEST_GAP_SECONDS: Final = 5.0
"""Between two moments of one stretch; there is one a second while a consumer is idle."""
_OFTEN_ENOUGH_SECONDS: Final = 1.0


class KeepingUp:
    """The queues of one agent. Times are in seconds since the epoch."""

    __slots__ = ("_proven", "_stretches")

    def __init__(self) -> None:
        self._stretches: dict[str, tuple[float, float]] = {}
        """Of each queue, when the stretch began, and the last moment in it."""
        self._proven: dict[str, float] = {}

    def arrived(self, queue: str, issued_at: float, now: float) -> None:
        """A message came straight from its publisher, of no higher priority than any other in the queue."""
        if now - issued_at <= JUST_NOW_SECONDS:
            self.keeps_up(queue, now)
        else:
            self._stretches.pop(queue, None)

    def keeps_up(self, queue: str, now: float) -> None:
        """At this moment, everything that was in a queue has been delivered."""
        began, last = self._stretches.get(queue, (now, -inf))
        if 0 <= now - last < _OFTEN_ENOUGH_SECONDS:
            return
        if not 0 <= now - last <= LONGEST_GAP_SECONDS:
            began = now
        self._stretches[queue] = (began, now)
        if now - began >= STRETCH_SECONDS:
            self._proven[queue] = now

    def until(self, queue: str) -> float:
        """The last moment at which this agent had kept up with a queue for a whole stretch; `-inf`: never."""
        return self._proven.get(queue, -inf)
