"""The shipped topology accepts the message-bus contract's own samples, and what differs from them is refused."""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from letrade_topo.load.topology_file import load_topology
from letrade_topo.model.messages import MessageType
from letrade_topo.model.topology import Topology

SHIPPED = Path(__file__).parents[2] / "topology.yaml"
FIXTURES = Path(__file__).parents[1] / "fixtures" / "contract"
SAMPLES = {path.stem: json.loads(path.read_text()) for path in sorted(FIXTURES.glob("*.json"))}

Steps = tuple[str | int, ...]
OF_ANOTHER_TYPE = {"string": 5, "integer": "5", "number": "5", "object": [], "array": {}, None: []}


@pytest.fixture(scope="module")
def topology() -> Topology:
    """The topology that the project ships."""
    return load_topology(SHIPPED).topology


def type_of(topology: Topology, key: str) -> MessageType:
    """The message type that a routing key belongs to."""
    (found,) = [message for message in topology.messages.values() if message.key.matches(key)]
    return found


def is_valid(message: MessageType, payload: Any) -> bool:
    """Whether a type's schema accepts a payload."""
    assert message.schema is not None
    return Draft202012Validator(message.schema).is_valid(payload)


def described(schema: Any, sample: Any, steps: Steps = ()) -> Iterator[tuple[Steps, Any, bool]]:
    """Every value of a sample that a schema describes: its place, its schema, and whether it must be there."""
    if isinstance(sample, dict) and (not steps or "properties" in schema):  # `context` of an error is free
        for name, value in sample.items():
            below = schema["properties"][name]
            yield (*steps, name), below, name in schema.get("required", ())
            yield from described(below, value, (*steps, name))
    elif isinstance(sample, list):
        for index, value in enumerate(sample):
            yield from described(schema["items"], value, (*steps, index))


def changed(sample: Any, steps: Steps, value: Any) -> Any:
    """The sample with another value at one place; without it, where the value is `...`."""
    result = copy.deepcopy(sample)
    holder = result
    for step in steps[:-1]:
        holder = holder[step]
    if value is ...:
        del holder[steps[-1]]
    else:
        holder[steps[-1]] = value
    return result


def test_every_type_has_a_sample(topology: Topology) -> None:
    """The contract shows each of its types once."""
    assert {type_of(topology, key).name for key in SAMPLES} == set(topology.messages)


@pytest.mark.parametrize("key", SAMPLES)
def test_a_sample_of_the_contract_is_valid(topology: Topology, key: str) -> None:
    """What the contract shows is what the schema accepts."""
    assert is_valid(type_of(topology, key), SAMPLES[key])


def test_the_publisher_example_is_valid(topology: Topology) -> None:
    """It sends only four of the fields of `commands.execute_trade`."""
    payload = {"strategy_id": 123, "symbol": "BTC/USDT", "side": "buy", "amount": 0.01}

    assert is_valid(topology.messages["commands.execute_trade"], payload)


@pytest.mark.parametrize("key", SAMPLES)
def test_a_missing_required_field_is_refused(topology: Topology, key: str) -> None:
    """Each one, also of nested objects."""
    message, sample = type_of(topology, key), SAMPLES[key]
    required = [steps for steps, _, needed in described(message.schema, sample) if needed]

    assert required
    assert [steps for steps in required if is_valid(message, changed(sample, steps, ...))] == []


@pytest.mark.parametrize("key", SAMPLES)
def test_a_value_of_another_type_is_refused(topology: Topology, key: str) -> None:
    """Each one that the sample has."""
    message, sample = type_of(topology, key), SAMPLES[key]
    wrong = [
        changed(sample, steps, OF_ANOTHER_TYPE[schema.get("type")])
        for steps, schema, _ in described(message.schema, sample)
    ]

    assert wrong
    assert [payload for payload in wrong if is_valid(message, payload)] == []


def test_a_wrong_word_is_refused(topology: Topology) -> None:
    """Wherever a schema lists the words that are allowed."""
    refused = set()
    for key, sample in SAMPLES.items():
        message = type_of(topology, key)
        for steps, schema, _ in described(message.schema, sample):
            if "enum" in schema:
                assert not is_valid(message, changed(sample, steps, "no such word"))
                refused.add((message.name, steps[-1]))

    assert {("commands.execute_trade", "side"), ("events.trade_executed", "status")} <= refused
    assert ("response.capital.allocation", "result") in refused


def test_the_capital_request_works_with_and_without_a_request_id(topology: Topology) -> None:
    """The contract's sample has none; the bus client sets one."""
    message = topology.messages["request.capital.allocation"]
    sample = SAMPLES["request.capital.allocation"]

    assert is_valid(message, {**sample, "request_id": "req_1"})
    assert not is_valid(message, {**sample, "request_id": ""})
