"""What a connected bus has: the topology's meaning, its publisher, its subscriptions."""

from __future__ import annotations

import asyncio
import inspect
import logging
import os
import struct
import uuid
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final, TypeAlias

from pamqp.commands import Basic

from letrade_topo.bus.addresses import REQUEST_CLASS, AddressBook
from letrade_topo.bus.asking import REQUEST_ID, Responses, late, request_id_of, with_request_id
from letrade_topo.bus.errors import ConfigurationError, PatternError, PayloadError, Unroutable
from letrade_topo.bus.health import Examination, Health
from letrade_topo.bus.interests import Interest, Interests
from letrade_topo.bus.link import Link, closed
from letrade_topo.bus.message import Message, write
from letrade_topo.bus.publishing import OnLoss, Outgoing, Publisher
from letrade_topo.bus.settings import BusSettings
from letrade_topo.bus.sources import EphemeralQueue, SharedQueue
from letrade_topo.bus.subscription import Handler, MessageSource, Subscription
from letrade_topo.model.services import Service
from letrade_topo.model.topology import Topology

log = logging.getLogger("letrade_topo.bus")

RESPONSE_SECONDS: Final = 30.0

PERSISTENT: Final = 2


Responder: TypeAlias = Callable[[str, Message], Awaitable[Mapping[str, Any]] | Mapping[str, Any]]
"""Called with topic and request; what it returns is the payload of the response."""

_KEPT: dict[OpenBus, asyncio.AbstractEventLoop] = {}


def keep(opened: OpenBus) -> None:
    """Hold on to an open bus until it is closed: a subscription lasts, also when its bus was a local variable."""
    for each in [each for each, loop in _KEPT.items() if loop.is_closed()]:
        del _KEPT[each]
    _KEPT[opened] = asyncio.get_running_loop()


class OpenBus:
    """What a connected bus has.

    Args:
        link: the connection.
        settings: of the bus.
        topology, service: as loaded.
        instance: in the names of queues of its own.

    Attributes:
        process: that connected it.
    """

    def __init__(self, link: Link, settings: BusSettings, topology: Topology, service: Service, instance: str) -> None:
        self.process: Final = os.getpid()
        self._loop = asyncio.get_running_loop()
        self.addresses = AddressBook(topology)
        self.interests = Interests(topology, service)
        self.publisher = Publisher(link)
        self.responses = Responses(link, f"{service.name}.reply.{instance}")
        self._link = link
        self._service = service.name
        self._queues = [queue.name for queue in topology.queues.values() if queue.service == service.name]
        self._subscriptions: list[Subscription] = []
        self._examination = Examination(link, settings.admin)

    @property
    def is_up(self) -> bool:
        """Whether there is a connection at this moment."""
        return self._link.is_up

    def check_is_here(self) -> None:
        """See that it is used where it was connected.

        Raises:
            ConfigurationError: it was in another process, of which this one is a copy, or in another event loop.
        """
        if self.process != os.getpid():
            raise ConfigurationError(
                f"this bus was connected by process {self.process}, and this is process {os.getpid()}",
                why="a process that was forked cannot share a connection with the one that it is a copy of",
                fix="connect in each process, after the fork: `await bus.connect()` there connects anew",
            )
        if self._loop is not asyncio.get_running_loop():
            raise ConfigurationError(
                "this bus was connected in another event loop than the one that runs now",
                why="a connection belongs to the event loop (asyncio.run, a thread, a test) in which it was made",
                fix="make the bus and use it in the same event loop, or one MessageBus for each",
            )

    def prepare(
        self,
        exchange: str,
        key: str,
        payload: Mapping[str, Any],
        headers: Mapping[str, Any] | None = None,
        correlation_id: str | None = None,
    ) -> Outgoing:
        """A message that is ready to be published."""
        address = self.addresses.find(exchange, key)
        written = write(self._service, payload)
        properties = Basic.Properties(
            content_type="application/json",
            delivery_mode=PERSISTENT,
            message_id=written.message_id,
            app_id=self._service,
            priority=address.message.amqp_priority,
            headers=dict(headers) if headers else None,
            correlation_id=correlation_id,
        )
        if headers or correlation_id is not None:
            _check(properties)
        return Outgoing(address, written.message_id, written.body, properties)

    def source(self, interest: Interest, *, durable: bool | None) -> MessageSource:
        """The queue for a subscription."""
        if interest.queue and durable is not False:
            return SharedQueue(interest.queue)
        if durable:
            raise self.interests.missing_queue(interest)
        if interest.obstacle:
            raise self.interests.unbindable(interest)
        return EphemeralQueue(f"{self._service}.sub.{uuid.uuid4().hex}", interest.pattern, interest.bindings)

    async def subscribe(
        self, source: MessageSource, pattern: str, handler: Handler | None, concurrency: int, prefetch: int
    ) -> Subscription:
        """Begin a subscription."""
        subscription = Subscription(
            self._link, source, pattern=pattern, handler=handler, concurrency=concurrency, prefetch=prefetch
        )
        try:
            await subscription.open()
        except BaseException:
            await subscription.close()
            raise
        self._subscriptions = [one for one in self._subscriptions if not one.is_closed] + [subscription]
        return subscription

    async def request(
        self, exchange: str, key: str, payload: Mapping[str, Any], response: str | None, timeout_seconds: float
    ) -> Message:
        """See `MessageBus.request`."""
        address = self.addresses.find(exchange, key, REQUEST_CLASS if response is None else "")
        answer_at = self.addresses.response_to(address) if response is None else self.addresses.find(exchange, response)
        asked, request_id = with_request_id(payload)
        outgoing = self.prepare(exchange, address.routing_key, asked, None, request_id)
        clock = asyncio.get_running_loop().time
        deadline = clock() + timeout_seconds
        try:
            async with self.responses.expected(answer_at, request_id, deadline) as answer:
                await self.publisher.publish(outgoing, deadline - clock(), OnLoss.RAISE)
                async with asyncio.timeout_at(deadline):
                    return await answer
        except TimeoutError:
            raise late(address, timeout_seconds) from None
        except asyncio.CancelledError:
            task = asyncio.current_task()
            if task is not None and task.cancelling():
                raise
            raise closed() from None  # the bus was closed while this waited

    def answering(self, key: str, responder: Responder, response: str | None) -> Handler:
        """The handler of requests. See `MessageBus.respond`.

        Raises:
            PatternError: it does not say where responses go.
        """
        if response is None and key.partition(".")[0] != REQUEST_CLASS:
            raise PatternError(
                f"{key!r} is not a key of requests",
                why="the response to request.X is response.X",
                fix="say where the responses go: response='…'",
            )

        async def handle(topic: str, request: Message) -> None:
            result = responder(topic, request)
            payload = await result if inspect.isawaitable(result) else result
            if not isinstance(payload, Mapping):
                what = f"the responder of {key!r} returned {type(payload).__name__}"
                raise PayloadError(what, fix="return the payload of the response: a dict")
            await self._respond(request, payload, response)

        return handle

    async def _respond(self, request: Message, payload: Mapping[str, Any], response: str | None) -> None:
        """Publish a response; that the requester has gone is no failure of whoever answers."""
        request_id = request_id_of(request) or request.message_id
        if response is None:
            address = self.addresses.response_to(self.addresses.find(request.exchange, request.topic))
        else:
            address = self.addresses.find(request.exchange, response)
        answer = {**payload, REQUEST_ID: request_id}
        outgoing = self.prepare(address.exchange, address.routing_key, answer, None, request_id)
        try:
            await self.publisher.publish(outgoing, RESPONSE_SECONDS, OnLoss.REPUBLISH)
        except Unroutable:
            log.info("nobody waits for the response to %s (request %s) any more", request.topic, request_id)

    async def health(self) -> Health:
        """See `MessageBus.health_check`."""
        own = [one.queue for one in self._subscriptions if not one.is_closed and one.queue not in self._queues]
        replies = [self.responses.queue] if self.responses.queue else []
        idle = [one.pattern for one in self._subscriptions if not one.is_closed and not one.is_active]
        return await self._examination.run(
            [*self._queues, *own, *replies], has_agent=bool(self._link.agent) or not self._link.is_up, idle=idle
        )

    async def close(self, grace_seconds: float) -> None:
        """End everything; the connection in any case, or it would come back for ever."""
        _KEPT.pop(self, None)
        try:
            await asyncio.gather(*(one.close(grace_seconds) for one in self._subscriptions))
            await self.responses.close()
            await self._examination.close()
        finally:
            await self._link.close()


def _check(properties: Basic.Properties) -> None:
    """See that the caller's own properties can be written, before anything is sent.

    Raises:
        PayloadError: they cannot.
    """
    try:
        properties.marshal()
    except (TypeError, ValueError, AttributeError, OverflowError, struct.error) as error:  # by pamqp's version
        raise PayloadError(
            "the headers or the correlation_id cannot be written in AMQP",
            why=str(error),
            fix="headers are a dict of text, numbers, booleans, bytes, datetimes, lists and dicts, by text; "
            "a correlation_id is a text of up to 255 bytes",
        ) from error
