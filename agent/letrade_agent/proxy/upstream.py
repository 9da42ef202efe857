"""Connections to the broker: one of several nodes, TLS, login, tuning, vhost; then the leg is the caller's.

In two steps, because the client's greeting needs the broker's properties, and the broker's login the client's:
`Upstream.dial` ends with the broker's connection.start, `Dialled.log_in` with its open-ok.
"""

from __future__ import annotations

import asyncio
import random
import socket
import ssl
from collections.abc import Callable
from dataclasses import dataclass, field
from ipaddress import ip_address
from typing import Final, TypeVar

from letrade_agent.amqp.command import Command
from letrade_agent.amqp.commands import parse_command
from letrade_agent.amqp.connection_commands import (
    ConnectionClose,
    ConnectionCloseOk,
    Open,
    OpenOk,
    Secure,
    SecureOk,
    Start,
    StartOk,
    Tune,
    TuneOk,
)
from letrade_agent.amqp.faults import AmqpFault, BrokerFault, ReplyCode, blame, readable
from letrade_agent.amqp.frames import METHOD, PROTOCOL_HEADER, Frame
from letrade_agent.amqp.header_table import HeaderTable, boolean_entry, long_string_entry, table_entry
from letrade_agent.amqp.negotiation import AGENT_CAPABILITIES, Login, choose_limits, plain_response
from letrade_agent.config import UpstreamNode
from letrade_agent.measures import Measures
from letrade_agent.proxy.broken import Outcome, UpstreamBroken, from_close, from_error, unreachable
from letrade_agent.proxy.ending import finish
from letrade_agent.proxy.leg import Inbox, Leg, LegLost
from letrade_agent.proxy.log import Log
from letrade_agent.proxy.nodes import NodeHealth, Nodes, NodeState
from letrade_agent.proxy.tls import TlsContexts

NODE_SECONDS: Final = 3.0
"""For one node until its greeting: less than clients give the agent."""
DIAL_SECONDS: Final = 7.0
"""For all nodes until a greeting."""
LOGIN_SECONDS: Final = 5.0
"""From the greeting to open-ok."""
_SHUTDOWN_SECONDS: Final = 2.0
"""For the other side's part of closing TLS."""
USER_TIMEOUT_MS: Final = 20_000
"""Data that nobody acknowledges for so long end the connection."""

FRAME_MAX: Final = 131_072
CHANNEL_MAX: Final = 2047
HEARTBEAT_SECONDS: Final = 60
"""What the agent asks for: RabbitMQ's defaults; the broker's offer may be lower."""

_FRAME_FAULTS = (AmqpFault, LegLost, OSError, TimeoutError)

_Command = TypeVar("_Command", bound=Command)


@dataclass(frozen=True, slots=True)
class Credentials:
    """Who the agent is at the broker.

    Args:
        username: the service's user.
        password: for PLAIN; None: EXTERNAL, by the client certificate.
        vhost: the topology's.
    """

    username: str
    password: str | None = field(repr=False)
    vhost: str

    @property
    def mechanism(self) -> bytes:
        """The name of the SASL mechanism."""
        return b"EXTERNAL" if self.password is None else b"PLAIN"

    @property
    def response(self) -> bytes:
        """Its response: a certificate speaks for itself."""
        if self.password is None:
            return b""
        return plain_response(Login(self.username.encode(), self.password.encode()))


class Upstream:
    """Makes connections to the broker.

    Args:
        nodes: which ones there are, and how they did.
        credentials: who the agent is.
        tls: contexts for nodes that speak TLS.
        measures: attempts are counted here.
        log: told about each node that fails, once until it works again.
        monotonic: seconds.
        open_legs: holds the sockets that are open.

    Attributes:
        server_properties: of the broker that answered last; None before the first.
        offered: its limits; None before the first.
    """

    def __init__(
        self,
        nodes: Nodes,
        credentials: Credentials,
        tls: TlsContexts,
        measures: Measures,
        log: Log,
        monotonic: Callable[[], float],
        open_legs: set[Leg],
    ) -> None:
        self.nodes: Final = nodes
        self.credentials: Final = credentials
        self.measures: Final = measures
        self.server_properties: HeaderTable | None = None
        self.offered: Tune | None = None
        self.monotonic: Final = monotonic
        self._open_legs = open_legs
        self._tls = tls
        self._log = log

    async def dial(self) -> Dialled:
        """Reach a node and hear its greeting.

        Raises:
            UpstreamBroken: none answers; at once when all of them failed a moment ago.
        """
        deadline = self.monotonic() + DIAL_SECONDS
        last: UpstreamBroken | None = None
        for state in self.nodes.to_try():
            began = self.monotonic()
            seconds = min(NODE_SECONDS, deadline - began)
            if seconds <= 0:
                break
            try:
                async with asyncio.timeout(seconds):
                    leg, inbox, start = await self._greeted(state.node)
            except _FRAME_FAULTS as error:
                last = from_error(error)
                self.failed(state, last)
                continue
            self.server_properties = start.server_properties
            return Dialled(self, state, leg, inbox, start, self.monotonic() - began)
        raise unreachable(self.nodes.problem, last.outcome if last else Outcome.REFUSED)

    async def check(self) -> None:
        """Log in at a node and leave again.

        Raises:
            UpstreamBroken: it does not work; says why.
        """
        dialled = await self.dial()
        await dialled.log_in(agent_properties(b"letrade-agent check"))
        dialled.leave()

    def failed(self, state: NodeState, broken: UpstreamBroken) -> None:
        """Count and tell."""
        self.measures.connect_attempts[broken.outcome.value] += 1
        text = str(broken)
        if state.problem != text:
            self._log("warning", "broker_node_failed", {"node": str(state.node), "problem": text})
        if broken.is_nodes_fault:
            self.nodes.failed(state, text)
        else:
            state.problem = text

    def worked(self, state: NodeState, seconds: float) -> None:
        """Count, and tell if it was not so before."""
        self.measures.connect_attempts[Outcome.OK.value] += 1
        self.measures.connect_seconds.observe(seconds)
        if state.problem or state.health is not NodeHealth.UP:
            self._log("info", "broker_node_up", {"node": str(state.node), "seconds": round(seconds, 3)})
        self.nodes.worked(state)

    async def _greeted(self, node: UpstreamNode) -> tuple[Leg, Inbox, Start]:
        leg = await self._connected(node)
        try:
            inbox = Inbox(leg)
            leg.write(PROTOCOL_HEADER)
            start = await expect(Start, inbox)
        except BaseException:
            leg.abort()
            raise
        return leg, inbox, start

    async def _connected(self, node: UpstreamNode) -> Leg:
        context = self._tls.get() if node.tls else None
        problem: Exception | None = None
        for address in await _resolved(node):
            if context is None and not ip_address(address.partition("%")[0]).is_loopback:
                raise OSError(f"plain text goes to loopback only, and {node.address.host} is {address}")
            try:
                return await _open_socket(node, address, context, self._open_legs)
            except OSError as error:  # ssl.SSLError and refusals; a time-out is above
                problem = error
        raise problem or OSError(f"{node.address.host} has no address")


async def _resolved(node: UpstreamNode) -> list[str]:
    """The addresses of a node, looked up each time, in random order."""
    host = node.address.host
    try:
        ip_address(host.partition("%")[0])
    except ValueError:
        found = await asyncio.get_running_loop().getaddrinfo(host, node.address.port, type=socket.SOCK_STREAM)
        addresses = list(dict.fromkeys(str(address[0]) for *_, address in found))
        random.shuffle(addresses)
        return addresses
    return [host]


async def _open_socket(node: UpstreamNode, address: str, context: ssl.SSLContext | None, open_legs: set[Leg]) -> Leg:
    leg = Leg(open_legs)
    await asyncio.get_running_loop().create_connection(
        lambda: leg,
        address,
        node.address.port,
        ssl=context,
        server_hostname=node.address.host if context else None,
        ssl_shutdown_timeout=_SHUTDOWN_SECONDS if context else None,
    )
    keep_alive(leg)
    return leg


def agent_properties(connection_name: bytes) -> HeaderTable:
    """Who the agent is, on a connection of its own."""
    able = HeaderTable(tuple(boolean_entry(name, truth=True) for name in AGENT_CAPABILITIES))
    return HeaderTable(
        (
            long_string_entry(b"product", b"letrade-agent"),
            long_string_entry(b"connection_name", connection_name),
            table_entry(b"capabilities", able),
        )
    )


def keep_alive(leg: Leg) -> None:
    """Notice a host that is gone; TCP_NODELAY is asyncio's default."""
    if leg.socket is None:
        return
    leg.socket.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for option, value in ((socket.TCP_KEEPIDLE, 15), (socket.TCP_KEEPINTVL, 5), (socket.TCP_KEEPCNT, 3)):
        leg.socket.setsockopt(socket.IPPROTO_TCP, option, value)
    limit_unacknowledged(leg, limited=True)


def limit_unacknowledged(leg: Leg, *, limited: bool) -> None:
    """End the connection when what was sent stays unacknowledged.

    Not while the broker blocks the connection: it reads nothing then, and Linux takes a window that stays closed for
    the same (tcp(7), TCP_USER_TIMEOUT).
    """
    if leg.socket is not None and not leg.is_lost:
        value = USER_TIMEOUT_MS if limited else 0
        leg.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, value)


async def expect(kind: type[_Command], inbox: Inbox) -> _Command:
    """Wait for one method of the broker on channel 0.

    Raises:
        UpstreamBroken: it closed the connection, and said why.
        BrokerFault: something else came.
        LegLost: it is gone.
    """
    command = _channel_zero(await inbox.next())
    if isinstance(command, ConnectionClose):
        raise from_close(command)
    if not isinstance(command, kind):
        raise BrokerFault(
            ReplyCode.COMMAND_INVALID, f"expected {kind.method.name}, got {command.method.name if command else '?'}"
        )
    return command


def _channel_zero(frame: Frame) -> Command | None:
    frame_type, channel, payload = frame
    if frame_type != METHOD or channel != 0:
        raise BrokerFault(ReplyCode.UNEXPECTED_FRAME, f"a frame of type {frame_type} on channel {channel} at the login")
    with blame(BrokerFault):
        return parse_command(payload)


@dataclass(slots=True)
class Dialled:
    """A node that has greeted.

    Attributes:
        upstream: where it came from.
        state: of its node.
        leg, inbox: the connection, not logged in.
        start: its greeting.
        seconds: what it took so far.
    """

    upstream: Upstream
    state: NodeState
    leg: Leg
    inbox: Inbox
    start: Start
    seconds: float

    async def log_in(self, properties: HeaderTable) -> TuneOk:
        """Log in with the agent's own credentials and open the vhost; the limits that hold then.

        Args:
            properties: the client's, as the broker shall see them.

        Raises:
            UpstreamBroken: the broker refused, or is gone. The leg is closed then.
        """
        began = self.upstream.monotonic()
        try:
            async with asyncio.timeout(LOGIN_SECONDS):
                limits = await self._opened(properties)
        except UpstreamBroken as broken:
            self.leg.send(ConnectionCloseOk())
            self.leg.close()
            self.upstream.failed(self.state, broken)
            raise
        except _FRAME_FAULTS as error:
            self.leg.abort()
            unusable = from_error(error)
            self.upstream.failed(self.state, unusable)
            raise unusable from error
        except asyncio.CancelledError:
            self.leg.abort()
            raise
        self.upstream.worked(self.state, self.seconds + self.upstream.monotonic() - began)
        return limits

    def leave(self) -> None:
        """Close the connection; nobody wants it any more."""
        if not self.leg.is_closing:
            self.leg.send(ConnectionClose(reply_code=ReplyCode.SUCCESS, reply_text=b"Goodbye"))
            finish(self.leg, awaits_answer=True)

    async def _opened(self, properties: HeaderTable) -> TuneOk:
        credentials = self.upstream.credentials
        if credentials.mechanism not in self.start.mechanisms.split():
            offered, wanted = readable(self.start.mechanisms), credentials.mechanism.decode()
            raise from_close(
                ConnectionClose(
                    reply_code=ReplyCode.ACCESS_REFUSED,
                    reply_text=f"ACCESS_REFUSED - the broker offers {offered} and not {wanted}".encode()[:255],
                )
            )
        response = credentials.response
        self.leg.send(StartOk(client_properties=properties, mechanism=credentials.mechanism, response=response))
        tune = await self._tuned(response)
        self.upstream.offered = tune
        with blame(BrokerFault):
            limits = choose_limits(tune, channel_max=CHANNEL_MAX, frame_max=FRAME_MAX, heartbeat=HEARTBEAT_SECONDS)
        self.leg.decoder.frame_max = limits.frame_max
        self.leg.send(limits)
        self.leg.send(Open(virtual_host=credentials.vhost.encode()))
        await expect(OpenOk, self.inbox)
        return limits

    async def _tuned(self, response: bytes) -> Tune:
        """Wait for connection.tune; a challenge before it gets the same response, once."""
        frame = await self.inbox.next()
        command = _channel_zero(frame)
        if isinstance(command, Secure):
            self.leg.send(SecureOk(response=response))
            return await expect(Tune, self.inbox)
        if isinstance(command, ConnectionClose):
            raise from_close(command)
        if not isinstance(command, Tune):
            raise BrokerFault(ReplyCode.COMMAND_INVALID, "expected connection.tune")
        return command
