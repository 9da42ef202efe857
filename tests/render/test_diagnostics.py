"""Diagnostics in every format, also with names that a format must escape."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any
from xml.etree import ElementTree

import pytest
from hypothesis import given
from hypothesis import strategies as st

from letrade_topo.load.diagnostics import Diagnostic, Location
from letrade_topo.load.rule_texts import RULE_TEXTS
from letrade_topo.model.rules import Severity
from letrade_topo.render.diagnostics import Format, render, summary
from letrade_topo.render.diagnostics_text import WIDEST_EXCERPT

ERROR = Diagnostic(
    "unknown-key",
    Severity.ERROR,
    Location("topology.yaml", 4, 3),
    "unknown key",
    "'typ' is not known in the exchange 'orders'.",
    "Did you mean 'type'?",
    ("exchanges", "orders", "typ"),
    ((Location("topology.yaml", 2, 1), "first"),),
    "  typ: topic",
)
WARNING = Diagnostic("direct-reply-to", Severity.WARNING, Location("overlay.yaml", 9, 1), "a warning")
WHOLE_FILE = Diagnostic("unreadable-file", Severity.ERROR, Location("nowhere.yaml"), "there is no such file")
NASTY_NAMES = [
    "a|b",
    "<b>&amp;",
    "50% of\nit",
    "::error::x",
    "a,b=c:d",
    "`code` ``more``",
    "\x1b[31mred\x07",
    "가나다",
    "]]>",
    "\u202etxt.exe",
]
TEXTS = st.text(max_size=20)
DIAGNOSTICS = st.builds(
    Diagnostic,
    rule=st.sampled_from([*RULE_TEXTS, "of-somebody-else"]),
    severity=st.sampled_from(Severity),
    location=st.builds(Location, TEXTS, st.integers(0, 99), st.integers(0, 300)),
    summary=TEXTS,
    why=TEXTS,
    fix=TEXTS,
    path=st.lists(st.one_of(TEXTS, st.integers(0, 9)), max_size=3).map(tuple),
    related=st.lists(
        st.tuples(st.builds(Location, TEXTS, st.integers(0, 9), st.integers(0, 9)), TEXTS), max_size=2
    ).map(tuple),
    excerpt=st.text(max_size=400),
)


def nasty(name: str) -> Diagnostic:
    """A diagnostic with a name in every text that a name can get into."""
    return Diagnostic(
        "unknown-key",
        Severity.ERROR,
        Location(name, 1, 2),
        "unknown key",
        f"why {name}",
        f"fix {name}",
        (name,),
        (),
        name,
    )


def sarif(*items: Diagnostic) -> Mapping[str, Any]:
    """The only run of a SARIF log."""
    log = json.loads(render(items, Format.SARIF, subject="topology.yaml"))
    assert log["version"] == "2.1.0"
    (run,) = log["runs"]
    found: Mapping[str, Any] = run
    return found


def test_text_shows_the_line_with_a_caret() -> None:
    """Where, what, the line, why, what to do, and what belongs to it."""
    assert render([ERROR], Format.TEXT, subject="t").splitlines() == [
        "topology.yaml:4:3: error: unknown key [unknown-key]",
        "    4 |   typ: topic",
        "      |   ^",
        "    'typ' is not known in the exchange 'orders'.",
        "    Did you mean 'type'?",
        "    topology.yaml:2:1: first",
    ]


def test_text_without_a_position_has_no_line() -> None:
    """A whole file is named by its name."""
    shown = render([WHOLE_FILE, WARNING], Format.TEXT, subject="t").splitlines()

    assert shown[0] == "nowhere.yaml: error: there is no such file [unreadable-file]"
    assert shown[2] == "overlay.yaml:9:1: warning: a warning [direct-reply-to]"


@pytest.mark.parametrize(
    ("excerpt", "column", "line", "caret"),
    [
        ("가나: x", 5, "가나: x", "      ^"),
        ("\tx: 1", 2, "\tx: 1", "\t^"),
        ("e\u0301: x", 4, "e\u0301: x", "  ^"),
        ("abc", 4, "abc", "   ^"),
    ],
)
def test_the_caret_stands_under_its_column(excerpt: str, column: int, line: str, caret: str) -> None:
    """Also behind wide characters, tabs, and characters without width, and at the end of the line."""
    item = Diagnostic("x", Severity.ERROR, Location("f", 1, column), "s", excerpt=excerpt)

    _, shown, marked = render([item], Format.TEXT, subject="f").splitlines()

    assert shown == f"    1 | {line}"
    assert marked == f"      | {caret}"


def test_a_long_line_is_cut_around_the_caret() -> None:
    """A terminal's width is enough, and the marked character is in it."""
    item = Diagnostic("x", Severity.ERROR, Location("f", 1, 301), "s", excerpt="a" * 300 + "!" + "b" * 300)

    _, shown, marked = render([item], Format.TEXT, subject="f").splitlines()

    assert len(shown) < WIDEST_EXCERPT + 20
    assert shown[marked.index("^")] == "!"


def test_colours_only_when_asked_for() -> None:
    """ANSI sequences are for terminals."""
    assert "\x1b[" in render([ERROR], Format.TEXT, subject="t", colour=True)
    assert "\x1b[" not in render([ERROR], Format.TEXT, subject="t")


def test_json_has_everything() -> None:
    """Counts, and each diagnostic with its place or null."""
    document = json.loads(render([WHOLE_FILE, ERROR, WARNING], Format.JSON, subject="t"))

    assert (document["format_version"], document["valid"]) == (1, False)
    assert (document["errors"], document["warnings"]) == (2, 1)
    assert document["diagnostics"][0]["line"] is None
    assert document["diagnostics"][1] == {
        "rule": "unknown-key",
        "severity": "error",
        "file": "topology.yaml",
        "line": 4,
        "column": 3,
        "path": ["exchanges", "orders", "typ"],
        "summary": "unknown key",
        "why": "'typ' is not known in the exchange 'orders'.",
        "fix": "Did you mean 'type'?",
        "related": [{"file": "topology.yaml", "line": 2, "column": 1, "text": "first"}],
    }
    assert json.loads(render([WARNING], Format.JSON, subject="t"))["valid"] is True


def test_sarif_names_rules_and_places() -> None:
    """Every result points at its rule; positions and related places are there."""
    run = sarif(ERROR, WARNING, ERROR, WHOLE_FILE)
    driver, results = run["tool"]["driver"], run["results"]

    assert [rule["id"] for rule in driver["rules"]] == ["unknown-key", "direct-reply-to", "unreadable-file"]
    assert all(rule["fullDescription"]["text"] for rule in driver["rules"])
    assert [result["level"] for result in results] == ["error", "warning", "error", "error"]
    assert all(driver["rules"][result["ruleIndex"]]["id"] == result["ruleId"] for result in results)
    place = results[0]["locations"][0]["physicalLocation"]
    assert place == {"artifactLocation": {"uri": "topology.yaml"}, "region": {"startLine": 4, "startColumn": 3}}
    assert results[0]["relatedLocations"][0]["message"] == {"text": "first"}
    assert "region" not in results[3]["locations"][0]["physicalLocation"]


@pytest.mark.parametrize(
    ("file", "uri"),
    [("a b/topology.yaml", "a%20b/topology.yaml"), ("/work/t.yaml", "file:///work/t.yaml"), ("<stdin>", "%3Cstdin%3E")],
)
def test_sarif_paths_are_uris(file: str, uri: str) -> None:
    """Relative ones stay relative to the checkout."""
    run = sarif(Diagnostic("x", Severity.ERROR, Location(file, 1, 1), "s"))

    assert run["results"][0]["locations"][0]["physicalLocation"]["artifactLocation"]["uri"] == uri


def test_junit_counts_failures() -> None:
    """An error is a failed case, a warning a passed one with output, and no problem one passed case."""
    root = ElementTree.fromstring(render([ERROR, WARNING], Format.JUNIT, subject="topology.yaml"))  # noqa: S314  # ours

    assert (root.get("tests"), root.get("failures")) == ("2", "1")
    failed, passed = root.iter("testcase")
    failure = failed.find("failure")
    assert failure is not None
    assert failure.get("type") == "unknown-key"
    assert "Did you mean" in str(failure.text)
    assert passed.find("failure") is None
    assert passed.get("name") == "overlay.yaml:9:1: a warning"
    assert passed.findtext("system-out") == "warning: overlay.yaml:9:1"
    clean = ElementTree.fromstring(render([], Format.JUNIT, subject="topology.yaml"))  # noqa: S314  # ours
    assert [case.get("name") for case in clean.iter("testcase")] == ["topology.yaml"]


def test_github_commands() -> None:
    """One line each, with GitHub's own escapes."""
    item = Diagnostic("x-y", Severity.WARNING, Location("a,b:c.yaml", 3, 4), "50%, really", "one\ntwo", "three")

    assert render([item], Format.GITHUB, subject="t") == (
        "::warning file=a%2Cb%3Ac.yaml,line=3,col=4,title=50%25%2C really [x-y]::one%0Atwo%0Athree"
    )
    assert render([WHOLE_FILE], Format.GITHUB, subject="t").startswith("::error file=nowhere.yaml,title=")


def test_markdown_is_a_table() -> None:
    """A heading with the counts, and one row each."""
    lines = render([ERROR, WARNING], Format.MARKDOWN, subject="topology.yaml").splitlines()

    assert lines[0] == "### `topology.yaml`: 1 error, 1 warning"
    assert len(lines) == 6
    assert render([], Format.MARKDOWN, subject="topology.yaml") == "### `topology.yaml`: valid"


def test_markdown_is_short_enough_for_a_comment() -> None:
    """The rest is counted."""
    shown = render([ERROR] * 1_234, Format.MARKDOWN, subject="t")

    assert "and 1,034 more" in shown
    assert len(shown) < 65_536


@pytest.mark.parametrize("name", NASTY_NAMES)
def test_names_do_not_break_out_of_a_format(name: str) -> None:
    """Not out of a table's row, an annotation's line, a terminal's line, or XML."""
    item = nasty(name)

    row = render([item], Format.MARKDOWN, subject="t").splitlines()
    assert len(row) == 5
    assert row[4].replace("\\|", "").count("|") == 5
    outside_code = re.sub(r"(`+).*?\1", "", row[4]).replace("<br>", "")
    assert re.search(r"(?<!\\)[<`]", outside_code) is None
    assert render([item], Format.GITHUB, subject="t").count("\n") == 0
    text = render([item], Format.TEXT, subject="t")
    assert not set(text) & {"\x1b", "\x07", "\u202e"}
    ElementTree.fromstring(render([item], Format.JUNIT, subject=name))  # noqa: S314  # ours
    assert json.loads(render([item], Format.JSON, subject="t"))["diagnostics"][0]["file"] == name


@given(st.lists(DIAGNOSTICS, max_size=4))
def test_every_diagnostic_can_be_shown(items: list[Diagnostic]) -> None:
    """Each format is well-formed whatever the texts hold."""
    assert len(sarif(*items)["results"]) == len(items)
    assert len(json.loads(render(items, Format.JSON, subject="t"))["diagnostics"]) == len(items)
    root = ElementTree.fromstring(render(items, Format.JUNIT, subject="t"))  # noqa: S314  # ours
    assert len(list(root.iter("testcase"))) == (len(items) or 1)
    assert len(render(items, Format.GITHUB, subject="t").splitlines()) == len(items)
    for output_format in (Format.TEXT, Format.MARKDOWN):
        render(items, output_format, subject="t").encode()


@pytest.mark.parametrize(
    ("items", "line"),
    [
        ([], "valid"),
        ([ERROR], "1 error"),
        ([WARNING], "valid, 1 warning"),
        ([ERROR, ERROR, WARNING], "2 errors, 1 warning"),
    ],
)
def test_the_summary_is_one_line(items: list[Diagnostic], line: str) -> None:
    """It says whether the file can be used."""
    assert summary(items) == line
