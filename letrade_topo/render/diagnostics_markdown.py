"""Diagnostics as Markdown, for a pull request's comment."""

from __future__ import annotations

from collections.abc import Sequence

from letrade_topo.load.diagnostics import Diagnostic
from letrade_topo.render.markdown import code, escape
from letrade_topo.render.wording import counted, details, visible

MOST_ROWS = 200
"""GitHub refuses a comment of more than 65,536 characters."""


def render(diagnostics: Sequence[Diagnostic], subject: str) -> str:
    """A heading with the counts, and a table."""
    errors = sum(item.is_error for item in diagnostics)
    head = f"### {code(visible(subject))}: "
    if not diagnostics:
        return head + "valid"
    lines = [
        head + f"{counted(errors, 'error')}, {counted(len(diagnostics) - errors, 'warning')}",
        "",
        "| where | | problem | what to do |",
        "|---|---|---|---|",
        *(_row(item) for item in diagnostics[:MOST_ROWS]),
    ]
    if len(diagnostics) > MOST_ROWS:
        lines.append(f"| | | … and {len(diagnostics) - MOST_ROWS:,} more | |")
    return "\n".join(lines)


def _row(item: Diagnostic) -> str:
    problem = "<br>".join([f"**{_cell(item.summary)}** {code(item.rule)}", *map(_cell, details(item.why))])
    return f"| {code(visible(str(item.location)))} | {item.severity} | {problem} | {_cell(item.fix)} |"


def _cell(text: str) -> str:
    return escape(visible(text))
