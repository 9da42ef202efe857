"""Subscription patterns: what they mean, and the narrowest AMQP bindings that bring it.

    market_data.binance.*      `*` as a word: exactly one word
    events.trade_*             `*` within a word: any characters of it, also none
    commands.#                 `#` as a word: any number of words, also none
    market_data.{exchange}.*   {name}: one or more characters of a word, as in the topology's keys

AMQP knows only the wildcards that are whole words. Where a pattern asks for less than AMQP can say, the binding is
wider and `Pattern.matches` takes the rest out. Nothing here knows a broker.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Final

from letrade_topo.bus.errors import PatternError
from letrade_topo.model.overlap import KeyFamily
from letrade_topo.model.routing import KeyTemplate

ONE_WORD: Final = "*"
ANY_WORDS: Final = "#"

_KEPT_ANSWERS: Final = 16_384
"""Some thousand symbols of market data, and room."""

_PIECE = re.compile(r"\*|\{[A-Za-z_][A-Za-z0-9_]*\}")
_STAR, _VARIABLE = "*", "{}"


@dataclass(frozen=True, slots=True)
class Pattern:
    """A subscription pattern.

    Args:
        text: as written.
        words: its words.
        matches: whether a routing key is meant.
    """

    text: str
    words: tuple[str, ...]
    matches: Callable[[str], bool] = field(compare=False, repr=False)

    @classmethod
    def parse(cls, text: str) -> Pattern:
        """Read a pattern.

        Raises:
            PatternError: it has an empty word, a brace that is no variable, or a `#` within a word.
        """
        words = tuple(text.split("."))
        for word in words:
            _check(word, text)
        fullmatch = re.compile(_expression(words), re.DOTALL).fullmatch
        return cls(text, words, lru_cache(maxsize=_KEPT_ANSWERS)(lambda key: fullmatch(key) is not None))


@dataclass(frozen=True, slots=True)
class Meeting:
    """What a pattern and a key template have in common.

    Args:
        bindings: the narrowest AMQP binding keys that bring every common key; empty if there is none.
        is_covered: whether every key of the template is meant.
    """

    bindings: tuple[str, ...]
    is_covered: bool


def meet(pattern: Pattern, template: KeyTemplate) -> Meeting:
    """Find the keys of a template that a pattern means."""
    bindings: list[str] = []
    covered = False
    for asked in _alignments(pattern.words, len(template.words)):
        pairs = list(zip(asked, template.words, strict=True))
        words = [_narrowest(one, word) for one, word in pairs]
        found = [word for word in words if word is not None]
        if len(found) == len(words):
            bindings.append(".".join(found))
            covered = covered or all(_covers(one, word) for one, word in pairs)
    return Meeting(tuple(_widest(dict.fromkeys(bindings))), covered)


def binding_covers(wide: str, narrow: str) -> bool:
    """Whether every key that `narrow` brings is brought by `wide`; both without `#`."""
    one, other = wide.split("."), narrow.split(".")
    return len(one) == len(other) and all(mine in (ONE_WORD, theirs) for mine, theirs in zip(one, other, strict=True))


def _widest(bindings: dict[str, None]) -> Iterator[str]:
    for binding in bindings:
        if not any(other != binding and binding_covers(other, binding) for other in bindings):
            yield binding


def _alignments(words: tuple[str, ...], count: int) -> Iterator[tuple[str, ...]]:
    """Every way in which a pattern's words stand for so many words."""
    if not words:
        if count == 0:
            yield ()
        return
    first, rest = words[0], words[1:]
    if first != ANY_WORDS:
        if count > 0:
            yield from ((first, *more) for more in _alignments(rest, count - 1))
        return
    if rest[:1] == (ANY_WORDS,):
        yield from _alignments(rest, count)
        return
    for taken in range(count + 1):
        yield from ((*[ONE_WORD] * taken, *more) for more in _alignments(rest, count - taken))


def _narrowest(asked: str, word: str) -> str | None:
    """What to bind for one word of a template; None: no text is meant by both."""
    if not _has_variable(word):
        return word if _word_matches(asked, word) else None
    if not _is_wild(asked):
        return asked if _word_matches(word, asked) else None
    return ONE_WORD if _family(asked).overlaps(_family(word)) else None


def _family(word: str) -> KeyFamily:
    return KeyFamily.of_pattern_word(word)


def _covers(asked: str, word: str) -> bool:
    """Whether every text that a template's word stands for is meant."""
    mine, theirs = _tokens(asked), _tokens(word)
    # A walk over pairs of positions, as for matching a text, where a variable of the template is a character that
    # only a wildcard takes, followed by any number of such.
    reached = {0}
    for token in theirs:
        reached = {new for at in _skip_stars(mine, reached) for new in _take(mine, at, token)}
    return len(mine) in _skip_stars(mine, reached)


def _skip_stars(tokens: tuple[str, ...], positions: set[int]) -> set[int]:
    """A star may stand for nothing."""
    found = set(positions)
    for at in sorted(positions):
        while at < len(tokens) and tokens[at] == _STAR:
            at += 1
            found.add(at)
    return found


def _take(tokens: tuple[str, ...], at: int, token: str) -> Iterator[int]:
    """Where a walk is after one token of the template's word."""
    if at == len(tokens):
        return
    if tokens[at] == _STAR:
        yield at
    elif tokens[at] == _VARIABLE:
        if token != _STAR:
            yield at + 1
    elif tokens[at] == token:
        yield at + 1


def _tokens(word: str) -> tuple[str, ...]:
    """Characters; a variable is one character that must be there (`{}`) and then any (`*`)."""
    if word == ONE_WORD:
        return (_STAR,)
    found: list[str] = []
    end = 0
    for piece in _PIECE.finditer(word):
        found += word[end : piece.start()]
        found += (_STAR,) if piece[0] == _STAR else (_VARIABLE, _STAR)
        end = piece.end()
    return (*found, *word[end:])


def _expression(words: tuple[str, ...]) -> str:
    """As a regular expression on whole keys."""
    expression = ""
    words = tuple(word for index, word in enumerate(words) if word != ANY_WORDS or words[index - 1 : index] != ("#",))
    for index, word in enumerate(words):
        first, last = index == 0, index == len(words) - 1
        if word != ANY_WORDS:
            expression += _word_expression(word) + ("" if last else r"\.")
        elif first and last:
            return ".*"
        elif last:
            expression = expression.removesuffix(r"\.") + r"(?:\.[^.]*)*"
        else:
            expression += r"(?:[^.]*\.)*"
    return expression


@lru_cache(maxsize=1024)
def _word_expression(word: str) -> str:
    expression, end = "", 0
    for piece in _PIECE.finditer(word):
        expression += re.escape(word[end : piece.start()]) + (r"[^.]*" if piece[0] == _STAR else r"[^.]+")
        end = piece.end()
    return expression + re.escape(word[end:])


def _word_matches(wild: str, text: str) -> bool:
    return re.fullmatch(_word_expression(wild), text, re.DOTALL) is not None


def _is_wild(word: str) -> bool:
    return _PIECE.search(word) is not None


def _has_variable(word: str) -> bool:
    return "{" in word


def _check(word: str, text: str) -> None:
    if not word:
        raise PatternError(
            f"the pattern {text!r} has an empty word",
            fix="separate words by single dots; `*` stands for one word, `#` for any number",
        )
    if ANY_WORDS in word and word != ANY_WORDS:
        raise PatternError(
            f"the pattern {text!r} has a `#` within the word {word!r}",
            why="`#` stands for words, not for characters",
            fix="write `*` for any characters of a word",
        )
    rest = _PIECE.sub("", word)
    if "{" in rest or "}" in rest:
        raise PatternError(
            f"the pattern {text!r} has a brace that is not part of a {{variable}}",
            fix="write `*` for any characters of a word, or a variable as {name}",
        )
