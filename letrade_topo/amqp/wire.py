"""Strings, bits and tagged values as they stand on the wire.

The tags are RabbitMQ's (specification 0-9-1 errata, section 3), not the printed specification's: `s` is a signed
16-bit integer, `l` and `L` are both signed 64-bit integers, an array's length counts bytes. Text is bytes: AMQP
allows zero bytes and invalid UTF-8 in every string.
"""

from __future__ import annotations

import struct

from .faults import MAX_SHORT_STRING, AmqpFault, ReplyCode

MAX_DEPTH = 32
"""Tables and arrays inside each other. JSON-like headers are rarely deeper than three; a limit keeps the stack ours."""

_LONG = struct.Struct(">I")

FIXED_SIZES: dict[int, int] = {
    ord("t"): 1,  # boolean
    ord("b"): 1,  # signed 8 bit
    ord("B"): 1,  # unsigned 8 bit
    ord("s"): 2,  # signed 16 bit
    ord("u"): 2,  # unsigned 16 bit
    ord("I"): 4,  # signed 32 bit
    ord("i"): 4,  # unsigned 32 bit
    ord("l"): 8,  # signed 64 bit
    ord("L"): 8,  # signed 64 bit too
    ord("f"): 4,  # float
    ord("d"): 8,  # double
    ord("D"): 5,  # decimal: scale, 32 bit
    ord("T"): 8,  # timestamp
    ord("V"): 0,  # void
}
COUNTED_TAGS = frozenset(b"SxFA")
"""Long string, byte array, table, array: 32 bits of length in bytes, then the content."""

_TABLE, _ARRAY = ord("F"), ord("A")

_LENGTHS = tuple(bytes((length,)) for length in range(MAX_SHORT_STRING + 1))

_INTEGER_FORMATS = {
    ord("b"): struct.Struct(">b"),
    ord("B"): struct.Struct(">B"),
    ord("s"): struct.Struct(">h"),
    ord("u"): struct.Struct(">H"),
    ord("I"): struct.Struct(">i"),
    ord("i"): struct.Struct(">I"),
    ord("l"): struct.Struct(">q"),
    ord("L"): struct.Struct(">q"),
}


def short_string(text: bytes) -> bytes:
    """Encode a short string.

    Raises:
        ValueError: more than 255 bytes; a bug of the caller, who has to look first.
    """
    try:
        return _LENGTHS[len(text)] + text
    except IndexError:
        raise ValueError(f"a short string holds at most {MAX_SHORT_STRING} bytes, this one has {len(text)}") from None


def long_string(text: bytes) -> bytes:
    """Encode a long string: 32 bits of length, then the bytes."""
    return _LONG.pack(len(text)) + text


def pack_bits(bits: tuple[bool, ...]) -> bytes:
    """Pack up to eight consecutive bit arguments into one octet, the first one lowest."""
    return bytes((sum(1 << position for position, bit in enumerate(bits) if bit),))


def value_end(data: bytes, start: int, depth: int = 0) -> int:
    """Where the tagged value ends whose tag stands at `start`; tables and arrays are walked to the bottom.

    The caller compares the result with the end of what it is reading.

    Raises:
        AmqpFault: SYNTAX_ERROR for an unknown tag, for content that overruns its container, for more than
            `MAX_DEPTH` levels.
        IndexError, struct.error: the data ends inside the value.
    """
    tag = data[start]
    fixed = FIXED_SIZES.get(tag)
    if fixed is not None:
        return start + 1 + fixed
    if tag not in COUNTED_TAGS:
        raise AmqpFault(ReplyCode.SYNTAX_ERROR, f"unknown field type {chr(tag)!r} in a table")
    end = start + 5 + int(_LONG.unpack_from(data, start + 1)[0])
    if tag in (_TABLE, _ARRAY):
        _walk(data, start + 5, end, depth + 1, named=tag == _TABLE)
    return end


def _walk(data: bytes, position: int, end: int, depth: int, *, named: bool) -> None:
    if depth > MAX_DEPTH:
        raise AmqpFault(ReplyCode.SYNTAX_ERROR, f"tables and arrays inside each other deeper than {MAX_DEPTH} levels")
    while position < end:
        if named:
            position += 1 + data[position]
        position = value_end(data, position, depth)
    if position != end:
        raise AmqpFault(ReplyCode.SYNTAX_ERROR, "a field of a table or an array is longer than its container")


def long_string_value(value: bytes) -> bytes | None:
    """The bytes of a tagged value that is a long string or a byte array, else None.

    Both tags, because RabbitMQ turns one into the other on the way through streams and AMQP 1.0.
    """
    return value[5:] if value[:1] in (b"S", b"x") else None


def integer_value(value: bytes) -> int | None:
    """The number in a tagged value of any integer type, else None."""
    number_format = _INTEGER_FORMATS.get(value[0])
    return None if number_format is None else int(number_format.unpack_from(value, 1)[0])


def boolean_value(value: bytes) -> bool | None:
    """The truth in a tagged value of type `t`, else None."""
    return value[1] != 0 if value[:1] == b"t" else None


def array_values(value: bytes) -> tuple[bytes, ...] | None:
    """The tagged values in a tagged array, else None. The value must have been read with `value_end`."""
    if value[:1] != b"A":
        return None
    values = []
    position = 5
    while position < len(value):
        end = value_end(value, position)
        values.append(value[position:end])
        position = end
    return tuple(values)
