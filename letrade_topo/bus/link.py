"""The connection of a bus to its agent: aio-pika's robust one, opened with patience and closed in order.

aio-pika (Dmitry Orlov and contributors; the most used asyncio client of RabbitMQ) connects again and restores channels,
queues, bindings and consumers. What it does not say, or says in its own exceptions, is told here in ours.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any, Final

from aio_pika import RobustConnection
from aio_pika.abc import AbstractRobustChannel
from aio_pika.connection import make_url
from aio_pika.exceptions import CONNECTION_EXCEPTIONS, ChannelNotFoundEntity
from aiormq.exceptions import ChannelAccessRefused

from letrade_topo.bus.errors import ConfigurationError, NotConnected
from letrade_topo.bus.faults import explain_unreachable, said
from letrade_topo.bus.settings import BusSettings

log = logging.getLogger("letrade_topo.bus")

RECONNECT_SECONDS: Final = 1.0
CHANNEL_SECONDS: Final = 10.0
CLOSE_SECONDS: Final = 10.0
PRODUCT: Final = "letrade-topo"
"""Whose connection it is: the client property by which an agent knows this client."""
AGENT_PROPERTY: Final = "letrade_agent"
"""A server property that only agents have: the service beside which one stands."""

_FIRST_PAUSE, _LONGEST_PAUSE = 0.05, 1.0


class Link:
    """A connection that comes back by itself until it is closed.

    Args:
        settings: where the agent is.
        vhost: of the topology.
    """

    def __init__(self, settings: BusSettings, vhost: str) -> None:
        self._settings = settings
        self._vhost = vhost
        self._connection: RobustConnection | None = None
        self._on_lost: list[Callable[[], None]] = []
        self._is_closing = False
        self._is_lost = False

    @property
    def is_open(self) -> bool:
        """Whether it was opened and not closed since; it may be down at the moment."""
        return self._connection is not None and not self._is_closing

    @property
    def is_up(self) -> bool:
        """Whether there is a connection at this moment."""
        connection = self._connection
        return self.is_open and connection is not None and connection.connected.is_set()

    @property
    def agent(self) -> str:
        """Beside which service the agent stands that answered; "" when it was a broker, or nobody."""
        found = self._server_properties().get(AGENT_PROPERTY, "")
        return found.decode() if isinstance(found, bytes) else str(found)

    @property
    def broker(self) -> dict[str, str]:
        """Product and version, as the server says."""
        properties = self._server_properties()
        return {name: str(properties.get(name, "")) for name in ("product", "version")}

    async def open(self, timeout_seconds: float) -> None:
        """Connect, and try again for so long.

        Raises:
            NotConnected: nobody answered, or the agent has no broker.
            ConfigurationError: somebody answered who does not let this service in.
        """
        deadline = asyncio.get_running_loop().time() + timeout_seconds
        pause = _FIRST_PAUSE
        while True:
            try:
                await self._connect(deadline)
            except NotConnected:
                if asyncio.get_running_loop().time() + pause >= deadline:
                    raise
                await asyncio.sleep(pause)
                pause = min(2 * pause, _LONGEST_PAUSE)
            else:
                return

    def when_lost(self, call: Callable[[], None]) -> None:
        """Have something called each time the connection is lost."""
        self._on_lost.append(call)

    async def channel(self, *, confirms: bool = False, prefetch: int = 0) -> AbstractRobustChannel:
        """A channel that is restored with the connection.

        Args:
            confirms: publisher confirms, with returned messages as exceptions.
            prefetch: unacknowledged messages at once.

        Raises:
            NotConnected: the bus is closed, or its connection is down and does not come back in time.
        """
        try:
            async with asyncio.timeout(CHANNEL_SECONDS):
                while (channel := await self._channel(confirms=confirms, prefetch=prefetch)) is None:
                    await asyncio.sleep(_FIRST_PAUSE)
        except TimeoutError as error:
            raise down(f"no channel at {self._settings.address}") from error
        return channel

    async def close(self) -> None:
        """Close it for good."""
        connection, self._is_closing = self._connection, True
        if connection is None:
            return
        with suppress(*CONNECTION_EXCEPTIONS, TimeoutError):
            async with asyncio.timeout(CLOSE_SECONDS):
                await connection.close()
        self._lost()

    async def _channel(self, *, confirms: bool, prefetch: int) -> AbstractRobustChannel | None:
        """A channel; None: the connection is down, or went in between."""
        if self._connection is None or self._is_closing:
            raise closed()
        if not self.is_up:
            return None
        channel: Any = self._connection.channel(publisher_confirms=confirms, on_return_raises=confirms)
        try:
            await channel.initialize()
            if prefetch:
                await channel.set_qos(prefetch_count=prefetch)
        except CONNECTION_EXCEPTIONS:
            with suppress(*CONNECTION_EXCEPTIONS):
                await channel.close()  # lest it is restored
            return None
        found: AbstractRobustChannel = channel
        return found

    async def _connect(self, deadline: float) -> None:
        address, vhost = self._settings.address, self._settings.vhost_of(self._vhost)
        left = max(deadline - asyncio.get_running_loop().time(), 0.01)
        connection = RobustConnection(
            make_url(self._settings.url_of(self._vhost)),
            reconnect_interval=RECONNECT_SECONDS,
            # the agent tells by the product what a refusal has to look like: here the returned message is wanted
            client_properties={"product": PRODUCT, "connection_name": f"letrade-bus/{self._settings.service}"},
        )
        try:
            async with asyncio.timeout(left):
                await connection.connect(timeout=left)
        except BaseException as error:
            with suppress(*CONNECTION_EXCEPTIONS):
                await connection.close()
            if isinstance(error, (*CONNECTION_EXCEPTIONS, TimeoutError)):
                raise explain_unreachable(error, address, vhost, self._settings.service) from error
            raise
        connection.close_callbacks.add(self._when_lost)
        connection.reconnect_callbacks.add(self._when_back)
        self._connection = connection

    def _when_lost(self, _connection: object, error: BaseException | None) -> None:
        if self._is_closing:
            return
        if not self._is_lost:  # else an attempt to connect again has failed
            log.warning("the connection to %s is lost, and tried again: %s", self._settings.address, said(error))
        self._is_lost = True
        self._lost()

    def _when_back(self, _connection: object) -> None:
        self._is_lost = False
        log.warning("the connection to %s is back", self._settings.address)

    def _lost(self) -> None:
        for call in self._on_lost:
            call()

    def _server_properties(self) -> dict[str, Any]:
        transport = None if self._connection is None else self._connection.transport
        return {} if transport is None else dict(transport.connection.server_properties or {})


def closed() -> NotConnected:
    """For whoever uses a bus that is closed, or not open yet."""
    return NotConnected(
        "the bus is not connected", fix="`await bus.connect()` first, or `async with MessageBus() as bus`"
    )


def down(what: str) -> NotConnected:
    """For whoever waited for the connection in vain.

    Args:
        what: did not work.
    """
    return NotConnected(
        what,
        why="the connection to the agent is down, and did not come back in time",
        fix="see `await bus.health_check()`; try again, or with a longer timeout",
    )


@contextmanager
def explained(what: str) -> Iterator[None]:
    """Say in our words what the broker, or the agent, does not do for this service.

    Args:
        what: is asked of it, for example `consuming from orders`.

    Raises:
        ConfigurationError: the topology and the broker are not of one mind.
        NotConnected: nobody answered.
    """
    try:
        yield
    except ChannelNotFoundEntity as error:
        raise ConfigurationError(
            f"{what}: it is not on the broker", why=said(error), fix="`letrade-topo apply` puts it there"
        ) from error
    except ChannelAccessRefused as error:
        raise ConfigurationError(
            f"{what} is refused",
            why=said(error),
            fix="the agent or the broker has another topology than this bus: see LETRADE_TOPOLOGY, `letrade-topo plan`",
        ) from error
    except (*CONNECTION_EXCEPTIONS, TimeoutError) as error:
        raise NotConnected(
            f"{what} did not work", why=said(error), fix="see `await bus.health_check()`; try again"
        ) from error
