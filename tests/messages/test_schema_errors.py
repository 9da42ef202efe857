"""A refusal costs about what a pass costs, whatever the schema and whatever the body: in time, memory and words.

Time is that of the processor and relative to a pass of the same body in the same run, which is mostly its parsing.
Memory is limited by the kernel, in a process of its own.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from letrade_topo.messages.json_text import Parsed, parse_json
from letrade_topo.messages.schema import MOST_PROBLEMS, PayloadSchema
from letrade_topo.model.messages import MessageType
from letrade_topo.model.routing import KeyTemplate
from letrade_topo.model.units import Duration

MOST_PASSES = 6
"""A refusal makes its errors out of what is wrong in a body, and names it; a pass only parses and looks."""
NOISE_SECONDS = 0.03
LONGEST_PROBLEM = 3000
"""A pointer of 64 names of 40 characters each, and some words."""


def compiled(schema: Any) -> PayloadSchema:
    """The schema of some type."""
    return PayloadSchema(MessageType("t", "x", KeyTemplate.parse("t"), Duration(1), schema=schema))


def parsed(body: bytes) -> Any:
    """What a body says."""
    result = parse_json(body)
    assert isinstance(result, Parsed)
    return result.value


def cost(call: Callable[[], object]) -> float:
    """Seconds of the processor; the best of some attempts, as the machine does other things."""
    best = float("inf")
    for _ in range(3):
        start = time.process_time()
        call()
        best = min(best, time.process_time() - start)
        if best < NOISE_SECONDS:
            break
    return best


def check_cost(schema: Any, payload: Any) -> None:
    """A refusal of this payload is bounded; and there is one whenever the validator says so."""
    checked, passes = compiled(schema), compiled({})
    body = json.dumps(payload).encode()
    checked.check(parsed(body))  # what is compiled once

    refusing = cost(lambda: checked.check(parsed(body)))
    passing = cost(lambda: passes.check(parsed(body)))

    assert refusing <= MOST_PASSES * passing + NOISE_SECONDS, f"{refusing:.3f} s, and a pass takes {passing:.3f} s"
    found = checked.check(payload)
    assert len(found) <= MOST_PROBLEMS
    assert all(len(str(problem)) <= LONGEST_PROBLEM for problem in found)


LOWER = {"pattern": "^[a-z]+$"}


def names(count: int) -> dict[str, Any]:
    """An object of many members."""
    return {f"Name{number}": 0 for number in range(count)}


CANDLES = {"properties": {"candles": {"type": "array", "items": {"required": ["open", "close"]}}}}
TREE = {
    "$defs": {"tree": {"anyOf": [{"type": "array", "minItems": 1, "items": {"$ref": "#/$defs/tree"}}, {"const": 0}]}},
    "properties": {"tree": {"$ref": "#/$defs/tree"}},
}
HOSTILE: dict[str, tuple[Any, Any]] = {
    "propertyNames": ({"propertyNames": LOWER}, names(4_000)),
    "items": (CANDLES, {"candles": [{}] * 40_000}),
    "the last item": (CANDLES, {"candles": [{"open": 1, "close": 1}] * 5_000 + [{}]}),
    "anyOf": ({"anyOf": [{"propertyNames": LOWER}, {"maxProperties": 1}]}, names(4_000)),
    "oneOf, none": ({"oneOf": [{"propertyNames": LOWER}, {"maxProperties": 1}]}, names(4_000)),
    "oneOf, several": ({"oneOf": [{"minProperties": 1}, {"minProperties": 2}]}, names(4_000)),
    "anyOf in allOf": ({"allOf": [{"anyOf": [{"propertyNames": LOWER}]}]}, names(4_000)),
    "if and then": ({"if": {"minProperties": 1}, "then": {"propertyNames": LOWER}}, names(4_000)),
    "dependentSchemas": ({"dependentSchemas": {"Name1": {"propertyNames": LOWER}}}, names(4_000)),
    "$ref": ({"$defs": {"a": {"propertyNames": LOWER}}, "$ref": "#/$defs/a"}, names(4_000)),
    "$dynamicRef": (
        {"$defs": {"a": {"$dynamicAnchor": "a", "propertyNames": LOWER}}, "$dynamicRef": "#a"},
        names(4_000),
    ),
    "$id": ({"$id": "urn:x", "anyOf": [{"propertyNames": LOWER}, {"maxProperties": 1}]}, names(4_000)),
    "a tree of anyOf": (TREE, {"tree": [[[1, [2, [3] * 50] * 20] * 10]]}),
    "a deep tree of anyOf": (TREE, {"tree": json.loads("[" * 60 + "1" + "]" * 60)}),
    "additionalProperties": ({"additionalProperties": {"type": "string"}}, names(4_000)),
    "no further members": ({"properties": {"a": True}, "additionalProperties": False}, names(4_000)),
    "unevaluatedProperties": ({"unevaluatedProperties": False, "anyOf": [{"properties": {"a": True}}]}, names(4_000)),
    "unevaluatedItems": ({"properties": {"a": {"unevaluatedItems": False}}}, {"a": [0] * 40_000}),
    "patternProperties": ({"patternProperties": {"^N": {"type": "string"}, "^Na": {"type": "string"}}}, names(4_000)),
    "uniqueItems": (
        {"properties": {"a": {"uniqueItems": True}}},
        {"a": [{"b": number} for number in range(9_000)] * 2},
    ),
    "contains": ({"properties": {"a": {"contains": {"type": "string"}}}}, {"a": [0] * 40_000}),
    "not": ({"properties": {"a": {"not": {"items": {"type": "integer"}}}}}, {"a": [0] * 40_000}),
    "a pattern": ({"additionalProperties": {"pattern": "^(?:(a|aa)+)+(?!b)$"}}, {"a": "a" * 100 + "!"}),
    "a long text": ({"properties": {"a": {"maxLength": 1}}}, {"a": "é" * 60_000}),
    "a long name": ({"additionalProperties": {"type": "string"}}, {"n" * 60_000: 1}),
    "required": ({"required": [f"x{number}" for number in range(2_000)]}, names(4_000)),
}


@pytest.mark.parametrize("case", HOSTILE)
def test_cost_of_a_refusal(case: str) -> None:
    """In time and words, for each keyword that can be wrong in many places."""
    schema, payload = HOSTILE[case]

    assert compiled(schema).check(payload)
    check_cost(schema, payload)


MEBIBYTE = 2**20
_CHILD = """
import json, resource, sys
sys.path.insert(0, sys.argv[1])
from tests.messages.test_schema_errors import HOSTILE, compiled
schema, payload = HOSTILE[sys.argv[2]]
checked = compiled(schema)
checked.check({})
used = int(open("/proc/self/statm").read().split()[0]) * resource.getpagesize()
resource.setrlimit(resource.RLIMIT_AS, (used + int(sys.argv[3]), -1))
print(len(checked.check(payload)))
"""


@pytest.mark.wide
@pytest.mark.parametrize("case", ["propertyNames", "items", "anyOf", "a tree of anyOf"])
def test_memory_of_a_refusal(case: str) -> None:
    """Bodies of up to 120 KB are refused within 32 MiB; it took up to four gigabytes."""
    root = str(__file__).rsplit("/tests/", 1)[0]
    child = subprocess.run(
        [sys.executable, "-c", _CHILD, root, case, str(32 * MEBIBYTE)], capture_output=True, text=True, check=False
    )

    assert child.returncode == 0, child.stderr[-500:]
    assert int(child.stdout) > 0


# Whatever the schema.

SCALARS = st.sampled_from([None, True, 0, 1, -1, 1.5, "", "a", "A", "é"])
MEMBERS = st.sampled_from(["a", "b", "Aa"])
LEAVES = st.sampled_from(
    [
        {},
        False,
        {"type": "integer"},
        {"type": ["string", "object"]},
        {"enum": [1, "a"]},
        {"const": {"a": 1}},
        LOWER,
        {"minimum": 1},
        {"maxLength": 0},
        {"minItems": 2},
        {"maxProperties": 1},
        {"uniqueItems": True},
        {"required": ["a", "b"]},
        {"dependentRequired": {"a": ["b"]}},
        {"$ref": "#"},
        {"$ref": "#/$defs/d"},
    ]
)


def levels(below: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    """One level with all keywords that hold schemas."""
    some = st.lists(below, min_size=1, max_size=2)
    by_name = st.dictionaries(MEMBERS, below, max_size=2)
    keywords = {
        "properties": by_name,
        "patternProperties": st.dictionaries(st.sampled_from(["^a", "A"]), below, max_size=1),
        "dependentSchemas": by_name,
        "required": st.lists(MEMBERS, max_size=2, unique=True),
        **dict.fromkeys(("allOf", "anyOf", "oneOf", "prefixItems"), some),
        **dict.fromkeys(
            (
                "additionalProperties",
                "items",
                "contains",
                "propertyNames",
                "not",
                "if",
                "then",
                "else",
                "unevaluatedProperties",
                "unevaluatedItems",
            ),
            below,
        ),
    }
    return st.lists(st.sampled_from(list(keywords)), max_size=3, unique=True).flatmap(
        lambda chosen: st.fixed_dictionaries({word: keywords[word] for word in chosen})
    )


SCHEMAS = st.builds(
    lambda schema, definition: {"$defs": {"d": definition}} | (schema if isinstance(schema, dict) else {"not": {}}),
    st.recursive(LEAVES, levels, max_leaves=8),
    st.sampled_from([{}, False, {"type": "integer"}, {"required": ["a"]}, {"propertyNames": LOWER}]),
)


def many(value: Any) -> Any:
    """What stands in a body, many times."""
    return {"a": [value] * 600, "Aa": value} | {f"Name{number}": value for number in range(600)}


BODIES = st.recursive(
    SCALARS, lambda below: st.lists(below, max_size=3) | st.dictionaries(MEMBERS, below, max_size=3), max_leaves=6
)


@given(schema=SCHEMAS, value=BODIES)
@settings(suppress_health_check=[HealthCheck.too_slow], deadline=None)
def test_cost_whatever_the_schema(schema: Any, value: Any) -> None:
    """Also when all keywords stand in each other."""
    check_cost(schema, many(value))


@given(schema=SCHEMAS, payload=st.dictionaries(MEMBERS, BODIES, max_size=3))
def test_what_is_wrong_is_said(schema: Any, payload: dict[str, Any]) -> None:
    """What the validator refuses has a problem of its own, and what it lets pass has none."""
    checked = compiled(schema)
    assert checked._validator is not None

    found = checked.check(payload)

    assert bool(found) is not checked._validator.is_valid(payload)
    assert all(problem.why != "does not match its schema" for problem in found)
