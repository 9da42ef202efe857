"""Whatever a file holds: a topology, or `InvalidTopology` with positions; never another exception."""

from __future__ import annotations

import random
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from letrade_topo.load.diagnostics import InvalidTopology
from letrade_topo.load.source_text import decode_source
from letrade_topo.load.topology_file import load_sources
from tests.examples_per_property import ordinary_examples

pytestmark = pytest.mark.wide

SHIPPED = (Path(__file__).parents[2] / "topology.yaml").read_bytes()
LINES = SHIPPED.splitlines(keepends=True)
SECTIONS = ["exchanges", "messages", "services", "queues", "users", "bindings", "policies", "ignore", "retry", "limits"]
FIELDS = [
    "exchange", "lifetime", "schema", "sensitive", "publishes", "consumes", "service", "messages", "type", "retry",
    "dead_letter", "delay", "pattern", "definition", "source", "queue", "password", "permissions", "arguments", "env",
    "properties", "$ref", "topic_permissions", "alternate_exchange", "max_length", "key", "user", "x",
]  # fmt: skip
SCALARS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-5, 2**70),
    st.floats(),
    st.text(max_size=8),
    st.sampled_from(["none", "5s", "a.b", "a.{b}", "*", "#", "stream", "classic", "x", "", "1B", "${x}", "^(", "/a"]),
)
KEYS = st.one_of(st.sampled_from(FIELDS), st.text(max_size=6))
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.one_of(st.lists(inner, max_size=4), st.dictionaries(KEYS, inner, max_size=5)),
    max_leaves=20,
)
ENTRIES = st.dictionaries(st.sampled_from(["a.b", "x", "q", "s", "a.{b}"]), st.dictionaries(KEYS, VALUES, max_size=8))
DOCUMENTS = st.dictionaries(st.sampled_from(SECTIONS), st.one_of(ENTRIES, ENTRIES, VALUES), max_size=6)


def assert_judged(content: bytes) -> None:
    """The content loads or is refused with at least one position, and nothing else happens."""
    refused = None
    try:
        load_sources([decode_source("topology.yaml", Path(), content)])
    except InvalidTopology as error:
        refused = error
    if refused is not None:
        assert str(refused)
        assert any(item.is_error for item in refused.diagnostics)


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.binary(max_size=400))
def test_any_bytes(content: bytes) -> None:
    """Noise is refused in words."""
    assert_judged(content)


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.text(alphabet="ab:-{}[]*&!|>'\"#%@`,? \n\t<$", max_size=60))
def test_any_text_of_yaml_characters(text: str) -> None:
    """What looks like YAML without being a topology."""
    assert_judged(text.encode())


@settings(deadline=None, max_examples=3 * ordinary_examples(), suppress_health_check=[HealthCheck.too_slow])
@given(DOCUMENTS)
def test_any_document_under_the_right_sections(document: dict[str, object]) -> None:
    """Values of every shape in the places where a topology has values."""
    assert_judged(_yaml({"topology": 1, "name": "t", "vhost": "v", **document}).encode())


@pytest.mark.parametrize("seed", range(8))
def test_the_shipped_topology_with_lines_missing_or_exchanged(seed: int) -> None:
    """Somebody edits, and makes mistakes."""
    choose = random.Random(seed)  # noqa: S311  # repeatable, not secret
    for _ in range(25):
        lines = list(LINES)
        for _ in range(choose.randint(1, 3)):
            index = choose.randrange(len(lines))
            match choose.randrange(4):
                case 0:
                    del lines[index]
                case 1:
                    lines[index] = choose.choice(LINES)
                case 2:
                    lines[index] = b"  " + lines[index]
                case _:
                    lines.insert(index, choose.choice(LINES))
        assert_judged(b"".join(lines))


def test_the_shipped_topology_cut_off_anywhere() -> None:
    """An upload that stopped half-way; also in the middle of a character."""
    for end in range(0, len(SHIPPED), 61):
        assert_judged(SHIPPED[:end])


def _yaml(value: object) -> str:
    """A document in flow style with quoted text, but for what YAML reads by itself."""
    match value:
        case dict():
            return "{" + ", ".join(f"{_quoted(str(key))}: {_yaml(item)}" for key, item in value.items()) + "}"
        case list():
            return "[" + ", ".join(map(_yaml, value)) + "]"
        case None | bool() | int() | float():
            return str(value).lower()
        case _:
            return _quoted(str(value))


def _quoted(text: str) -> str:
    escaped = "".join(char if char.isalnum() or char in " .*#${}^(/" else f"\\U{ord(char):08x}" for char in text)
    return f'"{escaped}"'
