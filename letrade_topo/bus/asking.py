"""Requests and their responses over shared routing keys.

Everybody's responses travel under one key, so each instance has a queue of its own for them and picks out its own by
the `request_id` in the payload. Other people's responses, and those that come too late, are dropped without a word.
"""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from typing import Any, Final

from aio_pika.abc import AbstractIncomingMessage, AbstractRobustChannel, AbstractRobustQueue
from aio_pika.exceptions import CONNECTION_EXCEPTIONS

from letrade_topo.bus.addresses import MessageAddress
from letrade_topo.bus.errors import PayloadError, RequestTimeout
from letrade_topo.bus.link import Link, down, explained
from letrade_topo.bus.message import Message, NoEnvelope, read

REQUEST_ID: Final = "request_id"
RESPONSE_PREFETCH: Final = 250
ANSWER_SECONDS: Final = 10.0


def with_request_id(payload: Mapping[str, Any]) -> tuple[dict[str, Any], str]:
    """A request's payload with its `request_id`: the caller's own, or a new one.

    Raises:
        PayloadError: the caller's is no text.
    """
    given = payload.get(REQUEST_ID) if isinstance(payload, Mapping) else None
    if given is not None and (not isinstance(given, str) or not given):
        raise PayloadError(f"{REQUEST_ID} is {type(given).__name__}", fix="make it a text, or leave it out")
    request_id = given or str(uuid.uuid4())
    return {**payload, REQUEST_ID: request_id}, request_id


def request_id_of(message: Message) -> str:
    """Which request this is, or which one it answers; "" if it does not say."""
    found = message.get(REQUEST_ID)
    return found if isinstance(found, str) and found else message.correlation_id


class Responses:
    """The responses to this instance's requests.

    Args:
        link: the connection.
        queue: the name of the queue for them.
    """

    def __init__(self, link: Link, queue: str) -> None:
        self._link = link
        self._name = queue
        self._channel: AbstractRobustChannel | None = None
        self._queue: AbstractRobustQueue | None = None
        self._bound: set[tuple[str, str]] = set()
        self._opening = asyncio.Lock()
        self._awaited: dict[str, asyncio.Future[Message]] = {}

    @property
    def queue(self) -> str:
        """The queue, if there is one by now; else ""."""
        return "" if self._queue is None else self._name

    @asynccontextmanager
    async def expected(
        self, address: MessageAddress, request_id: str, deadline: float
    ) -> AsyncIterator[asyncio.Future[Message]]:
        """Keep the response to a request for whoever asked; what comes afterwards is dropped.

        Args:
            address: where responses come from.
            request_id: of the request.
            deadline: of the loop's clock, for getting ready.

        Raises:
            NotConnected: not ready by then; nothing was sent.
            PayloadError: a request of this id is under way.
        """
        if request_id in self._awaited:
            raise PayloadError(f"a request with {REQUEST_ID} {request_id!r} is under way", fix="leave it out")
        future: asyncio.Future[Message] = asyncio.get_running_loop().create_future()
        self._awaited[request_id] = future
        try:
            await self._ready(address, deadline)
            yield future
        finally:
            del self._awaited[request_id]

    async def close(self) -> None:
        """End; whoever waits still is cancelled."""
        for future in self._awaited.values():
            future.cancel()
        if self._channel is not None:
            with suppress(*CONNECTION_EXCEPTIONS, TimeoutError):
                async with asyncio.timeout(ANSWER_SECONDS):
                    await self._channel.close()

    async def _ready(self, address: MessageAddress, deadline: float) -> None:
        with explained(f"listening to {address.routing_key}"):
            try:
                async with asyncio.timeout_at(deadline):
                    await self._listen(address)
            except TimeoutError as error:
                raise down(
                    f"the request was not sent: its response under {address.routing_key} could not be heard"
                ) from error

    async def _listen(self, address: MessageAddress) -> None:
        bound = (address.exchange, address.routing_key)
        if bound in self._bound:
            return
        async with self._opening:
            if self._queue is None:
                channel = await self._link.channel(prefetch=RESPONSE_PREFETCH)
                queue = await channel.declare_queue(self._name, exclusive=True, timeout=ANSWER_SECONDS)
                await queue.consume(self._arrived, no_ack=True, timeout=ANSWER_SECONDS)
                self._channel, self._queue = channel, queue
            if bound not in self._bound:
                await self._queue.bind(*bound, timeout=ANSWER_SECONDS)
                self._bound.add(bound)

    async def _arrived(self, incoming: AbstractIncomingMessage) -> None:
        message = read(incoming.body)
        if isinstance(message, NoEnvelope):
            return
        message.correlation_id = incoming.correlation_id or ""
        future = self._awaited.get(request_id_of(message))
        if future is None or future.done():
            return
        message.topic, message.exchange = incoming.routing_key or "", incoming.exchange or ""
        message.headers, message.redelivered, message.attempt = dict(incoming.headers or {}), False, 0
        message._settle = _settled
        future.set_result(message)


async def _settled(_succeeded: bool) -> None:
    """A response needs no acknowledgement: it is nobody's but the requester's, who waits for it."""


def late(address: MessageAddress, timeout_seconds: float) -> RequestTimeout:
    """Nobody answered."""
    return RequestTimeout(
        f"no response to {address.routing_key} within {timeout_seconds:g} s",
        why="whoever answers it is slow or away; the request is in its queue, and may be carried out still",
        fix="is it safe to ask again? Else look at the queue: `await bus.health_check()` of the service that answers",
    )
