"""A subscription: deliveries in, handled one after the other or several at once, acknowledged or rejected.

A handler that returns acknowledges; one that raises rejects. Without a handler a subscription is iterated over: a
message is acknowledged when the next one is asked for.
"""

from __future__ import annotations

import asyncio
import inspect
import logging
from collections.abc import Awaitable, Callable
from contextlib import suppress
from types import TracebackType
from typing import Any, Final, Protocol, Self, TypeAlias

from aio_pika.abc import AbstractIncomingMessage, AbstractRobustChannel, AbstractRobustQueue
from aio_pika.exceptions import CONNECTION_EXCEPTIONS, ChannelInvalidStateError

from letrade_topo.bus.link import Link, explained
from letrade_topo.bus.message import Message, NoEnvelope, read
from letrade_topo.keys.headers import parse_to
from letrade_topo.keys.jws import Malformed

log = logging.getLogger("letrade_topo.bus")

Handler: TypeAlias = Callable[[str, Message], Awaitable[object] | object]
"""Called with topic and message; a coroutine function, or a plain one."""

PREFETCH: Final = 50
MOST_PREFETCHED: Final = 65_535
ANSWER_SECONDS: Final = 10.0
_ATTEMPT, _TO = "letrade-attempt", "letrade-to"


def check_handling(handler: Callable[..., object] | None, concurrency: int, prefetch: int) -> None:
    """See that messages can be handled so: a mistake here would else show as dead letters, or as silence.

    Raises:
        TypeError: the handler does not take topic and message.
        ValueError: a number is out of its bounds.
    """
    for name, value in (("concurrency", concurrency), ("prefetch", prefetch)):
        if not 1 <= value <= MOST_PREFETCHED:
            raise ValueError(f"{name} is {value}; it has to be between 1 and {MOST_PREFETCHED}")
    if handler is None:
        return
    if not callable(handler):
        raise TypeError(
            f"the handler is of type {type(handler).__name__}; it has to be a function of topic and message"
        )
    try:
        signature = inspect.signature(handler)
    except ValueError:
        return  # some built-in functions have none
    try:
        signature.bind("topic", {})
    except TypeError as error:
        name = getattr(handler, "__qualname__", repr(handler))
        raise TypeError(f"{name}{signature} is called with topic and message: {error}") from None


class MessageSource(Protocol):
    """Where the messages of a subscription come from."""

    @property
    def queue(self) -> str:
        """The queue's name."""

    async def declare(self, channel: AbstractRobustChannel) -> AbstractRobustQueue:
        """Make sure of the queue and its bindings."""

    def wants(self, topic: str) -> bool:
        """Whether a message is meant; others are acknowledged and dropped."""


class Subscription:
    """Messages of one pattern, until it is closed.

    Args:
        link: the connection.
        source: where they come from.
        pattern: what was asked for.
        handler: who handles them; None: it is iterated over.
        concurrency: handlers at once.
        prefetch: messages that are on their way or being handled at once.
    """

    def __init__(
        self,
        link: Link,
        source: MessageSource,
        *,
        pattern: str,
        handler: Handler | None,
        concurrency: int = 1,
        prefetch: int = PREFETCH,
    ) -> None:
        self.pattern = pattern
        self._link = link
        self._source = source
        self._handler = handler
        self._concurrency = concurrency
        self._prefetch = max(prefetch, concurrency)
        self._channel: AbstractRobustChannel | None = None
        self._queue: AbstractRobustQueue | None = None
        self._tag = ""
        self._incoming: asyncio.Queue[AbstractIncomingMessage | None] = asyncio.Queue()
        self._workers: list[asyncio.Task[None]] = []
        self._current: Message | None = None
        self._is_closed = False

    @property
    def queue(self) -> str:
        """The queue that it consumes from."""
        return self._source.queue

    @property
    def is_closed(self) -> bool:
        """Whether it has ended."""
        return self._is_closed

    @property
    def is_active(self) -> bool:
        """Whether messages can arrive at this moment."""
        return not self._is_closed and self._link.is_up and self._channel is not None and not self._channel.is_closed

    async def open(self) -> Self:
        """Declare, bind, consume."""
        self._channel = await self._link.channel(prefetch=self._prefetch)
        with explained(f"consuming from {self._source.queue}"):
            self._queue = await self._source.declare(self._channel)
            if self._handler is not None:
                self._workers = [asyncio.create_task(self._work(self._handler)) for _ in range(self._concurrency)]
            self._tag = await self._queue.consume(self._arrived, timeout=ANSWER_SECONDS)
        return self

    async def close(self, grace_seconds: float = 10.0) -> None:
        """Take no more messages, let handlers that run finish, and end.

        What was not handled goes back to its queue.

        Args:
            grace_seconds: how long handlers may still take; then they are cancelled.
        """
        if self._is_closed:
            return
        self._is_closed = True
        channel, queue = self._channel, self._queue
        if queue is not None and self._link.is_up:
            with suppress(*CONNECTION_EXCEPTIONS, TimeoutError):
                await queue.cancel(self._tag, timeout=ANSWER_SECONDS)
        for _ in range(max(len(self._workers), 1)):
            self._incoming.put_nowait(None)
        if self._workers:
            _, late = await asyncio.wait(self._workers, timeout=grace_seconds)
            for worker in late:
                worker.cancel()
            await asyncio.gather(*self._workers, return_exceptions=True)
        if channel is not None:
            with suppress(*CONNECTION_EXCEPTIONS, TimeoutError):
                async with asyncio.timeout(ANSWER_SECONDS):
                    await channel.close()

    def __aiter__(self) -> Self:
        if self._handler is not None:
            raise TypeError(f"the subscription to {self.pattern!r} has a handler; subscribe without one to iterate")
        return self

    async def __anext__(self) -> Message:
        await self._settle_current(succeeded=True)
        while not self._is_closed:
            incoming = await self._incoming.get()
            if incoming is None:
                break
            message = await self._take(incoming)
            if message is not None:
                self._current = message
                return message
        raise StopAsyncIteration

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if kind is None or issubclass(kind, Exception):
            await self._settle_current(succeeded=kind is None)
        await self.close()

    async def _settle_current(self, *, succeeded: bool) -> None:
        message, self._current = self._current, None
        if message is not None:
            await message._settle(succeeded)

    async def _arrived(self, incoming: AbstractIncomingMessage) -> None:
        """Hand over to a worker: the library cancels what runs here when the connection goes."""
        self._incoming.put_nowait(incoming)

    async def _work(self, handler: Handler) -> None:
        while (incoming := await self._incoming.get()) is not None and not self._is_closed:
            message = await self._take(incoming)
            if message is not None:
                await self._handle(handler, message)

    async def _handle(self, handler: Handler, message: Message) -> None:
        try:
            result = handler(message.topic, message)
            if inspect.isawaitable(result):
                await result
        except asyncio.CancelledError:
            task = asyncio.current_task()
            if task is not None and task.cancelling():
                raise  # the subscription is being closed: the message goes back
            log.warning("the handler of %s cancelled itself (message %s): rejected", self.pattern, message.message_id)
            await message._settle(False)
        except Exception:
            log.exception(
                "the handler of %s failed on %s (message %s): rejected", self.pattern, message.topic, message.message_id
            )
            await message._settle(False)
        else:
            await message._settle(True)

    async def _take(self, incoming: AbstractIncomingMessage) -> Message | None:
        """The message of a delivery; None when it is not to be shown."""
        if _is_stale(incoming):
            return None
        settle = _settling(incoming)
        exchange, topic = _origin(incoming)
        if not self._source.wants(topic):
            await settle(True)
            return None
        message = read(incoming.body)
        if isinstance(message, NoEnvelope):
            log.error("a message on %s is rejected: %s", topic, message.why)
            await settle(False)
            return None
        headers = dict(incoming.headers or {})
        message.topic, message.exchange, message.headers = topic, exchange, headers
        message.correlation_id = incoming.correlation_id or ""
        message.redelivered = bool(incoming.redelivered)
        attempt = headers.get(_ATTEMPT, 0)
        message.attempt = attempt if isinstance(attempt, int) else 0
        message._settle = settle
        return message


def _is_stale(incoming: AbstractIncomingMessage) -> bool:
    """Whether its connection has gone: the broker delivers it again on the next one."""
    try:
        return bool(incoming.channel.is_closed)
    except ChannelInvalidStateError:
        return True


def _settling(incoming: AbstractIncomingMessage) -> Callable[[bool], Awaitable[None]]:
    """Acknowledges or rejects a delivery, the first time it is called.

    It does not wait for the socket: an acknowledgement is never answered, and one that is lost means that the message
    comes again, which it may in any case.
    """
    done = False

    async def settle(succeeded: bool) -> None:
        nonlocal done
        if done:
            return
        done = True
        try:
            channel: Any = incoming.channel
            if succeeded:
                await channel.basic_ack(incoming.delivery_tag, wait=False)
            else:
                await channel.basic_reject(incoming.delivery_tag, requeue=False, wait=False)
        except CONNECTION_EXCEPTIONS:
            log.info("the connection was lost before message %s was settled: it comes again", incoming.message_id)

    return settle


def _origin(incoming: AbstractIncomingMessage) -> tuple[str, str]:
    """The exchange and key that a message was published to.

    A message that comes back from a delay queue comes through the default exchange. An agent says where it was
    published; without one, the message itself does.
    """
    exchange, topic = incoming.exchange or "", incoming.routing_key or ""
    if not exchange and incoming.headers and (said := incoming.headers.get(_TO)):
        found = parse_to(said if isinstance(said, bytes) else str(said).encode())
        if not isinstance(found, Malformed):
            return found.exchange.decode(errors="replace"), found.routing_key.decode(errors="replace")
    return exchange, topic
