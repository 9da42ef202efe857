"""RFC 3339: written in one form, read in any."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from letrade_topo.messages.timestamps import format_timestamp, parse_timestamp

MOMENT = 1_743_251_696_789


@pytest.mark.parametrize(
    ("text", "milliseconds"),
    [
        ("2025-03-29T12:34:56.789Z", MOMENT),
        ("2025-03-29t12:34:56.789z", MOMENT),
        ("2025-03-29 12:34:56.789Z", MOMENT),
        ("2025-03-29T12:34:56.789999999999Z", MOMENT),
        ("2025-03-29T21:34:56.789+09:00", MOMENT),
        ("2025-03-29T02:04:56.789-10:30", MOMENT),
        ("2025-03-29T12:34:56.789-00:00", MOMENT),
        ("2025-03-29T12:34:56.7Z", MOMENT - 89),
        ("2025-03-29T12:34:56Z", MOMENT - 789),
        ("2016-12-31T23:59:60Z", 1_483_228_799_000),
        ("1970-01-01T00:00:00Z", 0),
        ("1969-12-31T23:59:59.500Z", -500),
        ("0001-01-01T00:00:00Z", -62_135_596_800_000),
        ("9999-12-31T23:59:59.999Z", 253_402_300_799_999),
    ],
)
def test_forms(text: str, milliseconds: int) -> None:
    """Every form of RFC 3339 is read."""
    assert parse_timestamp(text) == milliseconds


@pytest.mark.parametrize(
    "text",
    [
        "",
        "2025-03-29",
        "2025-03-29T12:34:56",
        "2025-03-29T12:34Z",
        "2025-03-29T12:34:56,789Z",
        "2025-03-29T12:34:56.Z",
        "2025-02-29T12:34:56Z",
        "2025-13-01T00:00:00Z",
        "2025-03-29T24:00:00Z",
        "2025-03-29T12:60:00Z",
        "2025-03-29T12:34:61Z",
        "2025-03-29T12:34:56+9:00",
        "2025-03-29T12:34:56+0900",
        "2025-03-29T12:34:56+24:00",
        "2025-03-29T12:34:56+09:60",
        "20250329T123456Z",
        "2025-W13-6T12:34:56Z",
        " 2025-03-29T12:34:56Z",
        "2025-03-29T12:34:56Z\n",
        "0000-01-01T00:00:00Z",
        "٢٠٢٥-03-29T12:34:56Z",
        "1743251696",
    ],
)
def test_what_is_no_rfc_3339(text: str) -> None:
    """What Python or ISO 8601 would read besides is refused."""
    assert parse_timestamp(text) is None


@given(st.integers(-62_135_596_800_000, 253_402_300_799_999))
def test_round_trip(milliseconds: int) -> None:
    """What is written is read, has milliseconds and ends with Z."""
    text = format_timestamp(milliseconds)

    assert parse_timestamp(text) == milliseconds
    assert len(text) == len("2025-03-29T12:34:56.789Z")
    assert text.endswith("Z")


@given(
    st.datetimes(datetime(2, 1, 1), datetime(9998, 1, 1)),  # the zone is drawn beside it
    st.integers(-1439, 1439),
)
def test_agrees_with_python(moment: datetime, offset_minutes: int) -> None:
    """A moment in any zone is the one that Python means."""
    zoned = moment.replace(tzinfo=timezone(timedelta(minutes=offset_minutes)))

    expected = (zoned - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(milliseconds=1)
    assert parse_timestamp(zoned.isoformat()) == expected


@given(st.text(max_size=40))
def test_any_text(text: str) -> None:
    """Any text is a moment or none."""
    milliseconds = parse_timestamp(text)

    assert milliseconds is None or parse_timestamp(format_timestamp(milliseconds)) == milliseconds


@given(
    st.text(st.sampled_from("0123456789٣-:.TtZ +"), min_size=23, max_size=23)
    | st.from_regex(r"[0-9]{4}-[01][0-9]-[0-3][0-9][Tt ][0-2][0-9]:[0-6][0-9]:[0-9]{2}[.,0][0-9٣]{3}", fullmatch=True)
)
def test_the_written_form_is_read_like_every_other(text: str) -> None:
    """There is a shorter way for the form that this module writes; `z` takes the long one, and means the same."""
    assert parse_timestamp(f"{text}Z") == parse_timestamp(f"{text}z")
