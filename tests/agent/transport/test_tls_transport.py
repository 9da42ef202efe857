"""TLS without asyncio's own: every byte in order, back-pressure, and every way in which a connection ends."""

from __future__ import annotations

import asyncio
import datetime
import fcntl
import hashlib
import random
import socket
import ssl
import struct
import termios
import threading
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest
from letrade_agent.transport.tls_transport import TlsTransport, open_tls

from letrade_topo.node.certificates import CertificateFolder
from tests.ports import LOOPBACK

LIMIT_SECONDS = 60
Handler = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


class Received(asyncio.BufferedProtocol):
    """What a transport tells its protocol."""

    def __init__(self, buffer_bytes: int = 65_536) -> None:
        self.data = bytearray()
        self.lost: list[Exception | None] = []
        self.is_full = False
        self.most_at_once = 0
        self.changed = asyncio.Event()
        self._buffer = bytearray(buffer_bytes)
        self.transport: TlsTransport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep it."""
        assert isinstance(transport, TlsTransport)
        self.transport = transport

    def get_buffer(self, sizehint: int) -> memoryview:
        """Always the same."""
        return memoryview(self._buffer)

    def buffer_updated(self, nbytes: int) -> None:
        """Keep the bytes."""
        self.data += self._buffer[:nbytes]
        self.most_at_once = max(self.most_at_once, nbytes)
        self.changed.set()

    def pause_writing(self) -> None:
        """Note it."""
        self.is_full = True
        self.changed.set()

    def resume_writing(self) -> None:
        """Note it."""
        self.is_full = False
        self.changed.set()

    def connection_lost(self, exc: Exception | None) -> None:
        """Note it."""
        self.lost.append(exc)
        self.changed.set()

    async def until(self, condition: Callable[[], bool]) -> None:
        """Wait for something that the transport brings about."""
        async with asyncio.timeout(LIMIT_SECONDS):
            while not condition():
                self.changed.clear()
                await self.changed.wait()


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> CertificateFolder:
    """Of a server on this machine."""
    return _certificates(tmp_path_factory.mktemp("tls"))


def _certificates(folder: Path) -> CertificateFolder:
    made = CertificateFolder(folder)
    made.ensure((), now=datetime.datetime.now(datetime.UTC))
    return made


def run(
    certificates: CertificateFolder, handler: Handler, test: Callable[[Received], Awaitable[None]], **options: int
) -> None:
    """Run a test with a protocol that is connected to a server of asyncio."""

    async def main() -> None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificates.server.certificate, certificates.server.key)
        server = await asyncio.start_server(handler, LOOPBACK, 0, ssl=context)
        protocol = Received(**options)
        port = server.sockets[0].getsockname()[1]
        async with server:
            await open_tls(protocol, LOOPBACK, port, trusting(certificates.ca_file), "localhost")
            try:
                async with asyncio.timeout(2 * LIMIT_SECONDS):
                    await test(protocol)
            finally:
                protocol.transport.abort()
                await protocol.until(lambda: bool(protocol.lost))
        assert len(protocol.lost) == 1, "its end is told once"

    asyncio.run(main())


def trusting(ca_file: Path) -> ssl.SSLContext:
    """A context that verifies."""
    return ssl.create_default_context(cafile=str(ca_file))


async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Everything back, however it comes."""
    try:
        while data := await reader.read(50_000):
            writer.write(data)
            await writer.drain()
    except (ConnectionError, ssl.SSLError):
        pass
    finally:
        writer.close()


def noise(size: int) -> bytes:
    """Bytes that cannot be mixed up."""
    return random.Random(size).randbytes(size)  # noqa: S311  # no secret


def test_hands_are_shaken_outside_the_loop(certificates: CertificateFolder) -> None:
    """What cryptography takes delays nobody who is connected already."""
    threads: set[int] = set()

    class Noting(ssl.SSLObject):
        def do_handshake(self) -> None:
            threads.add(threading.get_ident())
            super().do_handshake()

    async def main() -> None:
        server_side = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        server_side.load_cert_chain(certificates.server.certificate, certificates.server.key)
        context = trusting(certificates.ca_file)
        context.sslobject_class = Noting
        protocol = Received()
        async with await asyncio.start_server(echo, LOOPBACK, 0, ssl=server_side) as server:
            await open_tls(protocol, LOOPBACK, server.sockets[0].getsockname()[1], context, "localhost")
            protocol.transport.abort()
            await protocol.until(lambda: bool(protocol.lost))

    asyncio.run(main())
    assert threads
    assert threading.get_ident() not in threads


@pytest.mark.parametrize("buffer_bytes", [100, 16_384, 65_536])
def test_every_byte_arrives_once_and_in_order(certificates: CertificateFolder, buffer_bytes: int) -> None:
    """Writes of all sizes, and far more than sockets hold; the buffer smaller and larger than a record."""

    async def test(protocol: Received) -> None:
        sent = hashlib.sha256()
        total = 0
        for size in (1, 16_383, 16_384, 16_385, 3_000_000, 1, 70_000):
            data = noise(size)
            sent.update(data)
            total += size
            protocol.transport.write(data)
        await protocol.until(lambda: len(protocol.data) == total)
        assert hashlib.sha256(protocol.data).digest() == sent.digest()
        assert not protocol.transport.get_write_buffer_size()

    run(certificates, echo, test, buffer_bytes=buffer_bytes)


def test_one_read_takes_what_lies_in_the_socket(certificates: CertificateFolder) -> None:
    """Many small records are one call: what one read brings is signed and proven together."""

    async def bursts(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readexactly(1)
        for _ in range(200):
            writer.write(b"x" * 100)
        await writer.drain()
        await echo(reader, writer)

    async def test(protocol: Received) -> None:
        protocol.transport.pause_reading()
        protocol.transport.write(b"!")
        wanted = 200 * 100
        await _lies_in(protocol.transport, wanted)
        protocol.transport.resume_reading()
        await protocol.until(lambda: len(protocol.data) == wanted)
        assert protocol.most_at_once == wanted

    run(certificates, bursts, test)


async def _lies_in(transport: TlsTransport, size: int) -> None:
    """Wait until the socket has so many bytes, encrypted or more."""
    plain = transport.get_extra_info("socket")
    async with asyncio.timeout(LIMIT_SECONDS):
        while int.from_bytes(fcntl.ioctl(plain.fileno(), termios.FIONREAD, bytes(4)), "little") < size:
            await asyncio.sleep(0.01)  # a look at the socket, which has no event for it


def test_a_peer_that_does_not_read_is_told(certificates: CertificateFolder) -> None:
    """Above the high water the protocol is told, and again below the low one."""
    goes_on = asyncio.Event()

    async def slow(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await goes_on.wait()
        await echo(reader, writer)

    async def test(protocol: Received) -> None:
        protocol.transport.set_write_buffer_limits(high=100_000, low=10_000)
        data = noise(8_000_000)
        protocol.transport.write(data)
        assert protocol.is_full
        assert protocol.transport.get_write_buffer_size() > 100_000
        goes_on.set()
        await protocol.until(lambda: not protocol.is_full)
        assert protocol.transport.get_write_buffer_size() <= 10_000
        await protocol.until(lambda: len(protocol.data) == len(data))
        assert protocol.data == data

    run(certificates, slow, test)


def test_what_waits_in_openssl_is_not_forgotten(certificates: CertificateFolder) -> None:
    """A pause in the middle of a record: its rest has no event of the socket's."""

    async def test(protocol: Received) -> None:
        first = protocol.buffer_updated

        def pause(nbytes: int) -> None:
            first(nbytes)
            protocol.transport.pause_reading()

        protocol.buffer_updated = pause  # type: ignore[method-assign]
        protocol.transport.write(noise(10_000))
        for wanted in range(100, 10_001, 100):
            await protocol.until(lambda wanted=wanted: len(protocol.data) == wanted)  # type: ignore[misc]
            protocol.transport.resume_reading()
        assert protocol.data == noise(10_000)

    run(certificates, echo, test, buffer_bytes=100)


def test_what_is_unsent_goes_before_the_close(certificates: CertificateFolder) -> None:
    """A close loses nothing that was written, and is told when the other side has closed, too."""
    arrived: list[bytes] = []

    async def take(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        arrived.append(await reader.read(-1))
        writer.close()

    async def test(protocol: Received) -> None:
        data = noise(3_000_000)
        protocol.transport.write(data)
        protocol.transport.close()
        protocol.transport.write(b"too late")
        await protocol.until(lambda: bool(protocol.lost))
        assert protocol.lost == [None]
        assert arrived == [data]

    run(certificates, take, test)


def test_the_other_side_closes(certificates: CertificateFolder) -> None:
    """What it sent before arrives first."""

    async def say(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(noise(100_000))
        writer.close()

    async def test(protocol: Received) -> None:
        await protocol.until(lambda: bool(protocol.lost))
        assert protocol.lost == [None]
        assert protocol.data == noise(100_000)

    run(certificates, say, test)


def test_the_other_side_resets(certificates: CertificateFolder) -> None:
    """The protocol hears the error; nothing is raised into whoever writes."""

    async def reset(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readexactly(1)
        plain = writer.get_extra_info("socket")
        plain.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        writer.transport.abort()

    async def test(protocol: Received) -> None:
        protocol.transport.write(b"!")
        async with asyncio.timeout(LIMIT_SECONDS):
            while not protocol.lost:
                protocol.transport.write(b"more")
                await asyncio.sleep(0)
        assert isinstance(protocol.lost[0], OSError)
        protocol.transport.write(b"nobody")
        protocol.transport.close()

    run(certificates, reset, test)


def test_a_certificate_of_another_name_or_authority_is_refused(certificates: CertificateFolder, tmp_path: Path) -> None:
    """As with asyncio's own: the handshake fails, and no protocol gets a transport."""
    other = _certificates(tmp_path)

    async def refused(ca_file: Path, name: str) -> None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        credential = certificates.server
        context.load_cert_chain(credential.certificate, credential.key)
        server = await asyncio.start_server(echo, LOOPBACK, 0, ssl=context)
        async with server:
            port = server.sockets[0].getsockname()[1]
            with pytest.raises(ssl.SSLCertVerificationError):
                await open_tls(Received(), LOOPBACK, port, trusting(ca_file), name)

    asyncio.run(refused(other.ca_file, "localhost"))
    asyncio.run(refused(certificates.ca_file, "elsewhere.example"))
