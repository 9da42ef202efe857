"""A topology for what Letrade's own does not have: two requesters of one response, patterns, every mode."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from uuid import uuid4

from tests.brokers import RunningBroker
from tests.bus.world import BusWorld, running_world
from tests.topologies import Document, write

LIFETIME = "10m"
"""Longer than any wait of a test: a message that is delivered late must not be too old."""

NUMBERED = {"type": "object", "required": ["number"], "properties": {"number": {"type": "integer"}}}


def document(vhost: str) -> Document:
    """The topology."""
    typed: dict[str, Any] = {"lifetime": LIFETIME, "schema": NUMBERED}
    return {
        "topology": 1,
        "name": "small",
        "vhost": vhost,
        "security": {"tls": {"client_certificates": True}},
        "retry": {"max_retries": 1, "delay": "1s"},
        "exchanges": {"orders": {}, "alerts": {}, "asked": {}, "open": {"mode": "off"}},
        "messages": {
            "orders.strategy_{id}.placed": {"exchange": "orders", **typed},
            "alerts.strategy_{id}.raised": {"exchange": "alerts", **typed},
            "orders.counted": {"exchange": "orders", **typed},
            "orders.unheard": {"exchange": "orders", **typed},
            "orders.today.ordinary": {"exchange": "orders", **typed},
            "orders.today.urgent": {"exchange": "orders", "priority": "high", **typed},
            "orders.today.first": {"exchange": "orders", "priority": 31, **typed},
            "orders.today.last": {"exchange": "orders", "priority": 0, **typed},
            "request.sum": {"exchange": "asked", "lifetime": LIFETIME, "priority": "high"},
            "response.sum": {"exchange": "asked", "lifetime": LIFETIME},
            "open.note": {"exchange": "open", "lifetime": LIFETIME},
        },
        "services": {
            name: {"user": f"{vhost}-{name}", **rights}
            for name, rights in {
                "maker": {
                    "publishes": [
                        "orders.strategy_{id}.placed",
                        "alerts.strategy_{id}.raised",
                        "orders.counted",
                        "orders.unheard",
                        "orders.today.ordinary",
                        "orders.today.urgent",
                        "orders.today.first",
                        "orders.today.last",
                        "request.sum",
                    ],
                    "consumes": ["response.sum"],
                },
                "taker": {
                    "consumes": [
                        "orders.counted",
                        "orders.today.ordinary",
                        "orders.today.urgent",
                        "orders.today.first",
                        "orders.today.last",
                        "*.strategy_{id}.*",
                    ]
                },
                "asker": {"publishes": ["request.sum"], "consumes": ["response.sum"]},
                "other_asker": {"publishes": ["request.sum"], "consumes": ["response.sum"]},
                "adder": {"publishes": ["response.sum"], "consumes": ["request.sum"]},
                "listener": {"consumes": ["orders.unheard"]},
                "noter": {"publishes": ["open.note"], "consumes": ["open.note"]},
            }.items()
        },
        "queues": {
            "taker.counted": {"service": "taker", "messages": ["orders.counted"]},
            "taker.today": {
                "service": "taker",
                "messages": [f"orders.today.{priority}" for priority in ("last", "ordinary", "urgent", "first")],
                "retry": "none",
            },
            "adder.sum": {"service": "adder", "messages": ["request.sum"], "retry": "none"},
            "noter.note": {"service": "noter", "messages": ["open.note"]},
        },
    }


@contextmanager
def running_small(broker: RunningBroker, folder: Path, *services: str) -> Iterator[BusWorld]:
    """It, applied, with agents."""
    file = write(folder / "topology.yaml", document(f"small-{uuid4().hex[:8]}"))
    with running_world(broker, folder, file, services) as world:
        yield world
