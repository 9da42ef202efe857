"""Diagnostics as text for people: where, what, the line with a caret, why, and what to do."""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass

from letrade_topo.load.diagnostics import Diagnostic
from letrade_topo.render.wording import details, visible

WIDEST_EXCERPT = 160
_BEFORE_CARET = 80


@dataclass(frozen=True, slots=True)
class _Paint:
    """ANSI colours, or none."""

    colour: bool

    def __call__(self, code: str, text: str) -> str:
        return f"\x1b[{code}m{text}\x1b[0m" if self.colour else text


def render(diagnostics: Sequence[Diagnostic], *, colour: bool = False) -> str:
    """All of them, an empty line between two."""
    paint = _Paint(colour)
    return "\n\n".join("\n".join(_lines(item, paint)) for item in diagnostics)


def _lines(item: Diagnostic, paint: _Paint) -> list[str]:
    severity = paint("1;31" if item.is_error else "1;33", f"{item.severity}:")
    head = f"{paint('1', visible(str(item.location)))}: {severity} {paint('1', visible(item.summary))} [{item.rule}]"
    related = [visible(f"{location}: {text}") for location, text in item.related]
    words = [f"    {visible(part)}" for part in details(item.why, item.fix, *related)]
    return [head, *_excerpt(item, paint), *words]


def _excerpt(item: Diagnostic, paint: _Paint) -> list[str]:
    """The line, cut to what fits around the caret."""
    if not item.excerpt.strip() or item.location.column < 1:
        return []
    column = min(item.location.column - 1, len(item.excerpt))
    start = max(0, column - _BEFORE_CARET) if len(item.excerpt) > WIDEST_EXCERPT else 0
    text = ("…" if start else "") + item.excerpt[start : start + WIDEST_EXCERPT]
    before = ("…" if start else "") + item.excerpt[start:column]
    number = f"{item.location.line:>5}"
    return [
        f"{paint('34', f'{number} |')} {visible(text)}",
        f"{paint('34', '      |')} {_gap(before)}{paint('1;31', '^')}",
    ]


def _gap(before: str) -> str:
    """As wide as the text before the caret, also where characters take two columns."""
    return "".join("\t" if char == "\t" else " " * _width(char) for char in visible(before))


def _width(character: str) -> int:
    if unicodedata.combining(character):
        return 0
    return 2 if unicodedata.east_asian_width(character) in ("W", "F") else 1
