"""What is made of a broker's answers about a queue that is away: back, gone, or waited for."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import replace

import pytest
from letrade_agent.limits import AwayLimits
from letrade_agent.upstream.away_queues import AwayQueues
from letrade_agent.upstream.passive_declares import Presence, QueueAnswer

THERE, ABSENT, UNKNOWN = Presence.THERE, Presence.ABSENT, Presence.UNKNOWN
LIMITS = AwayLimits(first_look_seconds=0.0, longest_look_seconds=0.0)
Look = tuple[Presence | None, Presence | None]
"""Of the queue beside it, and of itself; None: no answer."""


class Broker:
    """Answers look after look; the last one for ever. Each look takes a tenth of a second of its own clock."""

    def __init__(self, looks: Sequence[Look]) -> None:
        self._looks = list(looks)
        self.now = 0.0
        self.closed = 0

    async def ask(self, queue: str) -> QueueAnswer:
        """What this look says."""
        await asyncio.sleep(0)
        side, itself = self._looks[0]
        if queue == "q.migrating":
            answer = side
        else:
            answer = itself
            self.now += 0.1
            if len(self._looks) > 1:
                del self._looks[0]
        if answer is None:
            raise OSError("no broker")
        return QueueAnswer(answer)

    def answer(self, side: Presence, itself: Presence) -> None:
        """From now on."""
        self._looks = [(side, itself)]

    def close(self) -> None:
        """Counted."""
        self.closed += 1


def outcome(*looks: Look, needs_sign: bool = False, limits: AwayLimits = LIMITS) -> tuple[bool, float]:
    """How the wait ends, and after how many seconds."""
    broker = Broker(looks)

    async def run() -> bool:
        away = AwayQueues(broker, lambda *_: None, lambda: broker.now, limits)
        told: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
        away.wait("q", told.set_result, needs_sign=needs_sign)
        assert ("q" in away) is not needs_sign
        is_back = await asyncio.wait_for(told, 60)
        assert "q" not in away
        assert broker.closed
        return is_back

    return asyncio.run(run()), round(broker.now, 1)


@pytest.mark.parametrize("needs_sign", [False, True])
def test_a_migration(needs_sign: bool) -> None:
    """As long as the queue beside it is there, it is waited for; it is back as soon as it is."""
    assert outcome((THERE, ABSENT), (THERE, ABSENT), (THERE, THERE), needs_sign=needs_sign) == (True, 0.3)
    assert outcome((THERE, ABSENT), (ABSENT, THERE), needs_sign=needs_sign) == (True, 0.2)


def test_a_queue_that_is_deleted() -> None:
    """Neither is there: the consumer hears of it at once. Both go: the migration was given up, and all with it."""
    assert outcome((ABSENT, ABSENT)) == (False, 0.1)
    assert outcome((THERE, ABSENT), (ABSENT, ABSENT)) == (False, 0.2)


def test_a_queue_that_is_still_there_for_a_moment() -> None:
    """A broker that deletes a queue may say for a moment that it is there; consuming it would end the channel."""
    assert outcome((THERE, THERE), (THERE, THERE), (THERE, ABSENT), (THERE, THERE)) == (True, 0.4)
    assert outcome((THERE, THERE)) == (True, round(0.1 + LIMITS.settled_seconds, 1))


def test_a_cancel_for_another_reason() -> None:
    """The queue was never gone and is not migrated: a consumer that has unsettled deliveries is told."""
    assert outcome((ABSENT, THERE), needs_sign=True)[0] is False
    assert outcome((UNKNOWN, THERE), needs_sign=True)[0] is False
    assert outcome((ABSENT, THERE), needs_sign=False)[0] is True


def test_a_broker_that_does_not_say() -> None:
    """No right to ask for the queue beside it: one that comes back within a moment is back, and else it is gone."""
    assert outcome((UNKNOWN, ABSENT), (UNKNOWN, THERE)) == (True, 0.2)
    assert outcome((UNKNOWN, ABSENT)) == (False, round(LIMITS.moment_seconds + 0.1, 1))
    assert outcome((None, None), (None, None), (THERE, ABSENT), (None, None), (THERE, THERE)) == (True, 0.5)


def test_a_queue_that_is_gone_without_a_sign_is_away_for_a_moment() -> None:
    """Who begins to consume it then waits with the others."""
    broker = Broker([(UNKNOWN, ABSENT)])

    async def run() -> list[bool]:
        away = AwayQueues(broker, lambda *_: None, lambda: broker.now, LIMITS)
        away.suspect("q")
        seen = ["q" in away]
        while broker.now < 1.0:
            await asyncio.sleep(0)
        seen.append("q" in away)
        while len(away):
            await asyncio.sleep(0)
        return [*seen, "q" in away]

    assert asyncio.run(run()) == [False, True, False]


def test_a_queue_that_was_waited_for_in_vain_is_not_waited_for_again() -> None:
    """Else who asks for a deleted queue would be held each time; once it was there, a new absence is one like any."""
    broker = Broker([(UNKNOWN, ABSENT)])

    async def run() -> list[bool]:
        away = AwayQueues(broker, lambda *_: None, lambda: broker.now, LIMITS)

        async def is_taken_for_away() -> bool:
            told: list[bool] = []
            away.wait("q", told.append, needs_sign=True)
            found = False
            while not told:
                found = found or "q" in away
                await asyncio.sleep(0)
            return found

        found = [await is_taken_for_away(), await is_taken_for_away()]
        broker.answer(UNKNOWN, THERE)
        await is_taken_for_away()
        broker.answer(UNKNOWN, ABSENT)
        found.append(await is_taken_for_away())
        await away.close()
        return found

    assert asyncio.run(run()) == [True, False, True]


def test_a_migration_that_does_not_end() -> None:
    """After its time the consumers are told."""
    assert outcome((THERE, ABSENT), limits=replace(LIMITS, wait_seconds=7.0)) == (False, 7.1)


def test_all_who_wait_are_told_and_who_forgets_is_not() -> None:
    """Several wait for one queue with one question; one that was only missing is away when it is migrated."""
    broker = Broker([(THERE, ABSENT), (THERE, ABSENT), (THERE, THERE)])

    async def run() -> tuple[list[str], bool, bool]:
        away = AwayQueues(broker, lambda *_: None, lambda: broker.now, LIMITS)
        told: list[str] = []

        def hears(name: str) -> Callable[[bool], None]:
            return lambda is_back: told.append(name)

        away.suspect("q")
        before = "q" in away
        while broker.now == 0.0:
            await asyncio.sleep(0)
        during = "q" in away
        away.wait("q", hears("a"), needs_sign=False)
        forgotten = away.wait("q", hears("b"), needs_sign=False)
        away.wait("q", hears("c"), needs_sign=True)
        away.forget(forgotten)
        while len(told) < 2:
            await asyncio.sleep(0)
        away.forget(forgotten)
        await away.close()
        return told, before, during

    assert asyncio.run(run()) == (["a", "c"], False, True)
