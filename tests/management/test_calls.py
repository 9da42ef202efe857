"""Paths: every name arrives as one segment."""

from __future__ import annotations

from urllib.parse import unquote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from letrade_topo.management.calls import path
from letrade_topo.management.errors import ReservedName


@given(st.lists(st.text(min_size=1).filter(lambda name: name not in {".", ".."}), min_size=1))
def test_every_name_is_one_segment(names: list[str]) -> None:
    """Slashes, percent signs, hashes, question marks and unicode in a name never split or end a path."""
    _, *segments = path(*names).split("/")

    assert [unquote(segment) for segment in segments] == names


@pytest.mark.parametrize("name", ["", ".", ".."])
def test_names_that_a_path_cannot_hold_are_refused(name: str) -> None:
    """The broker would resolve these, and act on another object."""
    with pytest.raises(ReservedName, match="rabbitmqctl"):
        path("queues", "/", name)


def test_query_values_are_encoded() -> None:
    """A query holds what was meant."""
    assert path("queues", "/", **{"if-empty": "true", "columns": "a,b"}) == "/queues/%2F?if-empty=true&columns=a%2Cb"
