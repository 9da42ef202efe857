"""Habits of libraries that no broker would let pass with the rights of a service, or none at all."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from contextlib import suppress

import aio_pika
import kombu
import pika
import pytest

from tests.interop.bus import QUEUE, Bus, envelope, number_of
from tests.interop.client import LIMIT_SECONDS

KEY, ANSWER = "order.placed", "order.answered"
PREFETCH, PLACED = 3, 8


def _place(bus: Bus, count: int) -> None:
    with pika.BlockingConnection(bus.shop.parameters) as connection:
        channel = connection.channel()
        channel.confirm_delivery()
        for number in range(count):
            channel.basic_publish("orders", KEY, envelope("shop", number))


def _taken_by_pika(bus: Bus) -> list[int]:
    found: list[int] = []
    with pika.BlockingConnection(bus.clerk.parameters) as connection:
        channel = connection.channel()
        channel.basic_qos(prefetch_count=PREFETCH, global_qos=True)
        channel.basic_consume(QUEUE, lambda _, __, ___, body: found.append(number_of(body)))
        _drain(found, connection.process_data_events)
    return found


def _taken_by_kombu(bus: Bus) -> list[int]:
    """As Celery's worker does it."""
    found: list[int] = []
    with kombu.Connection(bus.clerk.url) as connection, connection.channel() as channel:
        queue = kombu.Queue(QUEUE, channel=channel, no_declare=True)
        consumer = connection.Consumer([queue], channel=channel)
        consumer.on_message = lambda one: found.append(number_of(one.body))
        consumer.qos(prefetch_count=PREFETCH, apply_global=True)
        with consumer:

            def listen(seconds: float) -> None:
                with suppress(TimeoutError):
                    connection.drain_events(timeout=seconds)

            _drain(found, listen)
    return found


def _taken_by_aio_pika(bus: Bus) -> list[int]:
    found: list[int] = []

    async def take() -> None:
        async def on_message(message: aio_pika.abc.AbstractIncomingMessage) -> None:
            found.append(number_of(message.body))

        async with await aio_pika.connect_robust(bus.clerk.url) as connection:
            channel = await connection.channel()
            await channel.set_qos(PREFETCH, global_=True)
            queue = await channel.get_queue(QUEUE)
            await queue.consume(on_message)
            deadline = time.monotonic() + LIMIT_SECONDS
            while len(found) < PREFETCH:
                assert time.monotonic() < deadline
                await asyncio.sleep(0.01)
            await channel.get_queue(QUEUE)  # and the channel lives

    asyncio.run(take())
    return found


def _drain(found: list[int], listen: Callable[[float], object]) -> None:
    deadline = time.monotonic() + LIMIT_SECONDS
    while len(found) < PREFETCH:
        assert time.monotonic() < deadline
        listen(0.05)
    listen(0.05)


@pytest.mark.parametrize("taken", [_taken_by_pika, _taken_by_kombu, _taken_by_aio_pika])
def test_a_prefetch_for_the_whole_channel_on_a_quorum_queue(taken: Callable[[Bus], list[int]], bus: Bus) -> None:
    """RabbitMQ up to 4.2 ends the connection with 540; through the agent it holds, for each consumer."""
    _place(bus, PLACED)

    assert taken(bus) == list(range(PREFETCH))
    assert any(line["event"] == "prefetch_for_each_consumer" for line in bus.clerk.log())


def test_a_queue_that_a_robust_channel_names_itself(bus: Bus) -> None:
    """aio-pika calls a queue without a name `amq_…`; it gets one that the service may have, and uses that."""

    async def ask() -> tuple[str, bytes]:
        async with await aio_pika.connect_robust(bus.shop.url) as connection:
            channel = await connection.channel()
            queue = await channel.declare_queue(exclusive=True)
            await queue.bind("orders", ANSWER)
            async with await aio_pika.connect_robust(bus.clerk.url) as answering:
                exchange = await (await answering.channel()).get_exchange("orders")
                await exchange.publish(aio_pika.Message(envelope("clerk", 7)), ANSWER)
            async with queue.iterator(timeout=LIMIT_SECONDS) as messages:
                async for message in messages:
                    async with message.process():
                        return queue.name, message.body
        raise AssertionError("nothing came")

    name, body = asyncio.run(ask())
    assert name.startswith("shop.reply.amq_")
    assert number_of(body) == 7


@pytest.mark.one_version
def test_the_rpc_of_aio_pika_is_told_what_works(bus: Bus) -> None:
    """Its queue for answers is not exclusive by default: nobody else's is named so, and it would stay behind."""

    async def create() -> None:
        async with await aio_pika.connect_robust(bus.shop.url) as connection, asyncio.timeout(LIMIT_SECONDS):
            await aio_pika.patterns.RPC.create(await connection.channel())

    with pytest.raises(aio_pika.exceptions.AMQPError, match=r"own ones begin with 'shop.reply.' or 'shop.sub.'"):
        asyncio.run(create())


@pytest.mark.one_version
def test_a_queue_that_would_outlive_its_service_is_refused_with_what_works(bus: Bus) -> None:
    """The prefixes are in the exception's own text."""

    async def declare() -> None:
        async with await aio_pika.connect(bus.shop.url) as connection:
            channel = await connection.channel()
            await channel.declare_queue("answers", auto_delete=True)

    with pytest.raises(aio_pika.exceptions.ChannelClosed, match=r"own ones begin with 'shop.reply.' or 'shop.sub.'"):
        asyncio.run(declare())
