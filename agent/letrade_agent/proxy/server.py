"""The whole proxy: listener, connections, their timer, the hand-over publisher; starts, drains, closes."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from functools import partial
from typing import Final

from letrade_agent.amqp.negotiation import counts_nacks
from letrade_agent.config import Listening, Settings
from letrade_agent.filters.in_force import Filters
from letrade_agent.hand_over.hand_overs import HandOvers
from letrade_agent.limits import DEFAULT_LIMITS, Limits
from letrade_agent.log import Log
from letrade_agent.measures import Measures
from letrade_agent.object_store.objects import Objects
from letrade_agent.proxy.connection import ProxiedConnection
from letrade_agent.proxy.listener import ClientListener
from letrade_agent.proxy.login import Door, LoggedIn
from letrade_agent.proxy.memory import Spare
from letrade_agent.proxy.pace import Pace
from letrade_agent.proxy.shell import Shell, Snapshot, Unsent
from letrade_agent.relay.relay import Relay
from letrade_agent.tracing.recorder import Recorder
from letrade_agent.transport.leg import Leg
from letrade_agent.upstream.away_queues import AwayQueues
from letrade_agent.upstream.broken import UpstreamBroken
from letrade_agent.upstream.dialled import Credentials
from letrade_agent.upstream.nodes import Nodes, NodeState
from letrade_agent.upstream.passive_declares import PassiveDeclares
from letrade_agent.upstream.tls import TlsContexts
from letrade_agent.upstream.upstream import Upstream

BEAT_SECONDS: Final = 0.5
"""The one timer. Heartbeats of one second, the shortest there are, need two a second."""

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
        limits: of the agent.
        recorder: traces messages; None: nothing is traced.
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
        limits: Limits = DEFAULT_LIMITS,
        recorder: Recorder | None = None,
    ) -> None:
        self._recorder = recorder
        self._filters = filters
        self._measures = measures
        self._log = log
        self._now = now
        self._monotonic = monotonic
        self._open_legs: set[Leg] = set()
        self._nodes = Nodes(settings.upstream, monotonic=monotonic, limits=limits.upstream)
        password = settings.password
        credentials = Credentials(username, password, vhost)
        tls = TlsContexts(settings.ca_file, settings.cert_file, settings.key_file, log)
        self.upstream: Final = Upstream(
            self._nodes, credentials, tls, measures, log, monotonic, self._open_legs, limits
        )
        self.dead_letters: Final = HandOvers(
            self.upstream,
            service=settings.service,
            measures=measures,
            log=log,
            monotonic=monotonic,
            limits=limits.hand_over,
            recorder=recorder,
        )
        declares = PassiveDeclares(self.upstream, f"queues that are away via letrade-agent/{settings.service}")
        self.away: Final = AwayQueues(declares, log, monotonic, limits.away)
        self._shell = Shell(
            measures,
            self.dead_letters,
            objects or Objects(measures, log, limits.object_store),
            self.away,
            log,
            monotonic,
            self._crowded,
            self._frames_a_turn,
            limits,
        )
        door = Door(
            self.upstream,
            service=settings.service,
            local_password=settings.local_password,
            is_draining=lambda: self._draining,
            connections=self._count_connections,
            most_connections=limits.connections,
            pace=Pace(limits.door.logins_a_second, limits.door.logins_at_once),
        )
        self._listener = (
            None
            if settings.listen is None
            else ClientListener(settings.listen, door, self._welcome, measures, log, self._open_legs, limits)
        )
        self._connections: set[ProxiedConnection] = set()
        self._draining = False
        self._empty = asyncio.Event()
        self._empty.set()
        self._timer: asyncio.TimerHandle | None = None
        self._spare = Spare(limits.spare_bytes)
        self._limits = limits
        self._is_crowded = False
        self._beats = 0

    async def start(self) -> Listening | None:
        """Listen; where, with the port that the system chose. None: it is not to listen.

        Raises:
            OSError: the address cannot be used.
            InvalidSetting: the group of a socket is not there.
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

    async def hear_greeting(self) -> None:
        """Ask the broker who it is, so that the first client already sees its properties; it need not be there."""
        with suppress(UpstreamBroken, TimeoutError):
            async with asyncio.timeout(self._limits.door.greeting_seconds):
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
            await self._listener.settle(self._limits.stop.door_seconds)
        if last is not None:
            await last()
        await self.dead_letters.finish(self._limits.stop.hand_over_seconds)
        await self.close()

    async def close(self) -> None:
        """Close everything now."""
        self._draining = True
        if self._listener is not None:
            await self._listener.close()
        for connection in tuple(self._connections):
            connection.abort()
        await self.away.close()
        await self.dead_letters.close()
        for leg in tuple(self._open_legs):  # those, too, that only wait for the other side's last word
            leg.abort()
        deadline = self._monotonic() + self._limits.stop.abort_seconds
        while self._open_legs and self._monotonic() < deadline:
            await asyncio.sleep(0)
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _welcome(self, client: Leg, logged_in: LoggedIn) -> None:
        address = logged_in.dialled.state.node.address
        relay = Relay(
            self._filters,
            self._measures,
            client_frame_max=logged_in.client_limits.frame_max,
            upstream_frame_max=logged_in.upstream_limits.frame_max,
            client_capabilities=logged_in.capabilities,
            broker_counts_nacks=counts_nacks(logged_in.dialled.start.server_properties),
            refusal_form=logged_in.refusal_form,
            now=self._now,
            monotonic=self._monotonic,
            log=self._log,
            away=self.away,
            limits=self._limits,
            tracer=None if self._recorder is None else self._recorder.of_connection((address.host, address.port)),
        )
        connection = ProxiedConnection(client, logged_in, relay, self._shell, self._closed)
        self._connections.add(connection)
        self._empty.clear()
        connection.begin(logged_in)

    def _count_connections(self) -> int:
        """Open ones, and those that are being made at the broker for who has logged in."""
        at_the_door = 0 if self._listener is None else self._listener.logged_in
        return len(self._connections) + at_the_door

    def _frames_a_turn(self) -> int:
        limits = self._limits
        return limits.frames_a_turn if len(self._connections) > 1 else limits.frames_a_turn_alone

    def _closed(self, connection: ProxiedConnection) -> None:
        self._connections.discard(connection)
        if not self._connections:
            self._empty.set()

    def _crowded(self) -> None:
        if not self._is_crowded:
            self._is_crowded = True
            asyncio.get_running_loop().call_soon(self._make_room)

    def _make_room(self) -> None:
        """Unfinished messages take too much memory: the connection that holds most of it goes."""
        self._is_crowded = False
        greediest = max(self._connections, key=lambda connection: connection.unfinished_bytes, default=None)
        if greediest is None or not greediest.unfinished_bytes:
            return
        if self._measures.unfinished > self._limits.all_unfinished_bytes:
            unfinished, most = self._measures.unfinished, self._limits.all_unfinished_bytes
            greediest.give_up(
                f"the unfinished messages of all connections have {unfinished} bytes, more than {most}, "
                f"and {greediest.unfinished_bytes} of them are of this one"
            )
            self._crowded()

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
        deadline = self._monotonic() + self._limits.stop.closing_seconds
        while self._connections and self._monotonic() < deadline:
            await self._emptied(self._limits.stop.settle_seconds)
            for connection in tuple(self._connections):
                connection.settle()

    # The timer.

    def _arm(self) -> None:
        loop = asyncio.get_running_loop()
        self._timer = loop.call_at(loop.time() + BEAT_SECONDS, self._beat, loop.time() + BEAT_SECONDS)

    def _tick(self, connections: Sequence[ProxiedConnection], *, is_second: bool, unsent: Unsent) -> None:
        """The timers of some connections; of the rest when others had their turn."""
        most = self._limits.ticks_a_turn
        now = self._monotonic()
        for connection in connections[:most]:
            connection.tick(now, is_second=is_second)
            if is_second:
                unsent += connection.unsent
        if len(connections) > most:
            rest = connections[most:]
            asyncio.get_running_loop().call_soon(partial(self._tick, rest, is_second=is_second, unsent=unsent))
        elif is_second:
            self._measures.buffered["to_client"] = unsent.to_client
            self._measures.buffered["to_broker"] = unsent.to_broker
            self._spare.look(unsent.to_client + unsent.to_broker + self._measures.unfinished)

    def _beat(self, due: float) -> None:
        self._measures.loop_lag.observe(max(0.0, asyncio.get_running_loop().time() - due))
        self._arm()
        self._beats += 1
        is_second = self._beats % 2 == 0
        now = self._monotonic()
        self._tick(tuple(self._connections), is_second=is_second, unsent=Unsent(0, 0))
        self.dead_letters.tick(now)
