"""A table as a list of raw entries: entries are dropped and appended, never decoded and encoded again.

Decoding and encoding is not the identity in any of the usual libraries: integers change their width, doubles
become floats, entries are sorted, duplicates vanish (design measurements in docs). Here an entry is the bytes it
came as, so order, duplicates, types and encodings survive whatever is done to its neighbours.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator
from typing import Final

from .faults import AmqpFault, ReplyCode
from .wire import FIXED_SIZES, long_string, short_string, value_end

Entry = tuple[bytes, bytes]
"""A name, and the whole entry as it stands on the wire: name, tag and value."""

_LONG = struct.Struct(">I")
_LONG_LONG = struct.Struct(">q")
_STRING_TAG = ord("S")


class HeaderTable:
    """The entries of a table in their order. A value: every change gives a new table."""

    __slots__ = ("_encoded", "entries")

    def __init__(self, entries: tuple[Entry, ...] = (), encoded: bytes | None = None) -> None:
        self.entries: Final = entries
        self._encoded = encoded

    @classmethod
    def parse(cls, encoded: bytes) -> HeaderTable:
        """Read a whole table: 32 bits of length, then that many bytes.

        Raises:
            AmqpFault: SYNTAX_ERROR, the length is not that of the data, an entry overruns the table, a field
                type is unknown, or the nesting is too deep.
        """
        taken, _ = take_entries(encoded, _EVERYTHING)
        return cls(tuple(taken), encoded)

    def encode(self) -> bytes:
        """The table with its length; the very bytes that were parsed, if nothing was changed."""
        if self._encoded is None:
            content = b"".join([entry for _, entry in self.entries])
            self._encoded = _LONG.pack(len(content)) + content
        return self._encoded

    def values(self, name: bytes) -> tuple[bytes, ...]:
        """Every value of that name, each with its tag; a table may hold a name more than once."""
        return tuple(entry[len(name) + 1 :] for found, entry in self.entries if found == name)

    def get(self, name: bytes) -> bytes | None:
        """The first value of that name with its tag, None if there is none."""
        for found, entry in self.entries:
            if found == name:
                return entry[len(name) + 1 :]
        return None

    def without(self, unwanted: Callable[[bytes], bool]) -> HeaderTable:
        """The table without the entries whose name is unwanted; itself if there are none."""
        kept = tuple([entry for entry in self.entries if not unwanted(entry[0])])
        return self if len(kept) == len(self.entries) else HeaderTable(kept)

    def without_prefixes(self, *prefixes: bytes) -> HeaderTable:
        """The table without the entries whose name begins with one of the prefixes; itself if there are none."""
        kept = tuple([entry for entry in self.entries if not entry[0].startswith(prefixes)])
        return self if len(kept) == len(self.entries) else HeaderTable(kept)

    def with_entries(self, *entries: Entry) -> HeaderTable:
        """The table with entries added behind its own."""
        return HeaderTable(self.entries + entries)

    def __len__(self) -> int:
        return len(self.entries)

    def __iter__(self) -> Iterator[bytes]:
        return (name for name, _ in self.entries)

    def __contains__(self, name: object) -> bool:
        return any(found == name for found, _ in self.entries)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, HeaderTable) and self.encode() == other.encode()

    def __hash__(self) -> int:
        return hash(self.encode())

    def __repr__(self) -> str:
        return f"HeaderTable({', '.join(repr(name) for name in self)})"


_EVERYTHING: Final = (b"",)
EMPTY_TABLE: Final = HeaderTable()
EMPTY_ENCODED: Final = EMPTY_TABLE.encode()


def take_entries(encoded: bytes, prefixes: tuple[bytes, ...]) -> tuple[list[Entry], bytes]:
    """Take the entries out of a table whose name begins with one of the prefixes, in one pass.

    Every message comes by here, on publish to drop what only agents may say and on delivery to find what they said.

    Returns:
        What was taken, in its order, and the table without it: the very same bytes if nothing was taken.

    Raises:
        AmqpFault: SYNTAX_ERROR, the length is not that of the data, an entry overruns the table, a field type is
            unknown, or the nesting is too deep.
    """
    taken: list[Entry] = []
    kept: list[bytes] = []
    kept_from = 4
    unpack_long = _LONG.unpack_from
    end = position = 0
    try:
        end = unpack_long(encoded)[0] + 4
        if end != len(encoded):
            raise AmqpFault(ReplyCode.SYNTAX_ERROR, f"a table of {end - 4} bytes where there are {len(encoded) - 4}")
        position = 4
        while position < end:
            tag_at = position + 1 + encoded[position]
            tag = encoded[tag_at]
            if tag == _STRING_TAG:
                following: int = tag_at + 5 + unpack_long(encoded, tag_at + 1)[0]
            elif tag in FIXED_SIZES:
                following = tag_at + 1 + FIXED_SIZES[tag]
            else:
                following = value_end(encoded, tag_at)
            name = encoded[position + 1 : tag_at]
            if name.startswith(prefixes):
                taken.append((name, encoded[position:following]))
                kept.append(encoded[kept_from:position])
                kept_from = following
            position = following
    except (IndexError, struct.error):
        position = -1
    if position != end:
        raise AmqpFault(ReplyCode.SYNTAX_ERROR, "an entry of a table is longer than the table")
    if not taken:
        return taken, encoded
    kept.append(encoded[kept_from:])
    content = b"".join(kept)
    return taken, _LONG.pack(len(content)) + content


def append_entries(encoded: bytes, *entries: Entry) -> bytes:
    """Add entries behind those of an encoded table, which is not looked into."""
    content = encoded[4:]
    for _, entry in entries:
        content += entry
    return _LONG.pack(len(content)) + content


def raw_entry(name: bytes, value: bytes) -> Entry:
    """An entry from a name of at most 255 bytes and a value that has its tag already."""
    return name, short_string(name) + value


def long_string_entry(name: bytes, text: bytes) -> Entry:
    """An entry with a long string, the type of every text in RabbitMQ's headers."""
    return raw_entry(name, b"S" + long_string(text))


def integer_entry(name: bytes, number: int) -> Entry:
    """An entry with a signed 64-bit integer."""
    return raw_entry(name, b"l" + _LONG_LONG.pack(number))


def boolean_entry(name: bytes, truth: bool) -> Entry:
    """An entry with a truth value."""
    return raw_entry(name, b"t\x01" if truth else b"t\x00")


def table_entry(name: bytes, table: HeaderTable) -> Entry:
    """An entry with a table inside."""
    return raw_entry(name, b"F" + table.encode())


def table_value(value: bytes) -> HeaderTable | None:
    """The table in a tagged value of type `F`, else None."""
    return HeaderTable.parse(value[1:]) if value[:1] == b"F" else None
