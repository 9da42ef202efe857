"""A connection of the agent's own with one channel in confirm mode; what is published on it is not known here."""

from __future__ import annotations

import asyncio
from typing import Final, Protocol

from letrade_agent.amqp.basic import ACK, NACK, PUBLISH, RETURN, parse_return, parse_settle
from letrade_agent.amqp.channel_commands import ChannelClose, ChannelCloseOk, ChannelOpen, ConfirmSelect
from letrade_agent.amqp.command import Command
from letrade_agent.amqp.connection_commands import ConnectionClose, ConnectionCloseOk
from letrade_agent.amqp.faults import AmqpFault, readable
from letrade_agent.amqp.frames import HEARTBEAT_FRAME, METHOD, Frame, encode_content, encode_method
from letrade_agent.amqp.methods import BY_NAME
from letrade_agent.amqp.wire import short_string
from letrade_agent.filters.verdicts import DeadLetter
from letrade_agent.proxy.dialled import Dialled
from letrade_agent.proxy.leg import Leg
from letrade_agent.proxy.pulse import Beat, Pulse
from letrade_agent.proxy.sockets import limit_unacknowledged
from letrade_agent.proxy.upstream import Upstream, agent_properties

_CHANNEL: Final = 1
_MANDATORY: Final = b"\x01"
_REOPEN_SECONDS: Final = 0.5

_CONNECTION_CLOSE: Final = BY_NAME["connection.close"].index
_BLOCKED: Final = BY_NAME["connection.blocked"].index
_UNBLOCKED: Final = BY_NAME["connection.unblocked"].index
_CHANNEL_CLOSE: Final = BY_NAME["channel.close"].index
_SELECT_OK: Final = BY_NAME["confirm.select-ok"].index


class Publishes(Protocol):
    """Whoever publishes, and hears what became of it."""

    def acknowledged(self, tag: int, *, multiple: bool, positive: bool) -> None:
        """The broker confirmed or refused."""

    def returned(self, exchange: bytes, routing_key: bytes) -> None:
        """A message reached no queue; its confirm follows."""

    def channel_closed(self, problem: str) -> None:
        """The broker closed the channel; nothing in flight will be confirmed."""

    def writable(self) -> None:
        """More can be published now."""


class Publisher:
    """One connection. It is over when `until_lost` returns.

    Attributes:
        is_open: whether its channel takes publishes.
    """

    def __init__(self, dialled: Dialled, upstream: Upstream, frame_max: int, heartbeat: int, owner: Publishes) -> None:
        self._dialled = dialled
        self._leg: Leg = dialled.leg
        self._measures = upstream.measures
        self._frame_max = frame_max
        self._owner = owner
        self._pulse = Pulse(heartbeat, upstream.monotonic())
        self._published = 0
        self._problem = ""
        self._lost = asyncio.get_running_loop().create_future()
        self.is_open = False

    @classmethod
    async def open(cls, upstream: Upstream, service: str, owner: Publishes) -> Publisher:
        """Connect and log in; the channel opens meanwhile.

        Raises:
            UpstreamBroken: there is no connection to be had.
        """
        dialled = await upstream.dial()
        limits = await dialled.log_in(agent_properties(f"dead letters via letrade-agent/{service}".encode()))
        publisher = cls(dialled, upstream, limits.frame_max, limits.heartbeat, owner)
        publisher._begin()
        return publisher

    def _begin(self) -> None:
        self._dialled.state.connections += 1
        self._measures.upstreams += 1
        leg = self._leg
        leg.on_bytes, leg.on_lost, leg.on_full = self._bytes, self._on_lost, self._on_full
        self._frames(self._dialled.inbox.rest())
        if leg.is_lost:
            self._on_lost(leg.lost)
        else:
            self._open_channel()

    def _open_channel(self) -> None:
        self._published = 0
        self._send(_CHANNEL, ChannelOpen())
        self._send(_CHANNEL, ConfirmSelect())

    async def until_lost(self) -> str:
        """Wait for its end; why."""
        await asyncio.shield(self._lost)
        return self._problem

    @property
    def can_publish(self) -> bool:
        """Whether the channel is open and the socket takes more."""
        return self.is_open and not self._leg.full

    def publish(self, letter: DeadLetter) -> int:
        """Publish, mandatory; its number on the channel.

        Raises:
            ValueError: the header, or the exchange with its key, does not fit into a frame.
        """
        method = PUBLISH + b"\0\0" + short_string(letter.exchange) + short_string(letter.routing_key) + _MANDATORY
        content = encode_content(_CHANNEL, method, letter.header, letter.body, self._frame_max)
        self._leg.write(content)
        self._measures.transferred["to_broker"] += len(content)
        self._published += 1
        return self._published

    def tick(self, now: float) -> None:
        """Heartbeats."""
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
        """Close cleanly; what is not confirmed stays open."""
        self.is_open = False
        self._dialled.leave()

    def _send(self, channel: int, command: Command) -> None:
        self._leg.write(encode_method(channel, command.encode()))

    def _on_full(self, full: bool) -> None:
        if not full:
            self._owner.writable()

    def _on_lost(self, cause: Exception | None) -> None:
        self.is_open = False
        self._dialled.state.connections -= 1
        self._measures.upstreams -= 1
        self._problem = self._problem or f"the connection was lost: {cause or 'closed'}"
        if not self._lost.done():
            self._lost.set_result(None)

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
        for kind, channel, payload in frames:
            if kind != METHOD:  # heartbeats, and the content of what is returned
                continue
            if channel == 0:
                self._on_connection(payload)
            else:
                self._on_channel(payload)

    def _on_connection(self, payload: bytes) -> None:
        if payload[:4] == _CONNECTION_CLOSE:
            self._problem = readable(ConnectionClose.parse(payload).reply_text)
            self._send(0, ConnectionCloseOk())
            self._leg.close()
        elif payload[:4] in (_BLOCKED, _UNBLOCKED):
            limit_unacknowledged(self._leg, limited=payload[:4] == _UNBLOCKED)

    def _on_channel(self, payload: bytes) -> None:
        index = payload[:4]
        if index in (ACK, NACK):
            settle = parse_settle(payload)
            self._owner.acknowledged(settle.delivery_tag, multiple=settle.multiple, positive=index == ACK)
        elif index == RETURN:
            message = parse_return(payload)
            self._owner.returned(message.exchange, message.routing_key)
        elif index == _SELECT_OK:
            self.is_open = True
            self._owner.writable()
        elif index == _CHANNEL_CLOSE:
            self.is_open = False
            self._send(_CHANNEL, ChannelCloseOk())
            problem = readable(ChannelClose.parse(payload).reply_text)
            # Not at once: a channel that cannot even be opened would make a loop.
            asyncio.get_running_loop().call_later(_REOPEN_SECONDS, self._reopen)
            self._owner.channel_closed(problem)

    def _reopen(self) -> None:
        if not self._leg.is_closing:
            self._open_channel()
