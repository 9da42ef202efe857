"""The object store as the event loop sees it: every call in a thread of its own, few at once, each with a time limit.

A thread of its own, and not one of a pool: a store that hangs must not keep the process from ending, so the threads
are daemons. The one that hangs keeps its slot until it is back, so there are never more of them.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from contextlib import suppress
from hashlib import sha256
from threading import Thread
from typing import TypeVar

from letrade_agent.filters.claims import compared
from letrade_agent.filters.verdicts import Fetched
from letrade_agent.limits import DEFAULT_LIMITS, ObjectStoreLimits
from letrade_agent.log import Log
from letrade_agent.measures import Measures
from letrade_topo.claims.store import ObjectStore, StoreUnavailable
from letrade_topo.messages.claim import Claim

Result = TypeVar("Result")


class Objects:
    """Stores and fetches bodies.

    Args:
        measures: what is counted.
        log: told when the store fails, and when it works again.
        limits: of calls.

    Attributes:
        store: in force; None: the topology has no claim check.
    """

    def __init__(self, measures: Measures, log: Log, limits: ObjectStoreLimits = DEFAULT_LIMITS.object_store) -> None:
        self.store: ObjectStore | None = None
        self._measures = measures
        self._log = log
        self._call_seconds = limits.call_seconds
        self._slots = asyncio.Semaphore(limits.calls)
        self._is_failing = False

    async def put(self, name: str, body: bytes) -> str:
        """Store a body; its SHA-256 in hexadecimal digits.

        Raises:
            StoreUnavailable: it is not stored.
        """

        def write(store: ObjectStore) -> str:
            store.put(name, body)
            return sha256(body).hexdigest()

        digest = await self._measured("store", write)
        self._measures.claims["store", "ok"] += 1
        self._measures.claim_bytes["store"] += len(body)
        return digest

    async def get(self, claim: Claim) -> Fetched:
        """What the store holds for a claim.

        Raises:
            StoreUnavailable: that cannot be known now.
        """
        fetched = await self._measured("fetch", lambda store: compared(claim, store.get(claim.object, claim.size)))
        self._measures.claims["fetch", fetched.reason or "ok"] += 1
        self._measures.claim_bytes["fetch"] += len(fetched.body)
        return fetched

    async def call(self, call: Callable[[ObjectStore], Result]) -> Result:
        """Do anything with the store.

        Raises:
            StoreUnavailable: there is none, it failed, or it took too long.
        """
        store = self.store
        if store is None:
            raise StoreUnavailable("the topology has no `claim_check`")
        try:
            async with asyncio.timeout(self._call_seconds):
                await self._slots.acquire()
                return await _in_a_thread(lambda: call(store), self._slots.release)
        except TimeoutError:
            raise StoreUnavailable(f"the store {store} has not answered for {self._call_seconds:g} s") from None

    async def _measured(self, operation: str, call: Callable[[ObjectStore], Result]) -> Result:
        start = time.perf_counter()
        try:
            result = await self.call(call)
        except StoreUnavailable as error:
            self._measures.claims[operation, "unavailable"] += 1
            if not self._is_failing:
                self._is_failing = True
                self._log("error", "claim_store_fails", {"operation": operation, "problem": str(error)})
            raise
        self._measures.claim_seconds[operation].observe(time.perf_counter() - start)
        if self._is_failing:
            self._is_failing = False
            self._log("info", "claim_store_works", {"operation": operation})
        return result


async def _in_a_thread(call: Callable[[], Result], done: Callable[[], None]) -> Result:
    """What a call in a thread gives; `done` is called in the loop when the thread is at its end.

    Raises:
        StoreUnavailable: there is no thread to be had; or whatever the call raises.
    """
    loop = asyncio.get_running_loop()
    future: asyncio.Future[Result] = loop.create_future()

    def settle(result: Result | None, error: Exception | None) -> None:
        done()
        if future.done():
            return
        if error is not None:
            future.set_exception(error)
        else:
            future.set_result(result)  # type: ignore[arg-type]  # without an error there is one

    def run() -> None:
        result, error = None, None
        try:
            result = call()
        except Exception as failed:  # noqa: BLE001  # handed to who waits
            error = failed
        with suppress(RuntimeError):  # the loop has ended
            loop.call_soon_threadsafe(settle, result, error)

    try:
        Thread(target=run, name="claim check", daemon=True).start()
    except RuntimeError as error:  # a limit of processes, or no memory for its stack
        done()
        raise StoreUnavailable(f"no thread can be started for the object store: {error}") from None
    return await future
