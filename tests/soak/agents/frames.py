"""What clients of these campaigns write and read: publishes as frames, and frames as events. Standard library alone.

The agent's own frame layout is used (bench/agents/client.py connects), everything above it is read here by itself.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Sequence
from typing import NamedTuple, TypeAlias

from bench.agents.client import CHANNEL
from letrade_topo.amqp.frames import BODY, HEADER, METHOD, Frame, encode_content

_PROPERTIES = 1 << 15 | 1 << 12 | 1 << 10  # content_type, delivery_mode, correlation_id
_RETURN, _DELIVER, _ACK, _NACK = ((60, 50), (60, 60), (60, 80), (60, 120))
_CLOSES = ((10, 50), (20, 40))
_FIXED_HEADER = struct.Struct(">HHQ")


class Confirm(NamedTuple):
    """basic.ack or basic.nack of the other side."""

    tag: int
    multiple: bool
    acknowledged: bool


class ReturnFrames(NamedTuple):
    """basic.return with its content; `header` is the content header's payload."""

    code: int
    text: str
    exchange: str
    key: str
    header: bytes
    body: bytes


class Delivered(NamedTuple):
    """basic.deliver with its body."""

    tag: int
    redelivered: bool
    body: bytes


class Closed(NamedTuple):
    """connection.close or channel.close."""

    code: int
    text: str


Event: TypeAlias = Confirm | ReturnFrames | Delivered | Closed


def content_header(number: int, size: int) -> bytes:
    """The payload of a publish's content header; its correlation id is the number."""
    correlation = b"%d" % number
    content_type = b"application/json"
    fixed = struct.pack(">HHQH", 60, 0, size, _PROPERTIES)
    return fixed + bytes((len(content_type),)) + content_type + b"\x02" + bytes((len(correlation),)) + correlation


def publish(exchange: str, key: str, body: bytes, number: int, frame_max: int, *, mandatory: bool = False) -> bytes:
    """All frames of one publish."""
    method = struct.pack(">HHH", 60, 40, 0) + _short(exchange) + _short(key) + bytes((mandatory,))
    return encode_content(CHANNEL, method, content_header(number, len(body)), body, frame_max)


def correlation_of(header: bytes) -> int:
    """The number in a content header that `content_header` made."""
    (size,) = struct.unpack_from(">B", header, 14)
    at = 15 + size + 1
    return int(header[at + 1 : at + 1 + header[at]])


class Events:
    """Frames in, events out, in their order; contents come when they are complete."""

    def __init__(self) -> None:
        self._method = b""
        self._header = b""
        self._body = bytearray()
        self._missing = 0

    def of(self, frames: Sequence[Frame]) -> Iterator[Event]:
        """What these frames complete."""
        for kind, _, payload in frames:
            if kind == METHOD:
                method = struct.unpack_from(">HH", payload)
                if method in (_ACK, _NACK):
                    tag, bits = struct.unpack_from(">QB", payload, 4)
                    yield Confirm(tag, bool(bits & 1), method == _ACK)
                elif method in _CLOSES:
                    (code,) = struct.unpack_from(">H", payload, 4)
                    yield Closed(code, _short_at(payload, 6)[0])
                elif method in (_RETURN, _DELIVER):
                    self._method = payload
            elif kind == HEADER:
                self._header, self._body = payload, bytearray()
                _, _, self._missing = _FIXED_HEADER.unpack_from(payload)
                if not self._missing:
                    yield self._content()
            elif kind == BODY:
                self._body += payload
                self._missing -= len(payload)
                if not self._missing:
                    yield self._content()

    def _content(self) -> Event:
        method = self._method
        if struct.unpack_from(">HH", method) == _DELIVER:
            at = 5 + method[4]
            tag, redelivered = struct.unpack_from(">QB", method, at)
            return Delivered(tag, bool(redelivered), bytes(self._body))
        (code,) = struct.unpack_from(">H", method, 4)
        text, at = _short_at(method, 6)
        exchange, at = _short_at(method, at)
        key, _ = _short_at(method, at)
        return ReturnFrames(code, text, exchange, key, self._header, bytes(self._body))


def _short(text: str) -> bytes:
    encoded = text.encode()
    return bytes((len(encoded),)) + encoded


def _short_at(payload: bytes, at: int) -> tuple[str, int]:
    end = at + 1 + payload[at]
    return payload[at + 1 : end].decode(), end
