"""One socket, client's or broker's: bytes and frames in and out, counted; nothing of what they mean.

While a handshake lasts a coroutine reads frames from an `Inbox`; afterwards whoever owns the leg sets `on_bytes`,
and everything is plain calls: one per read, however many messages it holds.
"""

from __future__ import annotations

import asyncio
import socket
from collections import deque
from collections.abc import Callable
from typing import Final, cast

from letrade_agent.limits import DEFAULT_LIMITS, TransportLimits
from letrade_topo.amqp.command import Command
from letrade_topo.amqp.frames import HEARTBEAT, UNTUNED_FRAME_MAX, Frame, FrameDecoder, encode_method

_READ_BYTES: Final = 64 * 1024
"""One read. More would sign larger batches, and let other connections wait longer."""
_SHARED: Final = bytearray(_READ_BYTES)
_VIEW: Final = memoryview(_SHARED)
"""One buffer for all legs: a read is worked through before the loop makes the next one."""


class LegLost(Exception):
    """The connection ended where more was expected.

    Attributes:
        cause: the error of the socket or of TLS; None: the other side just closed.
    """

    def __init__(self, cause: Exception | None) -> None:
        super().__init__(str(cause) if cause else "the connection was closed")
        self.cause = cause


class Leg(asyncio.BufferedProtocol):
    """One side of a proxied connection.

    Args:
        open_legs: holds it while its socket is open.
        on_made: called when the socket is there.
        limits: of a socket.

    Attributes:
        decoder: of what comes in.
        on_bytes: called with every read; the bytes are gone when it returns.
        on_lost: called once, when the socket is closed.
        on_full: called when more than the high water is unsent (True), and when it is under the low water (False).
        sent, received: bytes so far.
        full: whether more than the high water was unsent, and still is not under the low one.
        lost: why it ended, once it has.
        peer: the other end, as `host:port`.
    """

    __slots__ = (
        "_on_made",
        "_open_legs",
        "_paused",
        "_transport",
        "decoder",
        "full",
        "is_lost",
        "limits",
        "lost",
        "on_bytes",
        "on_full",
        "on_lost",
        "peer",
        "received",
        "sent",
    )

    def __init__(
        self,
        open_legs: set[Leg],
        on_made: Callable[[Leg], None] | None = None,
        limits: TransportLimits = DEFAULT_LIMITS.transport,
    ) -> None:
        self.limits: Final = limits
        self.decoder = FrameDecoder(UNTUNED_FRAME_MAX)
        self.on_bytes: Callable[[memoryview], None] = _ignore
        self.on_lost: Callable[[Exception | None], None] = _ignore
        self.on_full: Callable[[bool], None] = _ignore
        self.sent = 0
        self.received = 0
        self.full = False
        self.is_lost = False
        self.lost: Exception | None = None
        self.peer = "?"
        self._paused = False
        self._transport: asyncio.Transport | None = None
        self._on_made = on_made
        self._open_legs = open_legs

    # What the loop calls.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """The socket is there."""
        self._transport = cast(asyncio.Transport, transport)
        name = transport.get_extra_info("peername")
        self.peer = f"{name[0]}:{name[1]}" if isinstance(name, tuple) else "?"
        self._open_legs.add(self)
        self._transport.set_write_buffer_limits(high=self.limits.high_water_bytes, low=self.limits.low_water_bytes)
        if self._on_made is not None:
            self._on_made(self)
        if self._paused:
            asyncio.get_running_loop().call_soon(self._stay_paused)

    def _stay_paused(self) -> None:
        """Up to 3.11.4 (Debian 12 has 3.11.2) asyncio begins to read right after `connection_made`, also where that has
        paused the transport: what came then was lost."""
        if self._paused and self._transport is not None and not self.is_lost:
            self._transport.resume_reading()
            self._transport.pause_reading()

    def get_buffer(self, sizehint: int) -> memoryview:
        """Where the next read goes."""
        return _VIEW

    def buffer_updated(self, nbytes: int) -> None:
        """A read is in the buffer."""
        self.received += nbytes
        self.on_bytes(_VIEW[:nbytes])

    def pause_writing(self) -> None:
        """More than the high water is unsent."""
        self.full = True
        self.on_full(True)

    def resume_writing(self) -> None:
        """Less than the low water is unsent."""
        self.full = False
        self.on_full(False)

    def connection_lost(self, exc: Exception | None) -> None:
        """The socket is closed."""
        self._open_legs.discard(self)
        self.is_lost = True
        self.lost = exc
        self.on_lost(exc)
        self.on_bytes = self.on_full = self.on_lost = _ignore  # no cycle outlives the connection
        # With TLS it has a buffer of 256 KiB: not to wait until a collector finds whoever still has the leg.
        self._transport = None

    # What its owner calls.

    def write(self, data: bytes) -> None:
        """Send, or keep to be sent."""
        transport = self._transport
        if transport is not None and not transport.is_closing():
            self.sent += len(data)
            transport.write(data)

    def send(self, command: Command) -> None:
        """Send a method on channel 0."""
        self.write(encode_method(0, command.encode()))

    @property
    def unsent_bytes(self) -> int:
        """What the socket has not taken."""
        return 0 if self._transport is None or self.is_lost else self._transport.get_write_buffer_size()

    @property
    def is_reading(self) -> bool:
        """Whether it takes bytes in."""
        return not self._paused

    @property
    def is_closing(self) -> bool:
        """Whether it was closed by us, or is lost."""
        return self._transport is None or self._transport.is_closing()

    def pause_reading(self) -> None:
        """Leave what comes in the socket."""
        if not self._paused and self._transport is not None and not self.is_lost:
            self._paused = True
            self._transport.pause_reading()

    def resume_reading(self) -> None:
        """Take it in again."""
        if self._paused and self._transport is not None and not self.is_lost:
            self._paused = False
            self._transport.resume_reading()

    def end_writing(self) -> None:
        """Send what is unsent, then say that nothing more comes; with TLS: close.

        A leg that the other side has reset, which asyncio may not have heard of yet, takes no end: it is aborted.
        """
        if self._transport is None or self._transport.is_closing():
            return
        if not self._transport.can_write_eof():
            self._transport.close()
            return
        try:
            self._transport.write_eof()
        except OSError:  # ENOTCONN: asyncio shuts the socket down at once where nothing is unsent
            self._transport.abort()

    def close(self) -> None:
        """Send what is unsent, then close."""
        if self._transport is not None:
            self._transport.close()

    def abort(self) -> None:
        """Close at once; what is unsent is lost."""
        if self._transport is not None:
            self._transport.abort()

    @property
    def socket(self) -> socket.socket | None:
        """For its options."""
        return None if self._transport is None else self._transport.get_extra_info("socket")

    @property
    def peer_certificate(self) -> bytes | None:
        """The certificate that the other end showed, in DER; None without TLS."""
        tls = None if self._transport is None else self._transport.get_extra_info("ssl_object")
        return None if tls is None else tls.getpeercert(binary_form=True)


def _ignore(_: object) -> None:
    """Nobody listens."""


class Inbox:
    """The frames of a leg, for a coroutine to wait for, while a handshake lasts.

    Raises in `next`:
        LegLost: the leg ended.
        AmqpFault: what came is no frame.
    """

    __slots__ = ("_frames", "_leg", "_waiter")

    def __init__(self, leg: Leg) -> None:
        self._leg = leg
        self._frames: deque[Frame] = deque()
        self._waiter: asyncio.Future[None] | None = None
        leg.on_bytes = self.feed
        leg.on_lost = self._wake

    def feed(self, data: memoryview) -> None:
        """Take bytes in."""
        decoder = self._leg.decoder
        if decoder.fault is None:
            most = self._leg.limits.inbox_frames
            self._frames += [frame for frame in decoder.feed(data, most) if frame[0] != HEARTBEAT]
        if decoder.has_more or len(self._frames) > self._leg.limits.inbox_frames:
            self._leg.pause_reading()
        self._wake(None)

    def _wake(self, _: object) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    async def next(self) -> Frame:
        """The next frame that is no heartbeat."""
        while not self._frames:
            if self._leg.decoder.fault is not None:
                raise self._leg.decoder.fault
            if self._leg.decoder.has_more:
                await asyncio.sleep(0)  # others have their turn
                self.feed(memoryview(b""))
                if not self._leg.decoder.has_more:
                    self._leg.resume_reading()
                continue
            if self._leg.is_lost:
                raise LegLost(self._leg.lost)
            self._waiter = asyncio.get_running_loop().create_future()
            try:
                await self._waiter
            finally:
                self._waiter = None
        return self._frames.popleft()

    def rest(self) -> list[Frame]:
        """What came after the handshake, but for what the decoder still has; the leg is read again."""
        rest = list(self._frames)
        self._frames.clear()
        self._leg.resume_reading()
        return rest
