"""Durations and sizes with units, as people write them: `5s`, `128KiB`.

A bare number is refused: whether `5` meant seconds or milliseconds is exactly the mistake that a
unit prevents.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Self

_NUMBER = r"(?P<number>[0-9]+(?:\.[0-9]+)?)"

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

_OTHER_UNITS: Final = {
    "msec": "ms", "msecs": "ms", "millis": "ms", "millisecond": "ms", "milliseconds": "ms",
    "sec": "s", "secs": "s", "second": "s", "seconds": "s",
    "M": "m", "min": "m", "mins": "m", "minute": "m", "minutes": "m",
    "hr": "h", "hrs": "h", "hour": "h", "hours": "h",
    "day": "d", "days": "d",
    "b": "B", "byte": "B", "bytes": "B",
    "k": "KiB", "K": "KiB", "kb": "KiB", "Kb": "KiB", "KB": "KiB", "Ki": "KiB", "kib": "KiB", "kilobytes": "KiB",
    "mb": "MiB", "Mb": "MiB", "Mi": "MiB", "mib": "MiB", "megabytes": "MiB",
    "G": "GiB", "g": "GiB", "gb": "GiB", "Gb": "GiB", "Gi": "GiB", "gib": "GiB", "gigabytes": "GiB",
}  # fmt: skip
"""How people and other tools write units, each with the one that is probably meant."""
_WEEKS: Final = frozenset({"w", "wk", "week", "weeks"})
_WEEK: Final = 7 * MILLISECONDS_BY_UNIT["d"]
_DECIMAL: Final = {"KB": "kB", "kb": "kB", "Kb": "kB", "mb": "MB", "Mb": "MB", "gb": "GB", "Gb": "GB"}
_NO_AMOUNTS: Final = frozenset({"never", "none", "null", "off", "no", "unlimited", "infinite", "infinity", "forever"})
_PROBABLY_SMALL: Final = 1_000
"""From here on a number without a unit was probably meant in the smallest one, as in RabbitMQ's arguments."""
_PART: Final = re.compile(r"(\d+(?:\.\d+)?)\s*([A-Za-z]+)")
_ISO_8601: Final = re.compile(r"P(?:\d+D)?(?:T(?:\d+H)?(?:\d+M)?(?:\d+(?:\.\d+)?S)?)?")


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


def _parse(text: object, units: Mapping[str, int], what: str, example: str, smallest: str) -> int:
    names = ", ".join(units)
    if isinstance(text, bool) or not isinstance(text, (str, int, float)):
        raise UnitError(f"a {what} is written as a number and a unit, for example {example}")
    match = re.fullmatch(_NUMBER + r"\s*(?P<unit>[A-Za-z]*)", str(text).strip())
    if match is None:
        raise UnitError(f"{text!r} is not a {what}; {_instead(str(text), units, example)}")
    number, unit = match["number"], match["unit"]
    if not unit:
        usual = "s" if "ms" in units else "KiB"
        small = next(iter(units))
        first, second = (small, usual) if float(number) >= _PROBABLY_SMALL else (usual, small)
        raise UnitError(f"the {what} {text} has no unit; write {number}{first}, or {number}{second} if that is meant")
    if unit not in units:
        raise UnitError(
            f"{text!r} has an unknown unit {unit!r}, known are {names}; {_instead(str(text), units, example)}"
        )
    whole, _, fraction = number.partition(".")
    scale: int = 10 ** len(fraction)
    scaled, rest = divmod(int(whole + fraction) * units[unit], scale)
    if rest:
        raise UnitError(f"{text!r} is not a whole number of {smallest}s; write a smaller unit")
    return scaled


def _instead(text: str, units: Mapping[str, int], example: str) -> str:
    """What to write instead of an amount with other units, in several parts, or of none."""
    if text.strip().lower() in _NO_AMOUNTS or text.strip().startswith("-"):
        return f"write an amount, for example {example}, or remove the line if there is no limit"
    lower = {name.lower(): unit for name, unit in _OTHER_UNITS.items() if unit in units}
    parts = _PART.findall(text.strip().removeprefix("P").replace("T", "") if _ISO_8601.match(text.strip()) else text)
    total, binary = 0.0, False
    for number, name in parts:
        unit = name if name in units else "w" if name.lower() in _WEEKS else _OTHER_UNITS.get(name)
        unit = unit if unit in units or unit == "w" else lower.get(name.lower()) or _lower_case(units).get(name.lower())
        factor = units.get(unit or "", 0) or (_WEEK if unit == "w" and "ms" in units else 0)
        if not factor:
            return f"write a number and one of {', '.join(units)}, for example {example}"
        total, binary = total + float(number) * factor, binary or unit in ("KiB", "MiB", "GiB")
    if not parts or _PART.sub("", text.strip()).strip(" ,PT") or total != int(total):
        return f"write a number and one of {', '.join(units)}, for example {example}"
    choice = {name: factor for name, factor in units.items() if "ms" in units or name == "B" or ("i" in name) == binary}
    written = _format(int(total), choice)
    if len(parts) == 1 and (decimal := _DECIMAL.get(parts[0][1])) in units:
        return f"write {written}, or {parts[0][0]}{decimal} if powers of 1,000 are meant"
    return f"write {written}"


def _lower_case(units: Mapping[str, int]) -> dict[str, str]:
    return {unit.lower(): unit for unit in reversed(list(units))}


def _format(amount: int, units: Mapping[str, int]) -> str:
    unit, factor = max(
        ((unit, factor) for unit, factor in units.items() if amount % factor == 0),
        key=lambda pair: pair[1] if amount else -pair[1],
    )
    return f"{amount // factor}{unit}"
