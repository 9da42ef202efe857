"""Diagnostics in every format; each format is a module, and this one knows which."""

from __future__ import annotations

from collections.abc import Sequence
from enum import StrEnum

from letrade_topo.load.diagnostics import Diagnostic
from letrade_topo.render import (
    diagnostics_github,
    diagnostics_json,
    diagnostics_junit,
    diagnostics_markdown,
    diagnostics_sarif,
    diagnostics_text,
)
from letrade_topo.render.wording import counted


class Format(StrEnum):
    """How diagnostics can be shown."""

    TEXT = "text"
    JSON = "json"
    MARKDOWN = "markdown"
    SARIF = "sarif"
    JUNIT = "junit"
    GITHUB = "github"


def render(diagnostics: Sequence[Diagnostic], output_format: Format, *, subject: str, colour: bool = False) -> str:
    """Show diagnostics, without a newline at the end.

    Args:
        diagnostics: in the order in which they are shown.
        output_format: how.
        subject: what was checked, for formats that say so: the name of the file.
        colour: for text, use ANSI colours.
    """
    match output_format:
        case Format.TEXT:
            return diagnostics_text.render(diagnostics, colour=colour)
        case Format.JSON:
            return diagnostics_json.render(diagnostics)
        case Format.MARKDOWN:
            return diagnostics_markdown.render(diagnostics, subject)
        case Format.SARIF:
            return diagnostics_sarif.render(diagnostics)
        case Format.JUNIT:
            return diagnostics_junit.render(diagnostics, subject)
        case Format.GITHUB:
            return diagnostics_github.render(diagnostics)


def summary(diagnostics: Sequence[Diagnostic]) -> str:
    """One line: how many errors and warnings."""
    errors = sum(item.is_error for item in diagnostics)
    warnings = len(diagnostics) - errors
    if not diagnostics:
        return "valid"
    parts = [counted(errors, "error")] if errors else ["valid"]
    return ", ".join(parts + ([counted(warnings, "warning")] if warnings else []))
