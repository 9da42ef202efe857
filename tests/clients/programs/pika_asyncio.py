"""pika's AsyncioConnection, as pika's examples of asynchronous consumers and publishers have it."""

from __future__ import annotations

import asyncio
import sys
from typing import Any

import pika
from pika.adapters.asyncio_connection import AsyncioConnection

from tests.clients.programs.work import FOR_GOOD, CannotHandle, given_async, number_of, say, work_async


class _Program:
    """Connects, opens a channel, and ends with the reason when either is closed."""

    def __init__(self, url: str) -> None:
        self.ended: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.opened: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        AsyncioConnection(
            pika.URLParameters(url),
            on_open_callback=lambda connection: connection.channel(on_open_callback=self._on_channel),
            on_open_error_callback=self._on_end,
            on_close_callback=self._on_end,
        )

    def _on_channel(self, channel: Any) -> None:
        channel.add_on_close_callback(self._on_end)
        self.opened.set_result(channel)

    def _on_end(self, _: Any, reason: Exception) -> None:
        for future in (self.opened, self.ended):
            if not future.done():
                future.set_exception(reason)


async def consume(url: str, queue: str, _line: str = "") -> None:
    """Consume until the connection ends."""
    program, tasks = _Program(url), set()
    channel = await program.opened

    async def handle(tag: int, body: bytes) -> None:
        try:
            await work_async(number_of(body))
        except CannotHandle:
            if number_of(body) < FOR_GOOD:
                channel.basic_reject(tag)
            else:
                channel.basic_reject(tag, requeue=False)
        else:
            channel.basic_ack(tag)

    def on_message(_: Any, method: Any, properties: Any, body: bytes) -> None:
        task = asyncio.create_task(handle(method.delivery_tag, body))
        tasks.add(task)
        task.add_done_callback(tasks.discard)

    channel.basic_qos(prefetch_count=1)
    channel.queue_declare(queue=queue, durable=True)
    channel.basic_consume(queue, on_message)
    say("ready")
    await program.ended


async def publish(url: str, exchange: str, kind: str) -> None:
    """Publish what is given; with confirms each waits for its own."""
    program = _Program(url)
    channel = await program.opened
    confirms: asyncio.Queue[Any] = asyncio.Queue()
    if "confirms" in kind:
        channel.confirm_delivery(confirms.put_nowait)
    say("ready")

    async def publish_given() -> None:
        async for key, body in given_async():
            channel.basic_publish(exchange, key, body, mandatory="mandatory" in kind)
            if "confirms" in kind:
                method = (await confirms.get()).method
                say("ok" if isinstance(method, pika.spec.Basic.Ack) else "refused: nack")
            else:
                say("ok")

    done, _ = await asyncio.wait(
        [asyncio.create_task(publish_given()), program.ended], return_when=asyncio.FIRST_COMPLETED
    )
    for one in done:
        one.result()


if __name__ == "__main__":
    _, role, *arguments = sys.argv
    asyncio.run(consume(*arguments) if role == "consume" else publish(*arguments))
