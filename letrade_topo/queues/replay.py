"""Sending dead letters back: published, confirmed, and only then acknowledged.

Killed at any moment, a letter is in the queue of dead letters, or in its target, or, between the confirm and the
acknowledgement, in both: as many as the window holds, one unless said otherwise. A second run finishes.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field

from letrade_topo.errors import TopoError
from letrade_topo.queues.browse import Browse
from letrade_topo.queues.decide import Decider, Left
from letrade_topo.queues.letter import Letter, LetterReader
from letrade_topo.queues.link import LetterCopy, QueueLink
from letrade_topo.queues.selection import Selection

DRAIN_SECONDS = 10.0


@dataclass(frozen=True, slots=True)
class ReplayPace:
    """How fast and how far.

    Args:
        window: letters on their way at once.
        rate: letters a second at most; None: as fast as it goes.
        limit: letters in all; None: all.
        dry: publish nothing.
    """

    window: int = 1
    rate: float | None = None
    limit: int | None = None
    dry: bool = False


@dataclass(slots=True)
class Replayed:
    """What became of a replay.

    Args:
        seen: letters that were looked at.
        matched: of these, that were meant.
        done: that are in their queues, confirmed, and no dead letters any more; of a dry run: that would be.
        left: that were meant and are left, by why.
        fixes: what to do about them, by why.
        failed: that were sent and did not arrive, by why; they are left, too.
        targets: where the copies went.
        oldest: age of the oldest that was done, in seconds.
        error: what ended it before its time.
        interrupted: whether a person ended it.
    """

    seen: int = 0
    matched: int = 0
    done: int = 0
    left: Counter[str] = field(default_factory=Counter)
    fixes: dict[str, str] = field(default_factory=dict)
    failed: Counter[str] = field(default_factory=Counter)
    targets: Counter[str] = field(default_factory=Counter)
    oldest: float = 0.0
    error: TopoError | None = None
    interrupted: bool = False


class Replaying:
    """One run.

    Args:
        link: an open connection with confirms.
        browse: begun.
        reader, decider: of the topology.
        selection: what is meant.
        pace: how fast and how far.
        progress: told how many letters were looked at, one by one.
        clock: seconds since the epoch.
    """

    def __init__(
        self,
        link: QueueLink,
        browse: Browse,
        reader: LetterReader,
        decider: Decider,
        selection: Selection,
        pace: ReplayPace,
        *,
        progress: Callable[[], None],
        clock: Callable[[], float],
    ) -> None:
        self._link = link
        self._browse = browse
        self._reader = reader
        self._decider = decider
        self._selection = selection
        self._pace = pace
        self._progress = progress
        self._clock = clock
        self._in_flight: set[asyncio.Task[None]] = set()
        self._due = 0.0
        self.result = Replayed()

    def stop(self) -> None:
        """A person wants it to end: what is on its way is waited for, nothing more is sent."""
        self.result.interrupted = True
        self._browse.stop()

    async def run(self) -> Replayed:
        """Do it."""
        result = self.result
        try:
            while not self._is_over():
                delivery = await self._browse.next()
                if delivery is None:
                    break
                result.seen += 1
                letter, properties = self._reader.read(delivery)
                now = self._clock()
                self._progress()
                if not self._selection.matches(letter, now):
                    continue
                result.matched += 1
                copies = self._decider.decide(letter, properties, delivery.body, now)
                if isinstance(copies, Left):
                    self._leave(copies)
                    continue
                await self._send(delivery.tag, letter, copies)
        except TopoError as error:
            result.error = error
        await self._drain()
        return result

    def _is_over(self) -> bool:
        limit = self._pace.limit
        return self.result.interrupted or (limit is not None and self.result.done + len(self._in_flight) >= limit)

    async def _send(self, tag: int, letter: Letter, copies: tuple[LetterCopy, ...]) -> None:
        if self._pace.dry:
            self._done(letter, copies)
            return
        await self._keep_pace()
        if self.result.interrupted:
            return
        confirms = [self._link.publish(copy) for copy in copies]
        task = asyncio.get_running_loop().create_task(self._settle(tag, letter, copies, confirms))
        self._in_flight.add(task)
        task.add_done_callback(self._in_flight.discard)
        while len(self._in_flight) >= self._pace.window:
            await asyncio.wait(self._in_flight, return_when=asyncio.FIRST_COMPLETED)
        if self._link.is_lost:
            raise await self._link.lost()

    async def _settle(
        self, tag: int, letter: Letter, copies: tuple[LetterCopy, ...], confirms: list[asyncio.Future[str]]
    ) -> None:
        problems = [problem for problem in await asyncio.gather(*confirms) if problem]
        if problems:
            self.result.failed[problems[0]] += 1
            return
        self._browse.settled(tag)
        self._done(letter, copies)

    async def _keep_pace(self) -> None:
        if self._pace.rate is None:
            return
        loop = asyncio.get_running_loop()
        self._due = max(self._due, loop.time() - 1 / self._pace.rate) + 1 / self._pace.rate
        while not self.result.interrupted and (wait := self._due - loop.time()) > 0:
            await asyncio.sleep(min(wait, 0.1))

    async def _drain(self) -> None:
        if self._in_flight:
            await asyncio.wait(self._in_flight, timeout=DRAIN_SECONDS)

    def _done(self, letter: Letter, copies: tuple[LetterCopy, ...]) -> None:
        self.result.done += 1
        self.result.oldest = max(self.result.oldest, letter.age(self._clock()) or 0.0)
        for copy in copies:
            self.result.targets[copy.exchange or copy.routing_key] += 1

    def _leave(self, left: Left) -> None:
        self.result.left[left.why] += 1
        self.result.fixes.setdefault(left.why, left.fix)
