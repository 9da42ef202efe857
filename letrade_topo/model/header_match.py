"""Whether a binding of a headers exchange takes a message (rabbit_exchange_type_headers).

A value matches one of the same kind only: the text `1`, the number 1 and the number 1.0 are three, but to a broker
older than 3.13, which takes the numbers for equal. There each has its type in the header table; here JSON's types stand
for them.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from letrade_topo.model.messages import Json

MATCH: Final = "x-match"
_EXTENSION: Final = "x-"


def headers_match(arguments: Mapping[str, Json], headers: Mapping[str, Json], *, numbers_typed: bool = True) -> bool:
    """Whether the arguments of a binding take the headers of a message.

    Args:
        arguments: of the binding; `x-match` says how: all of them (without a word, too), any, and with `-with-x` also
            those that begin with `x-`. An argument of null asks for the header alone, whatever is in it.
        headers: of the message.
        numbers_typed: 1 and 1.0 are two values.
    """
    how = arguments.get(MATCH)
    takes_any = how in ("any", "any-with-x")
    with_extensions = how in ("all-with-x", "any-with-x")
    found = (
        _is_met(value, name, headers, numbers_typed)
        for name, value in arguments.items()
        if name != MATCH and (with_extensions or not name.startswith(_EXTENSION))
    )
    return any(found) if takes_any else all(found)


def _is_met(wanted: Json, name: str, headers: Mapping[str, Json], numbers_typed: bool) -> bool:
    if name not in headers:
        return False
    found = headers[name]
    is_of_kind = type(found) is type(wanted) or (not numbers_typed and _is_number(found) and _is_number(wanted))
    return wanted is None or (is_of_kind and found == wanted)


def _is_number(value: Json) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)
