"""A client that shows content headers as bytes: what is not changed must leave as it came.

pamqp does the framing; header payloads are neither decoded nor encoded.
"""

from __future__ import annotations

import socket
import ssl
import struct
import time
from types import TracebackType
from typing import Self

from pamqp import body as content
from pamqp import commands, frame
from pamqp.base import Frame
from pamqp.header import ProtocolHeader

from tests.interop.client import LIMIT_SECONDS, Endpoint

_FRAME_HEADER = struct.Struct(">BHI")
_HEADER_FRAME = 2
_BODY_FRAME = 3
_END = b"\xce"
_FRAME_MAX = 131_072
_CHANNEL_MAX = 2047


class RawClient:
    """One connection, one channel.

    Args:
        endpoint: where.
    """

    def __init__(self, endpoint: Endpoint) -> None:
        plain = socket.create_connection((endpoint.host, endpoint.port), LIMIT_SECONDS)
        self._socket = plain
        if endpoint.ca_file:
            context = ssl.create_default_context(cafile=str(endpoint.ca_file))
            self._socket = context.wrap_socket(plain, server_hostname=endpoint.host)
        self._socket.sendall(frame.marshal(ProtocolHeader(0, 9, 1), 0))
        self._read()
        answer = f"\0{endpoint.username}\0{endpoint.password}"
        self._send(commands.Connection.StartOk({}, "PLAIN", answer, "en_US"), 0)
        self._read()
        self._send(commands.Connection.TuneOk(_CHANNEL_MAX, _FRAME_MAX, 0), 0)
        self._send(commands.Connection.Open(endpoint.vhost), 0)
        self._read()
        self._send(commands.Channel.Open())
        self._read()

    def declare(self, queue: str) -> None:
        """Declare a queue that ends with its use."""
        self._send(commands.Queue.Declare(0, queue, auto_delete=True))
        self._read()

    def delete(self, queue: str) -> None:
        """Delete a queue."""
        self._send(commands.Queue.Delete(0, queue))
        self._read()

    def publish(self, exchange: str, key: str, header: bytes, body: bytes) -> None:
        """Publish with this content header payload, in one write, confirmed by a round trip on the channel."""
        self._socket.sendall(
            frame.marshal(commands.Basic.Publish(0, exchange, key), 1)
            + _FRAME_HEADER.pack(_HEADER_FRAME, 1, len(header))
            + header
            + _END
            + (frame.marshal(content.ContentBody(body), 1) if body else b"")
        )
        self._send(commands.Basic.Qos(0, 1, False))
        self._read()

    def get(self, queue: str) -> bytes:
        """The content header payload of the next message, waited for; AssertionError when there is none."""
        deadline = time.monotonic() + LIMIT_SECONDS
        while True:
            self._send(commands.Basic.Get(0, queue, True))
            kind, payload = self._read()
            if payload[:4] == struct.pack(">HH", 60, 71):
                break
            assert time.monotonic() < deadline, f"nothing in {queue}: {payload!r}"
            time.sleep(0.01)
        kind, header = self._read()
        assert kind == _HEADER_FRAME
        (left,) = struct.unpack_from(">Q", header, 4)
        while left:
            kind, part = self._read()
            assert kind == _BODY_FRAME
            left -= len(part)
        return header

    def close(self) -> None:
        """Close as the protocol asks."""
        self._send(commands.Connection.Close(200, "", 0, 0), 0)
        self._read()
        self._socket.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is None:
            self.close()
        else:
            self._socket.close()

    def _send(self, method: Frame, channel: int = 1) -> None:
        self._socket.sendall(frame.marshal(method, channel))

    def _read(self) -> tuple[int, bytes]:
        """The next frame that is no heartbeat: its type and payload."""
        while True:
            kind, _, size = _FRAME_HEADER.unpack(self._exactly(_FRAME_HEADER.size))
            payload = self._exactly(size + 1)[:-1]
            if kind != 8:
                return kind, payload

    def _exactly(self, size: int) -> bytes:
        found = b""
        while len(found) < size:
            more = self._socket.recv(size - len(found))
            assert more, "the peer has closed"
            found += more
        return found
