"""Small matters of wording that all formats share."""

from __future__ import annotations

import re

_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069\ud800-\udfff]")


def counted(number: int, noun: str) -> str:
    """``1 error``, ``2 errors``."""
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"


def visible(text: str) -> str:
    """Text without characters that would steer a terminal, hide what follows, or break XML."""
    return _CONTROL.sub(lambda found: f"\\u{ord(found[0]):04x}", text)


def details(*parts: str) -> list[str]:
    """The parts that say something."""
    return [part for part in parts if part]
