"""Payload schemas: the shipped ones fit the contract's examples, errors say what was expected, secrets stay secret."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from letrade_topo.load.topology_file import load_topology
from letrade_topo.messages.schema import InvalidSchema, PayloadSchema, compile_schemas
from letrade_topo.model.messages import MessageType
from letrade_topo.model.routing import KeyTemplate
from letrade_topo.model.units import Duration
from tests.messages.test_schema_errors import SCHEMAS as SCHEMA_OF_ALL_KEYWORDS

TOPOLOGY = load_topology(Path(__file__).parents[2] / "topology.yaml").topology
SCHEMAS = compile_schemas(TOPOLOGY.messages)

EXECUTE_TRADE: dict[str, Any] = {
    "strategy_id": 123,
    "exchange": "binance",
    "symbol": "BTC/USDT",
    "side": "buy",
    "type": "limit",
    "amount": 0.1,
    "price": 50000.0,
    "stop_loss": 49000.0,
    "take_profit": 52000.0,
    "client_order_id": "strategy123_order456",
}


def compiled(schema: Any, *sensitive: str) -> PayloadSchema:
    """The schema of some type."""
    return PayloadSchema(MessageType("t", "x", KeyTemplate.parse("t"), Duration(1), sensitive=sensitive, schema=schema))


def problems(schema: PayloadSchema, payload: Any) -> list[str]:
    """What is wrong, as text."""
    return [str(problem) for problem in schema.check(payload)]


def test_example() -> None:
    """A full command and a sparse one fit the shipped schema."""
    schema = SCHEMAS["commands.execute_trade"]

    assert schema.check(EXECUTE_TRADE) == ()
    assert schema.check({name: EXECUTE_TRADE[name] for name in ("strategy_id", "symbol", "side", "amount")}) == ()


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"side": "hold"}, ["/side has to be one of 'buy', 'sell', and is 'hold'"]),
        ({"strategy_id": "123"}, ["/strategy_id has to be of type integer, and is '123'"]),
        ({"strategy_id": 1.5}, ["/strategy_id has to be of type integer, and is 1.5"]),
        ({"symbol": ""}, ["/symbol has to have at least 1 characters, and is ''"]),
        ({"amount": -0.5}, ["/amount has to be greater than 0 (its value is sensitive)"]),
        ({"price": "50000"}, ["/price has to be of type number (its value is sensitive)"]),
        ({"side": None, "type": 5}, None),
    ],
)
def test_wrong_value(changes: dict[str, Any], expected: list[str] | None) -> None:
    """The pointer, what was expected, and what is there unless that is sensitive."""
    found = problems(SCHEMAS["commands.execute_trade"], EXECUTE_TRADE | changes)

    if expected is None:
        assert len(found) == 2
    else:
        assert found == expected


def test_missing_members() -> None:
    """Every required member that is missing is named."""
    assert problems(SCHEMAS["commands.execute_trade"], {}) == [
        f"the payload has to have '{name}'" for name in ("strategy_id", "symbol", "side", "amount")
    ]


def test_format_of_a_timestamp() -> None:
    """`format: date-time` is checked, not only noted."""
    schema = SCHEMAS["market_data.{exchange}.{symbol}"]
    candle: dict[str, Any] = dict.fromkeys(("open", "high", "low", "close", "volume"), 1.0)
    candle |= {"symbol": "BTC/USDT", "exchange": "binance", "timestamp": "2025-03-29T12:34:00Z"}

    assert schema.check(candle) == ()
    assert problems(schema, candle | {"timestamp": "noon"}) == [
        "/timestamp has to be of the format date-time, and is 'noon'"
    ]


SENSITIVE = sorted({name for message in TOPOLOGY.messages.values() for name in message.sensitive})


@pytest.mark.parametrize("key", SENSITIVE)
def test_sensitive_value_is_never_shown(key: str) -> None:
    """Whatever stands in a sensitive field, no error shows it: not its text, not the names within."""
    for message in TOPOLOGY.messages.values():
        if key not in message.sensitive:
            continue
        for value in (
            "S3CRET",
            {"S3CRET": "S3CRET"},
            ["S3CRET"],
            [[{"S3CRET": 1}]],
            {"position_size_percent": "S3CRET"},
        ):
            found = problems(SCHEMAS[message.name], {key.removeprefix("/"): value})
            assert value == "S3CRET" or any(text.startswith(key) for text in found), found
            assert not any("S3CRET" in text for text in found), found


def test_names_within_a_sensitive_object() -> None:
    """Below a sensitive pointer, names that the schema declares are shown, others are not."""
    schema = compiled(
        {
            "properties": {
                "p": {
                    "properties": {"known": {"type": "integer"}},
                    "additionalProperties": {"type": "integer"},
                    "unevaluatedProperties": False,
                },
                "q": {"additionalProperties": False},
                "r": {"properties": {"a": True}, "additionalProperties": False},
                "list": {"items": {"type": "integer"}},
            }
        },
        "/p",
        "/q",
        "/r",
        "/list",
    )

    assert problems(schema, {"p": {"known": "S3CRET"}}) == [
        "/p/known has to be of type integer (its value is sensitive)"
    ]
    assert problems(schema, {"p": {"12345": "S3CRET"}}) == ["/p/… has to be of type integer (its value is sensitive)"]
    assert problems(schema, {"list": [1, "S3CRET"]}) == ["/list/1 has to be of type integer (its value is sensitive)"]
    assert problems(schema, {"r": {"S3CRET": 1}}) == ["/r may not have further members (its value is sensitive)"]
    assert not any("S3CRET" in text for text in problems(schema, {"q": {"S3CRET": 1}}))


def test_an_index_of_the_schema_is_no_name_that_it_declares() -> None:
    """The way to an error in a schema has words and indexes in it, and a name of the payload may look like one."""
    some = [{"additionalProperties": {"type": "integer"}}, {"patternProperties": {"^p": {"type": "integer"}}}]

    for composed in ({"allOf": some}, {"allOf": [{"allOf": some}]}, {"if": True, "then": some[1]}):
        schema = compiled({"properties": {"p": composed}}, "/p")
        for name in ("0", "1", "allOf", "patternProperties"):
            found = problems(schema, {"p": {name: "S3CRET"}})
            assert all(text.startswith("/p/… ") for text in found), found


MARKED = st.sampled_from(["S3CRET", "aS3CRET", 0, None])


@given(
    schema=SCHEMA_OF_ALL_KEYWORDS,
    value=st.recursive(
        MARKED,
        lambda below: (
            st.lists(below, max_size=3) | st.dictionaries(st.sampled_from(["S3CRET", "aS3CRET"]), below, max_size=3)
        ),
        max_leaves=6,
    ),
)
def test_nothing_within_a_sensitive_value_is_said(schema: Any, value: Any) -> None:
    """No name and no text, whatever the schema asks of it, itself and of what is in it."""
    definitions = schema.pop("$defs")
    checked = compiled({"$defs": definitions, "properties": {"p": schema}}, "/p")

    assert not any("S3CRET" in text for text in problems(checked, {"p": value}))


def test_pointer_is_escaped() -> None:
    """A name with `/` or `~` is written as RFC 6901 says; sensitive pointers are read alike."""
    schema = compiled({"properties": {"a/b~c": {"type": "integer"}}})
    sensitive = compiled({"properties": {"a/b~c": {"type": "integer"}}}, "/a~1b~0c")

    assert problems(schema, {"a/b~c": "x"}) == ["/a~1b~0c has to be of type integer, and is 'x'"]
    assert problems(sensitive, {"a/b~c": "x"}) == ["/a~1b~0c has to be of type integer (its value is sensitive)"]


@pytest.mark.parametrize("name", ["7", "007", "+7", "-7", "0"])
def test_sensitive_name_that_looks_like_a_number(name: str) -> None:
    """A sensitive field may be called like an index, in any spelling."""
    schema = compiled({"properties": {name: {"type": "integer"}}}, f"/{name}")

    assert "S3CRET" not in problems(schema, {name: "S3CRET"})[0]


@pytest.mark.parametrize(
    ("schema", "payload", "expected"),
    [
        ({"properties": {"a": {"const": 1}}}, {"a": 2}, "/a has to be 1, and is 2"),
        ({"properties": {"a": {"pattern": "^b"}}}, {"a": "x"}, "/a has to match the pattern '^b', and is 'x'"),
        ({"properties": {"a": {"minimum": 3}}}, {"a": 2}, "/a has to be at least 3, and is 2"),
        ({"properties": {"a": {"maximum": 3}}}, {"a": 4}, "/a has to be at most 3, and is 4"),
        ({"properties": {"a": {"exclusiveMaximum": 3}}}, {"a": 3}, "/a has to be less than 3, and is 3"),
        ({"properties": {"a": {"multipleOf": 3}}}, {"a": 4}, "/a has to be a multiple of 3, and is 4"),
        ({"properties": {"a": {"maxLength": 1}}}, {"a": "xx"}, "/a has to have at most 1 characters, and is 'xx'"),
        ({"properties": {"a": {"minItems": 1}}}, {"a": []}, "/a has to have at least 1 items"),
        ({"properties": {"a": {"maxItems": 1}}}, {"a": [1, 2]}, "/a has to have at most 1 items"),
        ({"properties": {"a": {"uniqueItems": True}}}, {"a": [1, 1]}, "/a has to have no item twice"),
        ({"minProperties": 1}, {}, "the payload has to have at least 1 members"),
        ({"maxProperties": 0}, {"a": 1}, "the payload has to have at most 0 members"),
        ({"additionalProperties": False}, {"a": 1}, "the payload may not have further members"),
        ({"properties": {"b": True}, "additionalProperties": False}, {"a": 1}, "the payload may not have 'a'"),
        ({"unevaluatedProperties": False}, {"a": 1}, "the payload may not have 'a'"),
        ({"properties": {"a": False}}, {"a": 1}, "/a is not allowed, and is 1"),
        ({"properties": {"a": {"anyOf": [{"type": "null"}, False]}}}, {"a": 1}, "/a does not satisfy `anyOf`"),
        ({"not": {}}, {}, "the payload does not satisfy `not` of its schema"),
        ({"propertyNames": {"maxLength": 1}}, {"ab": 1}, "the payload does not satisfy `propertyNames` of its schema"),
        ({"properties": {"a": {"type": ["null", "integer"]}}}, {"a": "x"}, "/a has to be of type integer or null"),
        ({"properties": {"a": {"type": "null"}}}, {"a": "x" * 99}, "and is 'xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx…'"),
        ({"properties": {"a": {"enum": list(range(12))}}}, {"a": -1}, "0, 1, 2, 3, 4, 5, 6, 7, 8, 9 and 2 more"),
        ({"properties": {"a": {"maximum": 1}}}, {"a": 10**300}, "/a has to be at most 1, and is 1000"),
    ],
)
def test_words(schema: Any, payload: dict[str, Any], expected: str) -> None:
    """A sentence for each keyword."""
    found = problems(compiled(schema), payload)

    assert len(found) == 1
    assert expected in found[0]


def test_many_problems() -> None:
    """At most ten are said."""
    schema = compiled({"additionalProperties": {"type": "null"}})

    assert len(schema.check({str(i): 1 for i in range(1000)})) == 10


def test_without_a_schema() -> None:
    """A type without a schema takes any payload."""
    assert compiled(None).check({"a": [1]}) == ()


@pytest.mark.parametrize(
    ("schema", "expected"),
    [
        ({"type": "nope"}, "nope"),
        ({"$ref": "http://127.0.0.1:9/schema"}, "127.0.0.1"),
        ({"$ref": "file:///etc/passwd"}, "file:///etc/passwd"),
        ({"$ref": "#/$defs/missing"}, "missing"),
        ({"properties": {"a": {"pattern": "("}}}, "regex"),
    ],
)
def test_schema_that_is_none(schema: Any, expected: str) -> None:
    """A schema that cannot be used is an error at the start that names its type; nothing is fetched."""
    with pytest.raises(InvalidSchema) as caught:
        compiled(schema)

    text = str(caught.value)
    assert "the schema of the message type 't' cannot be used" in text
    assert expected in text


def test_hostile_text_for_a_pattern() -> None:
    """A pattern that would take exponential time refuses the text, soon."""
    schema = compiled({"properties": {"a": {"pattern": "^(?=(a+)+$)(a|a)+$(?<!b)"}}})

    assert schema.check({"a": "a" * 60 + "!"})


PAYLOADS = st.dictionaries(
    st.sampled_from([*EXECUTE_TRADE, "other"]),
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.sampled_from(["buy", "limit", "x", ""]),
)


@given(PAYLOADS)
def test_agrees_with_the_reference_validator(payload: dict[str, Any]) -> None:
    """Valid is what jsonschema, the reference implementation in Python, calls valid."""
    message = TOPOLOGY.messages["commands.execute_trade"]
    assert message.schema is not None
    reference = Draft202012Validator(json.loads(json.dumps(dict(message.schema))))

    assert (SCHEMAS[message.name].check(payload) == ()) == reference.is_valid(payload)
