"""From `warn` to `enforce`: a service that breaks five rules, the report that names them, and enforcement after it."""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pika
import pytest
from pika.adapters.blocking_connection import BlockingChannel

from tests.agents import RunningAgent
from tests.brokers import RunningBroker
from tests.interop.bus import QUEUE, Bus, envelope, running_bus
from tests.ports import LOOPBACK
from tests.tool import Tool, ToolAnswer

pytestmark = [pytest.mark.broker, pytest.mark.one_version]

TIMES = 3
PLACED, ANSWERED, UNKNOWN = "order.placed", "order.answered", "order.cancelled"


def bare_envelope() -> bytes:
    """Without a message_id."""
    document = json.loads(envelope("shop"))
    del document["message_id"]
    return json.dumps(document).encode()


BREAKS: dict[str, tuple[str, Callable[[], bytes], dict[str, Any]]] = {
    "schema": (PLACED, lambda: envelope("shop", "seven", note="secret-note"), {}),
    "envelope": (PLACED, bare_envelope, {}),
    "undeclared": (UNKNOWN, lambda: envelope("shop"), {}),
    "not_allowed": (ANSWERED, lambda: envelope("shop"), {}),
    "copies": (PLACED, lambda: envelope("shop"), {"CC": ["order.7.changed"]}),
}
"""Each rule with a message that breaks it: routing key, body, headers."""


def publish(channel: BlockingChannel, key: str, body: bytes, headers: dict[str, Any]) -> None:
    """Confirmed, with an id of its own."""
    properties = pika.BasicProperties(
        content_type="application/json", delivery_mode=2, message_id=str(uuid.uuid4()), headers=headers
    )
    channel.basic_publish("orders", key, body, properties)


@contextmanager
def channel_of(agent: RunningAgent) -> Iterator[BlockingChannel]:
    """A channel with confirms."""
    with pika.BlockingConnection(agent.parameters) as connection:
        channel = connection.channel()
        channel.confirm_delivery()
        yield channel


def consume_all(bus: Bus, count: int) -> None:
    """The clerk takes so many."""
    with pika.BlockingConnection(bus.clerk.parameters) as connection:
        channel = connection.channel()
        deliveries = channel.consume(QUEUE, inactivity_timeout=60)
        for number, (method, _, _) in enumerate(deliveries, 1):
            assert method is not None, f"{number} of {count}"
            channel.basic_ack(method.delivery_tag)
            if number == count:
                break
        channel.cancel()


def rehearse(bus: Bus, *arguments: str) -> ToolAnswer:
    """Of both agents."""
    agents = [
        option for agent in (bus.shop, bus.clerk) for option in ("--agent", f"http://{LOOPBACK}:{agent.admin_port}")
    ]
    return Tool().run("rehearse", *agents, *arguments)


def test_from_warn_to_enforce(broker: RunningBroker, tmp_path: Path) -> None:
    """The five that are broken are named, each once, and nothing else; after the fixes nothing is refused."""
    (tmp_path / "warn").mkdir()
    with running_bus(broker, tmp_path / "warn", exchanges={"orders": {"mode": "warn"}}) as bus:
        rehearse(bus).check(1)
        with channel_of(bus.shop) as channel:
            for _ in range(TIMES):
                publish(channel, PLACED, envelope("shop"), {})
                for key, body, headers in BREAKS.values():
                    publish(channel, key, body(), headers)
        consume_all(bus, TIMES * 4)
        answer = rehearse(bus, "--format", "json").check(2)
        found = json.loads(answer.out)
        assert {(one["service"], one["reason"]): one["count"] for one in found["would_refuse"]} == {
            ("shop", reason): TIMES for reason in BREAKS
        }, answer.out
        assert {one["reason"] for one in found["would_refuse"] if one["met_again_by"]} == {
            "schema",
            "envelope",
            "copies",
        }
        text = rehearse(bus).check(2).out
        assert "publishes order.placed to orders: schema, 3 messages" in text
        assert "secret-note" not in text + answer.out
        rehearse(bus, "--period", "100ms").check(1)

    (tmp_path / "enforce").mkdir()
    with running_bus(broker, tmp_path / "enforce", exchanges={"orders": {"mode": "enforce"}}) as bus:
        with channel_of(bus.shop) as channel:
            for number in range(TIMES):
                publish(channel, PLACED, envelope("shop", number), {})
                publish(channel, "order.7.changed", envelope("shop", number), {})
        consume_all(bus, 2 * TIMES)
        assert rehearse(bus).check(0).out.startswith("enforce would refuse nothing of")
        assert bus.shop.metric("messages_rejected_total") == 0
        assert bus.clerk.metric("messages_rejected_total") == 0
