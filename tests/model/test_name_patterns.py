"""Patterns match all names of their owner and no name of anybody else, and are short or are not."""

from __future__ import annotations

import random
import re
from collections.abc import Callable, Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from letrade_topo.model.name_patterns import (
    LONGEST_PATTERN_BYTES,
    NamePattern,
    NoPattern,
    Others,
    Precision,
    Wanted,
    find_pattern,
    find_patterns,
)

REJECTED = ".rejected"
DERIVED = r".*\.retry\.[0-9]+"
WORDS = (
    "order",
    "trade",
    "fill",
    "price",
    "a",
    "b",
    "ab",
    "x1",
    "00",
    "007",
    "42",
    "Item",
    "é",
    "이벤트",
    "a+b",
    "[x]",
    "]",
)
NAMES = st.lists(st.sampled_from(WORDS), min_size=1, max_size=4).flatmap(
    lambda words: st.sampled_from([".", "_", "-", "", "^", "\\"]).map(lambda separator: separator.join(words))
)
SETS = st.sets(NAMES, min_size=1, max_size=40)
OWN = st.tuples(SETS, st.booleans()).map(lambda drawn: drawn[0] | {name + REJECTED for name in drawn[0] if drawn[1]})
LONGEST = st.sampled_from([30, 60, 90, 150, 300, LONGEST_PATTERN_BYTES])


def matcher(pattern: NamePattern) -> Callable[[str], bool]:
    """Whether a pattern matches a name, on text and, as RabbitMQ does it, on bytes: both say the same."""
    text, data = re.compile(pattern.expression), re.compile(pattern.expression.encode())

    def matches(name: str) -> bool:
        found = text.search(name) is not None
        assert found == (data.search(name.encode()) is not None), name
        return found

    return matches


@given(own=OWN, foreign=SETS, claimed=st.sets(NAMES, max_size=3), inside=st.booleans(), longest=LONGEST)
def test_a_pattern_matches_all_own_names_and_no_others(
    own: set[str], foreign: set[str], claimed: set[str], inside: bool, longest: int
) -> None:
    """Nor what begins as somebody else's do, nor delay queues, or it says that it is too long."""
    own = {f"svc.{name}" for name in own} if inside else own
    foreign -= own
    claimed = {beginning for beginning in claimed if not any(name.startswith(beginning) for name in own)}
    others = Others([name for name in foreign if not re.fullmatch(DERIVED, name)], claimed)
    wanted = Wanted(sorted(own), lambda: others, namespaces=["svc."], suffix=REJECTED, derived=DERIVED, longest=longest)
    found = find_pattern(wanted)
    assert found == find_pattern(wanted)
    if isinstance(found, NoPattern):
        assert found.shortest_bytes > longest
        assert set(found.in_the_way) <= foreign
        return
    assert len(found.expression.encode()) <= longest
    matches = matcher(found)
    assert [name for name in own if not matches(name)] == []
    derived = {f"{name}.retry.{attempt}" for name in own | foreign for attempt in (1, 12)}
    strange = {beginning + rest for beginning in claimed for rest in ("x", "1.rejected", "", "_order.fill")}
    assert [name for name in (foreign | derived | strange) - own if matches(name)] == []
    if found.precision is not Precision.OPEN:
        assert [
            name for name in {f"{name}{more}" for name in own for more in ("", "x", REJECTED)} - own if matches(name)
        ] == []


@given(own=SETS, foreign=SETS, longest=LONGEST)
def test_several_patterns_share_the_names_among_them(own: set[str], foreign: set[str], longest: int) -> None:
    """Where one is not enough: each name has one that matches it, and none matches another one's."""
    foreign -= own
    wanted = Wanted(sorted(own), lambda: Others(foreign), longest=longest)
    found = [(matcher(pattern), names) for pattern, names in find_patterns(wanted)]
    assert sorted(name for _, names in found for name in names) == sorted(own)
    for matches, names in found:
        assert all(map(matches, names))
        assert not any(map(matches, foreign))


def styled(style: str, count: int, owner: str, moment: random.Random) -> list[str]:
    """Names of one service in one manner."""
    verbs = ("created", "updated", "deleted", "failed", "done", "placed")
    nouns = ("order", "trade", "invoice", "report", "alert", "user", "account", "price", "candle", "fill")

    def words() -> str:
        return f"{moment.choice(nouns)}_{moment.choice(nouns)}.{moment.choice(verbs)}_{moment.randrange(9 * count)}"

    made: set[str] = set()
    while len(made) < count:
        match style:
            case "owner first":
                made.add(f"{owner}.{words()}")
            case "owner last":
                made.add(f"{moment.choice(nouns)}_{moment.randrange(99_999):05}.{owner}")
            case "owner with a dash":
                made.add(f"{owner}-{words()}")
            case "no owner":
                made.add(words())
    return sorted(made)


@pytest.mark.parametrize("count", [100, *(pytest.param(count, marks=pytest.mark.wide) for count in (1_000, 10_000))])
@pytest.mark.parametrize("style", ["owner first", "owner last", "owner with a dash"])
def test_with_its_owner_in_the_name_any_number_of_names_has_a_pattern(style: str, count: int) -> None:
    """Short, and none of the names that others have or make later is matched, while most later own ones are."""
    moment = random.Random(f"{style} {count}")  # noqa: S311
    own = styled(style, count, "billing", moment)
    foreign = [name for number in range(20) for name in styled(style, count // 10, f"svc_{number}", moment)]
    wanted = Wanted(
        [*own, *(name + REJECTED for name in own)],
        lambda: Others([*foreign, *(name + REJECTED for name in foreign)], ["amq."]),
        namespaces=["billing."],
        suffix=REJECTED,
        derived=DERIVED,
    )
    found = find_pattern(wanted)
    assert isinstance(found, NamePattern)
    assert len(found.expression) <= 120
    matches = matcher(found)
    assert all(map(matches, wanted.names))
    assert not any(map(matches, foreign))
    assert not any(map(matches, styled(style, 500, "shipping", moment)))
    assert sum(map(matches, styled(style, 500, "billing", moment))) > 450


def test_names_without_an_owner_have_none_and_the_reason_is_said() -> None:
    """How long the shortest is, and names of others that lie between the own ones."""
    moment = random.Random("no owner")  # noqa: S311
    names = styled("no owner", 2000, "", moment)
    moment.shuffle(names)
    own, foreign = names[:200], names[200:]
    found = find_pattern(Wanted(own, lambda: Others(foreign)))
    assert isinstance(found, NoPattern)
    assert found.shortest_bytes > LONGEST_PATTERN_BYTES
    assert found.in_the_way
    for name in found.in_the_way:
        assert min(own) < name < max(own)


@pytest.mark.wide
@pytest.mark.parametrize(
    ("style", "count", "least"), [("owner first", 60, 100), ("owner last", 60, 95), ("no owner", 45, 95)]
)
def test_a_name_of_somebody_else_seldom_changes_a_pattern(style: str, count: int, least: int) -> None:
    """A new queue of one service is no change of another one's permission, but where their names are alike."""
    same = 0
    for seed in range(10):
        moment = random.Random(seed)  # noqa: S311
        own = styled(style, count, "billing", moment)
        foreign = [name for number in range(20) for name in styled(style, 50, f"svc_{number}", moment)]
        foreign = sorted({*foreign} - {*own})

        def pattern(others: Sequence[str], own: Sequence[str] = own) -> NamePattern:
            found = find_pattern(Wanted(own, lambda: Others(others), namespaces=["billing."]))
            assert isinstance(found, NamePattern)
            return found

        before = pattern(foreign)
        assert before.precision is not Precision.LISTED
        same += sum(
            pattern([*foreign, name]) == before for name in styled(style, 10, "shipping", moment) if name not in own
        )
    assert same >= least


@pytest.mark.parametrize(
    ("own", "others", "longest", "expression"),
    [
        (["b", "a"], [], 99, "^(?:b|a)$"),
        (["item_000", "item_001", "item_002"], [], 20, "^(?:item_00[0-2])$"),
        ([f"i{number:03}" for number in range(1000)], [], 30, "^(?:i[0-9]{3})$"),
        (["abc", "abcé", "abcü"], [], 20, "^(?:abc(?:é|ü)?)$"),
        (["q1", "q2", "q3x", "q4y"], ["r"], 16, "^(?:q.*)$"),
        (["svc.a", "svc.b.c", "svc.def"], ["other.x"], 16, r"^(?:svc\..*)$"),
        (["a-", "a]", "a^", "a\\"], [], 16, r"^(?:a[\-\\-\^])$"),
        (["one_12345", "six_00001", "seven_77777"], ["one_", "six_", "seven_"], 28, "^(?:[a-z]{3,5}_[0-9]{5})$"),
    ],
)
def test_the_ways_in_which_names_are_put_together(
    own: list[str], others: list[str], longest: int, expression: str
) -> None:
    """A list, a class, a count, alternatives beyond ASCII, a beginning, a namespace, a shape."""
    found = find_pattern(Wanted(own, lambda: Others(others), namespaces=["svc."], longest=longest))
    assert isinstance(found, NamePattern)
    assert found.expression == expression
