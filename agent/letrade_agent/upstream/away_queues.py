"""Queues that are away because they are migrated, and who waits until they are back.

Theory of operation. A queue whose arguments change is deleted and made again; meanwhile there is a queue beside it
whose name follows from its own (`letrade_topo.model.names.side_queue`). That queue is the sign of a migration. A broker
that does not say whether it is there leaves only one thing to see: whether the queue itself comes back soon; until
then it is taken for away.

A queue that was waited for in vain on such a broker is not taken for away again by those who ask for it next, until it
was seen to be there: else they would wait for that moment again and again, and nobody would hear that it is deleted.

A queue that somebody deletes passes through a moment in which the broker still says that it is there; so it counts as
back when it was seen to be gone before, or is still there at a second look.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final, Protocol

from letrade_agent.back_off import back_off
from letrade_agent.limits import AwayLimits
from letrade_agent.log import Log
from letrade_agent.upstream.passive_declares import QUESTION_FAULTS, Presence, QueueAnswer
from letrade_topo.model.names import side_queue

Told = Callable[[bool], None]
"""Told once, whether the queue is back; else it is gone, or stays away for too long."""


class Presences(Protocol):
    """`PassiveDeclares`, or a test's."""

    def ask(self, queue: str) -> Awaitable[QueueAnswer]:
        """Whether a queue is there."""

    def close(self) -> None:
        """Nothing more is asked for now."""


class AwaitedQueue:
    """Somebody who waits for one queue.

    Args:
        queue: its name.
        told: how the wait ends.
        needs_sign: it has to be seen that the queue is migrated, or was gone.
    """

    __slots__ = ("needs_sign", "queue", "told")

    def __init__(self, queue: str, told: Told, *, needs_sign: bool) -> None:
        self.queue = queue
        self.told = told
        self.needs_sign = needs_sign


class AwayQueues:
    """The queues of one agent that are away, or may be.

    Args:
        declares: asks the broker.
        log: told when a migration is seen, and how it ends.
        monotonic: seconds.
        limits: how long is waited, and how often asked.
    """

    def __init__(self, declares: Presences, log: Log, monotonic: Callable[[], float], limits: AwayLimits) -> None:
        self._declares = declares
        self._log = log
        self._monotonic = monotonic
        self._limits = limits
        self._absences: dict[str, _Absence] = {}
        self._given_up: set[str] = set()

    def __contains__(self, queue: object) -> bool:
        """Whether a queue is taken for away: it is migrated, or somebody has lost a consumer there just now."""
        absence = self._absences.get(queue) if isinstance(queue, str) else None
        return absence is not None and absence.is_likely

    def __len__(self) -> int:
        """How many there are."""
        return sum(absence.is_likely for absence in self._absences.values())

    def wait(self, queue: str, told: Told, *, needs_sign: bool) -> AwaitedQueue:
        """Wait for a queue; `told` is called later, never from here.

        Args:
            queue: its name.
            told: how the wait ends.
            needs_sign: that the queue is back counts only where it was seen to be migrated, or gone: its consumer may
                have been cancelled for another reason.
        """
        absence = self._absences.get(queue)
        if absence is None:
            absence = self._absences[queue] = _Absence(queue, self._monotonic(), was_given_up=queue in self._given_up)
            absence.task = asyncio.get_running_loop().create_task(self._watch(absence))
        waiting = AwaitedQueue(queue, told, needs_sign=needs_sign)
        absence.waiting.append(waiting)
        return waiting

    def forget(self, waiting: AwaitedQueue) -> None:
        """Nobody waits there any more; nothing happens if the wait is over."""
        absence = self._absences.get(waiting.queue)
        if absence is not None and waiting in absence.waiting:
            absence.waiting.remove(waiting)

    def suspect(self, queue: str) -> None:
        """A queue was not there: who asks for it next is to wait, if it is being migrated."""
        self.wait(queue, _nobody, needs_sign=True)

    async def close(self) -> None:
        """Stop; nobody is told."""
        tasks = [absence.task for absence in self._absences.values() if absence.task is not None]
        self._absences.clear()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        self._declares.close()

    async def _watch(self, absence: _Absence) -> None:
        """Until it is known how the absence ends."""
        is_back, problem = False, ""
        try:
            is_back, problem = await self._until_over(absence)
        finally:
            if self._absences.get(absence.queue) is absence:
                del self._absences[absence.queue]
            if not self._absences:
                self._declares.close()
        (self._given_up.discard if is_back else self._given_up.add)(absence.queue)
        particulars: dict[str, object] = {
            "queue": absence.queue,
            "seconds": round(self._monotonic() - absence.since, 3),
            "consumers": sum(waiting.told is not _nobody for waiting in absence.waiting),
        }
        if is_back and (absence.is_migrated or absence.is_likely):
            self._log("info", "queue_is_back", particulars)
        elif absence.is_migrated:
            self._log("warning", "queue_stays_away", particulars | {"problem": problem})
        for waiting in tuple(absence.waiting):
            waiting.told(is_back and (absence.is_certain or not waiting.needs_sign))

    async def _until_over(self, absence: _Absence) -> tuple[bool, str]:
        """Whether the queue is back; else why it is not waited for any more."""
        limits, questions = self._limits, 0
        while True:
            side, itself = await self._ask(side_queue(absence.queue)), await self._ask(absence.queue)
            now = self._monotonic()
            if side is Presence.THERE and not absence.is_migrated:
                absence.is_migrated = True
                self._log("info", "queue_is_migrated", {"queue": absence.queue})
            absence.can_tell = side is not Presence.UNKNOWN
            if absence.sees(itself, now, limits.settled_seconds):
                return True, ""
            if side is Presence.ABSENT and itself is Presence.ABSENT:
                return False, "it is deleted, and so is the queue beside it"
            longest = limits.wait_seconds if absence.is_migrated else limits.moment_seconds
            if now - absence.since >= longest:
                return False, f"it was waited for {longest:g} s"
            await asyncio.sleep(back_off(limits.first_look_seconds, questions, limits.longest_look_seconds))
            questions += 1

    async def _ask(self, queue: str) -> Presence:
        try:
            async with asyncio.timeout(self._limits.answer_seconds):
                return (await self._declares.ask(queue)).presence
        except QUESTION_FAULTS:
            self._declares.close()
            return Presence.UNKNOWN


class _Absence:
    """One queue that is away, or may be."""

    __slots__ = (
        "_there_since",
        "_was_gone",
        "can_tell",
        "is_migrated",
        "queue",
        "since",
        "task",
        "waiting",
        "was_given_up",
    )

    def __init__(self, queue: str, now: float, *, was_given_up: bool) -> None:
        self.queue: Final = queue
        self.since: Final = now
        self.was_given_up: Final = was_given_up
        self.waiting: list[AwaitedQueue] = []
        self.task: asyncio.Task[None] | None = None
        self.is_migrated = False
        self.can_tell = True
        self._was_gone = False
        self._there_since: float | None = None

    @property
    def is_certain(self) -> bool:
        """Whether it was no other reason for which a consumer was cancelled."""
        return self.is_migrated or self._was_gone

    @property
    def is_likely(self) -> bool:
        """Whether it is migrated, or taken for it."""
        if self.is_migrated or (self._was_gone and not self.can_tell and not self.was_given_up):
            return True
        return any(not waiting.needs_sign for waiting in self.waiting)

    def sees(self, itself: Presence, now: float, settled_seconds: float) -> bool:
        """Whether it is back, after this look at it."""
        match itself:
            case Presence.THERE:
                if self._there_since is None:
                    self._there_since = now
                return self._was_gone or now - self._there_since >= settled_seconds
            case Presence.ABSENT:
                self._was_gone, self._there_since = True, None
            case Presence.UNKNOWN:
                pass
        return False


def _nobody(is_back: bool) -> None:
    """Nobody waits: it is only to be known."""
