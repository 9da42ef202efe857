"""Reading and writing the arguments of any method, by the types in the table of methods.

For what is rare. The methods that come with every message have readers of their own in `basic`.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable
from typing import Any, Final

from .faults import AmqpFault, ReplyCode
from .header_table import HeaderTable
from .methods import Method
from .wire import long_string, pack_bits, short_string

_INTEGERS: Final = {
    "octet": struct.Struct(">B"),
    "short": struct.Struct(">H"),
    "long": struct.Struct(">I"),
    "longlong": struct.Struct(">Q"),
}
_LONG = _INTEGERS["long"]


def syntax_fault(method: Method, problem: str) -> AmqpFault:
    """SYNTAX_ERROR of a method whose arguments cannot be read."""
    return AmqpFault(
        ReplyCode.SYNTAX_ERROR,
        f"{method.name}: {problem}",
        class_id=method.class_id,
        method_id=method.method_id,
    )


def decode_arguments(method: Method, payload: bytes) -> tuple[Any, ...]:
    """The arguments of a method frame: int, bool, bytes for both kinds of string, `HeaderTable`.

    Raises:
        AmqpFault: SYNTAX_ERROR, the payload is not exactly these arguments.
    """
    values: list[Any] = []
    position = 4
    bit = 0
    try:
        for _, kind in method.arguments:
            if kind == "bit":
                if bit == 0:
                    position += 1
                values.append(payload[position - 1] >> bit & 1 == 1)
                bit += 1
                continue
            bit = 0
            end = _end_of(kind, payload, position)
            values.append(_value(kind, payload[position:end]))
            position = end
    except (IndexError, struct.error):
        raise syntax_fault(method, "its arguments end too early") from None
    if position != len(payload):
        raise syntax_fault(method, f"its arguments take {position - 4} bytes, the frame has {len(payload) - 4}")
    return tuple(values)


def _end_of(kind: str, payload: bytes, position: int) -> int:
    integer = _INTEGERS.get(kind)
    if integer is not None:
        end = position + integer.size
    elif kind == "shortstr":
        end = position + 1 + payload[position]
    else:
        end = position + 4 + int(_LONG.unpack_from(payload, position)[0])
    if end > len(payload):
        raise IndexError
    return end


def _value(kind: str, raw: bytes) -> object:
    match kind:
        case "shortstr":
            return raw[1:]
        case "longstr":
            return raw[4:]
        case "table":
            return HeaderTable.parse(raw)
        case _:
            return int.from_bytes(raw, "big")


def encode_arguments(method: Method, values: Iterable[Any]) -> bytes:
    """The payload of a method frame.

    Raises:
        ValueError: a short string of more than 255 bytes, or not as many values as arguments.
        struct.error: a number that does not fit its type.
    """
    parts = [method.index]
    bits: list[bool] = []
    for (_, kind), value in zip(method.arguments, values, strict=True):
        if kind == "bit":
            bits.append(value)
            continue
        if bits:
            parts.append(pack_bits(tuple(bits)))
            bits.clear()
        parts.append(_encoded(kind, value))
    if bits:
        parts.append(pack_bits(tuple(bits)))
    return b"".join(parts)


def _encoded(kind: str, value: Any) -> bytes:
    match kind:
        case "shortstr":
            return short_string(value)
        case "longstr":
            return long_string(value)
        case "table":
            encoded: bytes = value.encode()
            return encoded
        case _:
            return _INTEGERS[kind].pack(value)


def asks_no_reply(method: Method, payload: bytes) -> bool:
    """Whether the sender waived the answer of a method with such a bit; False for every other method.

    Raises:
        AmqpFault: SYNTAX_ERROR, the arguments cannot be read.
    """
    position = method.no_wait_argument
    return position is not None and bool(decode_arguments(method, payload)[position])
