"""The ends of the load, each its own process, by MessageBus or by aio-pika alone. Prints one JSON object at its end.

Who consumes prints `ready` before.

    python -m bench.bus.ends publish '{"by": "bus", "url": …, "count": 20000}'

aio-pika alone does what a service with it would write: the same envelope, the same confirms, the same number of
unconfirmed messages, the same prefetch, the payload read from the body.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
import uuid
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import aio_pika
from aio_pika.abc import AbstractIncomingMessage, AbstractRobustConnection

from bench.agents.messages import CONSUMER, EXCHANGE, KEY, PUBLISHER, QUEUE, envelope
from letrade_topo.bus import MessageBus
from letrade_topo.bus.publishing import WINDOW

READY = "ready"
_DISTINCT = 500
_TICK_SECONDS = 0.01


def payloads(count: int) -> Iterator[dict[str, Any]]:
    """So many payloads, made beforehand; their envelope has 500 bytes."""
    ready = [json.loads(envelope(number))["payload"] for number in range(_DISTINCT)]
    return (ready[number % _DISTINCT] for number in range(count))


def wrapped(payload: dict[str, Any]) -> aio_pika.Message:
    """A message as a service without the bus would write it."""
    message_id = str(uuid.uuid4())
    document = {
        "message_id": message_id,
        "timestamp": datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z"),
        "source": PUBLISHER,
        "payload": payload,
    }
    return aio_pika.Message(
        json.dumps(document).encode(),
        content_type="application/json",
        delivery_mode=aio_pika.DeliveryMode.PERSISTENT,
        message_id=message_id,
        app_id=PUBLISHER,
    )


def bus_of(service: str, order: dict[str, Any]) -> MessageBus:
    """A bus at an agent."""
    return MessageBus(service=service, topology=order["topology"], url=order["url"], admin=order["admin"])


async def connection_of(order: dict[str, Any]) -> AbstractRobustConnection:
    """aio-pika's connection at an agent."""
    return await aio_pika.connect_robust(f"{order['url']}/{order['vhost']}")


async def publish_by_bus(order: dict[str, Any]) -> dict[str, Any]:
    """One batch."""
    messages = ((EXCHANGE, KEY, payload) for payload in payloads(order["count"]))
    async with bus_of(PUBLISHER, order) as bus:
        begin, cpu = time.monotonic(), time.process_time()
        await bus.publish_batch(messages)
        return {"seconds": time.monotonic() - begin, "cpu": time.process_time() - cpu}


async def publish_by_raw(order: dict[str, Any]) -> dict[str, Any]:
    """The same pipelining: so many tasks, each waiting for its own confirm."""
    remaining = payloads(order["count"])
    async with await connection_of(order) as connection:
        channel = await connection.channel(publisher_confirms=True, on_return_raises=True)
        exchange = await channel.get_exchange(EXCHANGE, ensure=False)

        async def work() -> None:
            for payload in remaining:
                await exchange.publish(wrapped(payload), KEY, mandatory=True)

        begin, cpu = time.monotonic(), time.process_time()
        await asyncio.gather(*(work() for _ in range(WINDOW)))
        return {"seconds": time.monotonic() - begin, "cpu": time.process_time() - cpu}


class _Counting:
    """Counts to an end."""

    def __init__(self, count: int) -> None:
        self._count = count
        self._received = 0
        self._begin = self._cpu = 0.0
        self._done = asyncio.Event()

    def one(self) -> None:
        """One message more."""
        self._received += 1
        if self._received == 1:
            self._begin, self._cpu = time.monotonic(), time.process_time()
        if self._received == self._count:
            self._done.set()

    async def end(self) -> dict[str, Any]:
        """Wait for the last."""
        print(READY, flush=True)
        await self._done.wait()
        end = time.monotonic()
        return {"seconds": end - self._begin, "cpu": time.process_time() - self._cpu, "end": end}


async def consume_by_bus(order: dict[str, Any]) -> dict[str, Any]:
    """A handler that does nothing."""
    counting = _Counting(order["count"])

    async def handler(topic: str, message: dict[str, Any]) -> None:
        counting.one()

    async with bus_of(CONSUMER, order) as bus:
        await bus.subscribe(KEY, handler, prefetch=order["prefetch"])
        return await counting.end()


async def consume_by_raw(order: dict[str, Any]) -> dict[str, Any]:
    """A callback that reads the payload and acknowledges."""
    counting = _Counting(order["count"])

    async def callback(message: AbstractIncomingMessage) -> None:
        json.loads(message.body)["payload"]
        counting.one()
        await message.ack()

    async with await connection_of(order) as connection:
        channel = await connection.channel()
        await channel.set_qos(prefetch_count=order["prefetch"])
        queue = await channel.get_queue(QUEUE, ensure=False)
        await queue.consume(callback)
        return await counting.end()


async def offer_by_bus(order: dict[str, Any]) -> dict[str, Any]:
    """At a rate: each tick's messages are one batch."""
    async with bus_of(PUBLISHER, order) as bus:
        return await _offer(order, lambda batch: bus.publish_batch([(EXCHANGE, KEY, one) for one in batch]))


async def offer_by_raw(order: dict[str, Any]) -> dict[str, Any]:
    """At a rate: each tick's messages at once."""
    async with await connection_of(order) as connection:
        channel = await connection.channel(publisher_confirms=True, on_return_raises=True)
        exchange = await channel.get_exchange(EXCHANGE, ensure=False)

        async def send(batch: list[dict[str, Any]]) -> None:
            await asyncio.gather(*(exchange.publish(wrapped(one), KEY, mandatory=True) for one in batch))

        return await _offer(order, send)


async def _offer(order: dict[str, Any], send: Any) -> dict[str, Any]:
    count, rate = order["count"], order["rate"]
    remaining = payloads(count)
    begin = time.monotonic()
    sent = 0
    async with asyncio.TaskGroup() as group:
        while sent < count:
            due = min(count, int((time.monotonic() - begin) * rate) + 1)
            group.create_task(send([next(remaining) for _ in range(due - sent)]))
            sent = due
            await asyncio.sleep(_TICK_SECONDS)  # the pace of the load
    return {"begin": begin}


async def health_by_bus(order: dict[str, Any]) -> dict[str, Any]:
    """How long `health_check` takes."""
    async with bus_of(CONSUMER, order) as bus:
        taken = []
        for _ in range(order["count"]):
            begin = time.monotonic()
            health = await bus.health_check()
            taken.append(time.monotonic() - begin)
            assert health["status"] == "ok", health
        taken.sort()
        return {"median": taken[len(taken) // 2], "slowest": taken[-1]}


def main() -> int:
    """Do one end."""
    what, order = sys.argv[1], json.loads(sys.argv[2])
    print(json.dumps(asyncio.run(globals()[f"{what}_by_{order['by']}"](order))))
    return 0


if __name__ == "__main__":
    sys.exit(main())
