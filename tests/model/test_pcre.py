"""Where Python's `re` and the broker's PCRE mean the same by an expression, and where nothing is guessed."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from letrade_topo.model.pcre import matcher, only_name


@pytest.mark.parametrize(
    ("expression", "matched", "others"),
    [
        ("^orders", ["orders", "orders.x"], ["x.orders"]),
        ("", ["", "a"], []),
        (r"^(?<kind>a|b)\.\d+$", ["a.1"], ["c.1", "a.١"]),
        (r"^\w+$", ["ab_1"], ["é"]),
        ("^.$", ["a"], ["é"]),  # two bytes
        ("^é+$", [], ["éé"]),  # only the second byte repeats
        (r"^\Qletrade.dlq\E$", ["letrade.dlq"], ["letrade-dlq", "letrade.dlq.x"]),
        (r"^\Qa(b", ["a(b"], ["ab"]),
        (r"^\\Q", ["\\Q"], ["Q"]),
        (r"^[\Q]-\E]$", ["]", "-"], ["\\"]),
        ("(?i)^a", ["A"], ["b"]),
        (r"^(?!.*\.rejected$)(?>a+)b*+", ["aab"], ["aab.rejected"]),
    ],
)
def test_what_is_read_alike_is_judged(expression: str, matched: list[str], others: list[str]) -> None:
    """By bytes and anywhere in the name, as the broker does."""
    matches = matcher(expression)
    assert matches is not None
    assert [name for name in [*matched, *others] if matches(name)] == matched


@pytest.mark.parametrize(
    "expression",
    [
        r"\Ea",
        r"\p{L}",
        r"\h",
        r"(?|a|b)",
        r"a\K",
        r"\R",
        r"[[:alpha:]]",
        r"a{,3}",
        r"a\v",
        r"a\Z",
        r"\1",
        r"(*UTF8)a",
        r"a(?i)b",
        r"[é]",
        r"(?a)x",
        r"(?<=a|bc)d",
        "(",
    ],
)
def test_what_is_not_read_alike_is_left_to_the_broker(expression: str) -> None:
    """PCRE that Python refuses, and what it reads in a way of its own."""
    assert matcher(expression) is None


@given(
    st.lists(
        st.sampled_from(["a", "1", "_", "-", ":", "/", r"\.", r"\-", r"\_", ".", "*", "|", "(", ")", r"\d", "\\"]),
        max_size=6,
    ),
    st.lists(st.sampled_from("a1_-:/.*|()d\\\n"), max_size=6),
)
def test_an_expression_for_one_name_matches_no_other(parts: list[str], name: list[str]) -> None:
    """But for a line end behind it; what is of another form is not judged."""
    expression, text = f"^{''.join(parts)}$", "".join(name)
    only = only_name(expression)
    if only is None:
        return
    matches = matcher(expression)
    assert matches is not None
    assert matches(only)
    assert matches(text) == (text in {only, f"{only}\n"})


def test_most_expressions_for_one_name_are_known() -> None:
    """As tools and people write them."""
    assert only_name(r"^orders\.placed$") == "orders.placed"
    assert only_name("^$") == ""
    assert only_name("^orders.placed$") is None
    assert only_name("orders$") is None
    assert only_name(r"^\d$") is None
