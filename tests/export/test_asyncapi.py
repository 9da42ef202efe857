"""The AsyncAPI document of a topology: AsyncAPI's own parser reads it, and it says who sends and receives what."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path
from typing import Any

import pytest

from letrade_topo.export.asyncapi import asyncapi_document, asyncapi_text
from letrade_topo.model.topology import Topology
from tests.interop.with_amqplib import modules_folder
from tests.topologies import loaded, orders, shipped

_PARSER = Path(__file__).with_name("asyncapi.js")


def parsed(topology: Topology) -> dict[str, Any]:
    """What the parser says."""
    result = subprocess.run(
        ["node", str(_PARSER)],  # noqa: S607  # the one that script/setup found
        input=asyncapi_text(topology),
        env=os.environ | {"NODE_PATH": str(modules_folder())},
        capture_output=True,
        text=True,
        check=True,
        timeout=120,
    )
    said: dict[str, Any] = json.loads(result.stdout)
    return said


def odd() -> Topology:
    """Keys with two names that look alike once the signs are gone, a priority, what travels encrypted, no schema."""
    document = orders()
    message = {"exchange": "orders", "lifetime": "60s", "priority": 7}
    document["messages"] |= {"a.b": message, "a_b": message | {"schema": {"type": "object"}, "sensitive": ["/x"]}}
    document["services"]["shop"]["publishes"] += ["a.b", "a_b"]
    document["services"]["clerk"]["consumes"] += ["a.b", "a_b"]
    return loaded(document)


@pytest.mark.wide
@pytest.mark.parametrize("topology", [shipped(), odd()], ids=["shipped", "odd"])
def test_the_official_parser_reads_it(topology: Topology) -> None:
    """Without an error; every publisher and consumer is an operation."""
    said = parsed(topology)

    assert said["isRead"]
    assert not said["errors"]
    sends = sum(len(service.publishes) for service in topology.services.values())
    assert sum("_sends_" in one for one in said["operations"]) == sends


def test_it_says_who_receives_from_which_queue() -> None:
    """The consumer's queue is a channel with the messages that it holds; a type without a queue its own channel."""
    document = asyncapi_document(odd())
    operations = document["operations"]

    receives = operations["clerk_receives_clerk_orders"]
    assert receives["action"] == "receive"
    channel = document["channels"]["clerk_orders"]
    assert channel["bindings"]["amqp"]["queue"]["name"] == "clerk.orders"
    assert set(channel["messages"]) == {"order_placed", "order_id_changed"}
    assert {"clerk_receives_a_b", "clerk_receives_a_b_2"} <= set(operations)
    assert operations["shop_sends_a_b"]["bindings"]["amqp"]["priority"] == 7
    changed = document["channels"]["order_id_changed"]
    assert changed["address"] == "order.{id}.changed"
    assert set(changed["parameters"]) == {"id"}


def test_the_body_is_the_envelope() -> None:
    """With the schema of the payload in its place."""
    messages = asyncapi_document(shipped())["components"]["messages"]
    payload = messages["commands_execute_trade"]["payload"]

    assert payload["required"] == ["message_id", "timestamp", "source", "payload"]
    assert payload["properties"]["payload"]["required"] == ["strategy_id", "symbol", "side", "amount"]
    assert "/price" in payload["properties"]["payload"]["description"]
