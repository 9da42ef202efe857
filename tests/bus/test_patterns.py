"""Patterns: what they mean, and that bindings and filter together bring exactly that."""

from __future__ import annotations

import re
import time
import timeit
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from letrade_topo.bus.errors import PatternError
from letrade_topo.bus.patterns import Meeting, Pattern, binding_covers, meet
from letrade_topo.model.routing import KeyTemplate, binding_matches

# Few letters, so that what is drawn meets often.
TEXTS = st.text("ab_", min_size=1, max_size=3)
PATTERN_WORDS = st.one_of(
    TEXTS,
    st.sampled_from(["*", "#", "*", "{x}", "a*", "*b", "a*b", "a_{x}", "**", "{x}*"]),
)
PATTERNS = st.lists(PATTERN_WORDS, min_size=1, max_size=4).map(".".join)
TEMPLATE_WORDS = st.one_of(TEXTS, st.sampled_from(["{v}", "a{v}", "{v}b", "a_{v}b", "{v}_{w}"]))
TEMPLATES = st.lists(TEMPLATE_WORDS, min_size=1, max_size=4).map(".".join)
KEYS = st.lists(TEXTS, min_size=1, max_size=4).map(".".join)


def means(pattern: str, key: str) -> bool:
    """The contract's meaning, written down once more and naively."""
    return _words_match(pattern.split("."), key.split("."))


def _words_match(pattern: list[str], key: list[str]) -> bool:
    if not pattern:
        return not key
    if pattern[0] == "#":
        return any(_words_match(pattern[1:], key[skipped:]) for skipped in range(len(key) + 1))
    return bool(key) and _word_matches(pattern[0], key[0]) and _words_match(pattern[1:], key[1:])


def _word_matches(pattern: str, word: str) -> bool:
    if not pattern:
        return not word
    variable = re.match(r"\{\w+\}", pattern)
    if variable:
        rest = pattern[variable.end() :]
        return any(_word_matches(rest, word[taken:]) for taken in range(1, len(word) + 1))
    if pattern[0] == "*":
        return any(_word_matches(pattern[1:], word[taken:]) for taken in range(len(word) + 1))
    return word[:1] == pattern[0] and _word_matches(pattern[1:], word[1:])


def met(pattern: str, template: str) -> Meeting:
    """What they have in common."""
    return meet(Pattern.parse(pattern), KeyTemplate.parse(template))


@given(PATTERNS, KEYS)
def test_a_pattern_means_what_the_contract_says(pattern: str, key: str) -> None:
    """The compiled form agrees with the naive one."""
    assert Pattern.parse(pattern).matches(key) == means(pattern, key)


@given(PATTERNS, TEMPLATES, KEYS)
def test_bindings_and_filter_bring_exactly_what_is_meant(pattern: str, template: str, key: str) -> None:
    """A key of a template arrives if and only if the pattern means it."""
    if KeyTemplate.parse(template).matches(key):
        arrives = any(binding_matches(binding, key) for binding in met(pattern, template).bindings)
        assert (arrives and Pattern.parse(pattern).matches(key)) == means(pattern, key)


@given(PATTERNS, TEMPLATES, st.data())
def test_keys_that_are_made_of_the_template_arrive(pattern: str, template: str, data: st.DataObject) -> None:
    """The same, with keys that belong to the template by construction."""
    key = re.sub(r"\{\w+\}", lambda _: data.draw(TEXTS), template)
    arrives = any(binding_matches(binding, key) for binding in met(pattern, template).bindings)
    assert (arrives and Pattern.parse(pattern).matches(key)) == means(pattern, key)


@given(PATTERNS, TEMPLATES, KEYS)
def test_no_binding_asks_for_more_than_the_type(pattern: str, template: str, key: str) -> None:
    """A service may bind no more than the types that it consumes; and a word is bound literally where it can be."""
    parsed = KeyTemplate.parse(template)
    for binding in met(pattern, template).bindings:
        assert binding_covers(parsed.binding_key, binding)
        for word, declared in zip(binding.split("."), parsed.words, strict=True):
            assert word == "*" or "{" in declared or word == declared
            assert word != "*" or "{" in declared


@given(PATTERNS, TEMPLATES)
def test_no_binding_is_useless(pattern: str, template: str) -> None:
    """None is covered by another one."""
    bindings = met(pattern, template).bindings
    assert not [(one, other) for one in bindings for other in bindings if one != other and binding_covers(one, other)]


@given(PATTERNS, TEMPLATES, st.data())
def test_covered_is_the_whole_type(pattern: str, template: str, data: st.DataObject) -> None:
    """A declared queue is used only where the pattern means every key in it."""
    if met(pattern, template).is_covered:
        key = re.sub(r"\{\w+\}", lambda _: data.draw(TEXTS), template)
        assert means(pattern, key)


@pytest.mark.parametrize(
    ("pattern", "template", "bindings", "is_covered"),
    [
        ("events.trade_*", "events.trade_executed", ("events.trade_executed",), True),
        ("events.trade_*", "events.error", (), False),
        ("market_data.binance.*", "market_data.{exchange}.{symbol}", ("market_data.binance.*",), False),
        ("market_data.*.btc*", "market_data.{exchange}.{symbol}", ("market_data.*.*",), False),
        ("market_data.#", "market_data.{exchange}.{symbol}", ("market_data.*.*",), True),
        ("*.strategy_123.*", "orders.strategy_{strategy_id}.placed", ("orders.strategy_123.placed",), False),
        ("*.strategy_*.*", "orders.strategy_{strategy_id}.placed", ("orders.*.placed",), True),
        ("#.x.#", "a.{v}.{w}", ("a.*.x", "a.x.*"), False),
        ("*", "events.error", (), False),
        ("trade_{kind}", "trade_", (), False),
        ("trade_*", "trade_", ("trade_",), True),
        ("a{x}", "a{v}b", ("*",), True),
    ],
)
def test_examples(pattern: str, template: str, bindings: tuple[str, ...], is_covered: bool) -> None:
    """The narrowest bindings, and whether the pattern means the whole type."""
    found = met(pattern, template)
    assert set(found.bindings) == set(bindings)
    assert found.is_covered == is_covered


@pytest.mark.parametrize("pattern", ["", "a..b", ".a", "a.b#", "a.{b", "a.}b{", "a.{1}"])
def test_malformed_patterns(pattern: str) -> None:
    """Each is refused with what to write instead."""
    with pytest.raises(PatternError) as raised:
        Pattern.parse(pattern)
    assert raised.value.fix


def test_the_filter_costs_less_than_two_microseconds() -> None:
    """For keys that come again, and for ones that are new each time.

    By this thread's own time, which goes on only while it works, and by the best of several.
    """
    keys = [f"market_data.binance.{number}" for number in range(2_000)]

    def seconds(matches: Callable[[str], bool]) -> float:
        return timeit.timeit(lambda: [matches(key) for key in keys], timer=time.thread_time, number=1) / len(keys)

    patterns = [Pattern.parse("market_data.*.btc*") for _ in range(5)]
    first = min(seconds(pattern.matches) for pattern in patterns)
    again = min(seconds(pattern.matches) for pattern in patterns)
    assert again < 2e-6
    assert first < 20e-6
