"""JSON as a message body, read strictly (RFC 8259, and RFC 7493 where readers differ).

Names are unique, numbers are finite, text is valid Unicode, nesting has a limit: whatever passes means the same
to every reader.
"""

from __future__ import annotations

import json
import math
import re
from typing import NamedTuple, Never

from letrade_topo.model.messages import Json

DEEPEST_NESTING = 64

_LONGEST_QUOTE = 40
_SURROGATE = re.compile(rb"\\u[dD][89a-fA-F]")


class NotJson(NamedTuple):
    """Some bytes are not JSON as it is wanted here.

    Args:
        why: in words.
    """

    why: str


class Parsed(NamedTuple):
    """The value of a JSON text, which may be `null`."""

    value: Json


class _Refused(ValueError):
    pass


def parse_json(body: bytes | bytearray | memoryview) -> Parsed | NotJson:
    """Read a body."""
    try:
        value = _DECODER.decode(str(body, "utf-8"))
    except _Refused as error:
        return NotJson(str(error))
    except UnicodeDecodeError as error:
        return NotJson(f"it is not UTF-8 text: byte {error.start} does not fit")
    except json.JSONDecodeError as error:
        return NotJson(f"it is not JSON: {_lower(error.msg)} at line {error.lineno}, column {error.colno}")
    except RecursionError:
        return NotJson(_TOO_DEEP)
    except ValueError:  # Python refuses to read an integer of thousands of digits
        return NotJson("it has a number with too many digits")
    if _may_be_deep(body) and _depth_exceeds(value, DEEPEST_NESTING):
        return NotJson(_TOO_DEEP)
    if _SURROGATE.search(body) and _has_lone_surrogate(value):
        return NotJson("a text in it has half of a surrogate pair, which is no character")
    return Parsed(value)


def quoted(text: str) -> str:
    """A text within an error message: short, and on one line."""
    shown = text if len(text) <= _LONGEST_QUOTE else text[: _LONGEST_QUOTE - 1] + "…"
    return "'" + "".join(character if character.isprintable() else "�" for character in shown) + "'"


_TOO_DEEP = f"it is nested deeper than {DEEPEST_NESTING} levels"


def _unique(pairs: list[tuple[str, Json]]) -> dict[str, Json]:
    members = dict(pairs)
    if len(members) != len(pairs):
        seen: set[str] = set()
        for name, _ in pairs:
            if name in seen:
                raise _Refused(f"an object in it has the name {quoted(name)} twice")
            seen.add(name)
    return members


def _finite(digits: str) -> float:
    number = float(digits)
    if math.isinf(number):
        raise _Refused("a number in it is out of range")
    return number


def _no_constant(name: str) -> Never:
    raise _Refused(f"{name} is not a JSON number")


_DECODER = json.JSONDecoder(object_pairs_hook=_unique, parse_float=_finite, parse_constant=_no_constant)


def _may_be_deep(body: bytes | bytearray | memoryview) -> bool:
    """Few bodies have so many brackets, so few need a walk."""
    text = body if isinstance(body, (bytes, bytearray)) else bytes(body)
    return text.count(b"[") + text.count(b"{") > DEEPEST_NESTING


def _depth_exceeds(value: Json, limit: int) -> bool:
    level: list[Json] = [value]
    for _ in range(limit):
        below: list[Json] = []
        for item in level:
            if isinstance(item, dict):
                below += item.values()
            elif isinstance(item, list):
                below += item
        if not below:
            return False
        level = below
    return any(isinstance(item, (dict, list)) for item in level)


def _has_lone_surrogate(value: Json) -> bool:
    try:
        json.dumps(value, ensure_ascii=False).encode()
    except UnicodeEncodeError:
        return True
    return False


def _lower(message: str) -> str:
    return message[:1].lower() + message[1:]
