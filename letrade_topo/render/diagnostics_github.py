"""Diagnostics as GitHub Actions workflow commands, which GitHub shows beside the lines of a pull request."""

from __future__ import annotations

from collections.abc import Sequence

from letrade_topo.load.diagnostics import Diagnostic
from letrade_topo.render.wording import details, visible


def render(diagnostics: Sequence[Diagnostic]) -> str:
    """One `::error` or `::warning` command each."""
    return "\n".join(_command(item) for item in diagnostics)


def notice(title: str, text: str) -> str:
    """A `::notice` command, about no line of a file."""
    return f"::notice title={_property(title)}::{_data(text)}"


def _command(item: Diagnostic) -> str:
    location = item.location
    properties = {
        "file": location.file,
        "line": str(location.line or ""),
        "col": str(location.column or ""),
        "title": f"{item.summary} [{item.rule}]",
    }
    named = ",".join(f"{name}={_property(value)}" for name, value in properties.items() if value)
    return f"::{item.severity} {named}::{_data(chr(10).join(details(item.why, item.fix)) or item.summary)}"


def _data(text: str) -> str:
    """Escaped as GitHub's own toolkit does it (actions/toolkit, command.ts)."""
    return visible(text).replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _property(text: str) -> str:
    return _data(text).replace(":", "%3A").replace(",", "%2C")
