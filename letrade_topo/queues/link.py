"""One connection to the broker with one channel, for reading a queue and publishing with confirms.

On pika's asyncio adapter, but for what comes with every message (`letrade_topo.queues.connection`).

Reading and publishing share the channel. The broker works a channel's commands off in order, so a confirm also
says that every acknowledgement written before that publish has been worked off. Acknowledgements of one turn of the
loop are gathered: one frame for all that follow each other.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from itertools import takewhile
from typing import Any, Final, NamedTuple, TypeAlias

import pika

from letrade_topo.amqp.basic import Deliver, ack_frame, encode_publish
from letrade_topo.amqp.frames import encode_content, fits
from letrade_topo.errors import TopoError
from letrade_topo.queues.connection import BatchingConnection, RawProperties
from letrade_topo.queues.content import Properties, content_header
from letrade_topo.queues.endpoint import AmqpEndpoint
from letrade_topo.queues.faults import explain_closed, explain_refused, explain_unreachable

CONNECT_SECONDS: Final = 15.0
ANSWER_SECONDS: Final = 60.0
UNLIMITED_FRAME_BYTES: Final = 131_072
"""Where the broker names no limit (RabbitMQ's default)."""

LARGEST_PUBLISH_HEADER: Final = 4096
"""What a frame header, an announcement and a margin take of `frame_max`, at most."""

Answered: TypeAlias = Callable[[str], None]

_Mark: TypeAlias = tuple[bytes, bytes, bytes | None, tuple[bytes | None, ...]]


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
        self._unconfirmed: dict[int, tuple[LetterCopy, Answered]] = {}
        self._on_delivery: dict[bytes, Callable[[DeliveredLetter], None]] = {}
        self._unsettled: dict[int, None] = {}
        self._settled: set[int] = set()
        self._returned: dict[_Mark, str] = {}
        self.is_lost = False
        self.cancelled = asyncio.Event()
        """Set when the broker has cancelled a consumer of this link: its queue is gone."""
        channel.add_on_cancel_callback(lambda _: self.cancelled.set())
        channel.add_on_close_callback(self._channel_closed)
        channel.add_on_return_callback(self._on_return)
        connection.add_on_close_callback(lambda _, error: self._lose(explain_closed(endpoint, error)))
        self._frame_max = int(connection.params.frame_max or UNLIMITED_FRAME_BYTES)
        connection.reader_channel, connection.reader = channel.channel_number, self
        connection.before_write = self._write_acknowledgements

    @property
    def largest_properties(self) -> int:
        """How many bytes the properties of a message may have: a content header is one frame."""
        return self._frame_max - LARGEST_PUBLISH_HEADER

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
        await self._ask(lambda done: self._channel.confirm_delivery(_never, done))

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

        await self._ask(lambda done: self._channel.basic_qos(prefetch_count=prefetch, callback=done))
        arguments = {"x-priority": priority} if priority else None

        def begin(done: Callable[[Any], None]) -> None:
            tag = self._channel.basic_consume(queue, _never, arguments=arguments, callback=done)
            self._on_delivery[tag.encode()] = on_delivery

        await self._ask(begin)

    async def bind(self, queue: str, exchange: str) -> None:
        """Bind a queue to a fanout exchange.

        Raises:
            QueueRefused: one of them is not there, or it is not allowed.
        """
        await self._ask(lambda done: self._channel.queue_bind(queue, exchange, routing_key="", callback=done))

    def publish(self, publish: LetterCopy) -> asyncio.Future[str]:
        """Publish; the future's result is empty when the broker has it, else why it has not."""
        future: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        self.send(publish, lambda problem: _resolve(future, problem))
        return future

    def send(self, publish: LetterCopy, answered: Answered) -> None:
        """Publish.

        Args:
            publish: what.
            answered: called with nothing when the broker has it, else with why it has not; from here, where it cannot
                be sent.
        """
        if self.is_lost or not self._channel.is_open:
            answered("the connection is lost")
            return
        self._write_acknowledgements()
        method = encode_publish(publish.exchange.encode(), publish.routing_key.encode(), mandatory=True)
        header = content_header(publish.raw, len(publish.body))
        if not fits(header, self._frame_max):
            answered("its properties are longer than the broker takes")
            return
        number = self._channel.channel_number
        self._connection.send(encode_content(number, method, header, publish.body, self._frame_max))
        self._published += 1
        self._unconfirmed[self._published] = publish, answered

    def acknowledge(self, tag: int) -> None:
        """The message is done with: the broker forgets it."""
        if not self.is_lost:
            self._settled.add(tag)
            self._connection.schedule()

    def on_message(self, deliver: Deliver, raw: bytes, body: bytes) -> None:
        """A message has come (`ReadsMessages`)."""
        self._unsettled[deliver.delivery_tag] = None
        on_delivery = self._on_delivery.get(deliver.consumer_tag)
        if on_delivery is not None:
            on_delivery(DeliveredLetter(deliver.delivery_tag, deliver.exchange, deliver.routing_key, raw, body))

    def on_confirm(self, tag: int, *, multiple: bool, is_refused: bool) -> None:
        """The broker has confirmed or refused what was published (`ReadsMessages`)."""
        tags = list(takewhile(lambda each: each <= tag, self._unconfirmed)) if multiple else [tag]
        for each in tags:
            found = self._unconfirmed.pop(each, None)
            if found is not None:
                publish, answered = found
                problem = self._returned.pop(_mark_of(publish), "") if self._returned else ""
                answered("a queue refused it: it is full, or cannot be reached" if is_refused else problem)

    def _write_acknowledgements(self) -> None:
        settled = self._settled
        if not settled or self.is_lost or not self._channel.is_open:
            return
        number = self._channel.channel_number
        followed = list(takewhile(settled.__contains__, self._unsettled))
        if followed:
            self._connection.send(ack_frame(number, followed[-1], multiple=True))
        settled.difference_update(followed)
        for tag in sorted(settled):
            self._connection.send(ack_frame(number, tag))
        for tag in (*followed, *settled):
            self._unsettled.pop(tag, None)
        settled.clear()

    async def lost(self) -> TopoError:
        """Wait until the connection or the channel has ended by itself, and say why."""
        return await asyncio.shield(self._lost)

    async def close(self, timeout_seconds: float = ANSWER_SECONDS) -> None:
        """Close it: whatever is unacknowledged goes back to its queue. Returns when the broker has closed it, too.

        It does not while a queue without a leader keeps the channel waiting; after the time-out it is left alone.
        A quorum queue has it ready again when that is in its log: a moment later, on a slow disk.
        """
        if self._connection.is_closed:
            return
        closed = asyncio.get_running_loop().create_future()
        self._connection.add_on_close_callback(lambda *_: _resolve(closed, None))
        if self._connection.is_open:
            self._connection.close()
        try:
            await asyncio.wait_for(closed, timeout_seconds)
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

    def _on_return(self, _channel: Any, method: Any, properties: RawProperties, _body: bytes) -> None:
        mark = _mark(_bytes(method.exchange), _bytes(method.routing_key), properties.raw)
        self._returned[mark] = f"it reached no queue ({method.reply_text})"

    def _channel_closed(self, _channel: Any, error: BaseException) -> None:
        self._lose(explain_refused(self._endpoint, error))

    def _lose(self, error: TopoError) -> None:
        self.is_lost = True
        if not self._lost.done():
            self._lost.set_result(error)
        unconfirmed, self._unconfirmed = self._unconfirmed, {}
        for _, answered in unconfirmed.values():
            answered("the connection was lost before the broker confirmed it")


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

    connection = BatchingConnection(
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


def _never(*_: object) -> None:
    """What pika would call, if messages and confirms went through it."""


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
