"""Strategies: JSON documents, the many ways to write each, and pointers to parts of them."""

from __future__ import annotations

import json
from typing import Any

from hypothesis import strategies as st

from letrade_topo.model.messages import Json

TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=6) | st.sampled_from(
    ["amount", "price", "payload", "a", "0", "1", "~", "/", "a/b", '"', "\\", "é", "", "encrypted", "null"]
)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | TEXTS,
    lambda below: st.lists(below, max_size=3) | st.dictionaries(TEXTS, below, max_size=4),
    max_leaves=12,
)
PAYLOADS: st.SearchStrategy[dict[str, Json]] = st.dictionaries(TEXTS, VALUES, min_size=1, max_size=6)
_SPACES = st.text(alphabet=" \t\r\n", max_size=2)


@st.composite
def json_texts(draw: st.DrawFn, value: Json) -> bytes:
    """A value as some JSON writer might write it: white space and escapes of any kind."""
    seed = draw(st.randoms(use_true_random=False))
    plain = draw(st.booleans())

    def space() -> str:
        return "" if plain else "".join(seed.choices(" \t\r\n", k=seed.choice((0, 0, 1, 2))))

    def text(content: str) -> str:
        if plain:
            return json.dumps(content, ensure_ascii=False)
        return '"' + "".join(_character(each, seed.random()) for each in content) + '"'

    def written(part: Any) -> str:
        if isinstance(part, dict):
            pairs = [f"{space()}{text(name)}{space()}:{space()}{written(each)}{space()}" for name, each in part.items()]
            return "{" + (",".join(pairs) or space()) + "}"
        if isinstance(part, list):
            return "[" + (",".join(space() + written(each) + space() for each in part) or space()) + "]"
        return text(part) if isinstance(part, str) else json.dumps(part)

    return (space() + written(value) + space()).encode()


def _character(character: str, chance: float) -> str:
    if chance < 0.15:
        units = character.encode("utf-16-be")
        return "".join(f"\\u{units[i]:02x}{units[i + 1]:02X}" for i in range(0, len(units), 2))
    if chance < 0.3 and character == "/":
        return "\\/"
    return json.dumps(character, ensure_ascii=chance < 0.5)[1:-1]


@st.composite
def payloads_and_pointers(draw: st.DrawFn) -> tuple[dict[str, Json], tuple[str, ...]]:
    """A payload, and pointers to parts of it, at least one."""
    payload = draw(PAYLOADS)
    pointers = draw(st.lists(st.sampled_from(_pointers(payload)), min_size=1, max_size=4, unique=True))
    return payload, tuple(pointers)


def _pointers(value: Json) -> list[str]:
    found = []
    items: list[tuple[str, Json]] = []
    if isinstance(value, dict):
        items = list(value.items())
    elif isinstance(value, list):
        items = [(str(index), each) for index, each in enumerate(value)]
    for name, below in items:
        step = "/" + name.replace("~", "~0").replace("/", "~1")
        found += [step, *(step + rest for rest in _pointers(below))]
    return found
