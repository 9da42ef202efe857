"""What a broker's regular expression matches, decided in Python where both mean the same by it.

RabbitMQ searches with PCRE, byte by byte, anywhere in a name (`re:run` without `unicode`). Python's `re` reads most
of what people write in the same way. What it does not read, or reads otherwise, is not guessed: who asks is told so,
and asks the broker.
"""

from __future__ import annotations

import re
import warnings
from collections.abc import Callable
from functools import lru_cache
from typing import TypeAlias

Matches: TypeAlias = Callable[[str], bool]

_READ_OTHERWISE = re.compile(
    rb"""
      \\[vZ0-9]          # vertical space, not a tab; before a last line end; octal or back, by other rules
    | \[\[[:.=]          # a POSIX class
    | \{,\d*\}           # literal, before PCRE2 10.43
    | \(\?[aLu]          # flags of Python's own
    | \(\*               # verbs
    """,
    re.VERBOSE,
)
_QUOTED = re.compile(rb"\\Q(?P<text>.*?)(?:\\E|\Z)|\\.|[^\\]+", re.DOTALL)
_ONE_NAME = re.compile(r"\^(?P<name>(?:[A-Za-z0-9_:/-]|\\[._:/-])*)\$")
_NAMED_GROUP = re.compile(rb"\(\?<(?![=!])")


@lru_cache(maxsize=4096)
def matcher(expression: str) -> Matches | None:
    """Whether names match an expression as the broker searches for it, or None where Python cannot tell.

    Args:
        expression: as the broker has it.
    """
    try:
        text = _QUOTED.sub(_unquoted, expression.encode())
        if _READ_OTHERWISE.search(text) or (max(text, default=0) > 127 and b"[" in text):
            return None  # a class of characters that are several bytes
        with warnings.catch_warnings():
            warnings.simplefilter("error")  # a warning says that Python and others may read it differently
            compiled = re.compile(_NAMED_GROUP.sub(b"(?P<", text))
    except (re.error, Warning, ValueError, OverflowError, RecursionError):
        return None
    return lambda name: compiled.search(name.encode()) is not None


def only_name(expression: str) -> str | None:
    """The one name that an expression of the form `^name$` matches, or None for any other.

    Before a line end at the very end of a name `$` matches as well: who has such a name asks `matcher`.
    """
    found = _ONE_NAME.fullmatch(expression)
    return None if found is None else found["name"].replace("\\", "")


def _unquoted(found: re.Match[bytes]) -> bytes:
    """`\\Q…\\E`, in which everything stands for itself, as Python writes it."""
    quoted = found["text"]
    return found[0] if quoted is None else re.escape(quoted)
