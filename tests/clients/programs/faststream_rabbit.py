"""FastStream's RabbitBroker, as its documentation has it."""

from __future__ import annotations

import asyncio
import sys
from typing import Any

from faststream import FastStream
from faststream.rabbit import Channel, ExchangeType, RabbitBroker, RabbitExchange, RabbitQueue

from tests.clients.programs.work import given_async, say, work_async


async def consume(url: str, queue: str, _line: str = "") -> None:
    """Consume for ever."""
    broker = RabbitBroker(url, default_channel=Channel(prefetch_count=1))
    app = FastStream(broker)

    @broker.subscriber(RabbitQueue(queue, durable=True))  # type: ignore[untyped-decorator]  # its types are for itself
    async def on_message(envelope: dict[str, Any]) -> None:
        await work_async(int(envelope["payload"]["number"]))

    @app.after_startup  # type: ignore[untyped-decorator]
    async def tell() -> None:
        say("ready")

    await app.run()


async def publish(url: str, exchange: str, kind: str) -> None:
    """Publish what is given; confirms and mandatory are the library's defaults."""
    channel = Channel(publisher_confirms="confirms" in kind)
    async with RabbitBroker(url, default_channel=channel, app_id=None) as broker:
        declared = RabbitExchange(exchange, type=ExchangeType.TOPIC, durable=True)
        say("ready")
        async for key, body in given_async():
            await broker.publish(body, exchange=declared, routing_key=key, mandatory="mandatory" in kind)
            say("ok")


if __name__ == "__main__":
    _, role, *arguments = sys.argv
    asyncio.run(consume(*arguments) if role == "consume" else publish(*arguments))
