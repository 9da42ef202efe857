"""Whole errands, each on a connection of its own: look, replay, purge.

However one ends, its connection is closed, and with that the broker puts back whatever was not acknowledged.
"""

from __future__ import annotations

import asyncio
import signal
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from typing import Protocol

from letrade_topo.model.names import side_queue
from letrade_topo.queues.browse import Browse
from letrade_topo.queues.content import Properties
from letrade_topo.queues.decide import Decider
from letrade_topo.queues.endpoint import AmqpEndpoint
from letrade_topo.queues.errors import NotForThis
from letrade_topo.queues.letter import Letter, LetterReader
from letrade_topo.queues.link import DeliveredLetter, Depth, QueueLink, open_link
from letrade_topo.queues.replay import Replayed, Replaying, ReplayPace
from letrade_topo.queues.selection import Selection

_SETTLED_AT_ONCE = 500

Visit = Callable[[Letter, Properties | None, DeliveredLetter], None]


class PassProgress(Protocol):
    """Where people see that something goes on."""

    def begin(self, title: str, total: int) -> None:
        """Something with so many steps begins."""

    def advance(self, count: int) -> None:
        """So many more steps are done."""

    def end(self) -> None:
        """It is done."""


@dataclass(frozen=True, slots=True)
class LetterPlace:
    """Where letters are and how they are read.

    Args:
        endpoint: the broker.
        reader: of the topology.
        queue: the queue.
        progress: for people.
        clock: seconds since the epoch.
    """

    endpoint: AmqpEndpoint
    reader: LetterReader
    queue: str
    progress: PassProgress
    clock: Callable[[], float]


@dataclass(frozen=True, slots=True)
class Looked:
    """What a pass could see.

    Args:
        depth: what the broker said before it began.
        seen: messages that were looked at.
        unseen: messages that were there and did not come: others took or hold them.
    """

    depth: Depth
    seen: int
    unseen: int


async def look(place: LetterPlace, visit: Visit) -> Looked:
    """Look at every message; all of them stay."""
    async with _browsing(place, "looking into") as (_, browse):
        await _visit_all(place, browse, visit)
        return Looked(browse.depth, browse.seen, browse.unseen)


async def replay(
    place: LetterPlace, selection: Selection, pace: ReplayPace, make_decider: Callable[[int], Decider]
) -> Replayed:
    """Send letters back. Ctrl-C and SIGTERM end it in order: what is on its way is waited for."""
    async with _browsing(place, "looking at" if pace.dry else "replaying from") as (link, browse):
        if not pace.dry:
            await link.confirms()
        replaying = Replaying(
            link,
            browse,
            place.reader,
            make_decider(link.largest_properties),
            selection,
            pace,
            progress=lambda: place.progress.advance(1),
            clock=place.clock,
        )
        with _stopping(replaying.stop):
            result = await replaying.run()
        if result.done and not pace.dry and not link.is_lost:
            await link.depth(place.queue)  # answered behind the acknowledgements, on the same channel
        return result


async def purge(
    place: LetterPlace, selection: Selection, agree: Callable[[int, Looked], Awaitable[bool]], visit: Visit
) -> int:
    """Delete letters: exactly those that were counted, after somebody agreed to the count.

    They are held meanwhile, so that nothing else can take their place.

    Returns:
        How many were deleted.
    """
    tags: list[int] = []

    def collect(letter: Letter, properties: Properties | None, delivery: DeliveredLetter) -> None:
        if selection.matches(letter, place.clock()):
            tags.append(delivery.tag)
            visit(letter, properties, delivery)

    async with _browsing(place, "looking into") as (link, browse):
        await _visit_all(place, browse, collect)
        looked = Looked(browse.depth, browse.seen, browse.unseen)
        if not await agree(len(tags), looked):
            return 0
        if link.is_lost:
            raise await link.lost()
        for start in range(0, len(tags), _SETTLED_AT_ONCE):
            for tag in tags[start : start + _SETTLED_AT_ONCE]:
                browse.settled(tag)
            await link.depth(place.queue)  # answered behind them
        return len(tags)


@asynccontextmanager
async def _browsing(place: LetterPlace, doing: str) -> AsyncIterator[tuple[QueueLink, Browse]]:
    link = await open_link(place.endpoint, "letrade-topo dlq")
    try:
        if await link.has_queue(side_queue(place.queue)):
            raise NotForThis(
                f"{place.queue} is being migrated",
                why=f"its messages are on their way, and what arrives waits in {side_queue(place.queue)}",
                fix="wait for that run of apply, or run apply again, which finishes it; drift names the step",
            )
        browse = Browse(link, place.queue)
        depth = await browse.begin()
        place.progress.begin(f"{doing} {place.queue}", depth.ready)
        try:
            yield link, browse
        finally:
            place.progress.end()
    finally:
        await link.close()


async def _visit_all(place: LetterPlace, browse: Browse, visit: Visit) -> None:
    while (delivery := await browse.next()) is not None:
        letter, properties = place.reader.read(delivery)
        visit(letter, properties, delivery)
        place.progress.advance(1)


class _stopping:  # noqa: N801  # used like a function
    """While it lasts, Ctrl-C and SIGTERM call `stop` instead of ending the program; a second Ctrl-C ends it."""

    def __init__(self, stop: Callable[[], None]) -> None:
        self._stop = stop
        self._loop = asyncio.get_running_loop()

    def __enter__(self) -> None:
        for number in (signal.SIGINT, signal.SIGTERM):
            with suppress(RuntimeError, ValueError, NotImplementedError):  # not in the main thread
                self._loop.add_signal_handler(number, self._heard)

    def __exit__(self, *_: object) -> None:
        for number in (signal.SIGINT, signal.SIGTERM):
            with suppress(RuntimeError, ValueError, NotImplementedError):
                self._loop.remove_signal_handler(number)

    def _heard(self) -> None:
        self._stop()
        self.__exit__()
