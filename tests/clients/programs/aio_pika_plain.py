"""aio-pika's `connect`, as its documentation has it; with the line: `connect_robust`."""

from __future__ import annotations

import asyncio
import sys

import aio_pika

from tests.clients.programs.work import given_async, number_of, say, work_async


async def consume(url: str, queue: str, line: str = "") -> None:
    """Consume for ever."""
    connection = await (aio_pika.connect_robust(url) if line else aio_pika.connect(url))
    async with connection:
        channel = await connection.channel()
        await channel.set_qos(prefetch_count=1)
        declared = await channel.declare_queue(queue, durable=True)

        async def on_message(message: aio_pika.abc.AbstractIncomingMessage) -> None:
            async with message.process():
                await work_async(number_of(message.body))

        await declared.consume(on_message)
        say("ready")
        await asyncio.Future()


async def publish(url: str, exchange: str, kind: str) -> None:
    """Publish what is given; confirms and mandatory are the library's defaults."""
    connection = await (aio_pika.connect_robust(url) if "line" in kind else aio_pika.connect(url))
    async with connection:
        channel = await connection.channel(publisher_confirms="confirms" in kind)
        declared = await channel.declare_exchange(exchange, aio_pika.ExchangeType.TOPIC, durable=True)
        say("ready")
        async for key, body in given_async():
            await declared.publish(aio_pika.Message(body), key, mandatory="mandatory" in kind)
            say("ok")


if __name__ == "__main__":
    _, role, *arguments = sys.argv
    asyncio.run(consume(*arguments) if role == "consume" else publish(*arguments))
