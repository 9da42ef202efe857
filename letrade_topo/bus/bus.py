"""The message bus, as a service uses it.

async with MessageBus() as bus:
    await bus.subscribe("events.trade_*", on_trade)
    await bus.publish("letrade.commands", "execute_trade", {"symbol": "BTC/USDT", …})
"""

from __future__ import annotations

import asyncio
import os
import uuid
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

from letrade_topo.bus.errors import BusError
from letrade_topo.bus.health import Health
from letrade_topo.bus.link import Link, closed
from letrade_topo.bus.message import Message
from letrade_topo.bus.opened import OpenBus, Responder, keep
from letrade_topo.bus.peer import check_peer
from letrade_topo.bus.publishing import OnLoss, Outgoing
from letrade_topo.bus.settings import BusSettings, read_settings
from letrade_topo.bus.subscription import PREFETCH, Handler, Subscription, check_handling

CONNECT_SECONDS: Final = 10.0
PUBLISH_SECONDS: Final = 30.0
REQUEST_SECONDS: Final = 10.0


class MessageBus:
    """Letrade's message bus, for one instance of one service.

    Args:
        service: as the topology names it; LETRADE_SERVICE.
        topology: the topology file; LETRADE_TOPOLOGY.
        url: where the agent listens; LETRADE_URL.
        admin: HOST:PORT of its admin port; LETRADE_ADMIN.

    Raises:
        ConfigurationError: a setting is missing or wrong.
    """

    def __init__(
        self,
        *,
        service: str | None = None,
        topology: str | os.PathLike[str] | None = None,
        url: str | None = None,
        admin: str | None = None,
    ) -> None:
        self._settings: Final[BusSettings] = read_settings(
            os.environ, Path.cwd(), service=service, topology=topology, url=url, admin=admin
        )
        self._instance = uuid.uuid4().hex
        self._open: OpenBus | None = None
        self._changing = asyncio.Lock()

    @property
    def service(self) -> str:
        """The service that it speaks for."""
        return self._settings.service

    async def connect(self, timeout: float = CONNECT_SECONDS) -> Self:
        """Read the topology and connect; nothing happens if the bus is connected.

        From then on the bus keeps its connection: it comes back by itself, with every subscription.

        Args:
            timeout: seconds to keep trying.

        Raises:
            NotConnected: nobody answered in that time, or the agent has no broker.
            ConfigurationError: what answered is not this service's agent; or the bus is connected in another event
                loop.
            InvalidTopology: the topology file cannot be used.
        """
        self._forget_if_forked()
        async with self._changing:
            if self._open is not None:
                self._open.check_is_here()
            else:
                topology, service = await asyncio.to_thread(self._settings.load)
                link = Link(self._settings, topology.vhost)
                try:
                    await link.open(timeout)
                    check_peer(link, self._settings, topology, service)
                    opened = OpenBus(link, self._settings, topology, service, self._instance)
                    await opened.publisher.open()
                except BaseException:
                    await link.close()
                    raise
                self._open = opened
                keep(opened)
        return self

    async def close(self, grace: float = 10.0) -> None:
        """Let handlers that run finish, and close. What was not handled goes back to its queue.

        Args:
            grace: seconds that handlers may still take; then they are cancelled.

        Raises:
            ConfigurationError: the bus is connected in another event loop.
        """
        self._forget_if_forked()
        if self._open is not None:
            self._open.check_is_here()
        async with self._changing:
            opened, self._open = self._open, None
            if opened is not None:
                await opened.close(grace)

    async def __aenter__(self) -> Self:
        return await self.connect()

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.close()

    async def publish(
        self,
        exchange: str,
        key: str,
        payload: Mapping[str, Any],
        *,
        headers: Mapping[str, Any] | None = None,
        correlation_id: str | None = None,
        timeout: float = PUBLISH_SECONDS,
        on_loss: OnLoss | str = OnLoss.RAISE,
    ) -> str:
        """Publish a message, and return its `message_id` when the broker has it.

        Args:
            exchange: for example `letrade.commands`.
            key: the routing key, in full (`commands.execute_trade`) or short (`execute_trade`).
            payload: a JSON object.
            headers: AMQP headers, for example `traceparent`.
            correlation_id: for whoever matches messages by it.
            timeout: seconds in all, waiting for the connection included.
            on_loss: `raise` `Unconfirmed` when the connection goes before the confirm comes, or `republish` then.

        Raises:
            DestinationError, PayloadError, NotConnected: nothing was sent.
            PublishRefused: with the reason: SchemaRefused, TooLarge, DestinationRefused.
            Unroutable, QueueFull: it is in no queue.
            Unconfirmed: it may be on the broker, or not.
        """
        opened = self._opened()
        outgoing = opened.prepare(exchange, key, payload, headers, correlation_id)
        return await opened.publisher.publish(outgoing, timeout, OnLoss(on_loss))

    async def publish_batch(
        self,
        messages: Iterable[tuple[str, str, Mapping[str, Any]]],
        *,
        timeout: float = PUBLISH_SECONDS,
        on_loss: OnLoss | str = OnLoss.RAISE,
    ) -> list[str]:
        """Publish many messages, in their order, without waiting for each confirm before the next.

        Args:
            messages: exchange, key and payload of each, as for `publish`; also a generator, of any length.
            timeout: seconds for each message.
            on_loss: as for `publish`.

        Returns:
            The ids, when the broker has every message.

        Raises:
            BatchFailed: some of them failed; it says which, why, and which are on the broker.
            TypeError: one of them is not exchange, key and payload.
        """
        opened = self._opened()

        def later(message: tuple[str, str, Mapping[str, Any]]) -> Callable[[], Outgoing]:
            try:
                exchange, key, payload = message
            except (TypeError, ValueError):
                raise TypeError(f"a message of a batch is exchange, key and payload, not {type(message)}") from None
            return partial(opened.prepare, exchange, key, payload)

        made: Iterable[Callable[[], Outgoing]] = map(later, messages)
        if isinstance(messages, list | tuple):
            made = list(made)
        return await opened.publisher.publish_all(made, timeout, OnLoss(on_loss))

    async def subscribe(
        self,
        pattern: str,
        handler: Handler | None = None,
        *,
        concurrency: int = 1,
        prefetch: int = PREFETCH,
        durable: bool | None = None,
    ) -> Subscription:
        """Subscribe to everything that a pattern matches, on whichever exchange.

        `*` as a word is one word, `*` within a word any characters of it, `#` any number of words.

        Where the topology declares a queue of this service with exactly these keys, that queue is used: it keeps
        messages while nobody consumes, and the service's instances share them. Otherwise the subscription gets a queue
        of its own, while it lasts, and every instance a copy.

        Args:
            pattern: for example `market_data.binance.*` or `events.trade_*`.
            handler: called with topic and message; returning acknowledges, raising rejects. Without one, iterate:
                `async for message in await bus.subscribe(…)`, where a message is acknowledged when the next one is
                asked for.
            concurrency: handlers at once; 1 keeps the order.
            prefetch: messages on their way or being handled at once.
            durable: True: only a declared queue will do; False: a queue of its own in any case.

        Raises:
            PatternError: there is nothing that this service may consume by it, or no declared queue.
            NotConnected: the bus is not connected.
            TypeError, ValueError: the handler does not take topic and message; a number is out of its bounds.
        """
        check_handling(handler, concurrency, prefetch)
        opened = self._opened()
        source = opened.source(opened.interests.of(pattern), durable=durable)
        return await opened.subscribe(source, pattern, handler, concurrency, prefetch)

    async def request(
        self,
        exchange: str,
        key: str,
        payload: Mapping[str, Any],
        *,
        response: str | None = None,
        timeout: float = REQUEST_SECONDS,
    ) -> Message:
        """Publish a request, and return the response to it.

        `request_id` is put into the payload, if it has none, and `correlation_id` beside it.

        Args:
            exchange: for example `letrade.requests`.
            key: of the request, for example `request.capital.allocation`.
            payload: a JSON object.
            response: the key of the response, if it is not that of the request with `response` for `request`.
            timeout: seconds for everything.

        Raises:
            RequestTimeout: nobody answered in that time.
            BusError: as for `publish`.
        """
        return await self._opened().request(exchange, key, payload, response, timeout)

    async def respond(
        self,
        key: str,
        responder: Responder,
        *,
        response: str | None = None,
        concurrency: int = 1,
        prefetch: int = PREFETCH,
    ) -> Subscription:
        """Answer requests: what the responder returns is published as the response, with the request's id.

        The request is acknowledged when the broker has the response, and rejected when the responder raises.

        Args:
            key: of the requests, for example `request.capital.allocation`; a pattern is possible.
            responder: called with topic and request; returns the payload of the response.
            response: the key of the responses, if it is not that of the request with `response` for `request`.
            concurrency, prefetch: as for `subscribe`.

        Raises:
            PatternError, NotConnected, TypeError, ValueError: as for `subscribe`.
        """
        check_handling(responder, concurrency, prefetch)
        handle = self._opened().answering(key, responder, response)
        return await self.subscribe(key, handle, concurrency=concurrency, prefetch=prefetch)

    async def health_check(self) -> Health:
        """How the bus is doing: `status`, `queue_depth`, `queues`, `agent`, `broker`, `problems`. Never raises."""
        try:
            opened = self._opened()
        except BusError as error:
            return {
                "status": "down",
                "queue_depth": None,
                "queues": {},
                "agent": None,
                "broker": {"up": False},
                "problems": [error.what],
            }
        return await opened.health()

    def _opened(self) -> OpenBus:
        if self._open is None:
            raise closed()
        self._open.check_is_here()
        return self._open

    def _forget_if_forked(self) -> None:
        """What another process connected stays with it; here there is nothing yet."""
        if self._open is not None and self._open.process != os.getpid():
            self._open = None
            self._instance = uuid.uuid4().hex
            self._changing = asyncio.Lock()
