"""The client's handshake: the agent as a server, which says yes only when the broker did.

The client sees the broker's own properties (those of its last greeting) and limits. The broker is dialled when the
client has logged in, and not before: whoever only connects costs it nothing. What fails upstream is told where every
client library expects it: a refused login after start-ok, everything else in the place of open-ok.
"""

from __future__ import annotations

import hmac
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum, auto
from typing import Final, NoReturn, TypeVar

from letrade_agent.amqp.negotiation import (
    MECHANISMS,
    capabilities,
    check_limits,
    connection_name,
    read_login,
    server_properties,
    upstream_properties,
)
from letrade_agent.proxy.pace import Pace
from letrade_agent.relay.libraries import RefusalForm, form_for
from letrade_agent.transport.leg import Inbox, Leg
from letrade_agent.upstream.broken import ConnectOutcome, UpstreamBroken, forced
from letrade_agent.upstream.dialled import Dialled
from letrade_agent.upstream.upstream import Upstream, agent_properties
from letrade_topo.amqp.command import Command
from letrade_topo.amqp.commands import parse_command
from letrade_topo.amqp.connection_commands import (
    ConnectionClose,
    ConnectionCloseOk,
    Open,
    OpenOk,
    Start,
    StartOk,
    Tune,
    TuneOk,
)
from letrade_topo.amqp.faults import AmqpFault, ClientFault, ReplyCode, blame, readable, shorten
from letrade_topo.amqp.frames import METHOD
from letrade_topo.amqp.header_table import HeaderTable, long_string_entry

AGENT_PROPERTY: Final = b"letrade_agent"
"""The server property by which a client knows an agent; its value is the service."""

_ANY_VHOST: Final = b"/"
_CLOSES_ON_FAILED_LOGIN: Final = b"authentication_failure_close"

_Command = TypeVar("_Command", bound=Command)


class WaitsFor(Enum):
    """Who has the next word in a login."""

    CLIENT = auto()
    BROKER = auto()


class ClientTurnedAway(Exception):
    """A client that does not get its connection. It has been told, as far as it can be.

    Attributes:
        cause: the label of `client_disconnects_total`.
        was_told: whether a connection.close is on its way to it.
    """

    def __init__(self, cause: str, text: str, *, was_told: bool) -> None:
        super().__init__(text)
        self.cause = cause
        self.was_told = was_told


@dataclass(frozen=True, slots=True)
class LoggedIn:
    """A client and its connection to the broker, both open.

    Attributes:
        inbox: of the client.
        dialled: the broker's side.
        client_limits, upstream_limits: what was settled on; two negotiations.
        capabilities: of the client.
        name: what it calls itself; empty if it does not.
        refusal_form: what its library needs to be told of a refused publish.
    """

    inbox: Inbox
    dialled: Dialled
    client_limits: TuneOk
    upstream_limits: TuneOk
    capabilities: frozenset[bytes]
    name: str
    refusal_form: RefusalForm


class Door:
    """Lets clients in.

    Args:
        upstream: where connections to the broker come from.
        service: for the name of the connection at the broker.
        local_password: what clients must log in with; None: anything.
        is_draining: whether nobody is let in any more.
        connections: how many are open or being made.
        most_connections: how many there may be.
        pace: of connections to the broker for clients.
    """

    def __init__(
        self,
        upstream: Upstream,
        *,
        service: str,
        local_password: str | None,
        is_draining: Callable[[], bool],
        connections: Callable[[], int],
        most_connections: int,
        pace: Pace,
    ) -> None:
        self.pace: Final = pace
        self._upstream = upstream
        self._service = service
        self._local_password = None if local_password is None else local_password.encode()
        self._is_draining = is_draining
        self._connections = connections
        self.most_connections: Final = most_connections

    async def let_in(self, leg: Leg, inbox: Inbox, on_waiting: Callable[[WaitsFor], None]) -> LoggedIn:
        """Go through the handshake with a client whose protocol header was right.

        Args:
            leg: of the client.
            inbox: its frames.
            on_waiting: told who has the next word when it has said who it is, and again when the broker has answered.

        Raises:
            ClientTurnedAway: it was told why.
            LegLost: it went away.
        """
        greeting = _Greeting(self, leg, inbox, on_waiting)
        try:
            return await greeting.run()
        except AmqpFault as fault:
            greeting.drop_upstream()
            leg.send(
                ConnectionClose(
                    reply_code=fault.code,
                    reply_text=fault.reply_text,
                    class_id=fault.class_id,
                    method_id=fault.method_id,
                )
            )
            raise ClientTurnedAway("protocol_error", str(fault), was_told=True) from fault
        except BaseException:
            greeting.drop_upstream()
            raise

    def check_password(self, start_ok: StartOk) -> bool:
        """Whether a client may come in.

        Raises:
            AmqpFault: its login cannot be read.
        """
        login = read_login(start_ok.mechanism, start_ok.response)
        return self._local_password is None or hmac.compare_digest(login.password, self._local_password)

    @property
    def service(self) -> str:
        """Beside which the agent stands."""
        return self._service

    @property
    def upstream(self) -> Upstream:
        """Where connections to the broker come from."""
        return self._upstream

    @property
    def is_draining(self) -> bool:
        """Whether nobody is let in any more."""
        return self._is_draining()

    @property
    def is_full(self) -> bool:
        """Whether there are as many connections as there may be."""
        return self._connections() >= self.most_connections

    def name_upstream(self, client: HeaderTable) -> bytes:
        """`connection_name` at the broker: whose connection, by whom."""
        agent = f"letrade-agent/{self._service}".encode()
        name = connection_name(client)
        return agent if name is None else name + b" via " + agent


class _Greeting:
    """One handshake."""

    def __init__(self, door: Door, leg: Leg, inbox: Inbox, on_waiting: Callable[[WaitsFor], None]) -> None:
        self._door = door
        self._on_waiting = on_waiting
        self._leg = leg
        self._inbox = inbox
        self._dialled: Dialled | None = None
        self._broken: UpstreamBroken | None = None
        self._is_one_too_many = False

    async def run(self) -> LoggedIn:
        self._leg.send(Start(server_properties=self._server_properties(), mechanisms=MECHANISMS))
        start_ok = await self._expect(StartOk)
        able = capabilities(start_ok.client_properties)
        if not self._door.check_password(start_ok):
            self._refuse_login(able, "the password is not the one that this agent was given", "auth_failed")
        self._is_one_too_many = self._door.is_full
        upstream_limits = None
        if not self._is_one_too_many:
            self._on_waiting(WaitsFor.BROKER)
            async with self._door.pace:
                await self._dial()
                upstream_limits = await self._log_in_upstream(start_ok.client_properties)
            self._on_waiting(WaitsFor.CLIENT)
        if self._broken is not None and self._broken.outcome is ConnectOutcome.AUTH:
            self._refuse_login(able, self._broken, "broker_closed")
        client_limits = await self._tune(upstream_limits)
        self._check_open(await self._expect(Open))
        if self._dialled is None or upstream_limits is None:  # then _check_open has refused
            raise AssertionError
        self._leg.send(OpenOk())
        name = readable(connection_name(start_ok.client_properties) or b"")
        form = form_for(start_ok.client_properties)
        return LoggedIn(self._inbox, self._dialled, client_limits, upstream_limits, able, name, form)

    async def _dial(self) -> None:
        try:
            self._dialled = await self._door.upstream.dial()
        except UpstreamBroken as broken:
            self._broken = broken

    def drop_upstream(self) -> None:
        """Nobody wants the connection to the broker any more."""
        if self._dialled is not None:
            self._dialled.leave()

    def _server_properties(self) -> HeaderTable:
        known = self._door.upstream.server_properties
        shown = agent_properties(b"letrade-agent") if known is None else server_properties(known)
        # For clients that must not speak to a broker directly; the broker's own properties stay as they are.
        return shown.with_entries(long_string_entry(AGENT_PROPERTY, self._door.service.encode()))

    async def _log_in_upstream(self, client: HeaderTable) -> TuneOk | None:
        if self._dialled is None:
            return None
        properties = upstream_properties(client, connection_name=self._door.name_upstream(client))
        try:
            return await self._dialled.log_in(properties)
        except UpstreamBroken as broken:
            self._broken = broken
            return None

    async def _tune(self, limits: TuneOk | None) -> TuneOk:
        ours = self._door.upstream.limits.upstream
        offer = limits or TuneOk(
            channel_max=ours.channel_max, frame_max=ours.frame_max_bytes, heartbeat=ours.heartbeat_seconds
        )
        tune = Tune(channel_max=offer.channel_max, frame_max=offer.frame_max, heartbeat=offer.heartbeat)
        self._leg.send(tune)
        chosen = await self._expect(TuneOk)
        with blame(ClientFault):
            check_limits(tune, chosen)
        self._leg.decoder.frame_max = chosen.frame_max
        return chosen

    def _check_open(self, command: Open) -> None:
        if self._is_one_too_many:
            text = f"connection refused: the agent's connection limit ({self._door.most_connections}) is reached"
            self._refuse(_not_allowed(text), "connection_limit")
        if self._broken is not None:
            self._refuse(self._broken.close, "broker_closed")
        if self._door.is_draining:
            self._refuse(forced("shutting down"), "drain")
        vhost = self._door.upstream.credentials.vhost
        if command.virtual_host not in (_ANY_VHOST, vhost.encode()):
            asked = readable(command.virtual_host)
            text = f"access to vhost '{asked}' refused: this agent serves '{vhost}', also under '/'"
            self._refuse(_not_allowed(text), "protocol_error")

    def _refuse(self, close: ConnectionClose, cause: str) -> NoReturn:
        self._leg.send(close)
        raise ClientTurnedAway(cause, readable(close.reply_text), was_told=True)

    def _refuse_login(self, able: frozenset[bytes], why: str | UpstreamBroken, cause: str) -> NoReturn:
        """403 for those who understand it at this point; for the others the socket just closes, as RabbitMQ does."""
        if isinstance(why, UpstreamBroken):
            close = why.close
        else:
            close = ConnectionClose(
                reply_code=ReplyCode.ACCESS_REFUSED, reply_text=shorten(f"ACCESS_REFUSED - letrade-agent: {why}")
            )
        if _CLOSES_ON_FAILED_LOGIN in able:
            self._refuse(close, cause)
        raise ClientTurnedAway(cause, readable(close.reply_text), was_told=False)

    async def _expect(self, kind: type[_Command]) -> _Command:
        """Wait for one method of the client.

        Raises:
            ClientFault: something else came.
            ClientTurnedAway: it has changed its mind.
            LegLost: it is gone.
        """
        frame_type, channel, payload = await self._inbox.next()
        if frame_type != METHOD or channel != 0:
            raise ClientFault(
                ReplyCode.UNEXPECTED_FRAME,
                f"expected {kind.method.name}, got a frame of type {frame_type} on channel {channel}",
            )
        with blame(ClientFault):
            command = parse_command(payload)
        if isinstance(command, ConnectionClose):
            self._leg.send(ConnectionCloseOk())
            raise ClientTurnedAway("client_closed", "the client closed the connection at the login", was_told=False)
        if not isinstance(command, kind):
            got = command.method.name if command else "another method"
            raise ClientFault(ReplyCode.COMMAND_INVALID, f"expected {kind.method.name}, got {got}")
        return command


def _not_allowed(text: str) -> ConnectionClose:
    """What a broker answers to an `open` that it does not allow."""
    method = Open.method
    return ConnectionClose(
        reply_code=ReplyCode.NOT_ALLOWED,
        reply_text=shorten(f"NOT_ALLOWED - {text}"),
        class_id=method.class_id,
        method_id=method.method_id,
    )
