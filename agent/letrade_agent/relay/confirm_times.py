"""When unconfirmed publishes went upstream: one entry for all of one read, not one per message."""

from __future__ import annotations

from collections import deque

from letrade_agent.measures import Histogram


class _Sent:
    __slots__ = ("last", "open", "time")

    def __init__(self, last: int, time: float) -> None:
        self.last = last
        self.open = 1
        self.time = time


class ConfirmTimes:
    """The side list of a channel's confirm ledger. Publishes that the broker counts are numbered from 1."""

    __slots__ = ("_sent",)

    def __init__(self) -> None:
        self._sent: deque[_Sent] = deque()

    def sent(self, number: int, time: float) -> None:
        """A publish went upstream; numbers rise."""
        if self._sent and self._sent[-1].time == time:
            newest = self._sent[-1]
            newest.last = number
            newest.open += 1
        else:
            self._sent.append(_Sent(number, time))

    def answered(self, number: int, multiple: bool, count: int, now: float, into: Histogram) -> None:
        """The broker answered `count` publishes: `number`, with `multiple` all up to it (0: all there are)."""
        sent = self._sent
        if not multiple:
            for entry in sent:
                if entry.last >= number:
                    entry.open -= 1
                    into.observe(now - entry.time)
                    break
        else:
            while sent and count and (number == 0 or sent[0].last <= number):
                entry = sent.popleft()
                count -= entry.open
                into.observe(now - entry.time, entry.open)
            if sent and count > 0:
                sent[0].open -= count
                into.observe(now - sent[0].time, count)
        while sent and sent[0].open <= 0:
            sent.popleft()
