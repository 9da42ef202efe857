"""The properties of a message as the bytes that they came as: on top of the codec, what the tokens are about."""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from letrade_topo.amqp.header_table import Entry, HeaderTable, integer_entry, long_string_entry
from letrade_topo.amqp.properties import BASIC_CLASS, ContentHeader
from letrade_topo.amqp.wire import long_string_value
from letrade_topo.keys.headers import TokenHeaders
from letrade_topo.keys.leaf import SignedProperties
from letrade_topo.queues.values import decoded

_HEAD = struct.Struct(">HHQ")
"""What stands before the properties in a content header: class, weight, size of the body."""

HEAD_SIZE = _HEAD.size


def content_header(raw: bytes, body_size: int) -> bytes:
    """The payload of a content header: these properties, and the size of the body in bytes."""
    return _HEAD.pack(BASIC_CLASS, 0, body_size) + raw


@dataclass(frozen=True, slots=True)
class Properties:
    """The properties of one message.

    Args:
        header: the content header that they stand in.
        table: its headers; a name may be there more than once.
    """

    _header: ContentHeader
    _table: HeaderTable

    @classmethod
    def parse(cls, raw: bytes) -> Properties:
        """Read flags and properties, as they stand in a content header behind the size of the body.

        Raises:
            AmqpFault: they are none.
        """
        header = ContentHeader.parse(content_header(raw, 0))
        return cls(header, header.headers or HeaderTable())

    def encode(self) -> bytes:
        """As they stand in a content header."""
        return self._header.payload[HEAD_SIZE:]

    def text(self, name: str) -> bytes | None:
        """A short string, as bytes; None where it is absent."""
        return self._header.raw(name)

    def number(self, name: str) -> int | None:
        """A number; None where it is absent."""
        field = self._header.raw(name)
        return None if field is None else int.from_bytes(field, "big")

    @property
    def headers(self) -> tuple[tuple[bytes, bytes], ...]:
        """Name, and value with its tag, of each header in their order."""
        return tuple((name, entry[len(name) + 1 :]) for name, entry in self._table.entries)

    @property
    def signed(self) -> SignedProperties:
        """Those that the publisher's signature covers."""
        header = self._header
        return SignedProperties(
            header.message_id, header.correlation_id, header.content_type, header.content_encoding, header.type
        )

    @property
    def tokens(self) -> TokenHeaders:
        """The headers that carry tokens."""
        return TokenHeaders.gather((name, long_string_value(value)) for name, value in self.headers)

    def header(self, name: bytes) -> object:
        """The value of the first header of that name, decoded for reading; None without one."""
        value = self._table.get(name)
        return None if value is None else decoded(value)

    def rewritten(
        self, *, is_dropped: Callable[[bytes], bool], added: Sequence[tuple[bytes, bytes | int]], without: Iterable[str]
    ) -> Properties:
        """The same with other headers, and without some properties.

        Args:
            is_dropped: tells the names of headers that go.
            added: headers that come behind the rest.
            without: the names of properties that go.
        """
        table = self._table.without(is_dropped).with_entries(*(_entry(name, value) for name, value in added))
        payload = self._header.rewrite(table.encode(), replace=dict.fromkeys(without))
        return Properties(ContentHeader.parse(payload), table)


def _entry(name: bytes, value: bytes | int) -> Entry:
    return integer_entry(name, value) if isinstance(value, int) else long_string_entry(name, value)
