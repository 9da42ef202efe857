"""The parts of a message bus that speak to a broker, without one: they hand over, keep, and wait for a test."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Self

from aio_pika.abc import AbstractRobustChannel

from letrade_topo.bus.addresses import MessageAddress
from letrade_topo.bus.asking import Responses
from letrade_topo.bus.link import Link
from letrade_topo.bus.message import Message
from letrade_topo.bus.opened import OpenBus
from letrade_topo.bus.patterns import Pattern
from letrade_topo.bus.publishing import OnLoss, Outgoing, Publisher
from letrade_topo.bus.settings import BusSettings
from letrade_topo.bus.subscription import Handler, MessageSource, Subscription
from letrade_topo.model.topology import Topology


class MemorySubscription(Subscription):
    """A subscription that takes what it is given.

    Args:
        link, source, pattern, handler, concurrency, prefetch: as of `Subscription`.
    """

    def __init__(self, link: Link, source: MessageSource, *, pattern: str, handler: Handler | None) -> None:
        super().__init__(link, source, pattern=pattern, handler=handler)
        self._arrivals: asyncio.Queue[Message | None] = asyncio.Queue()

    @property
    def is_active(self) -> bool:
        """Until it is closed."""
        return not self.is_closed

    def wants(self, topic: str) -> bool:
        """Whether a message of this key is meant."""
        return Pattern.parse(self.pattern).matches(topic) and self._source.wants(topic)

    async def take(self, message: Message) -> None:
        """Have it handled, or keep it for whoever iterates."""
        if self._handler is None:
            self._arrivals.put_nowait(message)
            return
        result = self._handler(message.topic, message)
        if isinstance(result, Awaitable):
            await result

    async def open(self) -> Self:
        """Nothing is declared."""
        return self

    async def close(self, grace_seconds: float = 0.0) -> None:
        """Take no more; who iterates is at the end."""
        self._is_closed = True
        self._arrivals.put_nowait(None)

    async def __anext__(self) -> Message:
        if self.is_closed and self._arrivals.empty():
            raise StopAsyncIteration
        message = await self._arrivals.get()
        if message is None:
            raise StopAsyncIteration
        return message


class Unconnected(Link):
    """A link that nobody opens."""

    @property
    def is_open(self) -> bool:
        """As if."""
        return True

    @property
    def is_up(self) -> bool:
        """As if."""
        return True

    async def channel(self, *, confirms: bool = False, prefetch: int = 0) -> AbstractRobustChannel:
        """Nothing here asks for one."""
        raise AssertionError("in memory there are no channels")


class MemoryPublisher(Publisher):
    """Hands over to a function instead of a channel.

    Args:
        link: of the bus.
        take: judges and keeps a message.
    """

    def __init__(self, link: Link, take: Callable[[Outgoing], Awaitable[None]]) -> None:
        super().__init__(link)
        self._take = take

    async def publish(self, outgoing: Outgoing, timeout_seconds: float, on_loss: OnLoss) -> str:
        """Hand it over; raises what `take` raises."""
        await self._take(outgoing)
        return outgoing.message_id


class MemoryResponses(Responses):
    """Awaits responses without a queue."""

    @asynccontextmanager
    async def expected(
        self, address: MessageAddress, request_id: str, deadline: float
    ) -> AsyncIterator[asyncio.Future[Message]]:
        """See `Responses.expected`."""
        future: asyncio.Future[Message] = asyncio.get_running_loop().create_future()
        self._awaited[request_id] = future
        try:
            yield future
        finally:
            del self._awaited[request_id]

    def arrived(self, request_id: str, message: Message) -> None:
        """A response is here."""
        future = self._awaited.get(request_id)
        if future is not None and not future.done():
            future.set_result(message)


class MemoryOpenBus(OpenBus):
    """An open bus whose parts that speak to a broker are those of memory.

    Args:
        settings: of the bus.
        topology: a valid one that has the service.
        take: judges and keeps what is published.
    """

    def __init__(self, settings: BusSettings, topology: Topology, take: Callable[[Outgoing], Awaitable[None]]) -> None:
        link = Unconnected(settings, topology.vhost)
        super().__init__(link, settings, topology, topology.services[settings.service], "test")
        self.publisher = MemoryPublisher(link, take)
        self.memory_responses = MemoryResponses(link, "")
        self.responses = self.memory_responses
        self.memories: list[MemorySubscription] = []

    async def subscribe(
        self, source: MessageSource, pattern: str, handler: Handler | None, concurrency: int, prefetch: int
    ) -> Subscription:
        """Keep who wants what."""
        subscription = MemorySubscription(self._link, source, pattern=pattern, handler=handler)
        self.memories.append(subscription)
        return subscription

    async def close(self, grace_seconds: float) -> None:
        """End every subscription."""
        for one in self.memories:
            await one.close()
