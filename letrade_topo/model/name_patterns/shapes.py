"""What several texts look like: the same separators at the same places, and between them words of one alphabet."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from letrade_topo.model.routing import SYMBOLS, spell

_TOKEN = re.compile(r"[A-Za-z0-9]+|[^A-Za-z0-9]")
_ALPHABETS = ("[0-9]", "[a-z]", "[0-9a-f]", "[0-9a-z]", "[A-Z]", "[0-9A-F]", "[0-9A-Z]", "[0-9A-Za-z]")
_MATCHERS = tuple((alphabet, re.compile(f"{alphabet}+")) for alphabet in _ALPHABETS)

MOST_TOKENS = 15
"""Longer shapes cost more bytes than they save."""


@dataclass(frozen=True, slots=True)
class ShapeWord:
    """One place of a shape: an expression of one character, how often it stands there, and what it is as a text."""

    unit: str
    least: int = 1
    most: int = 1
    text: str = ""

    @property
    def expression(self) -> str:
        """All of it."""
        return f"{self.unit}{self._count(self.least, self.most)}"

    @property
    def beginnings(self) -> str:
        """Any beginning of it, also the empty one."""
        if self.text:
            return "".join(f"(?:{spell(character)}" for character in self.text) + ")?" * len(self.text)
        return f"{self.unit}{self._count(0, self.most)}"

    def _count(self, least: int, most: int) -> str:
        if least == most:
            return "" if most == 1 else f"{{{most}}}"
        return f"{{{least},{most}}}"


@dataclass(frozen=True, slots=True)
class NameShape:
    """What texts have in common."""

    words: tuple[ShapeWord, ...]

    @property
    def expression(self) -> str:
        """The expression of every text of this shape."""
        return "".join(word.expression for word in self.words)

    @property
    def beginnings(self) -> str:
        """The expression of every beginning of such a text."""
        expression = ""
        for word in reversed(self.words):
            expression = f"(?:{word.beginnings}|{word.expression}{expression})"
        return expression

    @property
    def literal_characters(self) -> int:
        """How many characters of it are the same in every text."""
        return sum(len(word.text) for word in self.words)


def shape_of(texts: Sequence[str]) -> NameShape | None:
    """The narrowest shape that all texts have; None if there is none that is worth having.

    Args:
        texts: at least two.
    """
    split = [_TOKEN.findall(text) for text in texts]
    count = len(split[0])
    if not 0 < count <= MOST_TOKENS or any(len(tokens) != count for tokens in split):
        return None
    words: list[ShapeWord] = []
    for tokens in zip(*split, strict=True):
        word = _word(set(tokens))
        if word is None:
            return None
        words.append(word)
    return NameShape(tuple(words))


def _word(tokens: set[str]) -> ShapeWord | None:
    if len(tokens) == 1:
        (token,) = tokens
        return None if token in SYMBOLS else ShapeWord(spell(token), text=token)
    joined = "".join(tokens)
    lengths = [len(token) for token in tokens]
    for alphabet, matcher in _MATCHERS:
        if matcher.fullmatch(joined):
            return ShapeWord(alphabet, min(lengths), max(lengths))
    return None
