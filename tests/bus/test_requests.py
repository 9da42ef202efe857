"""Requests and responses over one shared key."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Mapping
from typing import Any

import pytest

from letrade_topo.bus import Message, MessageBus, NotConnected, PatternError, PayloadError, RequestTimeout
from tests.brokers import RunningBroker
from tests.bus.small import running_small
from tests.bus.world import LIMIT_SECONDS, BusWorld, healthy, run, until

pytestmark = pytest.mark.one_version


@pytest.fixture(scope="module")
def small(broker: RunningBroker, tmp_path_factory: pytest.TempPathFactory) -> Iterator[BusWorld]:
    """The small topology with agents beside who asks and who answers."""
    with running_small(broker, tmp_path_factory.mktemp("small-"), "asker", "other_asker", "adder") as world:
        yield world


async def add(topic: str, request: Message) -> Mapping[str, Any]:
    """Answers after a while, so that answers overtake each other."""
    await asyncio.sleep(sum(request["numbers"]) % 7 / 100)
    return {"sum": sum(request["numbers"])}


async def ask(bus: MessageBus, *numbers: int, timeout: float = 2 * LIMIT_SECONDS) -> Message:  # passed on
    """A sum."""
    return await bus.request("asked", "sum", {"numbers": numbers}, timeout=timeout)


async def lies_in_its_queue(small: BusWorld) -> None:
    """Until a request that nobody takes is on the broker; who only looks takes none."""
    async with small.bus("adder") as adder:
        await healthy(adder, lambda health: health["queues"]["adder.sum"] == 1, "it is asked")


def test_a_hundred_at_once_from_two_services_and_two_instances(small: BusWorld) -> None:
    """Everybody's responses have the same key, and each gets its own."""

    async def scenario() -> None:
        async with (
            small.bus("asker") as one,
            small.bus("asker") as two,
            small.bus("other_asker") as other,
            small.bus("adder") as adder,
        ):
            await adder.respond("request.sum", add, concurrency=20)
            asked = [(bus, number) for number in range(34) for bus in (one, two, other)]
            answers = await asyncio.gather(*(ask(bus, number, 1_000) for bus, number in asked))
            assert [answer["sum"] for answer in answers] == [number + 1_000 for _, number in asked]
            assert {answer.topic for answer in answers} == {"response.sum"}
            assert all(answer.correlation_id == answer["request_id"] for answer in answers)

    run(scenario)


def test_the_request_id_is_the_callers_own_or_a_new_one(small: BusWorld) -> None:
    """It is in the payload that arrives, and cannot be used twice at once."""
    seen: list[str] = []
    answer = asyncio.Event()

    async def note(topic: str, request: Message) -> Mapping[str, Any]:
        seen.append(request["request_id"])
        await answer.wait()
        return {"sum": 0}

    async def scenario() -> None:
        async with small.bus("asker") as asker, small.bus("adder") as adder:
            await adder.respond("request.sum", note)
            first = asyncio.create_task(asker.request("asked", "sum", {"request_id": "req_1"}))
            await until(lambda: seen == ["req_1"], "it arrives")
            with pytest.raises(PayloadError, match="under way"):
                await asker.request("asked", "sum", {"request_id": "req_1"})
            answer.set()
            assert (await first)["request_id"] == "req_1"
            assert (await asker.request("asked", "sum", {}))["request_id"] == seen[1]

    run(scenario)


def test_a_timeout_raises_and_a_late_answer_is_dropped(small: BusWorld) -> None:
    """The next request is not disturbed by it."""
    release = asyncio.Event()
    answered = 0

    async def late(topic: str, request: Message) -> Mapping[str, Any]:
        nonlocal answered
        if request["numbers"] == [1]:
            await release.wait()
        answered += 1
        return {"sum": sum(request["numbers"])}

    async def scenario() -> None:
        async with small.bus("asker") as asker, small.bus("adder") as adder:
            await adder.respond("request.sum", late)
            # so much is time enough to ask also on a machine that does nothing for some seconds
            with pytest.raises(RequestTimeout, match=r"no response to request.sum within 8 s"):
                await ask(asker, 1, timeout=8)
            release.set()
            assert (await ask(asker, 2, 3))["sum"] == 5
            assert answered == 2

    run(scenario)


def test_who_has_gone_does_not_harm_who_answers(small: BusWorld) -> None:
    """Nobody is there for the response: the request is done all the same, and no dead letter is made of it."""
    answered: list[int] = []

    async def answer(topic: str, request: Message) -> Mapping[str, Any]:
        answered.append(1)
        return {"sum": 1}

    async def scenario() -> None:
        async with small.bus("asker") as asker:
            asking = asyncio.create_task(ask(asker, 1))
            await lies_in_its_queue(small)
        with pytest.raises(NotConnected):
            await asking
        async with small.bus("adder") as adder:
            await adder.respond("request.sum", answer)
            await until(lambda: answered, "it is answered")
        assert small.messages("adder.sum") == []
        assert small.messages("letrade.dlq") == []

    run(scenario)


def test_closing_ends_what_waits(small: BusWorld) -> None:
    """With an error that says so."""

    async def scenario() -> None:
        asker = await small.bus("asker").connect()
        waiting = asyncio.create_task(ask(asker, 1))
        await lies_in_its_queue(small)
        await asker.close()
        with pytest.raises(NotConnected):
            await waiting
        small.purge("adder.sum")

    run(scenario)


def test_who_answers_says_where_answers_go(small: BusWorld) -> None:
    """`response.X` follows from `request.X`, and from nothing else."""

    async def scenario() -> None:
        async with small.bus("adder") as adder:
            with pytest.raises(PatternError, match="not a key of requests"):
                await adder.respond("*.sum", add)

    run(scenario)


@pytest.mark.parametrize("is_right", [True, False])
def test_a_responder_that_fails_rejects_the_request(small: BusWorld, is_right: bool) -> None:
    """As any handler: without retries it lies among the dead letters. It raises, or returns what is no payload."""

    async def fail(topic: str, request: Message) -> Any:
        if is_right:
            raise ValueError("no sums today")

    async def scenario() -> None:
        async with small.bus("asker") as asker, small.bus("adder") as adder:
            await adder.respond("request.sum", fail)
            asking = asyncio.create_task(ask(asker, 1))
            found: list[dict[str, Any]] = []

            def is_dead() -> bool:
                found.extend(small.messages("letrade.dlq"))
                return bool(found)

            await until(is_dead, "it is dead")
            assert found[0]["routing_key"] == "request.sum.dead"
            assert not asking.done(), "there is no response"
        with pytest.raises(NotConnected):
            await asking

    run(scenario)
