"""The reference page of rules, generated from the rules themselves."""

from __future__ import annotations

from collections.abc import Iterator

from letrade_topo.load.rule_texts import GROUPS
from letrade_topo.model.rules import RuleText

_INTRODUCTION = """\
# Rules

<!-- Generated from the code by script/reference: edit the rule, not this page. -->

What `letrade-topo validate` checks, and every other command before it does anything. Each problem names its rule,
the place as `file:line:column`, what is wrong there, why, and what to do. All problems are shown at once. A rule
that judges what is *not* there (a type that nobody consumes) waits until the rest of the file can be read.

An **error** ends the command with exit code 65. A **warning** does not, except with `validate --strict`."""


def page() -> str:
    """The page as Markdown."""
    return "\n".join(_lines()) + "\n"


def _lines() -> Iterator[str]:
    yield _INTRODUCTION
    for title, texts in GROUPS:
        yield from ("", f"## {title}", "", "| rule | | what is wrong |", "|---|---|---|")
        for text in texts:
            yield f"| [`{text.id}`](#{text.id}) | {text.severity} | {text.title} |"
        for text in texts:
            yield from _section(text)


def _section(text: RuleText) -> Iterator[str]:
    yield from ("", f"### {text.id}", "", f"*{text.severity}: {text.title}*", "", text.explanation)
