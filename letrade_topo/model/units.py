"""Durations and sizes with units, as people write them: `5s`, `128KiB`.

A bare number is refused: whether `5` meant seconds or milliseconds is exactly the mistake that a
unit prevents.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Self

_NUMBER = r"(?P<number>\d+(?:\.\d+)?)"

MILLISECONDS_BY_UNIT = {"ms": 1, "s": 1_000, "m": 60_000, "h": 3_600_000, "d": 86_400_000}
BYTES_BY_UNIT = {
    "B": 1,
    "KiB": 2**10,
    "MiB": 2**20,
    "GiB": 2**30,
    "kB": 10**3,
    "MB": 10**6,
    "GB": 10**9,
}


class UnitError(ValueError):
    """A text is not a duration or a size; the message says what is accepted."""


@dataclass(frozen=True, slots=True, order=True)
class Duration:
    """A length of time in whole milliseconds, the unit of every RabbitMQ TTL."""

    milliseconds: int

    @classmethod
    def parse(cls, text: object) -> Self:
        """Read `500ms`, `5s`, `1.5m`, `24h` or `7d`.

        Raises:
            UnitError: no unit, an unknown one, or less than a whole millisecond.
        """
        return cls(_parse(text, MILLISECONDS_BY_UNIT, "duration", "5s", "millisecond"))

    @property
    def seconds(self) -> float:
        """The same length in seconds."""
        return self.milliseconds / 1_000

    def __str__(self) -> str:
        return _format(self.milliseconds, MILLISECONDS_BY_UNIT)


@dataclass(frozen=True, slots=True, order=True)
class ByteSize:
    """An amount of data in bytes."""

    bytes: int

    @classmethod
    def parse(cls, text: object) -> Self:
        """Read `131072B`, `128KiB`, `1.5MiB` or `10MB`.

        Raises:
            UnitError: no unit, an unknown one, or less than a whole byte.
        """
        return cls(_parse(text, BYTES_BY_UNIT, "size", "128KiB", "byte"))

    def __str__(self) -> str:
        return _format(self.bytes, {unit: n for unit, n in BYTES_BY_UNIT.items() if unit == "B" or "i" in unit})


def _parse(text: object, units: dict[str, int], what: str, example: str, smallest: str) -> int:
    names = ", ".join(units)
    if isinstance(text, bool) or not isinstance(text, (str, int, float)):
        raise UnitError(f"a {what} is written as a number and a unit, for example {example}")
    if not isinstance(text, str):
        raise UnitError(f"the {what} {text} has no unit; write one of {names} behind it, for example {example}")
    match = re.fullmatch(_NUMBER + r"\s*(?P<unit>[A-Za-z]*)", text.strip())
    if match is None:
        raise UnitError(f"{text!r} is not a {what}; write a number and a unit, for example {example}")
    unit = match["unit"]
    if not unit:
        raise UnitError(f"the {what} {text} has no unit; write one of {names} behind it, for example {example}")
    if unit not in units:
        raise UnitError(f"{text!r} has an unknown unit {unit!r}; the units of a {what} are {names}")
    whole, _, fraction = match["number"].partition(".")
    scale: int = 10 ** len(fraction)
    scaled, rest = divmod(int(whole + fraction) * units[unit], scale)
    if rest:
        raise UnitError(f"{text!r} is not a whole number of {smallest}s")
    return scaled


def _format(amount: int, units: dict[str, int]) -> str:
    unit, factor = max(
        ((unit, factor) for unit, factor in units.items() if amount % factor == 0),
        key=lambda pair: pair[1] if amount else -pair[1],
    )
    return f"{amount // factor}{unit}"
