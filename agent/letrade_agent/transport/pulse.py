"""Heartbeats of one leg: when to send one, and when the other side is dead. Counts bytes, knows no socket.

Each leg has its own, whatever the other one does: a client that says nothing for hours keeps its connection, and a
broker that is gone is noticed although nobody publishes.
"""

from __future__ import annotations

from enum import Enum


class Beat(Enum):
    """What to do."""

    NOTHING = "nothing"
    SEND = "send a heartbeat"
    DEAD = "nothing came for two intervals"


class Pulse:
    """Heartbeats of one leg.

    Args:
        interval: seconds that were agreed at tuning; 0: none.
        now: seconds by the monotonic clock.
    """

    __slots__ = ("_heard_at", "_interval", "_received", "_sent", "_sent_at")

    def __init__(self, interval: float, now: float) -> None:
        self._interval = interval
        self._sent = self._received = -1
        self._sent_at = self._heard_at = now

    def beat(self, now: float, *, sent: int, received: int, is_reading: bool) -> Beat:
        """Judge; to be asked more often than every half interval.

        Args:
            now: seconds by the monotonic clock.
            sent, received: bytes so far; any byte counts as life (AMQP 0-9-1, 4.2.7).
            is_reading: False while the leg is not read on purpose: then nothing can be heard.
        """
        if not self._interval:
            return Beat.NOTHING
        if sent != self._sent:
            self._sent, self._sent_at = sent, now
        if received != self._received or not is_reading:
            self._received, self._heard_at = received, now
        if now - self._heard_at > 2 * self._interval:
            return Beat.DEAD
        return Beat.SEND if now - self._sent_at >= self._interval / 2 else Beat.NOTHING

    @property
    def silent_since(self) -> float:
        """When something was last heard, by the monotonic clock."""
        return self._heard_at
