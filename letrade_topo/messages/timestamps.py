"""Moments as RFC 3339 text: written in one form, read in any."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta, timezone
from functools import lru_cache

_RFC_3339 = re.compile(
    r"(\d{4})-(\d\d)-(\d\d)[Tt ](\d\d):(\d\d):(\d\d)(?:\.(\d+))?(?:[Zz]|([+-])(\d\d):(\d\d))", re.ASCII
)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_WRITTEN_LENGTH = len("2025-03-29T12:34:56.789Z")
_MILLISECOND = timedelta(milliseconds=1)


def format_timestamp(milliseconds: int) -> str:
    """RFC 3339 in UTC with milliseconds and `Z`.

    Args:
        milliseconds: since the epoch.
    """
    moment = _EPOCH + milliseconds * _MILLISECOND
    return moment.isoformat(timespec="milliseconds").removesuffix("+00:00") + "Z"


def parse_timestamp(text: str) -> int | None:
    """Read RFC 3339 (5.6), in lower case or with a space too; a leap second counts as the second before.

    Returns:
        Milliseconds since the epoch, rounded down; None when it is no such text or no such moment.
    """
    if len(text) == _WRITTEN_LENGTH and text.isascii():
        second, fraction = text[17:19], text[20:23]
        if second < "60" and second.isdigit() and fraction.isdigit() and text[19] == "." and text[23] == "Z":
            start = _start_of_minute(text[:17])
            return None if start is None else start + int(second) * 1000 + int(fraction)
    return _parse(text)


@lru_cache(maxsize=256)
def _start_of_minute(text: str) -> int | None:
    """The moment of a text that ends before the seconds. Messages come in the order of time, so most ask the same."""
    return _parse(f"{text}00Z")


def _parse(text: str) -> int | None:
    match = _RFC_3339.fullmatch(text)
    if match is None:
        return None
    year, month, day, hour, minute, second = map(int, match.group(1, 2, 3, 4, 5, 6))
    offset_hours, offset_minutes = int(match[9] or 0), int(match[10] or 0)
    if offset_hours > 23 or offset_minutes > 59 or second > 60:
        return None
    sign = -1 if match[8] == "-" else 1
    zone = timezone(sign * timedelta(hours=offset_hours, minutes=offset_minutes))
    try:
        moment = datetime(year, month, day, hour, minute, min(second, 59), tzinfo=zone)
        since = moment - _EPOCH
    except (ValueError, OverflowError):
        return None
    fraction = (match[7] or "")[:3].ljust(3, "0")
    return since // _MILLISECOND + int(fraction)
