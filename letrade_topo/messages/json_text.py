"""JSON as a message body, read strictly (RFC 8259, and RFC 7493 where readers differ).

Names are unique, numbers are finite, text is valid Unicode, nesting has a limit: whatever passes means the same
to every reader.

Read by jiter (pydantic's), twice as fast as the standard library with its hooks. Whatever it refuses, and the little
that it lets through and should not, is read again by the slower `_strictly`, which has the last word and the words.
"""

from __future__ import annotations

import json
import math
import re
from typing import NamedTuple, Never

from jiter import from_json

from letrade_topo.model.messages import Json

DEEPEST_NESTING = 64

_LONGEST_QUOTE = 40
_SURROGATE = re.compile(rb"\\u[dD][89a-fA-F]")

_EVERY_DIGIT = bytes(
    ord("0") if byte in b"0123456789" else ord("e") if byte in b"eE" else ord(" ") for byte in range(256)
)
_MAY_HOLD_NUMBERS = (dict, list, float)
_LONG_NUMBER, _LONG_EXPONENT = b"0" * 100, b"0e000"
"""A number that is beyond a double has one or the other, once all digits are zeros and the plus is gone."""


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
    text = body if isinstance(body, bytes) else bytes(body)
    try:
        return Parsed(read_plain(text))
    except ValueError:
        return _strictly(text)


def read_plain(body: bytes) -> Json:
    """Read a body that leaves no doubt.

    Raises:
        ValueError: it is not JSON as it is wanted here; `parse_json` says why.
    """
    value: Json = from_json(body, allow_inf_nan=False, catch_duplicate_keys=True)
    digits = body.translate(_EVERY_DIGIT, b"+")
    if (_LONG_EXPONENT in digits or _LONG_NUMBER in digits) and _has_infinity(value):
        raise ValueError("a number in it is out of range")
    if body.count(b"[") + body.count(b"{") > DEEPEST_NESTING and _depth_exceeds(value, DEEPEST_NESTING):
        raise ValueError(_TOO_DEEP)
    return value


def _strictly(body: bytes) -> Parsed | NotJson:
    """The same with the standard library; says why not."""
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
    if _depth_exceeds(value, DEEPEST_NESTING):
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
        seen: dict[str, int] = {}
        for place, (name, _) in enumerate(pairs, start=1):
            if name in seen:  # the name is not said: it may be part of what is sensitive
                raise _Refused(f"members {seen[name]} and {place} of an object in it have the same name")
            seen[name] = place
    return members


def _finite(digits: str) -> float:
    number = float(digits)
    if math.isinf(number):
        raise _Refused("a number in it is out of range")
    return number


def _no_constant(name: str) -> Never:
    raise _Refused(f"{name} is not a JSON number")


_DECODER = json.JSONDecoder(object_pairs_hook=_unique, parse_float=_finite, parse_constant=_no_constant)


def _has_infinity(value: Json) -> bool:
    """Only asked where the text may have such a number, and a UUID looks like one, too."""
    rest: list[Json] = [value]
    while rest:
        item = rest.pop()
        if type(item) is float:
            if math.isinf(item):
                return True
            continue
        among = item.values() if type(item) is dict else item if type(item) is list else ()
        rest += [one for one in among if type(one) in _MAY_HOLD_NUMBERS]
    return False


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
