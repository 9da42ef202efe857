"""The list of what a proxy has to get right: no row without a test, no test of a row that is not there."""

from __future__ import annotations

import pytest

from tests.correctness import ROWS, named_rows


@pytest.fixture(scope="module")
def named() -> set[int]:
    """Rows that some test names."""
    return set(named_rows())


@pytest.mark.parametrize("number", ROWS)
def test_every_row_has_a_test_that_names_it(number: int, named: set[int]) -> None:
    """Or says why not, and then has none."""
    assert (number in named) != bool(ROWS[number].untested)


def test_tests_name_rows_that_are_there(named: set[int]) -> None:
    """A typing error in a docstring."""
    assert named <= set(ROWS)
