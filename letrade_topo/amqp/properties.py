"""The content header: body size and properties, read where they stand and changed without touching the rest.

Each property is kept as the bytes it came as, length included. A property that is present and empty stays so;
properties behind the known fourteen (a continued flags word, AMQP 0-9-1 4.2.6.1) are carried along unread.
Only the class basic has contents.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping
from enum import Enum
from typing import Final

from .faults import AmqpFault, ReplyCode
from .header_table import HeaderTable
from .wire import short_string

BASIC_CLASS: Final = 60

PROPERTIES: Final = (
    ("content_type", "shortstr"),
    ("content_encoding", "shortstr"),
    ("headers", "table"),
    ("delivery_mode", "octet"),
    ("priority", "octet"),
    ("correlation_id", "shortstr"),
    ("reply_to", "shortstr"),
    ("expiration", "shortstr"),
    ("message_id", "shortstr"),
    ("timestamp", "longlong"),
    ("type", "shortstr"),
    ("user_id", "shortstr"),
    ("app_id", "shortstr"),
    ("cluster_id", "shortstr"),
)
"""Name and type in the order of the wire; the first one has the highest bit of the flags."""

POSITIONS: Final = {name: position for position, (name, _) in enumerate(PROPERTIES)}
_TYPES: Final = tuple(kind for _, kind in PROPERTIES)
_WIDTHS: Final = {"shortstr": 0, "table": -1, "octet": 1, "longlong": 8}
_HEADERS, _PRIORITY, _MESSAGE_ID, _TIMESTAMP, _APP_ID = 2, 4, 8, 9, 12
_HEADERS_FLAG, _PRIORITY_FLAG = 1 << 13, 1 << 11
_MESSAGE_ID_FLAG, _TIMESTAMP_FLAG, _APP_ID_FLAG = 1 << 7, 1 << 6, 1 << 3
_CONTINUED: Final = 1

_HEAD = struct.Struct(">HHQH")
_BODY_SIZE_AT: Final = 4
_SHORT = struct.Struct(">H")
_LONG = struct.Struct(">I")
_LONG_LONG = struct.Struct(">Q")
_ABSENT: Final = [b""] * len(PROPERTIES)

_MAX_PLANS = 256
_plans: dict[int, tuple[tuple[int, int], ...]] = {}
"""Which properties a flags word announces: (position, width). Clients use one or two words; bounded all the same."""


class Keep(Enum):
    """The headers stay as they are."""

    HEADERS = "headers"


def _plan(flags: int) -> tuple[tuple[int, int], ...]:
    plan = tuple((position, _WIDTHS[kind]) for position, kind in enumerate(_TYPES) if flags & 1 << (15 - position))
    if len(_plans) < _MAX_PLANS:
        _plans[flags] = plan
    return plan


class ContentHeader:
    """A content header as it stood on the wire.

    Attributes:
        payload: the payload of its frame.
        body_size: announced size of the body in bytes.
        flags: first flags word.
        fields: every property as it stands on the wire, by `POSITIONS`; empty where it is absent.
    """

    __slots__ = ("_continuation", "_rest", "body_size", "fields", "flags", "payload")

    def __init__(
        self, payload: bytes, body_size: int, flags: int, fields: list[bytes], continuation: bytes, rest: bytes
    ) -> None:
        self.payload: Final = payload
        self.body_size: Final = body_size
        self.flags: Final = flags
        self.fields = fields
        self._continuation = continuation
        self._rest = rest

    @classmethod
    def parse(cls, payload: bytes) -> ContentHeader:
        """Read the payload of a content header frame.

        Raises:
            AmqpFault: UNEXPECTED_FRAME for another class than basic or a weight; SYNTAX_ERROR for properties
                that do not fill the frame exactly. The headers table is not looked into before it is asked for.
        """
        continuation = rest = b""
        try:
            class_id, weight, body_size, flags = _HEAD.unpack_from(payload)
            if class_id != BASIC_CLASS or weight:
                raise _not_basic(class_id, weight)
            position = 14
            if flags & _CONTINUED:
                position = _end_of_flags(payload)
                continuation = payload[14:position]
            fields = _ABSENT.copy()
            plan = _plans.get(flags)
            for index, width in _plan(flags) if plan is None else plan:
                if width == 0:
                    end = position + 1 + payload[position]
                elif width > 0:
                    end = position + width
                else:
                    end = position + 4 + _LONG.unpack_from(payload, position)[0]
                fields[index] = payload[position:end]
                position = end
        except (IndexError, struct.error):
            raise _syntax_fault("the properties end too early") from None
        if position != len(payload):
            if position > len(payload):
                raise _syntax_fault("the properties end too early")
            if not flags & _CONTINUED:
                raise _syntax_fault(f"{len(payload) - position} bytes behind the last property")
            rest = payload[position:]
        return cls(payload, body_size, flags, fields, continuation, rest)

    def raw(self, name: str) -> bytes | None:
        """A property's value without its length; for `headers` the whole table, length included. None if absent."""
        position = POSITIONS[name]
        if not self.flags & 1 << (15 - position):
            return None
        field = self.fields[position]
        return field[1:] if _TYPES[position] == "shortstr" else field

    @property
    def content_type(self) -> bytes | None:
        """MIME type of the body; None if absent, as with every property."""
        return self.fields[0][1:] if self.flags & 0x8000 else None

    @property
    def content_encoding(self) -> bytes | None:
        """How the body is packed."""
        return self.fields[1][1:] if self.flags & 0x4000 else None

    @property
    def headers(self) -> HeaderTable | None:
        """The headers table, read anew at each call.

        Raises:
            AmqpFault: SYNTAX_ERROR, it is malformed.
        """
        return HeaderTable.parse(self.fields[_HEADERS]) if self.flags & _HEADERS_FLAG else None

    @property
    def encoded_headers(self) -> bytes | None:
        """The headers table as it stands on the wire, length included; not looked into yet."""
        return self.fields[2] if self.flags & 0x2000 else None

    @property
    def delivery_mode(self) -> int | None:
        """2 for a message that survives a restart of the broker."""
        return int.from_bytes(self.fields[3], "big") if self.flags & 0x1000 else None

    @property
    def priority(self) -> int | None:
        """Priority in the queue."""
        return int.from_bytes(self.fields[4], "big") if self.flags & 0x0800 else None

    @property
    def correlation_id(self) -> bytes | None:
        """Which request this answers."""
        return self.fields[5][1:] if self.flags & 0x0400 else None

    @property
    def reply_to(self) -> bytes | None:
        """Where an answer shall go; the broker rewrites it for direct reply-to."""
        return self.fields[6][1:] if self.flags & 0x0200 else None

    @property
    def expiration(self) -> bytes | None:
        """Lifetime in milliseconds, as decimal digits."""
        return self.fields[7][1:] if self.flags & 0x0100 else None

    @property
    def message_id(self) -> bytes | None:
        """The sender's name for the message."""
        return self.fields[8][1:] if self.flags & 0x0080 else None

    @property
    def timestamp(self) -> int | None:
        """Seconds since 1970."""
        return int.from_bytes(self.fields[9], "big") if self.flags & 0x0040 else None

    @property
    def type(self) -> bytes | None:
        """The sender's name for the kind of message."""
        return self.fields[10][1:] if self.flags & 0x0020 else None

    @property
    def user_id(self) -> bytes | None:
        """The broker's user that sent it."""
        return self.fields[11][1:] if self.flags & 0x0010 else None

    @property
    def app_id(self) -> bytes | None:
        """The application that sent it."""
        return self.fields[12][1:] if self.flags & 0x0008 else None

    def rewrite(
        self,
        headers: bytes | Keep | None = Keep.HEADERS,
        *,
        message_id: bytes | None = None,
        timestamp: int | None = None,
        app_id: bytes | None = None,
        priority: int | None = None,
        replace: Mapping[str, bytes | None] | None = None,
        body_size: int | None = None,
    ) -> bytes:
        """A new payload: everything else byte for byte as it came.

        Arguments:
            headers: the new table, encoded; None for no headers property at all.
            message_id, timestamp, app_id, priority: added only where absent; a client's own is never overwritten.
            replace: short string properties by name with a new value, or None for taking any property out.
            body_size: the size of another body, in bytes.

        Raises:
            ValueError: a value of more than 255 bytes, or a value for a property that is no short string.
        """
        fields = self.fields.copy()
        flags = self.flags
        if headers is None:
            fields[_HEADERS] = b""
            flags &= ~_HEADERS_FLAG
        elif headers is not Keep.HEADERS:
            fields[_HEADERS] = headers
            flags |= _HEADERS_FLAG
        if message_id is not None and not flags & _MESSAGE_ID_FLAG:
            fields[_MESSAGE_ID] = short_string(message_id)
            flags |= _MESSAGE_ID_FLAG
        if timestamp is not None and not flags & _TIMESTAMP_FLAG:
            fields[_TIMESTAMP] = _LONG_LONG.pack(timestamp)
            flags |= _TIMESTAMP_FLAG
        if app_id is not None and not flags & _APP_ID_FLAG:
            fields[_APP_ID] = short_string(app_id)
            flags |= _APP_ID_FLAG
        if priority is not None and not flags & _PRIORITY_FLAG:
            fields[_PRIORITY] = bytes((priority,))
            flags |= _PRIORITY_FLAG
        if replace:
            flags = _replace(fields, flags, replace)
        size = self.body_size if body_size is None else body_size
        head = _HEAD.pack(BASIC_CLASS, 0, size, flags)
        return b"".join((head, self._continuation, *fields, self._rest))


def with_body_size(payload: bytes, body_size: int) -> bytes:
    """The payload of a content header, for a body of another size in bytes."""
    return payload[:_BODY_SIZE_AT] + _LONG_LONG.pack(body_size) + payload[_BODY_SIZE_AT + 8 :]


def _replace(fields: list[bytes], flags: int, replace: Mapping[str, bytes | None]) -> int:
    for name, value in replace.items():
        position = POSITIONS[name]
        if value is None:
            fields[position] = b""
            flags &= ~(1 << (15 - position))
        elif _TYPES[position] == "shortstr":
            fields[position] = short_string(value)
            flags |= 1 << (15 - position)
        else:
            raise ValueError(f"{name} is no short string")
    return flags


def _end_of_flags(payload: bytes) -> int:
    position = 14
    while True:
        word = int(_SHORT.unpack_from(payload, position)[0])
        position += 2
        if not word & _CONTINUED:
            return position


def _not_basic(class_id: int, weight: int) -> AmqpFault:
    if class_id != BASIC_CLASS:
        text = f"expected content header for class {BASIC_CLASS}, got one for class {class_id} instead"
    else:
        text = f"content header with weight {weight}, which has to be 0"
    return AmqpFault(ReplyCode.UNEXPECTED_FRAME, text)


def _syntax_fault(problem: str) -> AmqpFault:
    return AmqpFault(ReplyCode.SYNTAX_ERROR, f"content header: {problem}")
