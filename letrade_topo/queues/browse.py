"""Once through the messages that a queue holds: fetched, left unacknowledged, given back when the connection closes.

What somebody decides to settle is acknowledged on the way; everything else goes back. A message that is given back
cannot be given away for good by that: the queues of failed messages have no delivery limit. Neither the broker nor
this program ever has more of them in memory than one consumer's prefetch: the limit counts what is unacknowledged,
so what is kept is made up for by a further consumer.
"""

from __future__ import annotations

import asyncio
from collections import deque
from typing import Final

from letrade_topo.queues.link import DeliveredLetter, Depth, QueueLink

PREFETCH: Final = 500
"""Of the first consumer. Bodies of at most 128 KiB: 64 MB."""

LARGEST_PREFETCH: Final = 4000
PREFETCHED_BYTES: Final = 32 * 2**20
"""Of later ones: as many as have so many bytes, going by those that came before."""

QUIET_SECONDS: Final = 0.5
"""So long after the queue said that it holds nothing more, nothing more is on its way."""

PATIENCE_SECONDS: Final = 30.0
"""So long a queue may say that it holds messages, and deliver none."""


class Browse:
    """One pass over a queue.

    Args:
        link: an open connection, for this pass alone.
        queue: the queue.
    """

    def __init__(self, link: QueueLink, queue: str) -> None:
        self._link = link
        self._queue = queue
        self._prefetch = PREFETCH
        self._bytes = 0
        self._fetched: deque[DeliveredLetter] = deque()
        self._arrived = asyncio.Event()
        self._allowed = 0
        self._handed_out = 0
        self._settled = 0
        self._is_stopped = False
        self.depth = Depth(0, 0)

    @property
    def seen(self) -> int:
        """Messages that were handed out."""
        return self._handed_out

    @property
    def unseen(self) -> int:
        """Messages that the queue had at the beginning and that did not come: others took or hold them."""
        return max(0, self.depth.ready - self._handed_out)

    async def begin(self) -> Depth:
        """Ask how many messages there are; so many are handed out at most, whatever comes in meanwhile.

        Raises:
            QueueRefused: the queue is not there, or may not be read.
        """
        self.depth = await self._link.depth(self._queue)
        return self.depth

    async def next(self) -> DeliveredLetter | None:
        """The next message; None when all have been handed out.

        Raises:
            BrokerUnreachable: the connection was lost.
        """
        waited = 0.0
        is_empty = False
        while self._handed_out < self.depth.ready and not self._is_stopped:
            if self._fetched:
                delivery = self._fetched.popleft()
                self._handed_out += 1
                self._bytes += len(delivery.body)
                return delivery
            if self._link.is_lost:
                raise await self._link.lost()
            await self._make_room()
            self._arrived.clear()
            if self._fetched:
                continue
            try:
                await asyncio.wait_for(self._arrived.wait(), QUIET_SECONDS)
                waited, is_empty = 0.0, False
                continue
            except TimeoutError:
                waited += QUIET_SECONDS
            if is_empty or waited > PATIENCE_SECONDS:
                return None
            is_empty = (await self._link.depth(self._queue)).ready == 0
        return None

    def settled(self, tag: int) -> None:
        """A message is done with: the broker forgets it."""
        self._settled += 1
        self._link.acknowledge(tag)

    def stop(self) -> None:
        """Hand out nothing more."""
        self._is_stopped = True
        self._arrived.set()

    async def _make_room(self) -> None:
        """All that is unacknowledged and not waiting here is kept, or about to be settled."""
        outstanding = self._handed_out - self._settled
        if self._allowed - outstanding < self._prefetch // 2:
            if self._handed_out:
                mean_size = max(1, self._bytes // self._handed_out)
                self._prefetch = min(LARGEST_PREFETCH, max(PREFETCH, PREFETCHED_BYTES // mean_size))
            await self._link.consume(self._queue, self._prefetch, self._on_delivery)
            self._allowed += self._prefetch

    def _on_delivery(self, delivery: DeliveredLetter) -> None:
        self._fetched.append(delivery)
        self._arrived.set()
