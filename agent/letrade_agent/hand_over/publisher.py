"""A connection of the agent's own with one channel in confirm mode; what is published on it is not known here."""

from __future__ import annotations

import asyncio
from typing import Final, Protocol

from letrade_agent.filters.copies import Copy, DeadLetter
from letrade_agent.upstream.own import OwnConnection
from letrade_agent.upstream.upstream import Upstream
from letrade_topo.amqp.basic import ACK, NACK, RETURN, encode_publish, parse_return, parse_settle
from letrade_topo.amqp.channel_commands import ChannelClose, ChannelCloseOk, ChannelOpen, ConfirmSelect
from letrade_topo.amqp.faults import readable
from letrade_topo.amqp.frames import FRAME_OVERHEAD, METHOD, Frame, encode_content
from letrade_topo.amqp.methods import BY_NAME

_CHANNEL: Final = 1

_CHANNEL_CLOSE: Final = BY_NAME["channel.close"].index
_SELECT_OK: Final = BY_NAME["confirm.select-ok"].index


class PublishOwner(Protocol):
    """Whoever publishes, and hears what became of it."""

    def acknowledged(self, tag: int, *, multiple: bool, positive: bool) -> None:
        """The broker confirmed or refused."""

    def returned(self, exchange: bytes, routing_key: bytes) -> None:
        """A message reached no queue; its confirm follows."""

    def channel_closed(self, problem: str) -> None:
        """The broker closed the channel; nothing in flight will be confirmed."""

    def writable(self) -> None:
        """More can be published now."""


class HeaderTooLong(Exception):
    """A frame of this connection does not hold the content header of a copy, nor any shorter one that it may have.

    Attributes:
        largest: bytes that a content header may have.
    """

    def __init__(self, copy: Copy, largest: int) -> None:
        super().__init__(f"its header has {len(copy.header)} bytes, and a frame of this connection holds {largest}")
        self.largest = largest


class ConfirmedPublisher:
    """One connection. It is over when `until_lost` returns.

    Attributes:
        is_open: whether its channel takes publishes.
    """

    def __init__(self, connection: OwnConnection, owner: PublishOwner, reopen_seconds: float) -> None:
        self._reopen_seconds = reopen_seconds
        self._connection = connection
        self._owner = owner
        self._published = 0
        self.is_open = False

    @classmethod
    async def open(
        cls, upstream: Upstream, name: str, owner: PublishOwner, reopen_seconds: float
    ) -> ConfirmedPublisher:
        """Connect and log in; the channel opens meanwhile.

        Args:
            upstream: where connections come from.
            name: of the connection at the broker.
            owner: hears what becomes of it.
            reopen_seconds: until a channel that the broker closed is opened again.

        Raises:
            UpstreamBroken: there is no connection to be had.
        """
        publisher = cls(await OwnConnection.open(upstream, name), owner, reopen_seconds)
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
    def server(self) -> tuple[str, int]:
        """Host and port of the broker's node."""
        return self._connection.server

    @property
    def can_publish(self) -> bool:
        """Whether the channel is open and the socket takes more."""
        return self.is_open and not self._connection.full

    def publish(self, copy: Copy) -> int:
        """Publish, mandatory, with the longest of its headers that a frame holds; its number on the channel.

        Raises:
            HeaderTooLong: none does.
        """
        header = self._fitting(copy)
        method = encode_publish(copy.exchange, copy.routing_key, mandatory=True)
        self._connection.write(encode_content(_CHANNEL, method, header, copy.body, self._connection.frame_max))
        self._published += 1
        return self._published

    def _fitting(self, copy: Copy) -> bytes:
        largest = self._connection.frame_max - FRAME_OVERHEAD
        for header in (copy.header, *copy.shorter) if isinstance(copy, DeadLetter) else (copy.header,):
            if len(header) <= largest:
                return header
        raise HeaderTooLong(copy, largest)

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
            asyncio.get_running_loop().call_later(self._reopen_seconds, self._reopen)
            self._owner.channel_closed(problem)

    def _reopen(self) -> None:
        if not self._connection.is_closing:
            self._open_channel()
