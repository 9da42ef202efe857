"""The properties of a message as the bytes that they came as, and the headers in them as raw entries.

Reading and writing them with a usual library is not the identity: floats lose digits, integers their width, an
empty property vanishes (and with it the signature over it), a header that is there twice is there once. So here
what is not changed is cut out and put together again, never decoded.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Final, TypeAlias

from pika.data import decode_value

from letrade_topo.keys.headers import TokenHeaders
from letrade_topo.keys.leaf import SignedProperties

Entry: TypeAlias = tuple[bytes, bytes]
"""A header: its name, and its value with the type's tag before it."""

PROPERTIES: Final = (
    "content_type",
    "content_encoding",
    "headers",
    "delivery_mode",
    "priority",
    "correlation_id",
    "reply_to",
    "expiration",
    "message_id",
    "timestamp",
    "type",
    "user_id",
    "app_id",
    "cluster_id",
)
"""In the order of the wire; the first one has the highest bit of the flags."""

_HEADERS = PROPERTIES.index("headers")
_WIDTHS: Final = {"delivery_mode": 1, "priority": 1, "timestamp": 8}
_FIXED: Final = {
    ord(tag): size
    for tags, size in (("tbB", 1), ("sUu", 2), ("Iif", 4), ("lLdT", 8), ("D", 5), ("V", 0))
    for tag in tags
}
_SIZED: Final = frozenset(b"SxAF")
_SHORT = struct.Struct(">H")
_LONG = struct.Struct(">I")
_LONG_STRINGS = b"Sx"


class BadContent(ValueError):
    """The bytes are not properties."""


@dataclass(frozen=True, slots=True)
class Properties:
    """The properties of one message.

    Args:
        fields: each property's bytes as on the wire, length included; None where it is absent.
        headers: the entries of `headers` in their order; a name may be there more than once.
    """

    fields: tuple[bytes | None, ...]
    headers: tuple[Entry, ...]

    @classmethod
    def parse(cls, raw: bytes) -> Properties:
        """Read flags and properties, as they stand in a content header behind the size of the body.

        Raises:
            BadContent: they are none.
        """
        try:
            flags = _SHORT.unpack_from(raw)[0]
            if flags & 1:
                raise BadContent("there are properties that AMQP 0-9-1 does not know")
            position = 2
            fields: list[bytes | None] = []
            for index, name in enumerate(PROPERTIES):
                if not flags & 1 << (15 - index):
                    fields.append(None)
                    continue
                end = position + _length(name, raw, position)
                fields.append(raw[position:end])
                position = end
            if position != len(raw):
                raise BadContent("the properties have another length than they say")
            table = fields[_HEADERS]
            return cls(tuple(fields), () if table is None else _entries(table))
        except (IndexError, struct.error):
            raise BadContent("the properties end too early") from None

    def encode(self) -> bytes:
        """As they stand in a content header."""
        flags = sum(1 << (15 - index) for index, field in enumerate(self.fields) if field is not None)
        return _SHORT.pack(flags) + b"".join(field for field in self.fields if field is not None)

    def text(self, name: str) -> bytes | None:
        """A short string, as bytes; None where it is absent."""
        field = self.fields[PROPERTIES.index(name)]
        return None if field is None else field[1:]

    def number(self, name: str) -> int | None:
        """A number; None where it is absent."""
        field = self.fields[PROPERTIES.index(name)]
        return None if field is None else int.from_bytes(field, "big")

    @property
    def signed(self) -> SignedProperties:
        """Those that the publisher's signature covers."""
        return SignedProperties(
            self.text("message_id"),
            self.text("correlation_id"),
            self.text("content_type"),
            self.text("content_encoding"),
            self.text("type"),
        )

    @property
    def tokens(self) -> TokenHeaders:
        """The headers that carry tokens."""
        return TokenHeaders.gather((name, _long_string(value)) for name, value in self.headers)

    def header(self, name: bytes) -> object:
        """The value of the first header of that name, decoded for reading; None without one that can be read."""
        return next((decoded(value) for found, value in self.headers if found == name), None)

    def rewritten(
        self, *, is_dropped: Callable[[bytes], bool], added: Sequence[tuple[bytes, bytes | int]], without: Iterable[str]
    ) -> Properties:
        """The same with other headers, and without some properties.

        Args:
            is_dropped: tells the names of headers that go.
            added: headers that come behind the rest.
            without: the names of properties that go.
        """
        headers = [entry for entry in self.headers if not is_dropped(entry[0])]
        headers += [(name, _encoded(value)) for name, value in added]
        content = b"".join(bytes((len(name),)) + name + value for name, value in headers)
        fields = list(self.fields)
        fields[_HEADERS] = _LONG.pack(len(content)) + content
        for name in without:
            fields[PROPERTIES.index(name)] = None
        return Properties(tuple(fields), tuple(headers))


def decoded(value: bytes) -> object:
    """A header's value for people to read; its bytes where it cannot be decoded."""
    try:
        if value[:1] in (b"f", b"d"):  # pika rounds them to whole numbers
            return struct.unpack(">" + value[:1].decode(), value[1:])[0]
        return decode_value(value, 0)[0]
    except Exception:  # noqa: BLE001  # whatever is in there, looking at it must not fail
        return value


def _encoded(value: bytes | int) -> bytes:
    if isinstance(value, int):
        return b"l" + struct.pack(">q", value)
    return b"S" + _LONG.pack(len(value)) + value


def _length(name: str, raw: bytes, position: int) -> int:
    if name == "headers":
        return 4 + int(_LONG.unpack_from(raw, position)[0])
    return _WIDTHS.get(name) or 1 + raw[position]


def _entries(table: bytes) -> tuple[Entry, ...]:
    entries: list[Entry] = []
    position = 4
    while position < len(table):
        tag_at = position + 1 + table[position]
        tag = table[tag_at]
        if tag in _FIXED:
            end = tag_at + 1 + _FIXED[tag]
        elif tag in _SIZED:
            end = tag_at + 5 + _LONG.unpack_from(table, tag_at + 1)[0]
        else:
            raise BadContent(f"a header is of the unknown type {chr(tag)!r}")
        entries.append((table[position + 1 : tag_at], table[tag_at:end]))
        position = end
    if position != len(table):
        raise BadContent("a header is longer than the headers")
    return tuple(entries)


def _long_string(value: bytes) -> bytes | None:
    return value[5:] if value[:1] and value[:1] in _LONG_STRINGS else None
