"""Frames: cutting a stream of bytes into them, and putting them together.

A frame is a plain tuple of type, channel and payload: one is made three times per message, and nothing here needs
more. Payloads are not looked into; a payload that is not changed gives the very same frame again.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable
from typing import Final

from .faults import AmqpFault, ReplyCode

PROTOCOL_HEADER: Final = b"AMQP\x00\x00\x09\x01"

METHOD: Final = 1
HEADER: Final = 2
BODY: Final = 3
HEARTBEAT: Final = 8
FRAME_END: Final = 0xCE

FRAME_OVERHEAD: Final = 8
"""Type, channel and size before the payload, the end marker behind it. `frame_max` counts them."""

MIN_FRAME_MAX: Final = 4096
"""No side may ask for less (AMQP 0-9-1, 4.2.3 and tune); amqplib before 0.10.7 asks for exactly this."""

UNTUNED_FRAME_MAX: Final = 8192
"""What RabbitMQ takes before the tuning since 4.1: a login with a long OAuth 2.0 token has to fit."""

ALL: Final = -1
"""No bound to how many frames are wanted."""

Frame = tuple[int, int, bytes]
"""Type, channel number, payload."""

_HEAD = struct.Struct(">BHI")
_END = bytes((FRAME_END,))
_END_AND_HEAD = struct.Struct(">BBHI")

HEARTBEAT_FRAME: Final = _HEAD.pack(HEARTBEAT, 0, 0) + _END


class FrameDecoder:
    """Cuts the bytes of one direction into frames, however they were chunked.

    What is kept is at most one unfinished frame, and what of a chunk was not wanted yet, so memory is bounded by
    `frame_max` and the largest chunk fed.

    Attributes:
        frame_max: the largest frame to accept, in bytes; to be set when the connection is tuned. A payload of
            the full `frame_max` is let through, eight bytes more than agreed, because RabbitMQ does so too.
        fault: why the stream cannot be read any further, once that is so.
        has_more: the last call left something that may be whole frames; feed nothing to have them.
    """

    __slots__ = ("_missing", "_pending", "fault", "frame_max", "has_more")

    def __init__(self, frame_max: int = UNTUNED_FRAME_MAX) -> None:
        self.frame_max = frame_max
        self.fault: AmqpFault | None = None
        self.has_more = False
        self._pending = bytearray()
        self._missing = 0

    @property
    def pending_bytes(self) -> int:
        """How much of an unfinished frame is held."""
        return len(self._pending)

    def feed(self, data: bytes | bytearray | memoryview, most: int = ALL) -> list[Frame]:
        """Take bytes in; give the frames that are now complete, the first `most` of them if there are more.

        Frames before a fault are still given, whatever the chunks were: after working through them, look at
        `fault`. Bytes fed later are refused with that fault.

        Raises:
            AmqpFault: FRAME_ERROR, this decoder met a fault before.
        """
        if self.fault is not None:
            raise self.fault
        pending = self._pending
        self.has_more = False
        if pending:
            pending += data
            if len(pending) < self._missing:
                return []
            chunk = bytes(pending)
            pending.clear()
        else:
            chunk = bytes(data)
        frames: list[Frame] = []
        append = frames.append
        unpack_head = _HEAD.unpack_from
        limit = self.frame_max
        available = len(chunk)
        start = 0
        needed = 7
        while available - start >= 7:
            frame_type, channel, size = unpack_head(chunk, start)
            end = start + size + 8
            if size > limit or not 0 < frame_type < 4:
                self.fault = _head_fault(frame_type, channel, size, limit)
                if self.fault is not None:
                    return frames
            if end > available:
                needed = end - start
                break
            if chunk[end - 1] != FRAME_END:
                self.fault = AmqpFault(
                    ReplyCode.FRAME_ERROR,
                    f"frame of type {frame_type} on channel {channel} ends in {chunk[end - 1]:#04x}, not in 0xce",
                )
                return frames
            append((frame_type, channel, chunk[start + 7 : end - 1]))
            start = end
            if len(frames) == most:
                needed = 0
                self.has_more = start < available
                break
        if start < available:
            pending += chunk[start:]
            self._missing = needed
        return frames


def _head_fault(frame_type: int, channel: int, size: int, limit: int) -> AmqpFault | None:
    """What is wrong with a frame's head; None for a heartbeat, which is empty and on channel 0."""
    if frame_type not in (METHOD, HEADER, BODY, HEARTBEAT):
        return AmqpFault(ReplyCode.FRAME_ERROR, f"unknown frame type {frame_type} on channel {channel}")
    if size > limit:
        text = f"frame of type {frame_type} on channel {channel} has {size} bytes, more than the {limit} agreed"
        return AmqpFault(ReplyCode.FRAME_ERROR, text)
    if size or channel:
        return AmqpFault(ReplyCode.FRAME_ERROR, f"heartbeat with {size} bytes on channel {channel}")
    return None


def encode_frame(frame_type: int, channel: int, payload: bytes) -> bytes:
    """One frame around a payload; the caller keeps to the agreed size."""
    return b"".join((_HEAD.pack(frame_type, channel, len(payload)), payload, _END))


def encode_method(channel: int, payload: bytes) -> bytes:
    """One method frame."""
    return b"".join((_HEAD.pack(METHOD, channel, len(payload)), payload, _END))


def fits(payload: bytes, frame_max: int) -> bool:
    """Whether a method or a content header may be sent: neither can be split over frames."""
    return len(payload) <= frame_max - FRAME_OVERHEAD


def encode_content(channel: int, method: bytes, header: bytes, body: bytes, frame_max: int) -> bytes:
    """A whole content in one piece: method, header, and the body in as many frames as `frame_max` asks for.

    One piece, because no other frame of the channel may come between (RabbitMQ answers 505).

    Raises:
        ValueError: method or header do not fit into a frame; a bug of the caller, who has to ask `fits`.
    """
    room = frame_max - FRAME_OVERHEAD
    size = len(body)
    if len(header) > room or len(method) > room:
        raise ValueError(f"a method of {len(method)} and a header of {len(header)} bytes in frames of {frame_max}")
    join = _END_AND_HEAD.pack
    if 0 < size <= room:
        return b"".join(
            (
                _HEAD.pack(METHOD, channel, len(method)),
                method,
                join(FRAME_END, HEADER, channel, len(header)),
                header,
                join(FRAME_END, BODY, channel, size),
                body,
                _END,
            )
        )
    parts = [_HEAD.pack(METHOD, channel, len(method)), method, join(FRAME_END, HEADER, channel, len(header)), header]
    for start in range(0, size, room):
        piece = body[start : start + room]
        parts += (join(FRAME_END, BODY, channel, len(piece)), piece)
    parts.append(_END)
    return b"".join(parts)


def encode_frames(frames: Iterable[Frame]) -> bytes:
    """Frames back into the bytes they came as."""
    return b"".join([encode_frame(*frame) for frame in frames])
