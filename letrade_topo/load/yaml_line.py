"""One line of YAML by itself: indentation, dashes, key, value, comment, and what is not in pairs.

It knows nothing of the lines around it: what it says holds for a text that nobody has parsed yet.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Final

_INDENT: Final = re.compile(r"[\s\u200b\ufeff]*")
_DASHES: Final = re.compile(r"(?:- +)*(?:-$)?")
_KEY: Final = re.compile(r"""(?P<key>"[^"]*"|'[^']*'|[^\s#{}\[\],"'&*!|>%@`][^#]*?)(?P<colon> *:(?: +|$))""")
_TOKEN_BEGINS: Final = re.compile(r"(?:^|[\s\[{,])$")
OPENING: Final = {"[": "]", "{": "}"}
CLOSING: Final = {closing: opening for opening, closing in OPENING.items()}
QUOTES: Final = "\"'"


@dataclass(frozen=True, slots=True)
class Line:
    """A line in its parts, which put together are the line.

    Args:
        number: from 0.
        indent: white space at its beginning, whatever characters that are.
        dashes: the signs of list items before the text.
        key: with its quotes; empty where there is none.
        colon: with the spaces around it.
        value: the rest, without spaces and comment behind it.
        comment: with the spaces before it.
    """

    number: int
    indent: str
    dashes: str
    key: str
    colon: str
    value: str
    comment: str

    @classmethod
    def of(cls, number: int, text: str) -> Line:
        """Take a line apart."""
        at = _comment(text)
        content, comment = text[:at].rstrip(), text[len(text[:at].rstrip()) :]
        found = _INDENT.match(content)
        indent = found[0] if found else ""
        rest = content[len(indent) :]
        dashes = _DASHES.match(rest)
        begin = dashes[0] if dashes else ""
        rest = rest[len(begin) :]
        key = _KEY.match(rest)
        name, colon = (key["key"], key["colon"]) if key else ("", "")
        return cls(number, indent, begin, name, colon, rest[len(name) + len(colon) :], comment)

    @property
    def is_blank(self) -> bool:
        """Whether it says nothing."""
        return not (self.dashes or self.key or self.value)

    @property
    def column(self) -> int:
        """Where its value begins, from 0."""
        return len(self.indent) + len(self.dashes) + len(self.key) + len(self.colon)

    @property
    def content(self) -> str:
        """All between the indentation and the comment."""
        return f"{self.dashes}{self.key}{self.colon}{self.value}"

    def with_content(self, content: str) -> str:
        """The line with another text between indentation and comment."""
        return f"{self.indent}{content}{self.comment}"

    def with_value(self, value: str) -> str:
        """The line with another value."""
        return self.with_content(f"{self.dashes}{self.key}{self.colon}{value}")


class LineTable:
    """The lines of a text, each taken apart once.

    Args:
        lines: the text.
    """

    def __init__(self, lines: Sequence[str]) -> None:
        self.texts = lines
        self._split: dict[int, Line] = {}

    def __getitem__(self, number: int) -> Line:
        found = self._split.get(number)
        if found is None:
            found = self._split[number] = Line.of(number, self.texts[number])
        return found

    def __len__(self) -> int:
        return len(self.texts)

    def step(self, number: int, width: int) -> int:
        """How much further a line of this indentation would be indented than what it is part of there."""
        above = (self[at] for at in range(number - 1, -1, -1))
        return width - next((len(line.indent) for line in above if not line.is_blank and len(line.indent) < width), 0)

    @cached_property
    def usual_steps(self) -> Counter[int]:
        """How often a line is indented how much further than what it is part of."""
        steps: Counter[int] = Counter()
        open_at: list[int] = []
        for number in range(len(self)):
            if not self[number].is_blank:
                width = len(self[number].indent)
                while open_at and open_at[-1] >= width:
                    open_at.pop()
                steps[width - (open_at[-1] if open_at else 0)] += 1
                open_at.append(width)
        return steps


@dataclass(frozen=True, slots=True)
class Pairing:
    """What of a text is not in pairs.

    Args:
        quote: where a quoted text begins that does not end; None if each does.
        unclosed: where brackets open that do not close, the innermost last.
        unopened: where brackets close that nothing opened, or something of the other kind.
    """

    quote: int | None
    unclosed: tuple[int, ...]
    unopened: tuple[int, ...]


def pairing(text: str) -> Pairing:
    """Which quotes and brackets of a text without its comment have no other half."""
    quote: int | None = None
    opened: list[int] = []
    unopened: list[int] = []
    for at, char in _significant(text):
        if char in QUOTES:
            quote = at
        elif char in OPENING:
            opened.append(at)
        elif opened and text[opened[-1]] == CLOSING[char]:
            opened.pop()
        else:
            unopened.append(at)
    return Pairing(quote, tuple(opened), tuple(unopened))


def _significant(text: str) -> Iterator[tuple[int, str]]:
    """Brackets outside of quoted texts, and a quote that opens and does not close."""
    at, depth = 0, 0
    while at < len(text):
        char = text[at]
        begins = _TOKEN_BEGINS.search(text[:at]) is not None
        if char in QUOTES and begins:
            end = closing_quote(text, at)
            if end is None:
                yield at, char
                return
            at = end
        elif char in OPENING and (begins or depth):
            depth += 1
            yield at, char
        elif char in CLOSING:
            depth = max(0, depth - 1)
            yield at, char
        at += 1


def closing_quote(text: str, opening: int) -> int | None:
    """Where the quoted text that begins at `opening` ends; None if not in this text."""
    quote, at = text[opening], opening + 1
    while at < len(text):
        if quote == '"' and text[at] == "\\":
            at += 2
            continue
        if text[at] == quote:
            if quote == "'" and text[at + 1 : at + 2] == "'":
                at += 2
                continue
            return at
        at += 1
    return None


def _comment(text: str) -> int:
    """Where the comment begins; its length if it has none."""
    at = 0
    while at < len(text):
        char = text[at]
        if char in QUOTES and _TOKEN_BEGINS.search(text[:at]):
            end = closing_quote(text, at)
            if end is None:  # one that is not in pairs: the comment is what looks like one
                found = re.search(r"\s#\s", text[at:])
                return at + found.start() if found else len(text)
            at = end
        elif char == "#" and (at == 0 or text[at - 1].isspace()):
            return at
        at += 1
    return len(text)
