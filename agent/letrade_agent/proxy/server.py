"""The whole proxy: listener, connections, their timer, the hand-over publisher; starts, drains, closes."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Final

from letrade_agent.config import Address, Settings
from letrade_agent.filters.verdicts import Filters
from letrade_agent.log import Log
from letrade_agent.measures import Measures
from letrade_agent.proxy.connection import WRITE_STALL_SECONDS, Connection, Shell, Snapshot
from letrade_agent.proxy.dialled import Credentials
from letrade_agent.proxy.hand_overs import HandOvers
from letrade_agent.proxy.leg import Leg
from letrade_agent.proxy.listener import Listener
from letrade_agent.proxy.login import Door, LoggedIn
from letrade_agent.proxy.nodes import Nodes, NodeState
from letrade_agent.proxy.objects import Objects
from letrade_agent.proxy.tls import TlsContexts
from letrade_agent.proxy.upstream import Upstream
from letrade_agent.relay.relay import Relay

BEAT_SECONDS: Final = 0.5
"""The one timer. Heartbeats of one second, the shortest there are, need two a second."""

# After the drain time-out, together less than the five seconds that Kubernetes' grace time leaves by default.
_CLOSING_SECONDS: Final = 3.0
"""For the broker's answers to what was published last, and for the closing."""
_SETTLE_SECONDS: Final = 0.05
_DOOR_SECONDS: Final = 0.5
"""For who is in the middle of the login, to be told."""
_HAND_OVER_SECONDS: Final = 0.5
_ABORT_SECONDS: Final = 0.5

_SHUTTING_DOWN: Final = "letrade-agent is shutting down"


class Proxy:
    """Everything between clients and broker.

    Args:
        settings: where to listen, the broker's nodes, TLS, passwords.
        filters: in force; shared by all connections, read anew for each message.
        measures: counts.
        username: of the service at the broker.
        vhost: the topology's.
        objects: the store of claim checks; None: there is none.
        log: level, event, particulars.
        now: seconds since the epoch.
        monotonic: seconds.
        write_stall_seconds: a client that reads nothing for so long loses its connection.
    """

    def __init__(
        self,
        settings: Settings,
        filters: Filters,
        measures: Measures,
        *,
        username: str,
        vhost: str,
        objects: Objects | None = None,
        log: Log,
        now: Callable[[], float] = time.time,
        monotonic: Callable[[], float] = time.monotonic,
        write_stall_seconds: float = WRITE_STALL_SECONDS,
    ) -> None:
        self._filters = filters
        self._measures = measures
        self._log = log
        self._now = now
        self._monotonic = monotonic
        self._open_legs: set[Leg] = set()
        self._nodes = Nodes(settings.upstream, monotonic=monotonic)
        password = settings.password
        credentials = Credentials(username, password, vhost)
        tls = TlsContexts(settings.ca_file, settings.cert_file, settings.key_file, log)
        self.upstream: Final = Upstream(self._nodes, credentials, tls, measures, log, monotonic, self._open_legs)
        self.dead_letters: Final = HandOvers(
            self.upstream, service=settings.service, measures=measures, log=log, monotonic=monotonic
        )
        self._shell = Shell(
            measures,
            self.dead_letters,
            objects or Objects(measures, log),
            log,
            monotonic,
            self._closed,
            write_stall_seconds,
        )
        door = Door(
            self.upstream,
            service=settings.service,
            local_password=settings.local_password,
            is_draining=lambda: self._draining,
        )
        self._listener = (
            None
            if settings.listen is None
            else Listener(settings.listen, door, self._welcome, measures, log, self._open_legs)
        )
        self._connections: set[Connection] = set()
        self._draining = False
        self._empty = asyncio.Event()
        self._empty.set()
        self._timer: asyncio.TimerHandle | None = None
        self._beats = 0

    async def start(self) -> Address | None:
        """Listen; where, with the port that the system chose. None: it is not to listen.

        Raises:
            OSError: the address cannot be used.
        """
        address = None if self._listener is None else await self._listener.start()
        self._arm()
        return address

    @property
    def listening(self) -> bool:
        """Whether clients can connect."""
        return self._listener is not None and self._listener.is_listening

    @property
    def draining(self) -> bool:
        """Whether it shuts down."""
        return self._draining

    @property
    def connections(self) -> tuple[Snapshot, ...]:
        """The open ones."""
        return tuple(connection.snapshot for connection in self._connections)

    @property
    def nodes(self) -> tuple[NodeState, ...]:
        """The broker's nodes, and how they did at the last attempt."""
        return self._nodes.states

    def filters_changed(self) -> None:
        """New keys or a new topology are in force."""
        for connection in tuple(self._connections):
            connection.filters_changed()

    async def check_upstream(self) -> None:
        """Log in at a broker node and leave again.

        Raises:
            UpstreamBroken: it does not work; says why.
        """
        await self.upstream.check()

    async def drain(self, timeout_seconds: float, last: Callable[[], Awaitable[None]] | None = None) -> None:
        """Accept nobody any more, wait until the last client has closed or the time is over, then close the rest.

        Args:
            timeout_seconds: for clients.
            last: what is to be done when there are no clients any more, before everything is closed.
        """
        self._draining = True
        if self._listener is not None:
            self._listener.stop()
        self._log("info", "draining", {"clients": len(self._connections), "seconds": timeout_seconds})
        if not await self._emptied(timeout_seconds):
            await self._end_connections()
        if self._listener is not None:
            await self._listener.settle(_DOOR_SECONDS)
        if last is not None:
            await last()
        await self.dead_letters.finish(_HAND_OVER_SECONDS)
        await self.close()

    async def close(self) -> None:
        """Close everything now."""
        self._draining = True
        if self._listener is not None:
            await self._listener.close()
        for connection in tuple(self._connections):
            connection.abort()
        await self.dead_letters.close()
        for leg in tuple(self._open_legs):  # those, too, that only wait for the other side's last word
            leg.abort()
        deadline = self._monotonic() + _ABORT_SECONDS
        while self._open_legs and self._monotonic() < deadline:
            await asyncio.sleep(0)
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _welcome(self, client: Leg, logged_in: LoggedIn) -> None:
        relay = Relay(
            self._filters,
            self._measures,
            client_frame_max=logged_in.client_limits.frame_max,
            upstream_frame_max=logged_in.upstream_limits.frame_max,
            client_capabilities=logged_in.capabilities,
            now=self._now,
            monotonic=self._monotonic,
            log=self._log,
        )
        connection = Connection(client, logged_in, relay, self._shell)
        self._connections.add(connection)
        self._empty.clear()
        connection.begin(logged_in)

    def _closed(self, connection: Connection) -> None:
        self._connections.discard(connection)
        if not self._connections:
            self._empty.set()

    async def _emptied(self, timeout_seconds: float) -> bool:
        try:
            async with asyncio.timeout(timeout_seconds):
                await self._empty.wait()
        except TimeoutError:
            return False
        return True

    async def _end_connections(self) -> None:
        """Close what is left, each when its publishes are answered."""
        for connection in tuple(self._connections):
            connection.shut_down(_SHUTTING_DOWN)
        deadline = self._monotonic() + _CLOSING_SECONDS
        while self._connections and self._monotonic() < deadline:
            await self._emptied(_SETTLE_SECONDS)
            for connection in tuple(self._connections):
                connection.settle()

    # The timer.

    def _arm(self) -> None:
        loop = asyncio.get_running_loop()
        self._timer = loop.call_at(loop.time() + BEAT_SECONDS, self._beat, loop.time() + BEAT_SECONDS)

    def _beat(self, due: float) -> None:
        self._measures.loop_lag.observe(max(0.0, asyncio.get_running_loop().time() - due))
        self._arm()
        self._beats += 1
        is_second = self._beats % 2 == 0
        now = self._monotonic()
        for connection in tuple(self._connections):
            connection.tick(now, is_second=is_second)
        self.dead_letters.tick(now)
        if is_second:
            unsent_to_client = unsent_to_broker = 0
            for snapshot in self.connections:
                unsent_to_client += snapshot.unsent_to_client
                unsent_to_broker += snapshot.unsent_to_broker
            self._measures.buffered["to_client"] = unsent_to_client
            self._measures.buffered["to_broker"] = unsent_to_broker
