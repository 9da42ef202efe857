"""A publisher with confirms and a plain consumer, which go on all the while; and what became of every message."""

from __future__ import annotations

import asyncio
import contextlib
import ssl
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import pika
import pika.exceptions

from letrade_topo.queues.endpoint import AmqpEndpoint, Login
from letrade_topo.queues.link import LetterCopy, open_link
from tests.brokers import RunningBroker

WAIT_SECONDS = 60.0
PROPERTIES = bytes.fromhex("1800") + bytes([2, 5])
"""Persistent, and of priority 5; nothing else."""


def endpoint_of(broker: RunningBroker, vhost: str) -> AmqpEndpoint:
    """As the broker's administrator."""
    return AmqpEndpoint.parse(
        f"amqps://localhost:{broker.amqps_port}",
        vhost=vhost,
        login=Login(broker.username, broker.password),
        ca_file=broker.ca_file,
    )


def connected(broker: RunningBroker, vhost: str) -> Any:
    """A connection of pika's blocking adapter."""
    context = ssl.create_default_context(cafile=str(broker.ca_file))
    return pika.BlockingConnection(
        pika.ConnectionParameters(
            "localhost",
            broker.amqps_port,
            vhost,
            pika.PlainCredentials(broker.username, broker.password),
            ssl_options=pika.SSLOptions(context, "localhost"),
            blocked_connection_timeout=WAIT_SECONDS,
        )
    )


@dataclass
class Publisher:
    """Publishes numbered messages.

    Args:
        exchange, routing_key: where.
        confirmed: numbers that the broker has confirmed.
        refused: numbers that it has not, by why.
        slowest: how long the slowest confirm took, in seconds.
    """

    broker: RunningBroker
    vhost: str
    exchange: str
    routing_key: str
    confirmed: set[int] = field(default_factory=set)
    refused: dict[int, str] = field(default_factory=dict)
    slowest: float = 0.0
    published: int = 0
    _stop: threading.Event = field(default_factory=threading.Event)

    def publish(self, count: int) -> None:
        """So many at once."""
        asyncio.run(self._run(count, None))

    @contextmanager
    def going(self, rate: float) -> Iterator[None]:
        """All the while, so many a second."""
        self._stop.clear()
        thread = threading.Thread(target=lambda: asyncio.run(self._run(None, rate)), daemon=True)
        thread.start()
        try:
            yield
        finally:
            self._stop.set()
            thread.join(WAIT_SECONDS)

    def endpoint(self) -> AmqpEndpoint:
        """Where it connects."""
        return endpoint_of(self.broker, self.vhost)

    def message(self, number: int) -> LetterCopy:
        """What it publishes."""
        return LetterCopy(self.exchange, self.routing_key, PROPERTIES, b"%d" % number)

    async def _run(self, count: int | None, rate: float | None) -> None:
        link = await open_link(self.endpoint(), "publisher")
        await link.confirms()
        begin, done, waiting = time.monotonic(), 0, set[asyncio.Future[str]]()
        while not self._stop.is_set() and (count is None or done < count):
            due = done + 200 if rate is None else int((time.monotonic() - begin) * rate)
            for _ in range(done, due if count is None else min(due, count)):
                number, at = self.published, time.monotonic()
                self.published += 1
                done += 1
                answer = link.publish(self.message(number))
                waiting.add(answer)
                answer.add_done_callback(partial(self._answered, number, at))
                answer.add_done_callback(waiting.discard)
            await asyncio.sleep(0.002)
            while len(waiting) > 1_000:
                await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
        if waiting:
            await asyncio.wait(waiting, timeout=WAIT_SECONDS)
        await link.close()

    def _answered(self, number: int, at: float, answer: asyncio.Future[str]) -> None:
        problem = answer.result()
        self.slowest = max(self.slowest, time.monotonic() - at)
        if problem:
            self.refused[number] = problem
        else:
            self.confirmed.add(number)


@dataclass
class Consumer:
    """A plain consumer, which begins again when the broker cancels it.

    Args:
        queue: what it consumes.
        got: numbers in the order of their delivery.
        cancels: how often the broker has cancelled it.
        longest_pause: between two deliveries, in seconds.
        keys: routing keys and priorities that it saw.
    """

    broker: RunningBroker
    vhost: str
    queue: str
    prefetch: int = 100
    got: list[int] = field(default_factory=list)
    cancels: int = 0
    longest_pause: float = 0.0
    seen: Counter[tuple[str, int | None]] = field(default_factory=Counter)
    _stop: threading.Event = field(default_factory=threading.Event)

    @contextmanager
    def going(self) -> Iterator[None]:
        """All the while."""
        self._stop.clear()
        thread = threading.Thread(target=self._run, daemon=True)
        thread.start()
        try:
            yield
        finally:
            self._stop.set()
            thread.join(WAIT_SECONDS)

    def until(self, count: int, limit_seconds: float = WAIT_SECONDS) -> None:
        """Wait until so many different messages have come."""
        until = time.monotonic() + limit_seconds
        while len(set(self.got)) < count and time.monotonic() < until:
            time.sleep(0.1)

    def connection(self) -> Any:
        """Where it connects, by pika's blocking adapter."""
        return connected(self.broker, self.vhost)

    def number_of(self, body: bytes) -> int:
        """The number of a message."""
        return int(body)

    def _run(self) -> None:
        last = time.monotonic()
        while not self._stop.is_set():
            with contextlib.suppress(pika.exceptions.AMQPError):
                connection = self.connection()
                try:
                    channel = connection.channel()
                    channel.basic_qos(prefetch_count=self.prefetch)
                    for method, properties, body in channel.consume(self.queue, inactivity_timeout=0.1):
                        if self._stop.is_set():
                            break
                        if method is None:
                            if not channel.consumer_tags:
                                self.cancels += 1
                                break
                            continue
                        now = time.monotonic()
                        self.longest_pause, last = max(self.longest_pause, now - last), now
                        self.got.append(self.number_of(body))
                        self.seen[method.routing_key, properties.priority] += 1
                        channel.basic_ack(method.delivery_tag)
                finally:
                    connection.close()
            time.sleep(0.02)

    @property
    def doubles(self) -> int:
        """Deliveries beyond the first of each message."""
        return len(self.got) - len(set(self.got))

    @property
    def overtaken(self) -> int:
        """Messages whose first delivery came after that of a later one."""
        highest, late, known = -1, 0, set[int]()
        for number in self.got:
            if number not in known:
                known.add(number)
                late += number < highest
                highest = max(highest, number)
        return late


def drained(broker: RunningBroker, vhost: str, queue: str) -> list[int]:
    """Everything that a queue holds, taken out of it."""
    connection = connected(broker, vhost)
    channel = connection.channel()
    numbers: list[int] = []
    for method, _, body in channel.consume(queue, inactivity_timeout=1.0):
        if method is None:
            break
        numbers.append(int(body))
        channel.basic_ack(method.delivery_tag)
    connection.close()
    return numbers
