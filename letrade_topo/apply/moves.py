"""The steps of a migration that move messages, over AMQP.

    empty        consumers take what is ready, as long as there are any: so nothing overtakes anything. What is left,
                 and what comes back from consumers that went, is moved to the kept queue. While the mover is there,
                 nobody else gets a message, for it goes before all other consumers; so what reaches the queue up to
                 the moment of its deletion is in the mover's hands and not lost with the queue.
    bring_back   the kept queue, then the side queue; when that has run out, the switch, and what came just before it.
    clear        what is left in either, then the queues.

A queue is deleted when nothing is ready by AMQP, nothing is on its way here, and nothing is in it by a count that was
made after all that: unacknowledged messages of consumers count, and dead letters that the broker has not handed on.
A quorum queue gets a mark first, by which a later run knows that what a dying node may leave of it holds nothing.
"""

from __future__ import annotations

import asyncio
import contextlib
import math
import threading
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Final

from letrade_topo.apply.migrating import Migration, MigrationStuck
from letrade_topo.broker.objects import Queue
from letrade_topo.broker_errors import BrokerUnreachable
from letrade_topo.errors import TopoError
from letrade_topo.management.client import ManagementClient
from letrade_topo.management.perform import delete
from letrade_topo.management.reading import STATISTICS_DELAY_SECONDS
from letrade_topo.model.names import ARGUMENT_QUEUE_TYPE
from letrade_topo.model.topology import QueueType
from letrade_topo.queues.endpoint import AmqpEndpoint
from letrade_topo.queues.link import QueueLink, open_link
from letrade_topo.queues.move_hops import MoveHops
from letrade_topo.queues.moving import WINDOW, Mover

POLL_SECONDS: Final = 0.1
IN_FLIGHT_SECONDS: Final = 1.0
"""How long a message may be on its way inside the broker, after the switch, to the queue that it was routed to."""

COUNTS_SECONDS: Final = 1.0
"""Counts are read so often, for all migrations together."""

CANCEL_SECONDS: Final = 5.0
OTHERS_SECONDS: Final = 0.25
"""So much later than the mover other consumers may be told that their queue is gone."""

NO_BETTER_SECONDS: Final = 120.0
"""So long the mover tries to get ahead of those who publish; then it switches all the same."""

MARKED_SECONDS: Final = 0.3
"""So long a broker may take to write its metadata down (Mnesia's log, seen on 3.10.8: some milliseconds)."""

HELD_SECONDS: Final = 120.0
"""So long nothing may change before a migration gives up: consumers that neither take nor settle."""

TOLD_SECONDS: Final = 5.0

LEADER_SECONDS: Final = 20.0
"""So long a quorum queue may take to elect a leader: it answers no consumer before."""

LEAVE_SECONDS: Final = 5.0
"""So long a connection may take to close whose channel waits for such a queue; a broker takes a minute."""


class Totals:
    """How much queues hold by the management API, ready or not, read once for all who ask."""

    def __init__(self, client: ManagementClient, vhost: str) -> None:
        self._client = client
        self._vhost = vhost
        self._lock = threading.Lock()
        self._read_at = -COUNTS_SECONDS
        self._totals: dict[str, int | None] = {}

    def of(self, queue: str) -> tuple[int | None, float]:
        """What a queue holds, None where the broker does not say; and at which moment it was asked."""
        with self._lock:
            now = time.monotonic()
            if now - self._read_at >= COUNTS_SECONDS:
                items = self._client.queue_totals(self._vhost)
                self._totals = {item["name"]: item.get("messages") for item in items}
                self._read_at = now
            return self._totals.get(queue), self._read_at


@dataclass(frozen=True, slots=True)
class Means:
    """What messages are moved with.

    Args:
        endpoint: the broker's AMQP port.
        hops_for: what rewrites the properties of messages that come back into a queue.
    """

    endpoint: AmqpEndpoint
    hops_for: Callable[[str], MoveHops]


class AmqpMoves:
    """Moves by AMQP, each step on a connection of its own.

    Args:
        means: what with.
        totals: counts of all queues.
    """

    def __init__(self, means: Means, totals: Totals) -> None:
        self._means = means
        self._totals = totals

    def empty(self, migration: Migration) -> None:
        """Take away what the old queue holds, delete it, make the new one."""
        asyncio.run(self._empty(migration))

    def bring_back(self, migration: Migration) -> None:
        """Bring back what was kept, and switch back."""
        asyncio.run(self._bring_back(migration))

    def clear(self, migration: Migration) -> None:
        """Move what is left, and delete the queues of the migration."""
        asyncio.run(self._clear(migration))

    def can_be_read(self, queue: str) -> bool:
        """Whether a queue takes a consumer."""
        return asyncio.run(self._can_be_read(queue))

    async def _can_be_read(self, queue: str) -> bool:
        for _ in range(2):
            link = await open_link(self._means.endpoint, "letrade-topo apply")
            try:
                await asyncio.wait_for(link.consume(queue, 1, lambda _: None), LEADER_SECONDS)
            except TimeoutError:
                return False
            except BrokerUnreachable:  # closed for this cause, or for another; a queue that refuses is alive
                continue
            finally:
                await link.close(LEAVE_SECONDS)
            return True
        return False

    @asynccontextmanager
    async def _linked(self) -> AsyncIterator[QueueLink]:
        link = await open_link(self._means.endpoint, "letrade-topo apply")
        try:
            await link.confirms()
            yield link
        finally:
            await link.close()

    async def _empty(self, migration: Migration) -> None:
        tools, layout = migration.tools, migration.layout
        switched_at = time.monotonic()
        hops = self._means.hops_for(migration.name)
        async with self._linked() as link:
            if not migration.has_exchange(layout.kept_exchange.name):
                await _consumed(link, migration)
            if not migration.is_there(layout.kept.name):
                migration.make_waiting(layout.kept, may_hold_messages=True)
                await asyncio.to_thread(migration.until_written, layout.kept)
            for thing in (layout.kept_exchange, layout.to_kept, layout.empty_exchange):
                migration.create(thing)
            await _marked()
            mover = Mover(link, migration.name, layout.kept_exchange.name, hops.kept)
            await mover.begin()
            migration.empty_since = migration.empty_since or time.monotonic()
            found = migration.situation().queue
            if found is not None:
                await self._until_gone(migration, mover, link, found, switched_at + IN_FLIGHT_SECONDS)
                delete(tools.client, tools.vhost, found, if_empty=_is_classic(found))
                await _cancelled(link)
                migration.create_queue()
            # Whatever reached the old queue before its end has been delivered by now, or is about to be.
            await _quiet(mover, POLL_SECONDS * 3)
            migration.result.moved += mover.moved

    async def _bring_back(self, migration: Migration) -> None:
        layout = migration.layout
        hops = self._means.hops_for(migration.name)
        async with self._linked() as link:
            came_back = 0
            if migration.is_there(layout.kept.name):
                kept = Mover(link, layout.kept.name, layout.return_exchange.name, hops.back)
                await kept.begin()
                await self._until_empty(migration, kept, link, layout.kept.name)
                came_back = kept.moved
            side = Mover(link, layout.side.name, layout.return_exchange.name, hops.back)
            await side.begin()
            _end_of_pause(migration)
            await self._until_caught_up(migration, side, link, layout.side.name)
            taken = side.taken
            await link.bind(migration.name, layout.junction.name)  # the switch; by AMQP, as it is quicker
            await _quiet(side, POLL_SECONDS * 3)
            await self._until_empty(migration, side, link, layout.side.name)
            migration.result.overtaken += side.taken - taken
            migration.result.returned += came_back + side.moved

    async def _clear(self, migration: Migration) -> None:
        tools, layout = migration.tools, migration.layout
        for thing in (layout.return_exchange, layout.to_queue, layout.empty_exchange):
            migration.create(thing)
        hops = self._means.hops_for(migration.name)
        queues = [queue for queue in (layout.kept, layout.side) if migration.is_there(queue.name)]
        async with self._linked() as link:
            movers = [Mover(link, queue.name, layout.return_exchange.name, hops.back) for queue in queues]
            for mover in movers:
                await mover.begin()
            for queue, mover in zip(queues, movers, strict=True):
                # Nobody publishes there any more, and nobody else consumes: no count has to be waited for.
                not_before = time.monotonic() + IN_FLIGHT_SECONDS
                await self._until_gone(migration, mover, link, queue, not_before, is_private=True)
                delete(tools.client, tools.vhost, queue, if_empty=_is_classic(queue))
                await _quiet(mover, POLL_SECONDS)
                migration.result.returned += mover.moved
                migration.result.overtaken += mover.moved

    async def _until_empty(self, migration: Migration, mover: Mover, link: QueueLink, queue: str) -> None:
        """Until nothing is ready and nothing on its way."""
        watch = _Progress(migration, queue)
        while not await mover.is_empty():
            ready = (await link.depth(queue)).ready
            watch.look(ready, mover)
            await asyncio.sleep(0.005 if ready < 1_000 else POLL_SECONDS)

    async def _until_caught_up(self, migration: Migration, mover: Mover, link: QueueLink, queue: str) -> None:
        """Until nothing is ready, or it gets no better: what is on its way reaches the queue before the switch does.

        Publishes and the switch go over one channel, whose commands a broker works off in order.
        """
        watch, best, better_at = _Progress(migration, queue), math.inf, time.monotonic()
        while True:
            await mover.check()
            ready = (await link.depth(queue)).ready
            if ready < best:
                best, better_at = ready, time.monotonic()
            if not ready or (not mover.refusal and time.monotonic() - better_at > NO_BETTER_SECONDS):
                return
            watch.look(ready, mover)
            await asyncio.sleep(0.0 if ready < WINDOW else POLL_SECONDS)

    async def _until_gone(
        self,
        migration: Migration,
        mover: Mover,
        link: QueueLink,
        queue: Queue,
        not_before: float,
        *,
        is_private: bool = False,
    ) -> None:
        """Until a queue holds nothing at all, by a count that is newer than the last message, and is marked so."""
        is_marked = _is_classic(queue)
        delay = 0.0 if is_private or _is_classic(queue) else STATISTICS_DELAY_SECONDS
        watch = _Progress(migration, queue.name)
        while True:
            migration.tools.check_lock()
            is_empty = await mover.is_empty()
            total, read_at = self._totals.of(queue.name)
            is_new = read_at >= max(not_before, mover.active_at + delay)
            if not (is_empty and total == 0 and is_new):
                watch.look(-1 if total is None else total, mover)
                await asyncio.sleep(POLL_SECONDS)
            elif is_marked:
                return
            else:
                await link.bind(queue.name, migration.layout.empty_exchange.name)
                await _marked()
                is_marked = True


async def _consumed(link: QueueLink, migration: Migration) -> None:
    """Wait while consumers take what is ready: the oldest goes first, and nothing is moved past it."""
    watch = _Progress(migration, migration.name)
    first: int | None = None
    while True:
        migration.tools.check_lock()
        depth = await link.depth(migration.name)
        first = depth.ready if first is None else first
        if not depth.ready or not depth.consumers:
            migration.result.taken += first - depth.ready
            return
        watch.look(depth.ready, None)
        await asyncio.sleep(POLL_SECONDS)


async def _marked() -> None:
    """Until what was declared outlives a broker that is killed; before 4.3 it answers before it has written that."""
    await asyncio.sleep(MARKED_SECONDS)


async def _cancelled(link: QueueLink) -> None:
    """Until consumers of a queue that was deleted have been cancelled, as the mover itself.

    Seen on 3.10.8: consumers of a quorum queue that is made again within milliseconds are never told, and get nothing
    from the new one.
    """
    with contextlib.suppress(TimeoutError):
        await asyncio.wait_for(link.cancelled.wait(), CANCEL_SECONDS)
    await asyncio.sleep(OTHERS_SECONDS)


async def _quiet(mover: Mover, seconds: float) -> None:
    """Until nothing has come for so long, and all that came is where it should be."""
    loop = asyncio.get_running_loop()
    begin = loop.time()
    while loop.time() < max(begin, mover.active_at) + seconds or mover.in_flight:
        if mover.error is not None:
            raise mover.error
        await asyncio.sleep(0.01)


class _Progress:
    """Tells how far it is, and gives up when nothing changes any more."""

    def __init__(self, migration: Migration, queue: str) -> None:
        self._migration = migration
        self._queue = queue
        self._seen: tuple[int, int] | None = None
        self._changed_at = self._told_at = time.monotonic()
        self._moved = 0

    def look(self, left: int, mover: Mover | None) -> None:
        self._migration.tools.check_lock()
        now = time.monotonic()
        moved = 0 if mover is None else mover.moved
        if (left, moved) != self._seen:
            self._seen, self._changed_at = (left, moved), now
        if now - self._told_at >= TOLD_SECONDS:
            rate = (moved - self._moved) / (now - self._told_at)
            what = f"{moved:,} moved, {rate:,.0f} a second" if mover else "waiting for its consumers"
            self._migration.tools.say(f"{self._queue}: {left:,} left, {what}")
            self._told_at, self._moved = now, moved
        if left and now - self._changed_at > HELD_SECONDS:
            raise _stuck(self._migration.name, self._queue, left, mover)


def _stuck(name: str, queue: str, left: int, mover: Mover | None) -> TopoError:
    if mover is not None and mover.refusal:
        why = f"nothing more can be brought to {name!r}: {mover.refusal}"
        fix = "let its consumers take some, or raise its limit; then run apply again"
    else:
        why = f"{left:,} messages of {queue!r} are held by consumers that neither take nor settle them, or are dead "
        why += "letters that the broker cannot hand on"
        fix = "stop those consumers, or make their target available; then run apply again. What arrives is kept"
    return MigrationStuck(f"the migration of {name!r} waits", why=why, fix=fix)


def _end_of_pause(migration: Migration) -> None:
    if migration.empty_since is not None:
        migration.result.pause_seconds += time.monotonic() - migration.empty_since
        migration.empty_since = None


def _is_classic(queue: Queue) -> bool:
    return queue.arguments.get(ARGUMENT_QUEUE_TYPE, QueueType.CLASSIC) == QueueType.CLASSIC
