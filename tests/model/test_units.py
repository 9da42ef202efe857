"""Durations and sizes: whole amounts, and never a bare number."""

from __future__ import annotations

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from letrade_topo.model.units import ByteSize, Duration, UnitError

AMOUNTS = st.integers(min_value=0, max_value=2**53)


@given(AMOUNTS)
def test_a_duration_reads_what_it_writes(milliseconds: int) -> None:
    """Nothing is lost on the way through text."""
    assert Duration.parse(str(Duration(milliseconds))) == Duration(milliseconds)


@given(AMOUNTS)
def test_a_size_reads_what_it_writes(amount: int) -> None:
    """Nothing is lost on the way through text."""
    assert ByteSize.parse(str(ByteSize(amount))) == ByteSize(amount)


@pytest.mark.parametrize(
    ("text", "milliseconds"),
    [
        ("500ms", 500),
        ("5s", 5_000),
        ("1.5m", 90_000),
        ("24h", 86_400_000),
        ("7d", 604_800_000),
        ("0s", 0),
        ("0.5 s", 500),
    ],
)
def test_durations(text: str, milliseconds: int) -> None:
    """Every unit, and parts of one."""
    assert Duration.parse(text).milliseconds == milliseconds


@pytest.mark.parametrize(
    ("text", "amount"),
    [("131072B", 131_072), ("128KiB", 131_072), ("1.5MiB", 1_572_864), ("10MB", 10_000_000), ("1kB", 1_000)],
)
def test_sizes(text: str, amount: int) -> None:
    """Binary and decimal units are told apart."""
    assert ByteSize.parse(text).bytes == amount


@given(st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.lists(st.integers()), st.text()))
def test_anything_is_a_duration_or_a_unit_error(value: object) -> None:
    """No other exception, whatever stands in the file."""
    for unit in (Duration, ByteSize):
        with contextlib.suppress(UnitError):
            unit.parse(value)


@pytest.mark.parametrize(
    "value",
    [5, 5.0, "5", "5 parsecs", "5S", "-5s", "1e3s", "5s5s", "5²s", "٥s", "５s", "0.0001ms", "", "s", True, None, []],
)
def test_what_is_no_duration(value: object) -> None:
    """A number without a unit, an unknown unit, less than a millisecond, anything else."""
    with pytest.raises(UnitError):
        Duration.parse(value)
