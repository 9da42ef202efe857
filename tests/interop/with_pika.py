"""The suite's client by pika's BlockingConnection."""

from __future__ import annotations

import ssl
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import pika
from pika.adapters.blocking_connection import BlockingChannel
from pika.exceptions import ChannelClosedByBroker, ChannelWrongStateError, NackError, UnroutableError

from tests.interop.client import (
    LIMIT_SECONDS,
    ChannelClosed,
    Endpoint,
    PublishOutcome,
    QueueDeclared,
    ReturnedMessage,
    ShownMessage,
)

_STEP_SECONDS = 0.05
_PROPERTIES = (
    "content_type",
    "content_encoding",
    "headers",
    "delivery_mode",
    "priority",
    "correlation_id",
    "reply_to",
    "expiration",
    "message_id",
    "timestamp",
    "type",
    "app_id",
)


class PikaChannel:
    """See `client.Channel`."""

    def __init__(self, channel: BlockingChannel, confirms: bool) -> None:
        self._channel = channel
        self._confirms = confirms
        self._deliveries: deque[ShownMessage] = deque()
        self._returned: deque[ReturnedMessage] = deque()
        self._closed: ChannelClosed | None = None
        channel.add_on_return_callback(self._on_return)
        if confirms:
            channel.confirm_delivery()

    @contextmanager
    def _calling(self) -> Iterator[BlockingChannel]:
        try:
            yield self._channel
        except ChannelClosedByBroker as closed:
            self._closed = ChannelClosed(closed.reply_code, closed.reply_text)
            raise self._closed from closed
        except ChannelWrongStateError:
            if self._closed is None:
                raise
            raise self._closed from None

    def declare_exchange(self, name: str, kind: str = "topic", *, durable: bool = False) -> None:
        with self._calling() as channel:
            channel.exchange_declare(name, kind, durable=durable)

    def declare_queue(
        self,
        name: str = "",
        *,
        passive: bool = False,
        durable: bool = False,
        exclusive: bool = False,
        auto_delete: bool = False,
        arguments: Mapping[str, Any] | None = None,
    ) -> QueueDeclared:
        with self._calling() as channel:
            ok = channel.queue_declare(name, passive, durable, exclusive, auto_delete, dict(arguments or {})).method
        return QueueDeclared(ok.queue, ok.message_count, ok.consumer_count)

    def bind(self, queue: str, exchange: str, key: str) -> None:
        with self._calling() as channel:
            channel.queue_bind(queue, exchange, key)

    def unbind(self, queue: str, exchange: str, key: str) -> None:
        with self._calling() as channel:
            channel.queue_unbind(queue, exchange, key)

    def purge(self, queue: str) -> int:
        with self._calling() as channel:
            return int(channel.queue_purge(queue).method.message_count)

    def delete_queue(self, queue: str) -> None:
        with self._calling() as channel:
            channel.queue_delete(queue)

    def delete_exchange(self, name: str) -> None:
        with self._calling() as channel:
            channel.exchange_delete(name)

    def publish(
        self, exchange: str, key: str, body: bytes, properties: Mapping[str, Any] | None = None, *, mandatory: bool
    ) -> PublishOutcome:
        with self._calling() as channel:
            try:
                channel.basic_publish(exchange, key, body, pika.BasicProperties(**(properties or {})), mandatory)
            except UnroutableError as unroutable:
                for one in unroutable.messages:
                    self._on_return(channel, one.method, one.properties, one.body)
                return PublishOutcome.RETURNED
            except NackError as nacked:
                for one in nacked.messages:
                    self._on_return(channel, one.method, one.properties, one.body)
                return PublishOutcome.REFUSED
        return PublishOutcome.CONFIRMED if self._confirms else PublishOutcome.SENT

    def returned(self) -> ReturnedMessage:
        assert self._wait(lambda: bool(self._returned)), "nothing was returned"
        return self._returned.popleft()

    def qos(self, count: int) -> None:
        with self._calling() as channel:
            channel.basic_qos(prefetch_count=count)

    def consume(self, queue: str, *, no_ack: bool = False, exclusive: bool = False) -> str:
        with self._calling() as channel:
            return str(channel.basic_consume(queue, self._on_delivery, auto_ack=no_ack, exclusive=exclusive))

    def cancel(self, consumer: str) -> None:
        with self._calling() as channel:
            channel.basic_cancel(consumer)

    def next(self, limit_seconds: float = LIMIT_SECONDS) -> ShownMessage | None:
        self._wait(lambda: bool(self._deliveries), limit_seconds)
        return self._deliveries.popleft() if self._deliveries else None

    def get(self, queue: str, *, no_ack: bool = False) -> ShownMessage | None:
        with self._calling() as channel:
            method, properties, body = channel.basic_get(queue, auto_ack=no_ack)
        return None if method is None else _message(method, properties, body)

    def ack(self, tag: int, *, multiple: bool = False) -> None:
        with self._calling() as channel:
            channel.basic_ack(tag, multiple)

    def nack(self, tag: int, *, multiple: bool = False, requeue: bool = True) -> None:
        with self._calling() as channel:
            channel.basic_nack(tag, multiple, requeue)

    def reject(self, tag: int, *, requeue: bool = True) -> None:
        with self._calling() as channel:
            channel.basic_reject(tag, requeue)

    def recover(self) -> None:
        with self._calling() as channel:
            channel.basic_recover(requeue=True)

    def closed(self) -> ChannelClosed:
        deadline = time.monotonic() + LIMIT_SECONDS
        while self._closed is None and time.monotonic() < deadline:
            try:
                with self._calling() as channel:
                    channel.basic_qos(prefetch_count=0)  # pika tells of a close to whoever waits for an answer
            except ChannelClosed as closed:
                return closed
        assert self._closed is not None, "the channel stays open"
        return self._closed

    def close(self) -> None:
        if self._channel.is_open:
            self._channel.close()

    def _wait(self, done: Callable[[], bool], limit_seconds: float = LIMIT_SECONDS) -> bool:
        deadline = time.monotonic() + limit_seconds
        with self._calling() as channel:
            while not done() and time.monotonic() < deadline:
                channel.connection.process_data_events(_STEP_SECONDS)
        return done()

    def _on_delivery(self, _: Any, method: Any, properties: Any, body: bytes) -> None:
        self._deliveries.append(_message(method, properties, body))

    def _on_return(self, _: Any, method: Any, properties: Any, body: bytes) -> None:
        message = ShownMessage(body, method.exchange, method.routing_key, properties=_properties(properties))
        self._returned.append(ReturnedMessage(method.reply_code, method.reply_text, message))


def _message(method: Any, properties: Any, body: bytes) -> ShownMessage:
    return ShownMessage(
        body,
        method.exchange,
        method.routing_key,
        method.delivery_tag,
        method.redelivered,
        _properties(properties),
    )


def _properties(properties: Any) -> dict[str, Any]:
    found = {name: getattr(properties, name) for name in _PROPERTIES}
    return {name: value for name, value in found.items() if value is not None}


class PikaConnection:
    """See `client.Connection`."""

    def __init__(self, connection: pika.BlockingConnection) -> None:
        self._connection = connection

    def channel(self, *, confirms: bool = False) -> PikaChannel:
        return PikaChannel(self._connection.channel(), confirms)

    def close(self) -> None:
        if self._connection.is_open:
            self._connection.close()


class Pika:
    """See `client.Client`."""

    name = "pika"
    knows_floats = False  # it reads 0.1 as 0, and refuses to send it
    tells_returns_without_confirms = True
    writes_message_ids = False
    is_told_why = True
    frame_sizes: tuple[int | None, ...] = (4096, 8192, 131_072)

    def connect(self, endpoint: Endpoint, *, frame_max: int | None = None) -> PikaConnection:
        parameters = pika.ConnectionParameters(
            endpoint.host,
            endpoint.port,
            endpoint.vhost,
            pika.PlainCredentials(endpoint.username, endpoint.password),
            frame_max=frame_max or pika.ConnectionParameters.DEFAULT_FRAME_MAX,
        )
        if endpoint.ca_file:
            context = ssl.create_default_context(cafile=str(endpoint.ca_file))
            parameters.ssl_options = pika.SSLOptions(context, endpoint.host)
        return PikaConnection(pika.BlockingConnection(parameters))

    def close(self) -> None:
        pass
