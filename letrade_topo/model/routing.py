"""Routing-key templates and patterns, and the regular expressions that permissions need.

A template such as `market_data.{exchange}.{symbol}` names a family of routing keys: a `{variable}`
stands for exactly one word, or for part of one. A pattern such as `*.strategy_{strategy_id}.*` may
also hold AMQP's own wildcards. RabbitMQ judges permissions by unanchored PCRE, so every expression
made here is anchored and escaped.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache
from typing import Self

_VARIABLE = re.compile(r"\{([A-Za-z_][A-Za-z0-9_]*)\}")
_SPECIAL = re.compile(r"([.^$*+?{}\[\]()|\\])")
WILDCARDS = ("*", "#")


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
        """Unanchored regular expression of the binding keys that ask for no more than this template.

        RabbitMQ checks the read permission of a topic exchange against the binding key's text, so a
        variable that is a whole word also admits `*`, one that is a part of a word does not (`*` would
        ask for more), and `#` is never admitted for a variable.
        """
        return r"\.".join(_bind_word(word) for word in self.words)


def escape(text: str) -> str:
    """Escape `text` so that it stands for itself in PCRE and in Python's `re` alike."""
    return _SPECIAL.sub(r"\\\1", text)


def is_pattern(text: str) -> bool:
    """Whether a text has a word that is an AMQP wildcard."""
    return any(word in WILDCARDS for word in text.split("."))


def binding_matches(binding_key: str, key: str) -> bool:
    """Whether a topic exchange routes `key` to a queue that is bound with `binding_key`."""
    return _compiled(_join(tuple(binding_key.split(".")), one_word=r"[^.]*", part=r"[^.]*")).fullmatch(key) is not None


def _check_word(word: str, text: str, wildcards: bool) -> None:
    if not word:
        raise TemplateError(f"{text!r} has an empty word; words are separated by single dots")
    if word in WILDCARDS:
        if wildcards:
            return
        raise TemplateError(f"{text!r} has the wildcard {word!r}, which only a subscription pattern may have")
    rest = _VARIABLE.sub("", word)
    if "{" in rest or "}" in rest:
        raise TemplateError(f"{text!r} has a brace that is not part of a {{variable}}")
    if "*" in rest or "#" in rest:
        raise TemplateError(f"{text!r} has a wildcard inside the word {word!r}; AMQP knows it only as a whole word")


def _bind_word(word: str) -> str:
    if word in WILDCARDS:
        return escape(word) if word == "*" else "#"
    if _VARIABLE.fullmatch(word):
        return r"[^.#]+"
    return _with_variables(word, r"[^.*#]+")


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
