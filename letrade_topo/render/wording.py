"""Small matters of wording that all formats share."""

from __future__ import annotations

import re
from datetime import UTC, datetime

_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069\ud800-\udfff]")


def counted(number: int, noun: str, plural: str = "") -> str:
    """``1 error``, ``2 errors``."""
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {plural or f'{noun}s'}"


def visible(text: str) -> str:
    """Text without characters that would steer a terminal, hide what follows, or break XML."""
    return _CONTROL.sub(lambda found: f"\\u{ord(found[0]):04x}", text)


def on_one_line(text: str) -> str:
    """The same without a line end or tab, for names that others chose: none can pretend to be a line of its own."""
    return visible(text).replace("\n", r"\n").replace("\t", r"\t")


def details(*parts: str) -> list[str]:
    """The parts that say something."""
    return [part for part in parts if part]


def duration(seconds: float) -> str:
    """`12 s`, `4 min`, `3 h 12 min`, `2 d 4 h`."""
    whole = int(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min"
    if whole < 86_400:
        return f"{whole // 3600} h {whole % 3600 // 60} min"
    return f"{whole // 86_400} d {whole % 86_400 // 3600} h"


def moment(seconds: float) -> str:
    """RFC 3339 in UTC, to the second; a moment beyond the calendar as the number that it is.

    Args:
        seconds: since the epoch.
    """
    try:
        return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    except (ValueError, OverflowError, OSError):
        return str(seconds)
