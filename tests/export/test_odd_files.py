"""Definitions files that no broker wrote: whatever is in them, the answer is topologies or a message, never a fault."""

from __future__ import annotations

import json
from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from letrade_topo.cli.main import letrade_topo
from letrade_topo.exit_codes import ExitCode
from letrade_topo.export.definitions import InvalidDefinitions, read_definitions
from letrade_topo.export.exporting import as_definitions, export_vhosts
from letrade_topo.program import run
from tests.export.corpus import CASES, OF_PLUGINS, definitions

ODD: st.SearchStrategy[Any] = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(),
    st.sampled_from(["", "amq.x", "\ud800", "a\u0000b", " ", "undefined", "${x}", "queue", "1e999", "^(", "#.#.#.#"]),
    st.just([]),
    st.just({}),
    st.just([None]),
    st.just({"a": [{}]}),
)
DOCUMENTS = [definitions(case, "v") for case in (*CASES.values(), OF_PLUGINS)]


@st.composite
def spoilt(draw: st.DrawFn) -> dict[str, Any]:
    """A document in which one to three values are others, or gone."""
    document: dict[str, Any] = json.loads(json.dumps(draw(st.sampled_from(DOCUMENTS))))
    for _ in range(draw(st.integers(1, 3))):
        place: Any = document
        while isinstance(place, dict | list) and place:
            keys = list(place) if isinstance(place, dict) else list(range(len(place)))
            key = draw(st.sampled_from(keys))
            if not isinstance(place[key], dict | list) or not place[key] or draw(st.integers(0, 3)) == 0:
                break
            place = place[key]
        if isinstance(place, dict) and place and draw(st.booleans()):
            del place[key]
        elif place:
            place[key] = deepcopy(draw(ODD))
    return document


@given(spoilt())
def test_whatever_is_in_a_file(document: dict[str, Any]) -> None:
    """It is exported in every format, or refused with the place."""
    try:
        found = read_definitions(json.dumps(document).encode(), "odd.json")
    except InvalidDefinitions:
        return
    exported = export_vhosts(found, vhosts=list(found.vhosts))
    as_definitions(exported, found.version, lambda: b"salt")


@pytest.mark.parametrize(
    ("item", "said"),
    [
        ({"queues": [{"name": 5}]}, "queues[0] 5 is not as a broker writes it"),
        ({"exchanges": [{"name": "x", "type": 7}]}, "exchanges[0] 'x'"),
        ({"bindings": [{"source": "a", "destination": "b", "destination_type": "planet"}]}, "bindings[0] 'a'"),
        ({"policies": [{"name": "p", "pattern": None}]}, "policies[0] 'p'"),
        ({"parameters": [{"component": "operator_policy", "name": "o", "value": 7}]}, "parameters[0] 'o'"),
        ({"users": [{"name": "u", "password": ["s3cret"]}]}, "users[0] 'u'"),
        ({"vhosts": [{"name": "v", "default_queue_type": [1]}]}, "vhosts[0] 'v'"),
        ({"queues": [{"name": "\ud800"}]}, "queues[0]"),
    ],
)
def test_an_entry_of_another_shape_is_named(item: dict[str, Any], said: str) -> None:
    """Which one, and which member; without its value, which may be a secret."""
    with pytest.raises(InvalidDefinitions) as refused:
        read_definitions(json.dumps(item).encode(), "odd.json")

    assert said in refused.value.what
    assert "s3cret" not in str(refused.value)


def test_a_number_that_json_has_not() -> None:
    """Python reads it; nobody else does."""
    with pytest.raises(InvalidDefinitions, match="NaN is no number of JSON"):
        read_definitions(b'{"global_parameters": [{"name": "x", "value": NaN}]}', "odd.json")


def test_an_object_that_is_there_twice_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A broker takes the last one; so does the export, and says so."""
    queue = {"name": "q", "vhost": "/", "durable": True}
    file = tmp_path / "twice.json"
    file.write_text(json.dumps({"queues": [queue, queue]}), encoding="utf-8")

    assert run(letrade_topo, "letrade-topo", ["export", "--from", str(file)]) == ExitCode.OK

    assert "queue:q, but once: it is there 2 times" in capsys.readouterr().err
