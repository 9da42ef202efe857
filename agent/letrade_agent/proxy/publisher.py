"""A connection of the agent's own with one channel in confirm mode; what is published on it is not known here."""

from __future__ import annotations

import asyncio
from typing import Final, Protocol

from letrade_agent.amqp.basic import ACK, NACK, PUBLISH, RETURN, parse_return, parse_settle
from letrade_agent.amqp.channel_commands import ChannelClose, ChannelCloseOk, ChannelOpen, ConfirmSelect
from letrade_agent.amqp.faults import readable
from letrade_agent.amqp.frames import METHOD, Frame, encode_content
from letrade_agent.amqp.methods import BY_NAME
from letrade_agent.amqp.wire import short_string
from letrade_agent.filters.verdicts import Copy
from letrade_agent.proxy.own import OwnConnection
from letrade_agent.proxy.upstream import Upstream

_CHANNEL: Final = 1
_MANDATORY: Final = b"\x01"
_REOPEN_SECONDS: Final = 0.5

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

    def __init__(self, connection: OwnConnection, owner: Publishes) -> None:
        self._connection = connection
        self._owner = owner
        self._published = 0
        self.is_open = False

    @classmethod
    async def open(cls, upstream: Upstream, name: str, owner: Publishes) -> Publisher:
        """Connect and log in; the channel opens meanwhile.

        Args:
            upstream: where connections come from.
            name: of the connection at the broker.
            owner: hears what becomes of it.

        Raises:
            UpstreamBroken: there is no connection to be had.
        """
        publisher = cls(await OwnConnection.open(upstream, name), owner)
        publisher._connection.begin(publisher._on_frame, publisher._on_end, owner.writable)
        publisher._open_channel()
        return publisher

    def _open_channel(self) -> None:
        self._published = 0
        self._connection.send(_CHANNEL, ChannelOpen())
        self._connection.send(_CHANNEL, ConfirmSelect())

    async def until_lost(self) -> str:
        """Wait for its end; why."""
        return await self._connection.until_lost()

    @property
    def can_publish(self) -> bool:
        """Whether the channel is open and the socket takes more."""
        return self.is_open and not self._connection.full

    def publish(self, copy: Copy) -> int:
        """Publish, mandatory; its number on the channel.

        Raises:
            ValueError: the header, or the exchange with its key, does not fit into a frame.
        """
        method = PUBLISH + b"\0\0" + short_string(copy.exchange) + short_string(copy.routing_key) + _MANDATORY
        self._connection.write(encode_content(_CHANNEL, method, copy.header, copy.body, self._connection.frame_max))
        self._published += 1
        return self._published

    def tick(self, now: float) -> None:
        """Heartbeats."""
        self._connection.tick(now)

    def close(self) -> None:
        """Close cleanly; what is not confirmed stays open."""
        self.is_open = False
        self._connection.close()

    def _on_end(self) -> None:
        self.is_open = False

    def _on_frame(self, frame: Frame) -> None:
        kind, _, payload = frame
        if kind != METHOD:  # the content of what is returned
            return
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
            self._connection.send(_CHANNEL, ChannelCloseOk())
            problem = readable(ChannelClose.parse(payload).reply_text)
            # Not at once: a channel that cannot even be opened would make a loop.
            asyncio.get_running_loop().call_later(_REOPEN_SECONDS, self._reopen)
            self._owner.channel_closed(problem)

    def _reopen(self) -> None:
        if not self._connection.is_closing:
            self._open_channel()
