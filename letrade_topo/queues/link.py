"""One connection to the broker with one channel, for reading a queue and publishing with confirms.

On pika's asyncio adapter. One thing is done otherwise than pika does: the properties of a message are handed out
and taken as bytes (`letrade_topo.queues.content`), because decoding and encoding them changes them.

Reading and publishing share the channel. The broker works a channel's commands off in order, so a confirm also
says that every acknowledgement written before that publish has been worked off.
"""

from __future__ import annotations

import asyncio
import struct
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final, NamedTuple, TypeAlias

import pika
from pika import frame, spec
from pika.adapters.asyncio_connection import AsyncioConnection

from letrade_topo.errors import TopoError
from letrade_topo.queues.content import Properties
from letrade_topo.queues.endpoint import AmqpEndpoint
from letrade_topo.queues.faults import explain_closed, explain_refused, explain_unreachable

CONNECT_SECONDS: Final = 15.0
ANSWER_SECONDS: Final = 60.0
LARGEST_PUBLISH_HEADER: Final = 4096
"""What a frame header, an announcement and a margin take of `frame_max`, at most."""

_CONTENT = struct.Struct(">HHQ")
_FRAME = struct.Struct(">BHL")


_Mark: TypeAlias = tuple[bytes, bytes, bytes | None, tuple[bytes | None, ...]]


class _RawProperties:
    """What pika takes for the properties of a message: it asks them for their bytes alone."""

    INDEX = spec.BasicProperties.INDEX

    def __init__(self, raw: bytes) -> None:
        self.raw = raw

    def encode(self) -> list[bytes]:
        return [self.raw]


class _Connection(AsyncioConnection):  # type: ignore[misc]  # pika has no type information
    def _read_frame(self) -> tuple[int, Any]:
        data = self._frame_buffer
        if data[:1] != bytes((spec.FRAME_HEADER,)) or len(data) < _FRAME.size:
            return super()._read_frame()  # type: ignore[no-any-return]  # pika has no type information
        _, channel, size = _FRAME.unpack_from(data)
        end = _FRAME.size + size + 1
        if len(data) < end or data[end - 1] != spec.FRAME_END or size < _CONTENT.size:
            # not all of it is there, or it is broken
            return super()._read_frame()  # type: ignore[no-any-return]  # pika has no type information
        _, _, body_size = _CONTENT.unpack_from(data, _FRAME.size)
        raw = bytes(data[_FRAME.size + _CONTENT.size : end - 1])
        return end, frame.Header(channel, body_size, _RawProperties(raw))


class DeliveredLetter(NamedTuple):
    """A message, as the broker delivered it; it stays unacknowledged until somebody says otherwise.

    Args:
        tag: the delivery tag.
        exchange: that it came through last.
        routing_key: that it came with.
        raw: its properties, see `Properties.parse`.
        body: its bytes.
    """

    tag: int
    exchange: bytes
    routing_key: bytes
    raw: bytes
    body: bytes


@dataclass(frozen=True, slots=True)
class Depth:
    """What the broker says of a queue.

    Args:
        ready: messages that nobody holds.
        consumers: how many read it.
    """

    ready: int
    consumers: int


@dataclass(frozen=True, slots=True)
class LetterCopy:
    """What is to be published; mandatory always.

    Args:
        exchange: the default exchange is empty.
        routing_key: for the default exchange the queue.
        raw: the properties.
        body: the bytes.
    """

    exchange: str
    routing_key: str
    raw: bytes
    body: bytes


class QueueLink:
    """An open connection; make one with `open_link`."""

    def __init__(self, endpoint: AmqpEndpoint, connection: Any, channel: Any, lost: asyncio.Future[TopoError]) -> None:
        self._endpoint = endpoint
        self._connection = connection
        self._channel = channel
        self._lost = lost
        self._published = 0
        self._unconfirmed: dict[int, tuple[LetterCopy, asyncio.Future[str]]] = {}
        self._returned: dict[_Mark, str] = {}
        self.is_lost = False
        self.cancelled = asyncio.Event()
        """Set when the broker has cancelled a consumer of this link: its queue is gone."""
        channel.add_on_cancel_callback(lambda _: self.cancelled.set())
        channel.add_on_close_callback(self._channel_closed)
        channel.add_on_return_callback(self._on_return)
        connection.add_on_close_callback(lambda _, error: self._lose(explain_closed(endpoint, error)))

    @property
    def largest_properties(self) -> int:
        """How many bytes the properties of a message may have: a content header is one frame."""
        return int(self._connection.params.frame_max or 131_072) - LARGEST_PUBLISH_HEADER

    async def depth(self, queue: str) -> Depth:
        """What the broker says of a queue.

        Raises:
            QueueRefused: it is not there, or may not be seen.
        """
        found = await self._ask(lambda done: self._channel.queue_declare(queue, passive=True, callback=done))
        return Depth(found.method.message_count, found.method.consumer_count)

    async def has_queue(self, queue: str) -> bool:
        """Whether a queue is there, asked on a channel of its own: the broker closes that when it is not."""
        answer: asyncio.Future[Any] = asyncio.get_running_loop().create_future()

        def opened(channel: Any) -> None:
            def found(_: Any) -> None:
                _resolve(answer, True)
                channel.close()

            channel.add_on_close_callback(lambda *_: _resolve(answer, False))
            channel.queue_declare(queue, passive=True, callback=found)

        self._connection.channel(on_open_callback=opened)
        await asyncio.wait({answer, self._lost}, timeout=ANSWER_SECONDS, return_when=asyncio.FIRST_COMPLETED)
        if self._lost.done():
            raise self._lost.result()
        return answer.done() and bool(answer.result())

    async def confirms(self) -> None:
        """From now on the broker confirms what is published."""
        await self._ask(lambda done: self._channel.confirm_delivery(self._on_confirm, done))

    async def consume(
        self, queue: str, prefetch: int, on_delivery: Callable[[DeliveredLetter], None], *, priority: int = 0
    ) -> None:
        """Have messages delivered, at most `prefetch` unacknowledged ones on top of what earlier calls allow.

        Args:
            queue: of which queue.
            prefetch: how many.
            on_delivery: gets each.
            priority: while a consumer of higher priority can take messages, none of lower priority gets any (RabbitMQ:
                consumer priorities).

        Raises:
            QueueRefused: it may not be read.
        """

        def on_message(_channel: Any, method: Any, properties: _RawProperties, body: bytes) -> None:
            delivery = DeliveredLetter(
                method.delivery_tag, _bytes(method.exchange), _bytes(method.routing_key), properties.raw, body
            )
            on_delivery(delivery)

        await self._ask(lambda done: self._channel.basic_qos(prefetch_count=prefetch, callback=done))
        arguments = {"x-priority": priority} if priority else None
        await self._ask(lambda done: self._channel.basic_consume(queue, on_message, arguments=arguments, callback=done))

    async def bind(self, queue: str, exchange: str) -> None:
        """Bind a queue to a fanout exchange.

        Raises:
            QueueRefused: one of them is not there, or it is not allowed.
        """
        await self._ask(lambda done: self._channel.queue_bind(queue, exchange, routing_key="", callback=done))

    def publish(self, publish: LetterCopy) -> asyncio.Future[str]:
        """Publish; the future's result is empty when the broker has it, else why it has not."""
        future: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        if self.is_lost or not self._channel.is_open:
            future.set_result("the connection is lost")
            return future
        self._published += 1
        self._unconfirmed[self._published] = publish, future
        self._channel.basic_publish(
            publish.exchange, publish.routing_key, publish.body, _RawProperties(publish.raw), mandatory=True
        )
        return future

    def acknowledge(self, tag: int) -> None:
        """The message is done with: the broker forgets it."""
        if not self.is_lost:
            self._channel.basic_ack(tag)

    async def lost(self) -> TopoError:
        """Wait until the connection or the channel has ended by itself, and say why."""
        return await asyncio.shield(self._lost)

    async def close(self) -> None:
        """Close it: whatever is unacknowledged goes back to its queue. Returns when the broker has closed it, too.

        A quorum queue has it ready again when that is in its log: a moment later, on a slow disk.
        """
        if self._connection.is_closed:
            return
        closed = asyncio.get_running_loop().create_future()
        self._connection.add_on_close_callback(lambda *_: _resolve(closed, None))
        if self._connection.is_open:
            self._connection.close()
        try:
            await asyncio.wait_for(closed, ANSWER_SECONDS)
        except TimeoutError:
            return

    async def _ask(self, call: Callable[[Callable[[Any], None]], None]) -> Any:
        if self._lost.done():
            raise self._lost.result()
        answer: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        call(lambda found: _resolve(answer, found))
        await asyncio.wait({answer, self._lost}, timeout=ANSWER_SECONDS, return_when=asyncio.FIRST_COMPLETED)
        if answer.done():
            return answer.result()
        if self._lost.done():
            raise self._lost.result()
        raise explain_closed(self._endpoint, TimeoutError(f"no answer for {ANSWER_SECONDS:g} s"))

    def _on_confirm(self, method_frame: Any) -> None:
        method = method_frame.method
        tags = [method.delivery_tag]
        if method.multiple:
            tags = [tag for tag in self._unconfirmed if tag <= method.delivery_tag]
        for tag in tags:
            found = self._unconfirmed.pop(tag, None)
            if found is None:
                continue
            publish, future = found
            problem = self._returned.pop(_mark_of(publish), "") if self._returned else ""
            if isinstance(method, spec.Basic.Nack):
                problem = "a queue refused it: it is full"
            if not future.done():
                future.set_result(problem)

    def _on_return(self, _channel: Any, method: Any, properties: _RawProperties, _body: bytes) -> None:
        mark = _mark(_bytes(method.exchange), _bytes(method.routing_key), properties.raw)
        self._returned[mark] = f"it reached no queue ({method.reply_text})"

    def _channel_closed(self, _channel: Any, error: BaseException) -> None:
        self._lose(explain_refused(self._endpoint, error))

    def _lose(self, error: TopoError) -> None:
        self.is_lost = True
        if not self._lost.done():
            self._lost.set_result(error)
        for _, future in self._unconfirmed.values():
            if not future.done():
                future.set_result("the connection was lost before the broker confirmed it")
        self._unconfirmed.clear()


async def open_link(endpoint: AmqpEndpoint, name: str) -> QueueLink:
    """Connect, log in, open the channel.

    Args:
        endpoint: where and as whom.
        name: shown in the broker's list of connections.

    Raises:
        BrokerUnreachable, TlsRefused, LoginRefused: in one message each.
        InvalidEndpoint: a certificate file cannot be used.
    """
    loop = asyncio.get_running_loop()
    opened: asyncio.Future[Any] = loop.create_future()

    def failed(_connection: Any, error: BaseException) -> None:
        _resolve(opened, explain_unreachable(endpoint, error))

    connection = _Connection(
        _parameters(endpoint, name),
        on_open_callback=lambda made: _resolve(opened, made),
        on_open_error_callback=failed,
    )
    try:
        made = await asyncio.wait_for(opened, CONNECT_SECONDS + 5)
    except TimeoutError:
        made = explain_unreachable(endpoint, TimeoutError("no answer"))
    if isinstance(made, TopoError):
        raise made
    channel: asyncio.Future[Any] = loop.create_future()
    connection.add_on_close_callback(lambda _, error: _resolve(channel, explain_unreachable(endpoint, error)))
    connection.channel(on_open_callback=lambda made: _resolve(channel, made))
    try:
        found = await asyncio.wait_for(channel, ANSWER_SECONDS)
    except TimeoutError:
        found = explain_unreachable(endpoint, TimeoutError("no answer"))
    if isinstance(found, TopoError):
        raise found
    return QueueLink(endpoint, connection, found, loop.create_future())


def _resolve(future: asyncio.Future[Any], value: object) -> None:
    if not future.done():
        future.set_result(value)


def _parameters(endpoint: AmqpEndpoint, name: str) -> Any:
    login, context = endpoint.login, endpoint.context()
    if login.username is None:
        credentials: Any = pika.credentials.ExternalCredentials()
    else:
        credentials = pika.PlainCredentials(login.username, login.password or "")
    return pika.ConnectionParameters(
        endpoint.host,
        endpoint.port,
        endpoint.vhost,
        credentials,
        ssl_options=None if context is None else pika.SSLOptions(context, endpoint.host),
        socket_timeout=CONNECT_SECONDS,
        stack_timeout=CONNECT_SECONDS,
        blocked_connection_timeout=None,
        client_properties={"connection_name": name, "product": "letrade-topo"},
    )


def _mark(exchange: bytes, routing_key: bytes, raw: bytes) -> _Mark:
    """What tells one message in flight from another; the broker may write headers in another order."""
    properties = Properties.parse(raw)
    return exchange, routing_key, properties.text("message_id"), properties.tokens.hop


def _mark_of(publish: LetterCopy) -> _Mark:
    return _mark(publish.exchange.encode(), publish.routing_key.encode(), publish.raw)


def _bytes(text: str | bytes) -> bytes:
    return text if isinstance(text, bytes) else text.encode()
