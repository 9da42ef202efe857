"""A connection of the agent's own: its login, heartbeats and end; what goes on in its channels is not known here."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Final

from letrade_agent.transport.leg import Leg
from letrade_agent.transport.pulse import Beat, Pulse
from letrade_agent.upstream.dialled import Dialled
from letrade_agent.upstream.sockets import limit_unacknowledged
from letrade_agent.upstream.upstream import Upstream, agent_properties
from letrade_topo.amqp.command import Command
from letrade_topo.amqp.connection_commands import ConnectionClose, ConnectionCloseOk
from letrade_topo.amqp.faults import AmqpFault, readable
from letrade_topo.amqp.frames import HEARTBEAT_FRAME, METHOD, Frame, encode_method
from letrade_topo.amqp.methods import BY_NAME

_CONNECTION_CLOSE: Final = BY_NAME["connection.close"].index
_BLOCKED: Final = BY_NAME["connection.blocked"].index
_UNBLOCKED: Final = BY_NAME["connection.unblocked"].index


class OwnConnection:
    """One connection. It is over when `until_lost` returns.

    Attributes:
        frame_max: what was settled on.
        is_lost: whether its socket is closed.
    """

    def __init__(self, dialled: Dialled, upstream: Upstream, frame_max: int, heartbeat: int) -> None:
        self.frame_max: Final = frame_max
        self.is_lost = False
        self._dialled = dialled
        self._leg: Leg = dialled.leg
        self._measures = upstream.measures
        self._unacknowledged_seconds = upstream.limits.upstream.unacknowledged_seconds
        self._pulse = Pulse(heartbeat, upstream.monotonic())
        self._problem = ""
        self._lost = asyncio.get_running_loop().create_future()
        self._on_frame: Callable[[Frame], None] = _ignore
        self._on_end: Callable[[], None] = _nothing
        self._on_writable: Callable[[], None] = _nothing

    @classmethod
    async def open(cls, upstream: Upstream, name: str) -> OwnConnection:
        """Connect and log in; `begin` is to be called at once.

        Args:
            upstream: where connections come from.
            name: of the connection at the broker.

        Raises:
            UpstreamBroken: there is no connection to be had.
        """
        dialled = await upstream.dial()
        limits = await dialled.log_in(agent_properties(name.encode()))
        return cls(dialled, upstream, limits.frame_max, limits.heartbeat)

    def begin(
        self, on_frame: Callable[[Frame], None], on_end: Callable[[], None], on_writable: Callable[[], None]
    ) -> None:
        """Hear what comes.

        Args:
            on_frame: called with every frame of a channel. An `AmqpFault` out of it ends the connection.
            on_end: called once, when the connection is over.
            on_writable: called when the socket takes more again.
        """
        self._on_frame, self._on_end, self._on_writable = on_frame, on_end, on_writable
        self._dialled.state.connections += 1
        self._measures.upstreams += 1
        leg = self._leg
        leg.on_bytes, leg.on_lost, leg.on_full = self._bytes, self._on_lost, self._on_full
        self._frames(self._dialled.inbox.rest())
        if leg.is_lost:
            self._on_lost(leg.lost)

    async def until_lost(self) -> str:
        """Wait for its end; why."""
        await asyncio.shield(self._lost)
        return self._problem

    @property
    def server(self) -> tuple[str, int]:
        """Host and port of the broker's node."""
        address = self._dialled.state.node.address
        return address.host, address.port

    @property
    def full(self) -> bool:
        """Whether the socket takes no more for now."""
        return self._leg.full

    @property
    def is_closing(self) -> bool:
        """Whether it is over, or will be when what is written is sent."""
        return self._leg.is_closing

    def send(self, channel: int, command: Command) -> None:
        """Send a method."""
        self._leg.write(encode_method(channel, command.encode()))

    def write(self, data: bytes) -> None:
        """Send whole frames."""
        self._leg.write(data)
        self._measures.transferred["to_broker"] += len(data)

    def tick(self, now: float) -> None:
        """Heartbeats; to be called more than once a second."""
        leg = self._leg
        match self._pulse.beat(now, sent=leg.sent, received=leg.received, is_reading=leg.is_reading):
            case Beat.SEND:
                leg.write(HEARTBEAT_FRAME)
            case Beat.DEAD:
                self._problem = "the broker has been silent for two heartbeats"
                leg.abort()
            case Beat.NOTHING:
                pass

    def close(self) -> None:
        """Close cleanly."""
        self._dialled.leave()

    def _on_full(self, full: bool) -> None:
        if not full:
            self._on_writable()

    def _on_lost(self, cause: Exception | None) -> None:
        self.is_lost = True
        self._dialled.state.connections -= 1
        self._measures.upstreams -= 1
        self._problem = self._problem or f"the connection was lost: {cause or 'closed'}"
        self._on_end()
        if not self._lost.done():
            self._lost.set_result(None)
        self._on_frame, self._on_end, self._on_writable = _ignore, _nothing, _nothing

    def _bytes(self, data: memoryview) -> None:
        decoder = self._leg.decoder
        try:
            self._frames(decoder.feed(data))
            if decoder.fault is not None:
                raise decoder.fault
        except AmqpFault as fault:
            self._problem = f"the broker broke the protocol: {fault}"
            self._leg.abort()

    def _frames(self, frames: list[Frame]) -> None:
        for frame in frames:
            kind, channel, payload = frame
            if channel:
                self._on_frame(frame)
            elif kind == METHOD:  # else a heartbeat
                self._on_connection(payload)

    def _on_connection(self, payload: bytes) -> None:
        if payload[:4] == _CONNECTION_CLOSE:
            self._problem = readable(ConnectionClose.parse(payload).reply_text)
            self._leg.send(ConnectionCloseOk())
            self._leg.close()
        elif payload[:4] in (_BLOCKED, _UNBLOCKED):
            limit_unacknowledged(self._leg, self._unacknowledged_seconds if payload[:4] == _UNBLOCKED else 0)


def _ignore(_: Frame) -> None:
    """Nobody listens."""


def _nothing() -> None:
    """Nobody listens."""
