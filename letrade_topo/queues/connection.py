"""The connection of a `QueueLink`: pika's, where it is about one frame at a time; batches, where it is about messages.

Moving a message takes a delivery, a publish, a confirm and an acknowledgement. Through pika that is some twenty calls
for each frame, and a TLS record for each frame that is sent, which the broker has to decrypt one by one. Here
deliveries and confirms are cut out of what has been read, with the codec, and what is sent in answer to one read
leaves in one write. All other frames go to pika, in the order in which they came.

The properties of a message are handed out and taken as bytes (`letrade_topo.queues.content`), because decoding and
encoding them changes them.
"""

from __future__ import annotations

import asyncio
import struct
from collections.abc import Callable
from typing import Any, Final, Protocol

from pika import exceptions, frame, spec
from pika.adapters.asyncio_connection import AsyncioConnection

from letrade_topo.amqp.basic import ACK, DELIVER, NACK, Deliver, parse_deliver, parse_settle
from letrade_topo.amqp.faults import AmqpFault
from letrade_topo.amqp.frames import BODY, FRAME_END, HEADER, METHOD

LARGEST_WRITE_BYTES: Final = 65_536
"""Of one call of TLS; a record has 16 KiB at most, and what did not go out is copied."""

_CONTENT: Final = struct.Struct(">HHQ")
_FRAME: Final = struct.Struct(">BHL")


class RawProperties:
    """What pika takes for the properties of a message: it asks them for their bytes alone."""

    INDEX = spec.BasicProperties.INDEX

    def __init__(self, raw: bytes) -> None:
        self.raw = raw

    def encode(self) -> list[bytes]:
        """The bytes, in a list as pika wants them."""
        return [self.raw]


class ReadsMessages(Protocol):
    """Who gets the messages and confirms of a channel."""

    def on_message(self, deliver: Deliver, raw: bytes, body: bytes) -> None:
        """A message; `raw` are its properties."""

    def on_confirm(self, tag: int, *, multiple: bool, is_refused: bool) -> None:
        """The broker has what was published, or does not take it."""


class BatchingConnection(AsyncioConnection):  # type: ignore[misc]  # pika has no type information
    """One connection, with one channel at most whose messages do not go through pika.

    Attributes:
        reader: gets these; None: they go through pika.
        before_write: called before what has gathered is written.
    """

    def __init__(self, *args: Any, **options: Any) -> None:
        self.reader: ReadsMessages | None = None
        self.reader_channel = 0
        self.before_write: Callable[[], None] | None = None
        self._outgoing: list[bytes] = []
        self._is_scheduled = False
        self._deliver: Deliver | None = None
        self._raw = b""
        self._missing = 0
        self._body: list[bytes] = []
        super().__init__(*args, **options)

    def send(self, data: bytes) -> None:
        """Send whole frames, together with all others of this turn of the loop."""
        self.bytes_sent += len(data)
        self.frames_sent += 1
        self._adapter_emit_data(data)

    def schedule(self) -> None:
        """Have `before_write` called, and what has gathered written, when this turn of the loop is over."""
        if not self._is_scheduled:
            self._is_scheduled = True
            asyncio.get_running_loop().call_soon(self._flush)

    def _adapter_emit_data(self, data: bytes) -> None:
        self._outgoing.append(data)
        self.schedule()

    def _adapter_disconnect_stream(self) -> None:
        self._write()  # the answer to the broker's close, for one
        super()._adapter_disconnect_stream()

    def _flush(self) -> None:
        if self.before_write is not None:
            self.before_write()
        self._is_scheduled = False
        self._write()

    def _write(self) -> None:
        data = b"".join(self._outgoing)
        self._outgoing.clear()
        if self._transport is None:
            return
        for start in range(0, len(data), LARGEST_WRITE_BYTES):
            self._transport.write(data[start : start + LARGEST_WRITE_BYTES])

    def _on_data_available(self, data_in: bytes) -> None:
        """Cut frames out of what has been read; overrides pika's."""
        reader = self.reader
        if reader is None:  # the handshake
            super()._on_data_available(data_in)
            return
        data: bytes = self._frame_buffer + data_in
        start, available = 0, len(data)
        try:
            while available - start >= _FRAME.size:
                kind, channel, size = _FRAME.unpack_from(data, start)
                end = start + _FRAME.size + size + 1
                if end > available:
                    break
                payload = data[start + _FRAME.size : end - 1]
                self.bytes_received += end - start
                if channel == self.reader_channel and data[end - 1] == FRAME_END and self._reads(reader, kind, payload):
                    self.frames_received += 1
                else:
                    self._process_frame(_decoded(data[start:end], kind, channel, payload))
                start = end
        except (AmqpFault, struct.error) as fault:
            self._terminate_stream(exceptions.InvalidFrameError(str(fault)))
        self._frame_buffer: bytes = data[start:]

    def _reads(self, reader: ReadsMessages, kind: int, payload: bytes) -> bool:
        """Whether a frame of the channel is part of a delivery or a confirm, and done with."""
        if kind == METHOD:
            index = payload[:4]
            if index == DELIVER:
                self._deliver = parse_deliver(payload)
                return True
            if index in (ACK, NACK):
                tag, multiple, _ = parse_settle(payload)
                reader.on_confirm(tag, multiple=multiple, is_refused=index == NACK)
                return True
            return False
        if self._deliver is None:
            return False
        if kind == HEADER:
            _, _, self._missing = _CONTENT.unpack_from(payload)
            self._raw = payload[_CONTENT.size :]
            self._body = []
        elif kind == BODY:
            self._missing -= len(payload)
            self._body.append(payload)
        else:
            return False
        if self._missing <= 0:
            deliver, self._deliver = self._deliver, None
            body = self._body[0] if len(self._body) == 1 else b"".join(self._body)
            reader.on_message(deliver, self._raw, body)
        return True


def _decoded(whole: bytes, kind: int, channel: int, payload: bytes) -> Any:
    """A frame for pika."""
    if kind == HEADER and len(payload) >= _CONTENT.size and whole[-1] == FRAME_END:
        _, _, body_size = _CONTENT.unpack_from(payload)
        return frame.Header(channel, body_size, RawProperties(payload[_CONTENT.size :]))
    return frame.decode_frame(whole)[1]
