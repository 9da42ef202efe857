"""Moving messages from a queue through an exchange into another: published, confirmed, and only then acknowledged.

In order, as they come out of the queue. Killed at any moment, a message is in the one queue, or in the other, or, of
as many as the window holds, in both. Routing keys stay; the exchange that a consumer sees is the one they were moved
through.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from functools import partial
from typing import Final, TypeAlias

from letrade_topo.errors import TopoError
from letrade_topo.queues.link import DeliveredLetter, LetterCopy, QueueLink

WINDOW: Final = 1_000
"""Messages on their way at once, which may be there twice when the mover is killed: enough for a broker that takes a
third of a second to confirm, and publishers who add a thousand a second meanwhile."""

FIRST: Final = 1_000
"""The priority of a mover among the consumers of a queue."""

AGAIN_SECONDS: Final = 0.5
"""How long after a refusal a message is published again."""

Rewrite: TypeAlias = Callable[[DeliveredLetter], bytes]
"""The properties that a copy gets. Raises `TopoError` where a message cannot be moved."""


def as_it_came(delivery: DeliveredLetter) -> bytes:
    """The properties as they are."""
    return delivery.raw


class Mover:
    """Moves one queue's messages, from `begin` until its connection is closed.

    Args:
        link: an open connection with confirms; it may carry several movers.
        queue: where from.
        exchange: where to: one that routes all to one queue.
        rewrite: makes the properties of a copy.

    Attributes:
        moved: messages that are where they should be, confirmed, and acknowledged.
        taken: messages that have come.
        refusal: why the latest copy that was refused was; empty since all have gone through.
        error: what makes going on impossible.
        active_at: when the latest message came, by the loop's clock.
    """

    def __init__(self, link: QueueLink, queue: str, exchange: str, rewrite: Rewrite = as_it_came) -> None:
        self._link = link
        self._queue = queue
        self._exchange = exchange
        self._rewrite = rewrite
        self._loop = asyncio.get_running_loop()
        self._refused: list[tuple[DeliveredLetter, LetterCopy]] = []
        self.moved = 0
        self.taken = 0
        self.refusal = ""
        self.error: TopoError | None = None
        self.active_at = self._loop.time()

    @property
    def in_flight(self) -> int:
        """Messages that have come and are not confirmed yet."""
        return self.taken - self.moved

    async def begin(self) -> None:
        """Take messages from now on, before all other consumers of the queue.

        Raises:
            QueueRefused: it is not there, or may not be read.
        """
        self.active_at = self._loop.time()
        await self._link.consume(self._queue, WINDOW, self._on_delivery, priority=FIRST)

    async def check(self) -> None:
        """Raise what makes going on impossible.

        Raises:
            TopoError: a message cannot be moved, or the connection is lost.
        """
        if self.error is not None:
            raise self.error
        if self._link.is_lost:
            raise await self._link.lost()

    async def is_empty(self) -> bool:
        """Whether nothing is on its way, and nothing ready in the queue.

        Raises:
            QueueRefused: the queue is not there.
            TopoError: a message cannot be moved, or the connection is lost.
        """
        await self.check()
        return not self.in_flight and (await self._link.depth(self._queue)).ready == 0 and not self.in_flight

    def _on_delivery(self, delivery: DeliveredLetter) -> None:
        self.active_at = self._loop.time()
        self.taken += 1
        if self.error is not None:
            return
        try:
            key = delivery.routing_key.decode()
            copy = LetterCopy(self._exchange, key, self._rewrite(delivery), delivery.body)
        except TopoError as error:
            self.error = error
            return
        except UnicodeDecodeError:
            self.error = TopoError(f"a message of {self._queue!r} cannot be moved", why="its routing key is no UTF-8")
            return
        if self._refused:
            self._refused.append((delivery, copy))  # behind those that wait
        else:
            self._publish(delivery, copy)

    def _publish(self, delivery: DeliveredLetter, copy: LetterCopy) -> None:
        self._link.send(copy, partial(self._answered, delivery, copy))

    def _answered(self, delivery: DeliveredLetter, copy: LetterCopy, problem: str) -> None:
        if not problem:
            self.moved += 1
            self._link.acknowledge(delivery.tag)
            if not self._refused:
                self.refusal = ""
        elif not self._link.is_lost:
            self.refusal = problem
            if not self._refused:
                self._loop.call_later(AGAIN_SECONDS, self._again)
            self._refused.append((delivery, copy))

    def _again(self) -> None:
        refused, self._refused = sorted(self._refused, key=lambda one: one[0].tag), []
        for delivery, copy in refused:
            self._publish(delivery, copy)
