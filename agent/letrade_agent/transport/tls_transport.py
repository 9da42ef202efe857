"""A TLS socket as a transport of asyncio, with as little between socket and protocol as there can be.

asyncio's own TLS takes some twenty calls for each read, which is much of what the agent costs for a message at a time.
A broker's records hold a message or two, and a TLS socket reads each with two system calls. Here one call reads what
lies in the socket, and OpenSSL takes the records apart in memory, into the protocol's buffer. It does what a `Leg` asks
of a transport, and no more: one protocol for its whole life, and that a `BufferedProtocol`.
"""

from __future__ import annotations

import asyncio
import socket
import ssl
from concurrent.futures import ThreadPoolExecutor
from typing import Final

HANDSHAKE_SECONDS: Final = 60.0
"""asyncio's own limit."""
_SHUTDOWN_SECONDS: Final = 2.0
"""For the other side's part of closing TLS."""
_HIGH_WATER_BYTES: Final = 64 * 1024
_READ_BYTES: Final = 64 * 1024
_ENCRYPTED: Final = memoryview(bytearray(_READ_BYTES))
"""One buffer for all transports: what it holds is with OpenSSL before the loop makes the next read."""
_DISCARDED: Final = memoryview(bytearray(16 * 1024))
"""What comes after our close is read and thrown away: closing a socket with unread bytes resets it."""
_WRITE_BYTES: Final = 64 * 1024
"""Encrypted at once: OpenSSL keeps as much memory as it ever needed."""

_HANDSHAKES: Final = ThreadPoolExecutor(1, "handshakes")
"""One at a time: many that log in take one core at most, which the broker's side of it needs as well."""
_NOT_NOW: Final = (BlockingIOError, InterruptedError)


async def open_tls(
    protocol: asyncio.BufferedProtocol, address: str, port: int, context: ssl.SSLContext, server_hostname: str
) -> None:
    """Connect a protocol to an address.

    Args:
        protocol: gets its transport when the handshake is done.
        address: in digits.
        port: likewise.
        context: what is verified, and what is shown.
        server_hostname: that has to be in the certificate.

    Raises:
        OSError: nobody answers, or TLS failed (`ssl.SSLError`).
    """
    loop = asyncio.get_running_loop()
    family, kind, number, _, where = socket.getaddrinfo(
        address, port, type=socket.SOCK_STREAM, flags=socket.AI_NUMERICHOST
    )[0]
    plain = socket.socket(family, kind, number)
    try:
        plain.setblocking(False)
        plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        await loop.sock_connect(plain, where)
        incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        tls = context.wrap_bio(incoming, outgoing, server_hostname=server_hostname)
        async with asyncio.timeout(HANDSHAKE_SECONDS):
            await _shake_hands(loop, plain, tls, incoming, outgoing)
    except BaseException:
        plain.close()
        raise
    TlsTransport(loop, plain, tls, incoming, outgoing, protocol)


async def _shake_hands(
    loop: asyncio.AbstractEventLoop,
    plain: socket.socket,
    tls: ssl.SSLObject,
    incoming: ssl.MemoryBIO,
    outgoing: ssl.MemoryBIO,
) -> None:
    is_done = False
    while not is_done:
        try:
            # Certificates and keys take OpenSSL milliseconds, in which it needs nothing of ours: in the loop, everybody
            # would wait for whoever logs in. Who is cancelled leaves the buffers alone: it may still be writing there.
            is_done = await loop.run_in_executor(_HANDSHAKES, _shake_on, tls)
        except ssl.SSLError:
            await _send(loop, plain, outgoing)  # the alert that says why it failed
            raise
        await _send(loop, plain, outgoing)
        if not is_done:
            data = await loop.sock_recv(plain, _READ_BYTES)
            if data:
                incoming.write(data)
            else:
                incoming.write_eof()


async def _send(loop: asyncio.AbstractEventLoop, plain: socket.socket, outgoing: ssl.MemoryBIO) -> None:
    if outgoing.pending:
        await loop.sock_sendall(plain, outgoing.read())


def _shake_on(tls: ssl.SSLObject) -> bool:
    """Whether the handshake is done with what has come."""
    try:
        tls.do_handshake()
    except ssl.SSLWantReadError:
        return False
    return True


class TlsTransport(asyncio.Transport):
    """The transport of one TLS connection, from the end of its handshake on.

    Args:
        loop: that it lives in.
        plain: a connected socket that does not block.
        tls: the state of TLS, with which hands were shaken.
        incoming, outgoing: the encrypted bytes that it reads and writes.
        protocol: whose it is.
    """

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        plain: socket.socket,
        tls: ssl.SSLObject,
        incoming: ssl.MemoryBIO,
        outgoing: ssl.MemoryBIO,
        protocol: asyncio.BufferedProtocol,
    ) -> None:
        super().__init__({"socket": plain, "ssl_object": tls, "peername": plain.getpeername()})
        self._loop = loop
        self._plain = plain
        self._fd = plain.fileno()
        self._tls = tls
        self._incoming = incoming
        self._outgoing = outgoing
        self._protocol = protocol
        self._unsent = bytearray()
        self._high, self._low = _HIGH_WATER_BYTES, _HIGH_WATER_BYTES // 4
        self._is_full = False
        self._is_closing = False
        self._is_gone = False
        self._reads = False
        self._waits_to_write = False
        protocol.connection_made(self)
        if not self._is_closing and not self._is_gone:
            self.resume_reading()

    # Reading

    def is_reading(self) -> bool:
        """Whether it takes bytes in."""
        return self._reads

    def pause_reading(self) -> None:
        """Leave what comes in the socket."""
        if self._reads:
            self._reads = False
            self._loop.remove_reader(self._fd)

    def resume_reading(self) -> None:
        """Take it in again; what was read already has no event of the socket's."""
        if not self._reads and not self._is_closing and not self._is_gone:
            self._reads = True
            self._loop.add_reader(self._fd, self._readable)
            if self._incoming.pending or self._tls.pending():
                self._loop.call_soon(self._read_rest)

    def _readable(self) -> None:
        """One read of the socket."""
        try:
            count = self._plain.recv_into(_ENCRYPTED)
        except _NOT_NOW:
            return
        except OSError as error:
            self._gone(error)
            return
        if count:
            self._incoming.write(_ENCRYPTED[:count])
        else:
            self._incoming.write_eof()
        self._decrypt()

    def _read_rest(self) -> None:
        if self._reads:
            self._decrypt()

    def _decrypt(self) -> None:
        """As many records as there are and the buffer holds, so that one call works on all of them."""
        view = memoryview(self._protocol.get_buffer(-1))
        room, filled = len(view), 0
        read, incoming = self._tls.read, self._incoming
        over: BaseException | None = None
        is_over = False
        while filled < room:
            try:
                count: int = read(room, view[filled:])  # type: ignore[assignment]  # the stubs know no buffer
            except ssl.SSLWantReadError:
                break
            except ssl.SSLEOFError:  # without an end of TLS: what came is whole by AMQP's own frames, or is not
                is_over = True
                break
            except OSError as error:
                over, is_over = error, True
                break
            if not count:
                is_over = True
                break
            filled += count
            if not incoming.pending and not incoming.eof:
                break
        if self._outgoing.pending:
            self._send(self._outgoing.read())
        if filled:
            self._protocol.buffer_updated(filled)
        if is_over:
            self._gone(over)
        elif filled == room and self._reads:
            self._loop.call_soon(self._read_rest)

    # Writing

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        """When the protocol is told that more than `high` is unsent, and that less than `low` is."""
        self._high = _HIGH_WATER_BYTES if high is None else high
        self._low = self._high // 4 if low is None else low

    def get_write_buffer_size(self) -> int:
        """Bytes that are unsent, encrypted."""
        return len(self._unsent)

    def write(self, data: bytes | bytearray | memoryview) -> None:
        """Send, or keep to be sent."""
        if self._is_closing or self._is_gone or not data:
            return
        try:
            if len(data) <= _WRITE_BYTES:
                self._tls.write(data)
                self._send(self._outgoing.read())
            else:
                with memoryview(data) as view:
                    for start in range(0, len(data), _WRITE_BYTES):
                        self._tls.write(view[start : start + _WRITE_BYTES])
                        self._send(self._outgoing.read())
        except ssl.SSLError as error:
            self._fail(error)
            return
        if len(self._unsent) > self._high and not self._is_full:
            self._is_full = True
            self._protocol.pause_writing()

    def can_write_eof(self) -> bool:
        """TLS has no half-closed connections that one could count on."""
        return False

    def _send(self, encrypted: bytes) -> None:
        """As much as the socket takes; the rest when it takes more."""
        if self._is_closing:
            return
        if not self._unsent:
            try:
                sent = self._plain.send(encrypted)
            except _NOT_NOW:
                sent = 0
            except OSError as error:
                self._fail(error)
                return
            if sent == len(encrypted):
                return
            encrypted = encrypted[sent:]
        self._unsent += encrypted
        if not self._waits_to_write:
            self._waits_to_write = True
            self._loop.add_writer(self._fd, self._writable)

    def _fail(self, error: OSError) -> None:
        """The protocol is told later: never from within a write."""
        self._loop.call_soon(self._gone, error)
        self._stop()
        self._is_closing = True

    def _writable(self) -> None:
        try:
            with memoryview(self._unsent) as view:
                sent = self._plain.send(view)
        except _NOT_NOW:
            return
        except OSError as error:
            self._fail(error)
            return
        del self._unsent[:sent]
        if self._is_full and len(self._unsent) <= self._low:
            self._is_full = False
            self._protocol.resume_writing()
        if not self._unsent and self._waits_to_write:
            self._waits_to_write = False
            self._loop.remove_writer(self._fd)
            if self._is_closing:
                self._say_goodbye()

    # The end

    def is_closing(self) -> bool:
        """Whether it was closed by us, or is gone."""
        return self._is_closing or self._is_gone

    def close(self) -> None:
        """Send what is unsent, end TLS, and close when the other side has done so, or after two seconds."""
        if self._is_closing or self._is_gone:
            return
        self.pause_reading()
        self._is_closing = True
        if not self._unsent:
            self._say_goodbye()

    def abort(self) -> None:
        """Close at once; what is unsent is lost."""
        if not self._is_gone:
            self._is_closing = True
            self._stop()
            self._loop.call_soon(self._gone, None)

    def _say_goodbye(self) -> None:
        is_over = False
        try:
            self._tls.unwrap()
            is_over = True
        except ssl.SSLError:  # the other side has not said it yet, or has sent something else before
            pass
        try:
            self._plain.send(self._outgoing.read())
        except OSError:
            is_over = True
        if is_over:
            self._loop.call_soon(self._gone, None)
        else:
            self._loop.add_reader(self._fd, self._discard)
            self._loop.call_later(_SHUTDOWN_SECONDS, self._gone, None)

    def _discard(self) -> None:
        """Nothing of ours is lost by whatever comes; the other side's end of TLS, or of the connection, is the end."""
        try:
            count = self._plain.recv_into(_ENCRYPTED)
            self._incoming.write(_ENCRYPTED[:count])
            while count and self._tls.read(len(_DISCARDED), _DISCARDED):
                pass
        except (*_NOT_NOW, ssl.SSLWantReadError):
            return
        except OSError:
            pass
        self._gone(None)

    def _stop(self) -> None:
        """Listen to the socket no more."""
        self._reads = self._waits_to_write = False
        self._loop.remove_reader(self._fd)
        self._loop.remove_writer(self._fd)

    def _gone(self, error: BaseException | None) -> None:
        """The socket is closed, and the protocol told, once."""
        if self._is_gone:
            return
        self._stop()
        self._is_gone = self._is_closing = True
        self._unsent.clear()
        try:
            self._protocol.connection_lost(error if isinstance(error, Exception) else None)
        finally:
            self._plain.close()
