"""The list of what a proxy has to get right: no row without a test, no test of a row that is not there."""

from __future__ import annotations

import pytest

from tests.correctness import ROWS, named_rows


@pytest.mark.parametrize("number", ROWS)
def test_every_row_has_a_test_that_names_it(number: int) -> None:
    """Or says why not, and then has none."""
    assert bool(named_rows().get(number)) != bool(ROWS[number].untested)


def test_tests_name_rows_that_are_there() -> None:
    """A typing error in a docstring."""
    assert set(named_rows()) <= set(ROWS)
