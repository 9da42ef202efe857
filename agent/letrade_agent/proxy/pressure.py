"""Back-pressure: a leg is not read while what it brings could go nowhere."""

from __future__ import annotations

from collections.abc import Callable
from enum import Flag, auto

from letrade_agent.proxy.leg import Leg


class Reason(Flag):
    """Why a leg is not read."""

    NONE = 0
    PEER_FULL = auto()
    """The other leg has more unsent than it should."""
    HELD = auto()
    """Too many deliveries are withheld."""
    STORING = auto()
    """Too much is on its way to the object store."""


class Valve:
    """Reads a leg, unless there is a reason not to.

    Args:
        leg: the source.
        spent: told the seconds during which it was not read.
        monotonic: seconds.
    """

    __slots__ = ("_leg", "_monotonic", "_reasons", "_shut_at", "_spent")

    def __init__(self, leg: Leg, spent: Callable[[float], None], monotonic: Callable[[], float]) -> None:
        self._leg = leg
        self._spent = spent
        self._monotonic = monotonic
        self._reasons = Reason.NONE
        self._shut_at = 0.0

    @property
    def is_shut(self) -> bool:
        """Whether the leg is not read."""
        return bool(self._reasons)

    def set(self, reason: Reason, holds: bool) -> None:
        """A reason holds, or does not hold any more."""
        before = self._reasons
        after = before | reason if holds else before & ~reason
        if after == before:
            return
        if not before:
            self._shut_at = self._monotonic()
            self._leg.pause_reading()
        elif not after:
            self.account()
            self._leg.resume_reading()
        self._reasons = after

    def account(self) -> None:
        """Tell the seconds so far, so that a leg that stays shut is seen."""
        if self.is_shut:
            now = self._monotonic()
            self._spent(now - self._shut_at)
            self._shut_at = now
