"""Routing-key templates and patterns, and the regular expressions that permissions need.

A template such as `market_data.{exchange}.{symbol}` names a family of routing keys: a `{variable}`
stands for exactly one word, or for part of one. A pattern such as `*.strategy_{strategy_id}.*` may
also hold AMQP's own wildcards. RabbitMQ judges permissions by unanchored PCRE, so every expression
made here is anchored and escaped.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Self

_VARIABLE = re.compile(r"\{([A-Za-z_][A-Za-z0-9_]*)\}")
_ESCAPED = {ord(character): f"\\{character}" for character in r".^$*+?{}[]()|\\"}
_CONTROL = re.compile(r"[\x00-\x1f]")
WILDCARDS = ("*", "#")

_ANY_WORD, _ANY_BOUND_WORD, _ANY_BOUND_PART, _STAR, _HASH = "\x01", "\x02", "\x03", "\x04", "\x05"
SYMBOLS: Mapping[str, str] = {
    _ANY_WORD: r"[^.]+",
    _ANY_BOUND_WORD: r"[^.#]+",
    _ANY_BOUND_PART: r"[^.*#]+",
    _STAR: r"\*",
    _HASH: "#",
}
"""Characters that stand for an expression, so that a family of keys can be handled as one text; no name and no key
holds a control character."""
_SPELLED = _ESCAPED | {ord(symbol): expression for symbol, expression in SYMBOLS.items()}


class TemplateError(ValueError):
    """A text is not a routing-key template; the message says why."""


@dataclass(frozen=True, slots=True)
class KeyTemplate:
    """A routing key with variables, and in a pattern with AMQP wildcards.

    Args:
        text: as written in the topology.
        words: the dot-separated words of `text`.
    """

    text: str
    words: tuple[str, ...]

    @classmethod
    def parse(cls, text: str, *, wildcards: bool = False) -> Self:
        """Read a template; with `wildcards`, a pattern whose words may be `*` or `#`.

        Raises:
            TemplateError: an unbalanced brace, an empty word, or a wildcard where none may stand.
        """
        words = tuple(text.split("."))
        if _CONTROL.search(text):
            raise TemplateError(f"{text!r} has a control character, which nobody sees who looks for it")
        for word in words:
            _check_word(word, text, wildcards)
        return cls(text, words)

    @property
    def variables(self) -> tuple[str, ...]:
        """The names of the variables, in the order they appear."""
        return tuple(_VARIABLE.findall(self.text))

    @property
    def has_variables(self) -> bool:
        """Whether more than one routing key fits."""
        return _VARIABLE.search(self.text) is not None

    @property
    def binding_key(self) -> str:
        """The narrowest AMQP topic pattern that covers every key of this template."""
        return ".".join("*" if _VARIABLE.search(word) else word for word in self.words)

    def matches(self, key: str) -> bool:
        """Whether a concrete routing key belongs to this template (AMQP meaning of wildcards)."""
        return _compiled(self.publish_expression).fullmatch(key) is not None

    @property
    def publish_expression(self) -> str:
        """Unanchored regular expression of the routing keys that belong to this template."""
        return _join(self.words, one_word=r"[^.]+", part=r"[^.]+")

    @property
    def bind_expression(self) -> str:
        """Unanchored regular expression of the binding keys that ask for no more than this template."""
        return spell(self.bind_text)

    @property
    def publish_text(self) -> str:
        """The text of which `publish_expression` is the spelling; for templates without wildcards."""
        return ".".join(_VARIABLE.sub(_ANY_WORD, word) for word in self.words)

    @property
    def bind_text(self) -> str:
        """The text of which `bind_expression` is the spelling.

        RabbitMQ checks the read permission of a topic exchange against the binding key's text, so a
        variable that is a whole word also admits `*`, one that is a part of a word does not (`*` would
        ask for more), and `#` is never admitted for a variable.
        """
        return ".".join(_bind_word(word) for word in self.words)

    @property
    def literal_beginning(self) -> str:
        """What every key of this template begins with."""
        return _VARIABLE.split(self.text, maxsplit=1)[0]


def escape(text: str) -> str:
    """Escape `text` so that it stands for itself in PCRE and in Python's `re` alike."""
    return text.translate(_ESCAPED)


def spell(text: str) -> str:
    """The expression of a text in which symbols stand for expressions."""
    return text.translate(_SPELLED)


def is_pattern(text: str) -> bool:
    """Whether a text has a word that is an AMQP wildcard."""
    return any(word in WILDCARDS for word in text.split("."))


def words_of(key: str) -> tuple[str, ...]:
    """The words of a routing or binding key; an empty key has none (rabbit_exchange_type_topic:split_topic_key)."""
    return tuple(key.split(".")) if key else ()


def binding_matches(binding_key: str, key: str) -> bool:
    """Whether a topic exchange routes `key` to a queue that is bound with `binding_key`."""
    if not key or not binding_key:
        return not key and all(word == "#" for word in words_of(binding_key))
    return _compiled(_join(tuple(binding_key.split(".")), one_word=r"[^.]*", part=r"[^.]*")).fullmatch(key) is not None


def _check_word(word: str, text: str, wildcards: bool) -> None:
    if not word:
        raise TemplateError(f"{text!r} has an empty word; words are separated by single dots")
    if word in WILDCARDS:
        if wildcards:
            return
        raise TemplateError(f"{text!r} has the wildcard {word!r}, which only a subscription pattern may have")
    rest = _VARIABLE.sub("", word)
    if any(char.isspace() for char in rest):
        better = re.sub(r"\s*\.\s*", ".", text.strip())
        better = re.sub(r"\s+", "_", better)
        raise TemplateError(f"{text!r} has a space in it, which nobody sees in a log; write for example {better!r}")
    if "{" in rest or "}" in rest:
        raise TemplateError(f"{text!r} has a brace that is not part of a {{variable}}")
    if "*" in rest or "#" in rest:
        raise TemplateError(f"{text!r} has a wildcard inside the word {word!r}; AMQP knows it only as a whole word")


def _bind_word(word: str) -> str:
    if word in WILDCARDS:
        return _STAR if word == "*" else _HASH
    return _VARIABLE.sub(_ANY_BOUND_WORD if _VARIABLE.fullmatch(word) else _ANY_BOUND_PART, word)


def _with_variables(word: str, expression: str) -> str:
    pieces = _VARIABLE.split(word)
    return expression.join(escape(literal) for literal in pieces[::2])


def _join(words: tuple[str, ...], *, one_word: str, part: str) -> str:
    """`#` stands for zero or more words, so the dot beside it belongs to it."""
    expression = ""
    words = tuple(word for index, word in enumerate(words) if word != "#" or words[index - 1 : index] != ("#",))
    for index, word in enumerate(words):
        first, last = index == 0, index == len(words) - 1
        if word == "#":
            if first and last:
                return r".*"
            if first:
                expression += r"(?:[^.]*\.)*"
                continue
            if last:
                expression = expression.removesuffix(r"\.") + r"(?:\.[^.]*)*"
                continue
            expression += r"(?:[^.]*\.)*"
            continue
        expression += one_word if word == "*" else _with_variables(word, part)
        if not last:
            expression += r"\."
    return expression


@lru_cache(maxsize=4096)
def _compiled(expression: str) -> re.Pattern[str]:
    return re.compile(expression, re.DOTALL)
