"""Whether two families of routing keys have a key in common, decided exactly.

A family is a key template (a variable is one or more characters of a word), or what a topic binding
matches (`*` is any one word, `#` any number of words).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Final, TypeVar

from letrade_topo.model.routing import KeyTemplate, words_of

_VARIABLE = re.compile(r"\{[A-Za-z_][A-Za-z0-9_]*\}")


@dataclass(frozen=True, slots=True)
class _Wildcard:
    """Stands for characters of a word, or for words; `repeats`: for any number of them, also none."""

    repeats: bool


_ONE: Final = _Wildcard(repeats=False)
_MANY: Final = _Wildcard(repeats=True)

_Word = tuple[str | _Wildcard, ...] | _Wildcard
_Token = TypeVar("_Token")


@dataclass(frozen=True, slots=True)
class KeyFamily:
    """A set of routing keys.

    Args:
        words: what may stand for each word.
    """

    words: tuple[_Word, ...]

    @classmethod
    def of_template(cls, template: KeyTemplate) -> KeyFamily:
        """The keys of a template or of a subscription pattern."""
        return cls(tuple(_template_word(word) for word in template.words))

    @classmethod
    def of_binding(cls, binding_key: str) -> KeyFamily:
        """The keys that a topic exchange routes to a binding."""
        return cls(tuple(_binding_word(word) for word in words_of(binding_key)))

    @classmethod
    def of_pattern_word(cls, word: str) -> KeyFamily:
        """The texts of one word of a subscription pattern or template: `*` within it is any characters, also none."""
        parts = [_template_word(part) if part else () for part in word.split("*")]
        found: list[str | _Wildcard] = []
        for index, part in enumerate(parts):
            found += ([_MANY] if index else []) + list(part if isinstance(part, tuple) else (part,))
        return cls((tuple(found),))

    @classmethod
    def of_key(cls, key: str) -> KeyFamily:
        """One key."""
        return cls(tuple(tuple(word) for word in words_of(key)))

    @property
    def is_one_key(self) -> bool:
        """Whether exactly one key belongs to it."""
        return all(isinstance(word, tuple) and all(isinstance(part, str) for part in word) for word in self.words)

    @property
    def text(self) -> str:
        """The key, of a family of one."""
        return ".".join("".join(map(str, word)) for word in self.words if isinstance(word, tuple))

    def literal(self, position: int) -> str | None:
        """The word at a position, if it can be only one text."""
        word = self.words[position]
        if isinstance(word, _Wildcard) or any(isinstance(part, _Wildcard) for part in word):
            return None
        return "".join(map(str, word))

    @property
    def literal_end(self) -> str | None:
        """The last word, if it can be only one text."""
        return self.literal(len(self.words) - 1) if self.words else None

    def overlaps(self, other: KeyFamily) -> bool:
        """Whether some key belongs to both."""
        return _overlap(self.words, other.words, _words_overlap)


ALL_KEYS: Final = KeyFamily((_MANY,))


@lru_cache(maxsize=65536)
def _template_word(word: str) -> _Word:
    if word in ("*", "#"):
        return _MANY if word == "#" else _ONE
    parts: list[str | _Wildcard] = []
    end = 0
    for variable in _VARIABLE.finditer(word):
        parts += [*word[end : variable.start()], _ONE, _MANY]
        end = variable.end()
    return (*parts, *word[end:])


def _binding_word(word: str) -> _Word:
    if word in ("*", "#"):
        return _MANY if word == "#" else _ONE
    return tuple(word)


def is_any_number_of_words(word: _Word) -> bool:
    """Whether a word of a family is `#`."""
    return word == _MANY


def words_overlap(word: _Word, binding_word: str) -> bool:
    """Whether a word of a family and a word of a binding key have a text in common."""
    return _words_overlap(word, _binding_word(binding_word))


def _words_overlap(one: _Word, other: _Word) -> bool:
    if isinstance(one, _Wildcard) or isinstance(other, _Wildcard):
        return True
    return one == other or _overlap(one, other, _characters_overlap)


def _characters_overlap(one: str | _Wildcard, other: str | _Wildcard) -> bool:
    return one == other or isinstance(one, _Wildcard) or isinstance(other, _Wildcard)


def _overlap(one: Sequence[_Token], other: Sequence[_Token], compatible: Callable[[_Token, _Token], bool]) -> bool:
    """Whether two sequences of tokens have a text in common: a walk over pairs of positions."""
    todo, seen = [(0, 0)], {(0, 0)}
    while todo:
        i, j = todo.pop()
        if i == len(one) and j == len(other):
            return True
        steps = []
        repeats_one = i < len(one) and one[i] == _MANY
        repeats_other = j < len(other) and other[j] == _MANY
        if repeats_one:
            steps += [(i + 1, j), (i, j + 1)]
        if repeats_other:
            steps += [(i, j + 1), (i + 1, j)]
        if not repeats_one and not repeats_other and i < len(one) and j < len(other) and compatible(one[i], other[j]):
            steps.append((i + 1, j + 1))
        for step in steps:
            if step[0] <= len(one) and step[1] <= len(other) and step not in seen:
                seen.add(step)
                todo.append(step)
    return False
