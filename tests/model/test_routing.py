"""Key templates, AMQP patterns, and whether two of them share a key, against naive implementations."""

from __future__ import annotations

import itertools
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from letrade_topo.model.overlap import KeyFamily
from letrade_topo.model.routing import KeyTemplate, TemplateError, binding_matches, is_pattern

WORDS = st.sampled_from(["a", "b", "ab", "aab", "", "가"])
KEYS = st.lists(WORDS, min_size=1, max_size=5).map(".".join)
KEYS_OF_MESSAGES = st.lists(st.sampled_from(["a", "b", "ab", "aab", "가"]), min_size=1, max_size=5).map(".".join)
BINDINGS = st.lists(st.sampled_from(["a", "b", "ab", "*", "#", "", "a*"]), min_size=1, max_size=6).map(".".join)
TEMPLATE_WORDS = ["a", "b", "ab", "{v}", "a{v}", "{v}b", "{v}{w}", "a{v}b"]
TEMPLATES = st.lists(st.sampled_from(TEMPLATE_WORDS), min_size=1, max_size=4).map(".".join)
PATTERNS = st.lists(st.sampled_from([*TEMPLATE_WORDS, "*", "#"]), min_size=1, max_size=5).map(".".join)


def amqp_matches(pattern: list[str], key: list[str]) -> bool:
    """AMQP 0-9-1, 3.1.3.3: `*` is exactly one word, `#` any number of words."""
    if not pattern:
        return not key
    if pattern[0] == "#":
        return amqp_matches(pattern[1:], key) or (bool(key) and amqp_matches(pattern, key[1:]))
    return bool(key) and pattern[0] in ("*", key[0]) and amqp_matches(pattern[1:], key[1:])


def template_matches(words: list[str], key: list[str]) -> bool:
    """A template word by word, with wildcards as AMQP has them."""
    if not words:
        return not key
    if words[0] == "#":
        return template_matches(words[1:], key) or (bool(key) and template_matches(words, key[1:]))
    if not key:
        return False
    expression = re.escape(words[0]).replace(r"\{v\}", ".+").replace(r"\{w\}", ".+")
    fits = words[0] == "*" or re.fullmatch(expression, key[0]) is not None
    return fits and template_matches(words[1:], key[1:])


@given(BINDINGS, KEYS)
def test_binding_matches_as_the_specification_says(binding: str, key: str) -> None:
    """Every combination of wildcards, words and empty words; an empty key has no word at all."""
    words, key_words = (text.split(".") if text else [] for text in (binding, key))

    assert binding_matches(binding, key) == amqp_matches(words, key_words)


@given(PATTERNS, KEYS_OF_MESSAGES)
def test_a_template_matches_word_by_word(text: str, key: str) -> None:
    """Variables are one or more characters of one word."""
    assert KeyTemplate.parse(text, wildcards=True).matches(key) == template_matches(text.split("."), key.split("."))


@given(TEMPLATES, KEYS)
def test_the_binding_key_covers_every_key_of_a_template(text: str, key: str) -> None:
    """Whatever belongs to a type reaches the queue that is bound for it."""
    template = KeyTemplate.parse(text)
    if template.matches(key):
        assert binding_matches(template.binding_key, key)


ALPHABET = [
    ".".join(words)
    for length in range(1, 4)
    for words in itertools.product(["a", "b", "ab", "aa", "abb", "aab"], repeat=length)
]


@given(PATTERNS, PATTERNS)
def test_families_that_share_a_key_overlap(one: str, other: str) -> None:
    """A shared key among all short ones is never missed."""
    first, second = (KeyTemplate.parse(text, wildcards=True) for text in (one, other))
    shared = next((key for key in ALPHABET if first.matches(key) and second.matches(key)), None)

    overlap = KeyFamily.of_template(first).overlaps(KeyFamily.of_template(second))

    assert overlap or shared is None
    assert overlap == KeyFamily.of_template(second).overlaps(KeyFamily.of_template(first))


@pytest.mark.parametrize(
    ("one", "other", "overlap"),
    [
        ("a.{x}", "a.b", True),
        ("a.{x}", "a.b.c", False),
        ("a.x_{x}", "a.{y}_x", True),
        ("a.x_{x}", "a.y_{x}", False),
        ("{x}{y}", "a", False),
        ("{x}{y}", "ab", True),
        ("a{x}c", "ab{y}", True),
        ("#", "a.b.c", True),
        ("a.#.c", "a.c", True),
        ("a.#.c", "a.b", False),
        ("*.*", "a", False),
        ("#.#.a", "{x}.{y}", True),
    ],
)
def test_overlap_is_exact(one: str, other: str, overlap: bool) -> None:
    """Neither missed nor invented."""
    first, second = (KeyFamily.of_template(KeyTemplate.parse(text, wildcards=True)) for text in (one, other))

    assert first.overlaps(second) is overlap


def test_a_long_key_does_not_recurse() -> None:
    """A key of 250 bytes is compared without Python's stack."""
    words = ".".join("a" * 125)
    family = KeyFamily.of_key(words)

    assert family.overlaps(KeyFamily.of_binding("#.a.#"))
    assert family.text == words
    assert family.is_one_key


@pytest.mark.parametrize("text", ["", ".", "a..b", "a.", "{a", "a}", "{1}", "{a.b}", "{}", "a.*", "#", "a*b", "a.{b*}"])
def test_what_is_no_template(text: str) -> None:
    """Empty words, braces without a variable, and wildcards are refused."""
    with pytest.raises(TemplateError):
        KeyTemplate.parse(text)


@pytest.mark.parametrize("text", ["a*", "a.b#", "*{x}"])
def test_what_is_no_pattern(text: str) -> None:
    """A wildcard is a whole word, also in a pattern."""
    with pytest.raises(TemplateError):
        KeyTemplate.parse(text, wildcards=True)


def test_what_is_a_pattern() -> None:
    """Only a whole word is a wildcard."""
    assert is_pattern("a.*")
    assert is_pattern("#")
    assert not is_pattern("events.trade_*")
