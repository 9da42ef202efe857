"""JSON Schema in a topology: one glance says only what the meta-schema says, too."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from letrade_topo.load.json_schema import KEYWORDS, _is_fine, _judge, _without_schemas
from letrade_topo.model.messages import Json

_JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-3, 9)
    | st.floats(allow_nan=False)
    | st.sampled_from(["string", "integer", "^[a-z]+$", "(", "[[", "a{2,1}", "any", ""]),
    lambda below: st.lists(below, max_size=3) | st.dictionaries(st.sampled_from(["a", "(", "type"]), below, max_size=3),
    max_leaves=5,
)


@given(st.sampled_from(sorted(KEYWORDS)), _JSON)
def test_a_glance_never_lets_through_what_the_meta_schema_refuses(keyword: str, value: Json) -> None:
    """What is fine at a glance has no error; what is not may have none either."""
    if _is_fine(keyword, value):
        assert not list(_judge({keyword: _without_schemas(keyword, value)}))


@pytest.mark.parametrize(
    ("keyword", "value"),
    [("type", "text"), ("type", []), ("type", ["string", "string"]), ("pattern", "("), ("items", [True]), ("enum", 1)],
)
def test_what_is_wrong_is_judged(keyword: str, value: Json) -> None:
    """And so it has words."""
    assert not _is_fine(keyword, value)
    assert list(_judge({keyword: value}))


def test_the_shipped_topology_needs_no_library_for_it() -> None:
    """An agent that loads it does without jsonschema, which takes 6 MB."""
    root = Path(__file__).parents[2]
    program = (
        "import sys; from pathlib import Path; from letrade_topo.load.topology_file import load_topology;"
        f"load_topology(Path({str(root / 'topology.yaml')!r})); sys.exit('jsonschema' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", program], check=False, cwd=root).returncode == 0
