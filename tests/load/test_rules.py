"""Every rule points at the right place, and only at that."""

from __future__ import annotations

import re

import pytest

from letrade_topo.load.rule_texts import GROUPS, RULE_TEXTS
from letrade_topo.model.rules import Severity
from tests.load.marked import diagnostics, expected, found, unmarked, with_header
from tests.load.rule_cases import BROKEN, ELSEWHERE, NEAR_MISSES

BROKEN_CASES = [
    pytest.param(rule, with_header(text), id=f"{rule}-{number}")
    for rule, texts in BROKEN.items()
    for number, text in enumerate(texts, start=1)
]
NEAR_CASES = [
    pytest.param(rule, with_header(text), id=f"{rule}-{number}")
    for rule, texts in NEAR_MISSES.items()
    for number, text in enumerate(texts, start=1)
]


@pytest.mark.parametrize(("rule", "text"), BROKEN_CASES)
def test_a_broken_rule_is_reported_where_it_is_broken(rule: str, text: str) -> None:
    """The marked problems and no others, each at its line and column, with words."""
    assert rule in {name for name, _, _ in expected(text)}
    assert expected(text) == found(unmarked(text))
    for item in diagnostics(unmarked(text)):
        assert item.summary
        assert item.why.endswith((".", "?"))
        assert item.fix.endswith((".", "?"))


@pytest.mark.wide
@pytest.mark.parametrize(("rule", "text"), NEAR_CASES)
def test_a_near_miss_is_silent(rule: str, text: str) -> None:
    """What is just right does not break the rule."""
    assert [item for item in found(text) if item[0] == rule] == []


def test_every_rule_has_a_case_and_a_near_miss() -> None:
    """No rule can be added without a text that breaks it and one that nearly does."""
    tested = set(RULE_TEXTS) - ELSEWHERE

    assert tested == set(BROKEN)
    assert tested == set(NEAR_MISSES)


def test_rule_ids_are_unique() -> None:
    """One id, one rule."""
    ids = [text.id for _, texts in GROUPS for text in texts]

    assert len(ids) == len(set(ids))


def test_whose_names_are_too_many_is_told_which_are_in_the_way() -> None:
    """By name, and how to call the own ones instead."""
    text = with_header(BROKEN["no-short-pattern"][1])
    item = next(one for one in diagnostics(unmarked(text)) if one.rule == "no-short-pattern")
    names = re.findall(r"'([0-9a-f]{12})'", item.why)
    assert len(names) == 3
    assert all(name in text for name in names)
    assert item.why.endswith(" more.")
    assert "Begin the names of its queues with 'a.'" in item.fix


def test_a_warning_does_not_make_a_topology_unusable() -> None:
    """Warnings come with the topology; errors come instead of it."""
    severities = {rule: RULE_TEXTS[rule].severity for rule in BROKEN}

    assert Severity.WARNING is severities["direct-reply-to"]
    assert all(
        item.severity is severities[item.rule]
        for item in diagnostics(unmarked(with_header(BROKEN["direct-reply-to"][0])))
    )
