"""What one connection has stored and fetched: how much at once, and what happens while the store is away.

A publish is not kept for a store that is away: its client is told. A delivery is: nothing is wrong with it.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Coroutine
from functools import partial

from letrade_agent.back_off import back_off
from letrade_agent.limits import ObjectStoreLimits
from letrade_agent.object_store.objects import Objects
from letrade_agent.relay.effects import FetchObject, StoreObject
from letrade_agent.relay.relay import Relay
from letrade_agent.transport.leg import Leg
from letrade_topo.claims.store import StoreUnavailable


class ClaimChecks:
    """Carries out what a relay wants of the object store.

    Args:
        objects: the store.
        relay: asks, and is told.
        client: where fetched bodies go.
        guarded: calls the relay, and carries out what comes of it.
        limits: of one connection.
    """

    def __init__(
        self,
        objects: Objects,
        relay: Relay,
        client: Leg,
        guarded: Callable[[Callable[[], None]], None],
        limits: ObjectStoreLimits,
    ) -> None:
        self._limits = limits
        self._objects = objects
        self._relay = relay
        self._client = client
        self._guarded = guarded
        self._waiting: deque[FetchObject] = deque()
        self._fetching_bytes = 0
        self._tasks: set[asyncio.Task[None]] = set()

    def store(self, effect: StoreObject) -> None:
        """Store a body; the relay hears of it."""
        self._start(self._store(effect))

    def fetch(self, effect: FetchObject) -> None:
        """Fetch a body, as soon as there is room for it."""
        self._waiting.append(effect)
        self.go_on()

    def go_on(self) -> None:
        """There may be room: a body has gone to the client, or the client reads again."""
        while self._waiting and not self._client.full:
            size = self._waiting[0].claim.size
            if self._fetching_bytes and self._fetching_bytes + size > self._limits.fetched_bytes:
                return
            self._fetching_bytes += size
            self._start(self._fetch(self._waiting.popleft()))

    def close(self) -> None:
        """The connection is over."""
        self._waiting.clear()
        for task in self._tasks:
            task.cancel()

    def _start(self, work: Coroutine[None, None, None]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _store(self, effect: StoreObject) -> None:
        try:
            digest = await self._objects.put(effect.object, effect.body)
        except StoreUnavailable as error:
            self._guarded(partial(self._relay.not_stored, effect.opening, error.what))
        else:
            self._guarded(partial(self._relay.stored, effect.opening, digest))

    async def _fetch(self, effect: FetchObject) -> None:
        attempts, relay, limits = 0, self._relay, self._limits
        try:
            while relay.awaits(effect.ticket):
                try:
                    fetched = await self._objects.get(effect.claim)
                except StoreUnavailable:
                    if not effect.may_wait:
                        self._guarded(partial(relay.not_fetched, effect.ticket))
                        return
                else:
                    self._guarded(partial(relay.fetched, effect.ticket, fetched))
                    return
                await asyncio.sleep(back_off(limits.first_retry_seconds, attempts, limits.longest_retry_seconds))
                attempts += 1
        finally:
            self._fetching_bytes -= effect.claim.size
            self.go_on()
