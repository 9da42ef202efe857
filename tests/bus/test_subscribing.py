"""Subscriptions through agents: settling, concurrency, iterating, queues of one's own, patterns over exchanges."""

from __future__ import annotations

import asyncio
import gc
import time
from collections.abc import Iterator
from functools import partial
from typing import Any
from urllib.parse import quote

import pytest

from letrade_topo.bus import ConfigurationError, Message, MessageBus, PatternError
from tests.brokers import RunningBroker
from tests.bus.samples import SAMPLES
from tests.bus.small import running_small
from tests.bus.world import LIMIT_SECONDS, BusWorld, close_forgotten, run, until
from tests.tool import Tool

pytestmark = pytest.mark.one_version


@pytest.fixture(scope="module")
def small(broker: RunningBroker, tmp_path_factory: pytest.TempPathFactory) -> Iterator[BusWorld]:
    """The small topology with agents beside who makes and who takes."""
    with running_small(broker, tmp_path_factory.mktemp("small-"), "maker", "taker") as world:
        yield world


async def count(bus: MessageBus, *numbers: int) -> None:
    """Publish numbers."""
    await bus.publish_batch([("orders", "counted", {"number": number}) for number in numbers])


async def fail_on_the_next(bus: MessageBus) -> None:
    """Raise inside `async with`."""
    async with await bus.subscribe("orders.counted") as messages:
        async for message in messages:
            message["number"] / 0


def queues_of(world: BusWorld, prefix: str) -> list[str]:
    """The broker's queues whose names begin so."""
    found = world.broker.api("GET", f"/api/queues/{quote(world.vhost, safe='')}").json()
    return [each["name"] for each in found if each["name"].startswith(prefix)]


def test_returning_acknowledges_and_raising_rejects(small: BusWorld) -> None:
    """What was rejected leaves the queue, comes back after the delay with its own topic, and passes."""
    seen: list[tuple[str, int, int]] = []

    async def handler(topic: str, message: Message) -> None:
        seen.append((topic, message["number"], message.attempt))
        if message["number"] == 2 and message.attempt == 0:
            raise ValueError("not this time")

    async def scenario() -> None:
        async with small.bus("maker") as maker, small.bus("taker") as taker:
            await count(maker, 1, 2, 3)  # before, so that 3 is there long before 2 comes back
            await taker.subscribe("orders.counted", handler)
            await until(lambda: len(seen) == 4, "the rejected one comes back")
        assert [(number, attempt) for _, number, attempt in seen] == [(1, 0), (2, 0), (3, 0), (2, 1)]
        assert {topic for topic, _, _ in seen} == {"orders.counted"}

    run(scenario)
    assert small.messages("taker.counted") == []


def test_a_plain_function_is_a_handler_too(small: BusWorld) -> None:
    """No coroutine needed."""
    seen: list[int] = []

    async def scenario() -> None:
        async with small.bus("maker") as maker, small.bus("taker") as taker:
            await taker.subscribe("orders.counted", lambda topic, message: seen.append(message["number"]))
            await count(maker, 7)
            await until(lambda: seen == [7], "it is called")

    run(scenario)


@pytest.mark.parametrize(("concurrency", "most"), [(1, 1), (5, 5)])
def test_so_many_handlers_run_at_once(small: BusWorld, concurrency: int, most: int) -> None:
    """One after the other unless more are asked for."""
    running, peak, done = 0, 0, 0
    release = asyncio.Event()

    async def handler(topic: str, message: Message) -> None:
        nonlocal running, peak, done
        running += 1
        peak = max(peak, running)
        await release.wait()
        running -= 1
        done += 1

    async def scenario() -> None:
        async with small.bus("maker") as maker, small.bus("taker") as taker:
            await taker.subscribe("orders.counted", handler, concurrency=concurrency)
            await count(maker, *range(10))
            await until(lambda: running == most, "as many as may run")
            async with asyncio.timeout(LIMIT_SECONDS):  # the rest has arrived too, and waits for a handler
                while (await taker.health_check())["queues"]["taker.counted"] != 0:
                    pass
            release.set()
            await until(lambda: done == 10, "all are done")
        assert peak == most

    run(scenario)


def test_prefetch_leaves_the_rest_to_other_instances(small: BusWorld) -> None:
    """Instances share a declared queue: one that is busy holds no more than its prefetch."""
    other: list[int] = []
    held = asyncio.Event()
    release = asyncio.Event()

    async def busy(topic: str, message: Message) -> None:
        held.set()
        await release.wait()

    async def scenario() -> None:
        async with small.bus("maker") as maker, small.bus("taker") as one, small.bus("taker") as two:
            await one.subscribe("orders.counted", busy, prefetch=2)
            await count(maker, 0, 1)
            await held.wait()
            await two.subscribe("orders.counted", lambda topic, message: other.append(message["number"]))
            await count(maker, *range(2, 12))
            await until(lambda: other == list(range(2, 12)), "the other instance has the rest")
            release.set()

    run(scenario)


def test_closing_lets_handlers_finish_and_gives_back_the_rest(small: BusWorld) -> None:
    """The running one is acknowledged, what was only prefetched stays in the queue."""
    started, release = asyncio.Event(), asyncio.Event()
    finished: list[int] = []

    async def slow(topic: str, message: Message) -> None:
        started.set()
        await release.wait()
        finished.append(message["number"])

    async def scenario() -> None:
        async with small.bus("maker") as maker, small.bus("taker") as taker:
            subscription = await taker.subscribe("orders.counted", slow)
            await count(maker, 1, 2, 3)
            await started.wait()
            closing = asyncio.create_task(taker.close())
            await until(lambda: subscription.is_closed, "no more is taken")
            assert not closing.done(), "the handler still runs"
            release.set()
            await closing
        assert finished == [1]
        async with small.bus("taker") as taker:
            rest = await taker.subscribe("orders.counted")
            async with rest as messages:
                assert [(await anext(messages))["number"] for _ in range(2)] == [2, 3]

    run(scenario)


def test_iterating_acknowledges_when_the_next_is_asked_for(small: BusWorld) -> None:
    """Who leaves the loop by an exception inside `async with` rejects; without it, the message comes again."""

    async def scenario() -> None:
        async with small.bus("maker") as maker, small.bus("taker") as taker:
            await count(maker, 1, 2)
            first = await taker.subscribe("orders.counted")
            assert (await anext(first))["number"] == 1
            assert (await anext(first))["number"] == 2
            await first.close()  # 1 is acknowledged, 2 is not
            again = await taker.subscribe("orders.counted")
            message = await anext(again)
            assert (message["number"], message.redelivered) == (2, True)
            await message.ack()
            await again.close()
            await count(maker, 3)
            with pytest.raises(ZeroDivisionError):
                await fail_on_the_next(taker)
            async with await taker.subscribe("orders.counted") as messages:
                back = await anext(messages)  # after its delay
            assert (back["number"], back.attempt) == (3, 1)

    run(scenario)
    assert small.messages("taker.counted") == []


def test_iterating_ends_when_the_bus_is_closed(small: BusWorld) -> None:
    """Whoever waits for the next message gets none."""

    async def scenario() -> None:
        taker = await small.bus("taker").connect()
        subscription = await taker.subscribe("orders.counted")

        async def everything() -> list[Message]:
            return [message async for message in subscription]

        waiting = asyncio.create_task(everything())
        await asyncio.sleep(0)
        await taker.close()
        assert await waiting == []
        with pytest.raises(TypeError, match="has a handler"):
            async with small.bus("taker") as bus:
                aiter(await bus.subscribe("orders.counted", print))

    run(scenario)


def test_a_pattern_over_two_exchanges(small: BusWorld) -> None:
    """`*.strategy_123.*` brings one strategy's messages from both, and nobody else's; each instance has a copy."""
    seen: list[tuple[str, str, str]] = []

    async def note(instance: str, topic: str, message: Message) -> None:
        seen.append((instance, message.exchange, topic))

    async def scenario() -> None:
        async with small.bus("maker") as maker, small.bus("taker") as one, small.bus("taker") as two:
            for name, bus in (("one", one), ("two", two)):
                await bus.subscribe("*.strategy_123.*", partial(note, name))
            await until(lambda: len(queues_of(small, "taker.sub.")) == 2, "each has a queue of its own")
            await maker.publish("orders", "orders.strategy_123.placed", {"number": 1})
            await maker.publish("alerts", "strategy_123.raised", {"number": 2})
            with pytest.raises(Exception, match="no queue receives"):
                await maker.publish("alerts", "alerts.strategy_124.raised", {"number": 3})
            await until(lambda: len(seen) == 4, "both have both")
        assert sorted(seen) == [
            (name, exchange, f"{exchange}.strategy_123.{what}")
            for name in ("one", "two")
            for exchange, what in (("alerts", "raised"), ("orders", "placed"))
        ]
        await until(lambda: not queues_of(small, "taker.sub."), "the queues are gone")

    run(scenario)


def test_the_client_filters_what_amqp_cannot(letrade: BusWorld) -> None:
    """`btc*` is bound as `*`; what it does not mean is acknowledged and not shown."""
    seen: list[str] = []

    async def scenario() -> None:
        async with letrade.bus("exchange_connector") as connector, letrade.bus("strategy") as strategy:
            await strategy.subscribe("market_data.*.btc*", lambda topic, message: seen.append(topic))
            topics = [
                f"market_data.{exchange}.{symbol}" for exchange in ("a", "b") for symbol in ("ethusdt", "btcusdt")
            ]
            candle = SAMPLES["market_data.binance.btcusdt"]
            await connector.publish_batch([("letrade.events", topic, candle) for topic in topics])
            await until(lambda: len(seen) == 2, "two of the four arrive")
            await until(lambda: not letrade.agents["strategy"].metric("unsettled_deliveries"), "all are acknowledged")
        assert seen == ["market_data.a.btcusdt", "market_data.b.btcusdt"]
        letrade.purge("strategy.market_data")

    run(scenario)


def test_what_a_service_may_not_consume_is_not_asked_for(small: BusWorld) -> None:
    """The bus says so before the broker would refuse the binding."""

    async def scenario() -> None:
        async with small.bus("taker") as taker:
            with pytest.raises(PatternError):
                await taker.subscribe("orders.unheard")

    run(scenario)


async def refused(taker: MessageBus) -> str:
    """Why a subscription is refused; where a broker tells nothing of migrations, its agent waits a moment."""
    deadline = time.monotonic() + LIMIT_SECONDS
    while time.monotonic() < deadline:
        try:
            accepted = await taker.subscribe("orders.counted")
        except ConfigurationError as error:
            return str(error)
        await accepted.close()
        await asyncio.sleep(0.1)
    raise AssertionError("it is not refused")


def test_a_queue_that_is_not_there_yet(small: BusWorld) -> None:
    """Somebody has to apply the topology; a subscription whose queue was deleted is back when that is."""
    seen: list[int] = []
    path = f"/api/queues/{quote(small.vhost, safe='')}/taker.counted"
    apply = partial(Tool.at(small.broker, small.topology.parent).run, "apply", "--yes", small.topology.name)

    async def scenario() -> None:
        async with small.bus("maker") as maker, small.bus("taker") as taker:
            await taker.subscribe("orders.counted", lambda topic, message: seen.append(message["number"]))
            assert small.broker.api("DELETE", path).ok
            assert "letrade-topo apply" in await refused(taker)
            deadline = time.monotonic() + LIMIT_SECONDS
            while (await taker.health_check())["status"] != "degraded":
                assert time.monotonic() < deadline
                await asyncio.sleep(0.05)
            (await asyncio.to_thread(apply)).check(0)
            await count(maker, 1)
            await until(lambda: seen == [1], "the subscription is back")

    run(scenario)


def test_a_subscription_lasts_when_its_bus_was_a_local_variable(small: BusWorld) -> None:
    """As in the contract's subscriber, which keeps neither."""
    seen: list[int] = []

    async def subscribe() -> None:
        bus = small.bus("taker")
        await bus.connect()
        await bus.subscribe("orders.counted", lambda topic, message: seen.append(message["number"]))

    async def scenario() -> None:
        await subscribe()
        gc.collect()
        async with small.bus("maker") as maker:
            await count(maker, 1)
            await until(lambda: seen == [1], "it is handled")
        await close_forgotten()

    run(scenario)


def test_durable_needs_a_declared_queue(small: BusWorld) -> None:
    """And says which to declare; durable=False asks for a queue of one's own beside the declared one."""
    seen: list[Any] = []

    async def scenario() -> None:
        async with small.bus("maker") as maker, small.bus("taker") as taker:
            with pytest.raises(PatternError, match=r'declare under `queues`.* \["orders.today.urgent"\]'):
                await taker.subscribe("orders.today.urgent", durable=True)
            with pytest.raises(PatternError, match="all keys of a type"):
                await taker.subscribe("*.strategy_123.*", durable=True)
            await taker.subscribe("orders.counted", lambda topic, message: seen.append("declared"), durable=True)
            copy = await taker.subscribe("orders.counted", lambda topic, message: seen.append("own"), durable=False)
            assert copy.queue.startswith("taker.sub.")
            await count(maker, 1)
            await until(lambda: sorted(seen) == ["declared", "own"], "both queues have it")

    run(scenario)
