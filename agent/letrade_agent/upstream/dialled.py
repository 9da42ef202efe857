"""A broker that has greeted: login, tuning and vhost, with the agent's own credentials."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final, TypeVar

from letrade_agent.limits import UpstreamLimits
from letrade_agent.transport.ending import finish
from letrade_agent.transport.leg import Inbox, Leg, LegLost
from letrade_agent.upstream.attempts import Attempts
from letrade_agent.upstream.broken import UpstreamBroken, from_close, from_error
from letrade_agent.upstream.nodes import NodeState
from letrade_topo.amqp.command import Command
from letrade_topo.amqp.commands import parse_command
from letrade_topo.amqp.connection_commands import (
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
from letrade_topo.amqp.faults import AmqpFault, BrokerFault, ReplyCode, blame, readable
from letrade_topo.amqp.frames import METHOD, Frame
from letrade_topo.amqp.handshake import SaslLogin, choose_limits, plain_response
from letrade_topo.amqp.header_table import HeaderTable

WIRE_FAULTS: Final = (AmqpFault, LegLost, OSError, TimeoutError)
"""What a socket and what comes over it can do to us."""

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
        return plain_response(SaslLogin(self.username.encode(), self.password.encode()))


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
        credentials: who the agent is.
        attempts: what becomes of it is written there.
        monotonic: seconds.
        limits: of connections to the broker.
        state: of its node.
        leg, inbox: the connection, not logged in.
        start: its greeting.
        seconds: what it took so far.
    """

    credentials: Credentials
    attempts: Attempts
    monotonic: Callable[[], float]
    limits: UpstreamLimits
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
        began = self.monotonic()
        try:
            async with asyncio.timeout(self.limits.login_seconds):
                chosen = await self._opened(properties)
        except UpstreamBroken as broken:
            self.leg.send(ConnectionCloseOk())
            self.leg.close()
            self.attempts.failed(self.state, broken)
            raise
        except WIRE_FAULTS as error:
            self.leg.abort()
            unusable = from_error(error)
            self.attempts.failed(self.state, unusable)
            raise unusable from error
        except asyncio.CancelledError:
            self.leg.abort()
            raise
        self.attempts.worked(self.state, self.seconds + self.monotonic() - began)
        return chosen

    def leave(self) -> None:
        """Close the connection; nobody wants it any more."""
        if not self.leg.is_closing:
            self.leg.send(ConnectionClose(reply_code=ReplyCode.SUCCESS, reply_text=b"Goodbye"))
            finish(self.leg, awaits_answer=True)

    async def _opened(self, properties: HeaderTable) -> TuneOk:
        credentials, ours = self.credentials, self.limits
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
        with blame(BrokerFault):
            chosen = choose_limits(
                tune, channel_max=ours.channel_max, frame_max=ours.frame_max_bytes, heartbeat=ours.heartbeat_seconds
            )
        self.leg.decoder.frame_max = chosen.frame_max + ours.noted_bytes
        self.leg.send(chosen)
        self.leg.send(Open(virtual_host=credentials.vhost.encode()))
        await expect(OpenOk, self.inbox)
        return chosen

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
