"""A small bus with everything enforced: a shop publishes, a clerk consumes, an agent beside each.

The topology is applied by the tool, services log in with their certificates, keys are made by the tool's own code.
"""

from __future__ import annotations

import json
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from tests.agents import RunningAgent, login_of, make_key_folder, running_agent
from tests.brokers import RunningBroker
from tests.interop.client import LIMIT_SECONDS, Endpoint
from tests.tool import Tool
from tests.topologies import Document, loaded, orders, write

QUEUE = "clerk.orders"
REJECTED = f"{QUEUE}.rejected"
DEAD = "letrade.dlq"
_SCHEMA = {
    "type": "object",
    "required": ["number"],
    "properties": {"number": {"type": "integer", "minimum": 0}, "note": {"type": "string"}},
}


def envelope(source: str, number: object = 0, **more: object) -> bytes:
    """A message's body."""
    moment = datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    document = {
        "message_id": str(uuid.uuid4()),
        "timestamp": moment,
        "source": source,
        "payload": {"number": number, **more},
    }
    return json.dumps(document).encode()


def number_of(body: bytes) -> int:
    """What was counted."""
    return int(json.loads(body)["payload"]["number"])


@dataclass(frozen=True, slots=True)
class Bus:
    """What runs.

    Args:
        broker: the broker.
        vhost: where the topology was applied.
        shop, clerk: the agents.
    """

    broker: RunningBroker
    vhost: str
    shop: RunningAgent
    clerk: RunningAgent

    @property
    def straight(self) -> Endpoint:
        """Past both agents, as the administrator."""
        return Endpoint(
            self.broker.amqps_port, self.vhost, self.broker.username, self.broker.password, self.broker.ca_file
        )

    def purge(self) -> None:
        """Empty what tests fill."""
        for queue in (QUEUE, REJECTED, DEAD):
            assert self.broker.api("DELETE", f"/api/queues/{self.vhost}/{queue}/contents").ok

    def look(self, queue: str) -> dict[str, Any]:
        """The next message of a queue, waited for and taken out, as the management API shows it."""
        deadline = time.monotonic() + LIMIT_SECONDS
        question = {"count": 1, "ackmode": "ack_requeue_false", "encoding": "auto"}
        while True:
            found: list[dict[str, Any]] = self.broker.api(
                "POST", f"/api/queues/{self.vhost}/{queue}/get", json=question
            ).json()
            if found:
                return found[0]
            assert time.monotonic() < deadline, f"nothing in {queue}"
            time.sleep(0.02)


def document(vhost: str, **more: Any) -> Document:
    """The topology, with more sections."""
    typed = {"exchange": "orders", "lifetime": "60s", "schema": _SCHEMA}
    published = ["order.placed", "order.{id}.changed"]
    return orders(
        vhost=vhost,
        messages=dict.fromkeys((*published, "order.answered"), typed),
        services={
            "shop": {
                "user": f"{vhost}-shop",
                "publishes": published,
                "consumes": ["order.answered"],
                "direct_reply_to": True,
            },
            "clerk": {
                "user": f"{vhost}-clerk",
                "publishes": ["order.answered"],
                "consumes": ["order.placed", "order.{id}.changed"],
                "direct_reply_to": True,
            },
        },
        **more,
    )


@contextmanager
def running_bus(broker: RunningBroker, folder: Path, **more: Any) -> Iterator[Bus]:
    """Apply the topology, with more sections; start both agents. Everything is taken away at the end."""
    vhost = f"bus-{uuid.uuid4().hex[:12]}"
    topology = document(vhost, **more)
    file = write(folder / "topology.yaml", topology)
    keys = make_key_folder(folder / "keys", loaded(topology))
    tool = Tool.at(broker, folder)
    tool.run("apply", "--yes").check(0)
    try:
        with _beside("shop", broker, vhost, file, keys) as shop, _beside("clerk", broker, vhost, file, keys) as clerk:
            yield Bus(broker, vhost, shop, clerk)
    finally:
        broker.api("DELETE", f"/api/vhosts/{vhost}")
        tool.run("destroy", "--yes").check(0)


@contextmanager
def _beside(service: str, broker: RunningBroker, vhost: str, topology: Path, keys: Path) -> Iterator[RunningAgent]:
    with running_agent(
        topology.parent,
        service=service,
        topology=topology,
        vhost=vhost,
        upstream=broker.amqps_url,
        ca_file=broker.ca_file,
        login=login_of(broker, f"{vhost}-{service}"),
        keys=keys,
        options=["--retry", "off"],  # what a client rejects stays where the tests look for it
    ) as agent:
        yield agent
