"""How deep a YAML text goes where the reader gave up before it handed that part over.

A reader looks ahead, up to 1,024 characters (YAML 1.1, 7.4.2: an implicit key), and libyaml has a limit of its own on
brackets from PyYAML 6.0.4 on: it may refuse a text before anybody could count. Here the opened collections are counted
in the part that the reader has seen and not handed over, so that the answer is the same with any version of it.
"""

from __future__ import annotations

import re
from typing import Final

_BLANKS: Final = r"[ \t\r\n\x85\u2028\u2029\ufeff]"
_TOKEN: Final = re.compile(
    rf"""
      (?P<blank>{_BLANKS}+|(?<![^\s,\[\]{{}}])\#[^\r\n]*)
    | (?P<quoted>"(?:[^"\\]|\\.)*"?|'(?:[^']|'')*'?)
    | (?P<property>[&*!][^\s,\[\]{{}}]*)
    | (?P<opening>[\[{{])
    | (?P<closing>[\]}}])
    | (?P<indicator>,|[-?:](?=\s|$))
    """,
    re.VERBOSE | re.DOTALL,
)
_PLAIN_IN_BLOCK: Final = re.compile(r"(?:[^:#\r\n]|:(?!\s|$)|(?<!\s)\#)+|.", re.DOTALL)
_PLAIN_IN_FLOW: Final = re.compile(r"(?:[^:#,\[\]{}\r\n]|:(?![\s,\[\]{}]|$)|(?<!\s)\#)+|.", re.DOTALL)


def bracket_too_deep(text: str, start: int, end: int, *, flow: int, room: int) -> int | None:
    """Where brackets open one collection more than there is room for.

    Args:
        text: the whole file.
        start: the offset up to which the reader has handed it over.
        end: the offset at which it gave up.
        flow: how many collections in brackets are open at `start`; outside of brackets, a bracket opens something
            only where a value may begin.
        room: how many more collections may be opened.

    Returns:
        The offset of the bracket that is one too many; None: there is none.
    """
    position, depth = start, 0
    while position < end:
        found = _TOKEN.match(text, position, end)
        if found is None:
            found = (_PLAIN_IN_FLOW if flow + depth > 0 else _PLAIN_IN_BLOCK).match(text, position, end)
        if found is None:
            return None
        if found.lastgroup == "opening":
            depth += 1
            if depth > room:
                return position
        elif found.lastgroup == "closing":
            depth -= 1
        position = found.end()
    return None
