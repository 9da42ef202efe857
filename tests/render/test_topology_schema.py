"""The schema for editors says of every value what the shape rules of `validate` say."""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator
from itertools import chain
from typing import Any

import pytest

from letrade_topo.load import shape
from letrade_topo.render.topology_schema import topology_schema
from tests.load import test_mistakes
from tests.load.marked import unmarked, with_header
from tests.load.mutations import NAMES
from tests.load.rule_cases import BROKEN, NEAR_MISSES
from tests.load.test_mutations import TEXTS, mutations
from tests.render.schema_agreement import agreement

PROBES: tuple[Any, ...] = (
    None, True, 0, 5, -1, -2, 21, 256, 0.5, 1.5, 2**31, 2**63, "", "a", "A b", "none", "x-a", "5s", "5", "0.0001s",
    "128KiB", "quorum", "topic", "exclusive", "unmanaged", "high", "true", "1.2", "${v}", "${v}s", [], ["a"],
    ["a", "a"], ["a", ""], [1], [None], [{"exchange": "a"}], {}, {"env": "A"}, {"env": "$A"}, {"file": "/a"},
    {"file": ""}, {"env": "A", "file": "/a"}, {"env": 1}, {"env": "A", "algorithm": "sha512"},
    {"env": "A", "algorithm": "sha1"}, {"a": 1}, {"a": None}, {"a": {"b": []}}, {"exchange": "a"}, {"name": "a"},
)  # fmt: skip
"""Values of every kind, each put behind every key of a topology."""


def prepared() -> dict[str, Any]:
    """A document in which every mapping that has keys of its own stands once."""
    return {
        "topology": 1,
        "name": "t",
        "vhost": {"name": "v"},
        "variables": {"v": "5"},
        "security": {"tls": {}, "jwt": {}},
        "exchanges": {"one": {}},
        "messages": {"one": {"exchange": "one", "lifetime": "1s"}},
        "services": {"one": {"limits": {}}},
        "queues": {"one": {"retry": {}, "dead_letter": {"exchange": ""}}},
        "users": {"one": {"permissions": {}, "topic_permissions": [{"exchange": "one"}], "limits": {}}},
        "policies": {"one": {"pattern": "^a", "definition": {}}},
        "operator_policies": {"one": {"pattern": "^a", "definition": {}}},
        "bindings": [{"source": "one", "queue": "one"}],
        "parameters": {"shovel": {"one": {"src-uri": "amqp://h"}}},
        "broker": {}, "limits": {}, "retry": {}, "dead_letter": {}, "claim_check": {},
    }  # fmt: skip


def places(schema: dict[str, Any], value: Any, path: tuple[str | int, ...] = ()) -> Iterator[tuple[str | int, ...]]:
    """Every key that the shape knows in a mapping that stands in the document, and one that it does not know."""
    for key, rule in schema.items():
        yield (*path, key)
        inner = rule.get("schema")
        if inner is None or not isinstance(value, dict) or not value.get(key):
            continue
        if rule.get("type") == "list":
            yield from places(inner["schema"], value[key][0], (*path, key, 0))
        else:
            yield from places(inner, value[key], (*path, key))
    yield (*path, "unknown")


def probed() -> Iterator[tuple[str, str]]:
    """Documents with a probe in every place that holds no other, and in one that does; as JSON, which is YAML."""
    document = prepared()
    known = [*places(shape.TOPOLOGY, document)]
    for section, schema in shape.SECTIONS.items():
        known += [(section, "one"), *places(schema, document[section]["one"], (section, "one"))]
    known += [("bindings", 0), *places(shape.BINDING, document["bindings"][0], ("bindings", 0))]
    known += [("parameters", "shovel"), ("parameters", "shovel", "one"), ("parameters", "shovel", "one", "src-uri")]
    known += [("variables", "v"), ("variables", "other"), ("global_parameters",), ("users", "one", "tags")]
    holders = {path[:length] for path in known for length in range(1, len(path))}
    leaves = [path for path in known if path not in holders]
    for probe in PROBES:
        yield f"everywhere: {probe!r}", _with(document, leaves, probe)
        yield from ((f"{path}: {probe!r}", _with(document, [path], probe)) for path in sorted(holders, key=str))


def _with(document: dict[str, Any], places: list[tuple[str | int, ...]], probe: Any) -> str:
    changed = copy.deepcopy(document)
    for path in places:
        holder: Any = changed
        for step in path[:-1]:
            holder = holder.setdefault(step, {}) if isinstance(step, str) else holder[step]
        holder[path[-1]] = probe
    return json.dumps(changed, indent=1)


def written() -> Iterator[tuple[str, str]]:
    """The texts of the other tests: of rules, of mistakes that people make, of single slips, and of what is right."""
    for rule, texts in chain(BROKEN.items(), NEAR_MISSES.items()):
        yield from ((rule, unmarked(with_header(text))) for text in texts)
    for case in test_mistakes.CASES:
        mistake = case.values[0]  # type: ignore[attr-defined]  # pytest's own set of parameters
        yield from ((written, mistake.text(written)) for written in (mistake.bad, mistake.good))
    for kind in NAMES:
        for name, mutation in mutations(kind, range(3)):
            yield f"{kind} in {name}", mutation.content.decode(errors="replace")
    yield from TEXTS.items()


@pytest.mark.wide
@pytest.mark.parametrize(
    ("texts", "least"), [pytest.param(probed, 1_000, id="probed"), pytest.param(written, 500, id="written")]
)
def test_it_refuses_what_the_shape_refuses_at_the_same_place(texts: Any, least: int) -> None:
    """Nothing else, and nothing less than a schema can know."""
    judged = refused = 0
    for name, text in texts():
        if len(text) > 100_000 or (found := agreement(text)) is None:
            continue
        judged, refused = judged + 1, refused + bool(found.shape)
        assert not found.only_in_shape, f"{name}: the schema lets it pass\n{text}"
        assert not found.only_in_schema, f"{name}: validate lets it pass\n{text}"

    assert judged >= least
    assert judged // 10 <= refused < judged


def test_every_key_has_a_text_that_an_editor_shows() -> None:
    """One sentence, of each key of each mapping."""
    without = [path for path, one in properties(topology_schema()) if not one.get("markdownDescription", "").strip(".")]

    assert without == []


def test_words_are_offered_with_what_holds_without_them() -> None:
    """The words of an enumeration, and the default of the model."""
    queue = topology_schema()["properties"]["queues"]["additionalProperties"]["properties"]

    assert queue["type"]["anyOf"][0]["enum"] == ["quorum", "classic", "stream"]
    assert queue["type"]["default"] == "quorum"
    assert queue["retry"]["anyOf"][0] == {"enum": ["none"]}


def properties(schema: Any, path: str = "") -> Iterator[tuple[str, dict[str, Any]]]:
    """Every described key, without those of message payloads and of references to secrets."""
    if isinstance(schema, dict):
        for name, one in schema.get("properties", {}).items():
            if not {"env", "src-uri", "shovel"} & schema["properties"].keys():
                yield f"{path}.{name}", one
        for keyword, one in schema.items():
            if keyword != "$defs":
                yield from properties(one, f"{path}.{keyword}")
    elif isinstance(schema, list):
        for one in schema:
            yield from properties(one, path)
