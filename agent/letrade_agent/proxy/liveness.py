"""Whether both sides of a connection are still there: heartbeats, and a client that takes nothing for long."""

from __future__ import annotations

from letrade_agent.transport.leg import Leg
from letrade_agent.transport.pulse import Beat, Pulse
from letrade_topo.amqp.frames import HEARTBEAT_FRAME


class Heartbeats:
    """Those of one leg: sent when it is time, and missed.

    Args:
        leg: whose.
        interval: seconds that were agreed at tuning; 0: none.
        now: by the monotonic clock.
    """

    __slots__ = ("_leg", "_pulse")

    def __init__(self, leg: Leg, interval: float, now: float) -> None:
        self._leg = leg
        self._pulse = Pulse(interval, now)

    def silence(self, now: float) -> float:
        """Send one if it is time; the seconds of silence if the other side is dead, else 0."""
        leg = self._leg
        if leg.is_closing:
            return 0.0
        beat = self._pulse.beat(now, sent=leg.sent, received=leg.received, is_reading=leg.is_reading)
        if beat is Beat.SEND:
            leg.write(HEARTBEAT_FRAME)
        return now - self._pulse.silent_since if beat is Beat.DEAD else 0.0


class WriteStall:
    """Notices when one side takes nothing of what is unsent.

    Args:
        leg: to which side.
        most_seconds: for how long it may.
        now: by the monotonic clock.
    """

    __slots__ = ("_leg", "_most_seconds", "_taken", "_taken_at")

    def __init__(self, leg: Leg, most_seconds: float, now: float) -> None:
        self._leg = leg
        self._most_seconds = most_seconds
        self._taken = 0
        self._taken_at = now

    def stalled(self, now: float) -> float:
        """The seconds for which nothing was taken, if those are too many; else 0."""
        unsent = self._leg.unsent_bytes
        taken = self._leg.sent - unsent
        if not unsent or taken != self._taken:
            self._taken, self._taken_at = taken, now
        seconds = now - self._taken_at
        return seconds if seconds > self._most_seconds else 0.0
