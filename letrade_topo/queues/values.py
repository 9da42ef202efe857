"""Tagged values as Python objects, for people and programs to read; never to be written back.

Decoding is not the identity's half: widths are lost, and of a name that a table holds twice the last one stays. What is
passed on is cut out as bytes (`letrade_topo.amqp.header_table`).
"""

from __future__ import annotations

import struct
from datetime import UTC, datetime
from decimal import Decimal
from typing import Final

from letrade_topo.amqp.faults import readable
from letrade_topo.amqp.header_table import HeaderTable
from letrade_topo.amqp.wire import array_values, integer_value, long_string

_DECIMAL = struct.Struct(">Bi")
_FORMATS: Final = {b"f": ">f", b"d": ">d", b"T": ">Q"}


def decoded(value: bytes) -> object:
    """What a tagged value says; the value itself where it cannot be decoded.

    A long string is text where it is UTF-8, else bytes, as a byte array is; a timestamp is aware, in UTC.
    """
    try:
        return _decoded(value)
    except Exception:  # noqa: BLE001  # whatever is in there, looking at it must not fail
        return value


def _decoded(value: bytes) -> object:
    number = integer_value(value)
    if number is not None:
        return number
    match tag := value[:1]:
        case b"t":
            return bool(value[1])
        case b"S" | b"x":
            return _text(value, is_text=tag == b"S")
        case b"f" | b"d" | b"T":
            (number,) = struct.unpack(_FORMATS[tag], value[1:])
            return datetime.fromtimestamp(number, UTC) if tag == b"T" else number
        case b"D":
            scale, unscaled = _DECIMAL.unpack(value[1:])
            return Decimal(unscaled).scaleb(-scale)
        case b"V":
            return None
        case b"A":
            return [decoded(each) for each in array_values(value) or ()]
        case b"F":
            table = HeaderTable.parse(value[1:])
            return {readable(name): decoded(entry[len(name) + 1 :]) for name, entry in table.entries}
        case _:
            return value


def _text(value: bytes, *, is_text: bool) -> str | bytes:
    content = value[5:]
    if value[1:] != long_string(content):
        raise ValueError("the content has another length than it says")
    if is_text:
        try:
            return content.decode()
        except UnicodeDecodeError:
            pass
    return content
