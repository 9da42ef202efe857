"""Expressions are judged as the broker judges them, and "anchored" means that only whole names match."""

from __future__ import annotations

import re
import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from letrade_topo.model.anchors import anchored, is_anchored
from letrade_topo.model.expressions import doubt_about, why_unreadable
from tests.brokers import RunningBroker

LINES = r"""
a  ^a|b$  |  ()  (|a)  (?:)  $^  a{2  a{,3}  a{2,3}  a{65535}  a{65536}  a{2,1}  x{0}  {2}  *a  a**  a*?  a*+
a*??  a{2}+  +  ?  a|*  (*)  ^*  \b+  (?=a)*  (?=a)+b  a{1,2}{3}  (a  a)  (?  (?:a  [a  [a-  []  [^]  []a]
[^]a]  [z-a]  [a-\d]  [\d-z]  [--a]  [+--]  [a-b-c]  [[:alpha:]]  [[:nope:]]  [:alpha:]  [[.a.]]  [[=a=]]
[\p{L}]  [\b]  [\Q]\E]  \Qa.b\E  \Qa  a\E  \Q\Q\E  \Q(\E  \p{L}+  \p{Lu}  \pL  \p  \p{  \p{Nope}  \P{^L}  \h  \H
\v  \R  \X  \K  \G  \e  \cA  \x41  \x{41}  \x{zz}  \o{101}  \N  \N{DASH}  \u0041  \U  \l  \L  \z  \Z  \A  \q  \i
\8  \1  (a)\1  (a)\2  \g{1}  (a)\g{1}  (a)\g{-1}  (a)\g1  \g  \k<n>  (?<n>a)\k<n>  (?|a|b)  (?|(a)|(b))\1
(?>a+)b  a++  a?+  (?'n'a)  (?P<n>a)(?P=n)  (?P>n)  (?<n>a)(?&n)  (?<n>a)(?<n>b)  (?<1n>a)  (?P=n)  (?R)
(a)(?1)  (?1)  (a)(?+1)(b)  (?(1)a|b)  (a)(?(1)b|c)  (?(?=a)b|c)  (?(DEFINE)(?<n>a))(?&n)  (?C1)a  (?i)a  a(?i)b
(?i-s:a)  (?-i)a  (?s-i)a  (?i:(?-i)a)  (?^i:a)  (?a)b  (?L)b  (?@a)  (?#c)a  (*UTF8)a  (*ANYCRLF)a  (*NOPE)a
(?<=a)b  (?<=a|bc)d  (?<=a*)b  (?<=a+)b  (?<!ab)c  ü+  [ü]  ^(?:orders|bills)$  ^(?!amq\.).+$
"""
EXPRESSIONS = tuple(word for line in LINES.splitlines() for word in line.split())


def test_expressions_are_refused_exactly_where_the_broker_refuses_them(broker: RunningBroker, vhost_name: str) -> None:
    """Those of which versions think differently are told apart by a warning; all others are judged."""
    broker.api("PUT", f"/api/vhosts/{vhost_name}", json={})
    path = f"/api/permissions/{vhost_name}/{broker.username}"
    wrong = []
    for expression in [*EXPRESSIONS, "a\\", "[a\\", "(?x) a # c"]:
        body = {"configure": expression, "write": ".*", "read": ".*"}
        theirs = broker.api("PUT", path, json=body).status_code >= 400
        ours = why_unreadable(expression) is not None
        if ours is not theirs and doubt_about(expression) is None:
            wrong.append((expression, theirs))

    assert wrong == []


@pytest.mark.parametrize(
    ("expression", "whole", "advice"),
    [
        ("orders|bills", False, "^(?:orders|bills)$"),
        ("^orders|bills", False, "^(?:orders|bills)$"),
        ("^a|b$", False, "^(?:a|b)$"),
        ("^a$|^b$", True, "^(?:a|b)$"),
        ("(?:^a|b$)", False, "^(?:a|b)$"),
        ("((^a$))", True, "^a$"),
        ("orders", False, "^orders$"),
        ("^orders", False, "^orders$"),
        (r"^a\$", False, r"^a\$$"),
        (r"^a\\$", True, r"^a\\$"),
        (r"\Aa\z", True, "^a$"),
        ("(?i)^a$", True, None),
        ("(?!x)^a$", True, None),
        ("(^a)?$", False, None),
        ("^a$|", False, None),
        ("^a.*", True, None),
        (".*", True, None),
        (r"^\Qa|b\E", False, r"^\Qa|b\E$"),
        (r"^\Qa$\E", False, None),
        ("^[|]", False, "^[|]$"),
        ("x|(y|z)", False, "^(?:x|(y|z))$"),
    ],
)
def test_anchors_hold_for_every_alternative(expression: str, whole: bool, advice: str | None) -> None:
    """And the advice, followed to the letter, is anchored."""
    assert is_anchored(expression) is whole
    assert advice is None or anchored(expression) == advice
    assert is_anchored(anchored(expression)) or "(^a)?" in expression or "\\Q" in expression


PIECES = st.recursive(
    st.sampled_from([*"abc.", "^", "$", "a*", "b?", ".*", "[ab]", r"\.", r"\$", r"\^"]),
    lambda inner: st.one_of(
        st.lists(inner, min_size=1, max_size=3).map("".join),
        st.lists(inner, min_size=1, max_size=3).map("|".join),
        inner.map(lambda text: f"({text})"),
        inner.map(lambda text: f"(?:{text})"),
        inner.map(lambda text: f"(?!{text})"),
        inner.map(lambda text: f"(?:{text})?"),
    ),
    max_leaves=6,
)


@given(PIECES, st.text(alphabet="abc.$^", max_size=4))
def test_what_is_called_anchored_matches_whole_names_only(expression: str, name: str) -> None:
    """Whatever it finds in a name reaches from its beginning to its end."""
    if not is_anchored(expression) or ".*" in expression:
        return
    found = re.search(expression, name)
    assert found is None or found[0] == name


@given(st.text(alphabet=string.printable, max_size=20))
def test_no_text_breaks_the_judge(expression: str) -> None:
    """It is read, refused or doubted; what Python and we both refuse is refused in our words."""
    reason = why_unreadable(expression)
    doubt_about(expression)
    is_anchored(expression)
    assert reason is None or reason.endswith(".")
    assert why_unreadable(re.escape(expression)) is None
    assert isinstance(anchored(expression), str)


@pytest.mark.wide
def test_deep_nesting_is_said() -> None:
    """Not a breakdown."""
    assert why_unreadable("(" * 50_000) is not None
    is_anchored("(" * 5_000 + "a" + ")" * 5_000)
