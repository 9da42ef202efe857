"""Back-pressure: a leg is not read while what it brings could go nowhere."""

from __future__ import annotations

from collections.abc import Callable
from enum import Enum, auto
from functools import partial
from math import inf

from letrade_agent.limits import Limits
from letrade_agent.transport.leg import Leg


class PressureReason(Enum):
    """Why a leg is not read."""

    PEER_FULL = auto()
    """The other leg has more unsent than it should."""
    HELD = auto()
    """Too many deliveries are withheld."""
    UNREAD = auto()
    """The client does not take the answers to what it sent."""
    STORING = auto()
    """Too much is on its way to the object store."""
    TURN = auto()
    """Of its last read something is left, and others have their turn first."""


class Valve:
    """Reads a leg, unless there is a reason not to.

    Args:
        leg: the source.
        spent: told the seconds during which it was not read.
        monotonic: seconds.
    """

    __slots__ = ("_leg", "_monotonic", "_opened_at", "_reasons", "_shut_at", "_spent")

    def __init__(self, leg: Leg, spent: Callable[[float], None], monotonic: Callable[[], float]) -> None:
        self._leg = leg
        self._spent = spent
        self._monotonic = monotonic
        self._reasons: set[PressureReason] = set()
        self._shut_at = 0.0
        self._opened_at = monotonic()

    @property
    def is_shut(self) -> bool:
        """Whether the leg is not read."""
        return bool(self._reasons)

    @property
    def open_since(self) -> float:
        """From when on the leg has been read, in monotonic seconds; infinite: it is not."""
        return inf if self._reasons else self._opened_at

    def set(self, reason: PressureReason, holds: bool) -> None:
        """A reason holds, or does not hold any more."""
        reasons = self._reasons
        if not reasons and not holds:
            return  # as after nearly every read
        if holds is (reason in reasons):
            return
        if holds:
            if not reasons:
                self._shut_at = self._monotonic()
                self._leg.pause_reading()
            reasons.add(reason)
            return
        if len(reasons) == 1:
            self.account()
            self._opened_at = self._monotonic()
            self._leg.resume_reading()
        reasons.discard(reason)

    def account(self) -> None:
        """Tell the seconds so far, so that a leg that stays shut is seen."""
        if self.is_shut:
            now = self._monotonic()
            self._spent(now - self._shut_at)
            self._shut_at = now


class Mark:
    """Too much, until half of it is left.

    Args:
        most: above which it is too much.

    Attributes:
        is_over: whether it is.
    """

    __slots__ = ("_most", "is_over")

    def __init__(self, most: int) -> None:
        self._most = most
        self.is_over = False

    def crossed(self, value: int) -> bool:
        """Whether that has changed."""
        if (value > self._most) if not self.is_over else (value < self._most // 2):
            self.is_over = not self.is_over
            return True
        return False


class BackPressure:
    """That of one connection: which of its legs is read.

    Args:
        client, upstream: its legs.
        spent: seconds without reading are added there, by the side that had to wait for the other.
        monotonic: seconds.
        limits: of the agent.

    Attributes:
        from_client, from_upstream: what is read.
    """

    __slots__ = ("_client", "_held", "_storing", "_unread", "from_client", "from_upstream")

    def __init__(
        self, client: Leg, upstream: Leg, spent: dict[str, float], monotonic: Callable[[], float], limits: Limits
    ) -> None:
        self._client = client
        self.from_client = Valve(client, partial(_add, spent, "to_broker"), monotonic)
        self.from_upstream = Valve(upstream, partial(_add, spent, "to_client"), monotonic)
        self._unread = Mark(limits.unread_bytes)
        self._held = Mark(limits.held_bytes)
        self._storing = Mark(limits.object_store.stored_bytes)

    def look(self, held: int, storing: int) -> None:
        """After every call of the relay: bytes that are withheld, and on their way to the object store."""
        is_over = self._unread.is_over or self._held.is_over or self._storing.is_over
        if not (is_over or held or storing or self._client.unsent_bytes):
            return  # as nearly always
        self.look_unread()
        if self._held.crossed(held):
            self.from_upstream.set(PressureReason.HELD, self._held.is_over)
        if self._storing.crossed(storing):
            self.from_client.set(PressureReason.STORING, self._storing.is_over)

    def look_unread(self) -> None:
        """What the client has not taken."""
        if self._unread.crossed(self._client.unsent_bytes):
            self.from_client.set(PressureReason.UNREAD, self._unread.is_over)

    def account(self) -> None:
        """Once a second, and at the end."""
        self.from_client.account()
        self.from_upstream.account()


def _add(seconds: dict[str, float], direction: str, more: float) -> None:
    seconds[direction] += more
