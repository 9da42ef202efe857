"""Plain values as YAML: whatever is written is read again as the same, by PyYAML and by the loader's own rules."""

from __future__ import annotations

from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from letrade_topo.export.yaml_text import entry_of_mapping, in_one_line, item_of_list

TEXTS = st.one_of(
    st.text(st.characters(exclude_categories=["Cs"]), max_size=20),
    st.sampled_from(
        ["on", "No", "NULL", "y", "1h", "1e3", "1:30", "0x1", "-", "", " ", "a: b", "#", "'", "\u0085", "😀"]
    ),
    st.text(max_size=200, alphabet="ab, "),
)
VALUES: st.SearchStrategy[Any] = st.recursive(
    st.one_of(TEXTS, st.booleans(), st.integers(-(2**63), 2**63), st.none(), st.floats(allow_nan=False)),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(TEXTS, inner, max_size=3)),
    max_leaves=8,
)


@given(TEXTS, VALUES)
def test_an_entry_is_read_again(name: str, value: Any) -> None:
    """In one line or in several."""
    text = "\n".join(entry_of_mapping(name, value))

    assert yaml.safe_load(text) == {name: value}


@given(st.dictionaries(TEXTS, VALUES, max_size=4))
def test_an_item_is_read_again(value: dict[str, Any]) -> None:
    """Likewise."""
    assert yaml.safe_load("\n".join(item_of_list(value))) == [value]


@pytest.mark.parametrize(
    ("value", "written"),
    [
        ("orders.placed", "orders.placed"),
        ("1h", "1h"),
        ("128KiB", "128KiB"),
        ("on", "'on'"),
        ("it's", "'it''s'"),
        ("a\nb", r'"a\nb"'),
        ({"type": "classic", "x": [1, True, None, 1.5]}, "{type: classic, x: [1, true, null, 1.5]}"),
    ],
)
def test_in_one_line(value: Any, written: str) -> None:
    """As a person would write it."""
    assert in_one_line(value) == written
