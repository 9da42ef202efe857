"""What a service gives back to its queue counts towards the delivery limit, however it does that.

From 4.3 on a broker does not count basic.nack and basic.recover any more; a service that gives a poison message back
again and again would see it for ever. Through the agent every version does what every version did.
"""

from __future__ import annotations

import socket
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any

import pika
import pytest
from pika import spec
from pika.adapters.blocking_connection import BlockingChannel
from pika.exceptions import AMQPConnectionError

from tests.interop.client import LIMIT_SECONDS
from tests.interop.conftest import Ways

DELIVERY_LIMIT = 3
TOO_MANY = 4 * DELIVERY_LIMIT
"""Deliveries after which a test gives up: the broker does not count them."""

Taken = list[tuple[Any, Any, bytes]]
GiveBack = Callable[[BlockingChannel, Taken], None]


def _nack(channel: BlockingChannel, taken: Taken) -> None:
    for method, _, _ in taken:
        channel.basic_nack(method.delivery_tag, requeue=True)


def _nack_multiple(channel: BlockingChannel, taken: Taken) -> None:
    channel.basic_nack(taken[-1][0].delivery_tag, multiple=True, requeue=True)


def _nack_all(channel: BlockingChannel, _: Taken) -> None:
    channel.basic_nack(0, multiple=True, requeue=True)


def _reject(channel: BlockingChannel, taken: Taken) -> None:
    for method, _, _ in taken:
        channel.basic_reject(method.delivery_tag, requeue=True)


def _recover(channel: BlockingChannel, _: Taken) -> None:
    channel.basic_recover(requeue=True)


def _recover_async(channel: BlockingChannel, _: Taken) -> None:
    channel._impl._send_method(spec.Basic.RecoverAsync(requeue=True))


def _close_channel(channel: BlockingChannel, _: Taken) -> None:
    channel.close()


def _close_connection(channel: BlockingChannel, _: Taken) -> None:
    channel.connection.close()


def _lose_connection(channel: BlockingChannel, _: Taken) -> None:
    channel.connection._impl._transport._sock.shutdown(socket.SHUT_RDWR)
    with suppress(AMQPConnectionError):
        channel.connection.process_data_events(LIMIT_SECONDS)


WAYS: dict[str, GiveBack] = {
    "nack": _nack,
    "nack multiple": _nack_multiple,
    "nack all": _nack_all,
    "reject": _reject,
    "recover": _recover,
    "recover-async": _recover_async,
    "close the channel": _close_channel,
    "close the connection": _close_connection,
    "lose the connection": _lose_connection,
}


class ReturningService:
    """A consumer that comes back whenever its channel or connection has ended."""

    def __init__(self, parameters: pika.ConnectionParameters, queue: str, prefetch: int) -> None:
        self._parameters = parameters
        self._queue = queue
        self._prefetch = prefetch
        self._connection: pika.BlockingConnection | None = None
        self._channel: BlockingChannel | None = None
        self._taken: Taken = []

    @property
    def channel(self) -> BlockingChannel:
        """An open one."""
        if self._connection is None or not self._connection.is_open:
            self._connection = pika.BlockingConnection(self._parameters)
            self._channel = None
        if self._channel is None or not self._channel.is_open:
            self._channel = self._connection.channel()
            self._channel.basic_qos(prefetch_count=self._prefetch)
            self._taken = []
            self._subscribe(self._channel)
        return self._channel

    def _subscribe(self, channel: BlockingChannel) -> None:
        channel.basic_consume(self._queue, lambda _, *one: self._taken.append(one))

    def take(self, count: int, is_over: Callable[[], bool]) -> Taken:
        """So many deliveries; fewer when the queue is done with them."""
        while len(self._taken) < count and not is_over():
            self.channel.connection.process_data_events(0.02)
        taken, self._taken = self._taken[:count], self._taken[count:]
        return taken

    def close(self) -> None:
        """Leave."""
        if self._connection is not None and self._connection.is_open:
            self._connection.close()


class GettingService(ReturningService):
    """The same by basic.get."""

    def _subscribe(self, channel: BlockingChannel) -> None:
        pass

    def take(self, count: int, is_over: Callable[[], bool]) -> Taken:
        """See `ReturningService.take`."""
        taken: Taken = []
        while len(taken) < count and not is_over():
            found = self.channel.basic_get(self._queue)
            if found[0] is not None:
                taken.append(found)
        return taken


@contextmanager
def _queues(ways: Ways, name: str) -> Iterator[tuple[BlockingChannel, str]]:
    """A quorum queue with a limit, and where its dead letters go."""
    with pika.BlockingConnection(ways.agent.parameters) as connection:
        channel = connection.channel()
        dead = f"{name}.dead"
        channel.queue_declare(dead, exclusive=True)
        arguments = {
            "x-queue-type": "quorum",
            "x-delivery-limit": DELIVERY_LIMIT,
            "x-dead-letter-exchange": "",
            "x-dead-letter-routing-key": dead,
        }
        channel.queue_declare(name, durable=True, arguments=arguments)
        yield channel, dead
        channel.queue_delete(name)


@pytest.mark.parametrize("service_kind", [ReturningService, GettingService], ids=["consume", "get"])
@pytest.mark.parametrize("way", list(WAYS))
def test_a_message_that_is_given_back_for_ever_becomes_a_dead_letter(
    way: str, service_kind: type[ReturningService], ways: Ways, name: str
) -> None:
    """After as many deliveries as the limit allows, and one; each message of a few prefetched together."""
    give_back = WAYS[way]
    bodies = [b"0", b"1", b"2"]
    with _queues(ways, name) as (observer, dead):
        for body in bodies:
            observer.basic_publish("", name, body)
        service = service_kind(ways.agent.parameters, name, len(bodies))
        delivered: list[bytes] = []
        deadline = time.monotonic() + LIMIT_SECONDS

        def dead_count() -> int:
            return int(observer.queue_declare(dead, passive=True).method.message_count)

        def is_over() -> bool:
            assert time.monotonic() < deadline, f"{dead_count()} dead letters after {len(delivered)} deliveries"
            return dead_count() == len(bodies)

        while not is_over():
            taken = service.take(len(bodies), is_over)
            delivered += [body for _, _, body in taken]
            assert len(delivered) <= TOO_MANY * len(bodies), "given back without end"
            if taken:
                give_back(service.channel, taken)
        service.close()
    assert {body: delivered.count(body) for body in bodies} == dict.fromkeys(bodies, DELIVERY_LIMIT + 1)
