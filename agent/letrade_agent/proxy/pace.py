"""So many at once and so many a second: what costs everybody's time, as a login at the broker does."""

from __future__ import annotations

import asyncio
from collections import deque
from contextlib import suppress
from types import TracebackType


class Pace:
    """A context that so many enter in a second, and so many are in at once; whoever came first is in front.

    Args:
        a_second: how many enter.
        at_once: how many are in; so many enter without a pause when nobody has for a while.
    """

    __slots__ = ("_at_once", "_interval", "_is_armed", "_next", "_under_way", "_waiting")

    def __init__(self, a_second: float, at_once: int) -> None:
        self._interval = 1 / a_second
        self._at_once = at_once
        self._under_way = 0
        self._next = 0.0
        self._is_armed = False
        self._waiting: deque[asyncio.Future[None]] = deque()

    async def __aenter__(self) -> None:
        """Wait for one's turn; who is cancelled meanwhile takes nobody's."""
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append(turn)
        self._let_in()
        try:
            await turn
        except asyncio.CancelledError:
            with suppress(ValueError):
                self._waiting.remove(turn)
            if turn.done() and not turn.cancelled():  # it had come
                self._leave()
            raise

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Done, whatever came of it."""
        self._leave()

    def _leave(self) -> None:
        self._under_way -= 1
        self._let_in()

    def _let_in(self) -> None:
        loop = asyncio.get_running_loop()
        while self._waiting and self._under_way < self._at_once:
            if self._waiting[0].done():  # cancelled
                self._waiting.popleft()
                continue
            now = loop.time()
            if self._next > now:
                if not self._is_armed:
                    self._is_armed = True
                    loop.call_at(self._next, self._due)
                return
            self._next = max(self._next, now - self._interval * (self._at_once - 1)) + self._interval
            self._under_way += 1
            self._waiting.popleft().set_result(None)

    def _due(self) -> None:
        self._is_armed = False
        self._let_in()
