"""What one connection has stored and fetched: how much at once, and what happens while the store is away.

A publish is not kept for a store that is away: its client is told. A delivery is: nothing is wrong with it.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Coroutine
from functools import partial
from typing import Final

from letrade_agent.proxy.back_off import back_off
from letrade_agent.proxy.leg import Leg
from letrade_agent.proxy.objects import Objects
from letrade_agent.relay.effects import FetchObject, StoreObject
from letrade_agent.relay.relay import Relay
from letrade_topo.claims.store import StoreUnavailable

FETCHED_BYTES: Final = 32 * 1024 * 1024
"""Of one connection at once. A larger object is fetched alone; nothing is while the client reads too slowly."""
STORED_BYTES: Final = 32 * 1024 * 1024
"""Publishes of one connection that are being stored, and what waits behind them, above which it is not read."""
FIRST_RETRY_SECONDS: Final = 0.5
LONGEST_RETRY_SECONDS: Final = 30.0


class ClaimChecks:
    """Carries out what a relay wants of the object store.

    Args:
        objects: the store.
        relay: asks, and is told.
        client: where fetched bodies go.
        guarded: calls the relay, and carries out what comes of it.
    """

    def __init__(
        self, objects: Objects, relay: Relay, client: Leg, guarded: Callable[[Callable[[], None]], None]
    ) -> None:
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
            if self._fetching_bytes and self._fetching_bytes + size > FETCHED_BYTES:
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
        attempts, relay = 0, self._relay
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
                await asyncio.sleep(back_off(FIRST_RETRY_SECONDS, attempts, LONGEST_RETRY_SECONDS))
                attempts += 1
        finally:
            self._fetching_bytes -= effect.claim.size
            self.go_on()
