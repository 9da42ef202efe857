"""What every campaign stands on: a small topology, keys, an agent beside the shop and one beside the clerk."""

from __future__ import annotations

import json
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypeVar

from bench.agents.client import Target
from tests.agents import RunningAgent, login_of, make_key_folder, running_agent
from tests.brokers import RunningBroker
from tests.soak.agents.ends import End, LoadConsumer, LoadPublisher
from tests.tool import Tool
from tests.topologies import Document, loaded, orders, write

EXCHANGE = "orders"
KEY = "order.placed"
KEY_NOBODY_WANTS = "order.answered"
QUEUE = "clerk.orders"
DEAD = "letrade.dlq"
LIMIT_SECONDS = 60.0
_POLL_SECONDS = 0.05
AnyEnd = TypeVar("AnyEnd", bound=End)
_SCHEMA = {
    "type": "object",
    "required": ["number"],
    "properties": {"number": {"type": "integer", "minimum": 0}, "note": {"type": "string"}},
}


def until(condition: Callable[[], object], what: str, limit_seconds: float = LIMIT_SECONDS) -> None:
    """Wait for a condition, and fail with its name when it does not come."""
    deadline = time.monotonic() + limit_seconds
    while not condition():
        assert time.monotonic() < deadline, f"not within {limit_seconds:g} s: {what}"
        time.sleep(_POLL_SECONDS)


def envelope(number: object, source: str = "shop", note: str = "") -> bytes:
    """A message's body; with `note` as long as one of the contract's."""
    return json.dumps(
        {
            "message_id": str(uuid.uuid4()),
            "timestamp": datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z"),
            "source": source,
            "payload": {"number": number, "note": note},
        }
    ).encode()


def order(number: int) -> bytes:
    """A message of 500 bytes or so."""
    return envelope(number, note="x" * 330)


def document(vhost: str) -> Document:
    """The topology: one type that the clerk waits for, one that nobody does."""
    typed = {"exchange": EXCHANGE, "lifetime": "60s", "schema": _SCHEMA}
    return orders(
        name=vhost,
        vhost=vhost,
        messages={KEY: typed, KEY_NOBODY_WANTS: typed},
        services={
            "shop": {"user": f"{vhost}-shop", "publishes": [KEY, KEY_NOBODY_WANTS], "consumes": [KEY_NOBODY_WANTS]},
            "clerk": {"user": f"{vhost}-clerk", "consumes": [KEY]},
        },
        queues={QUEUE: {"service": "clerk", "messages": [KEY]}},
    )


@dataclass(slots=True)
class CampaignWorld:
    """A topology on a broker, and how its services' agents are started.

    Args:
        broker: through which it is administered.
        vhost: also the topology's name.
        folder: with `topology.yaml` and `keys`.
        upstream: value of `--upstream`.
        stack: ends the agents.
    """

    broker: RunningBroker
    vhost: str
    folder: Path
    upstream: str
    stack: ExitStack = field(default_factory=ExitStack)

    @property
    def topology(self) -> Path:
        """The file."""
        return self.folder / "topology.yaml"

    @property
    def keys(self) -> Path:
        """The folder of keys."""
        return self.folder / "keys"

    @property
    def tool(self) -> Tool:
        """`letrade-topo` as the administrator."""
        return Tool.at(self.broker, self.folder)

    def agent(self, service: str, *options: str, ports: tuple[int, int] | None = None) -> RunningAgent:
        """The agent beside a service; it is stopped at the end, if it still runs."""
        return self.stack.enter_context(
            running_agent(
                self.folder,
                service=service,
                topology=self.topology,
                vhost=self.vhost,
                upstream=self.upstream,
                ca_file=self.broker.ca_file,
                login=login_of(self.broker, f"{self.vhost}-{service}"),
                keys=self.keys,
                options=options,
                ports=ports,
            )
        )

    def target(self, agent: RunningAgent) -> Target:
        """Where a raw client connects."""
        return Target(f"amqp://127.0.0.1:{agent.port}", self.vhost)

    def publisher(self, agent: RunningAgent, **options: Any) -> LoadPublisher:
        """A publisher of orders that has begun."""
        return self.begun(LoadPublisher(self.target(agent), EXCHANGE, KEY, order, **options))

    def consumer(self, agent: RunningAgent) -> LoadConsumer:
        """A consumer of orders that has begun."""
        return self.begun(LoadConsumer(self.target(agent), QUEUE))

    def begun(self, end: AnyEnd) -> AnyEnd:
        """Start one end of the load; it is told to finish before its agent stops, however the test ends."""
        self.stack.callback(end.finish)
        end.start()
        return end

    def is_empty(self, *queues: str) -> bool:
        """Whether queues hold nothing, by asking for a message: counts of quorum queues are seconds old."""
        question = {"count": 1, "ackmode": "ack_requeue_true", "encoding": "base64"}
        for queue in queues:
            answer = self.broker.api("POST", f"/api/queues/{self.vhost}/{queue}/get", json=question)
            assert answer.ok, answer.text
            if answer.json():
                return False
        return True


@contextmanager
def running_world(
    broker: RunningBroker,
    folder: Path,
    upstream: str | None = None,
    document: Callable[[str], Document] = document,
) -> Iterator[CampaignWorld]:
    """Apply the topology and make the keys; agents stop and everything is taken away at the end.

    Args:
        broker: administered through this node.
        folder: for files.
        upstream: nodes for the agents; the broker itself by default.
        document: the topology for a vhost.
    """
    vhost = f"load-{uuid.uuid4().hex[:12]}"
    topology = document(vhost)
    world = CampaignWorld(broker, vhost, folder, upstream or broker.amqps_url)
    write(world.topology, topology)
    make_key_folder(world.keys, loaded(topology))
    world.tool.run("apply", "--yes").check(0)
    try:
        with world.stack:
            yield world
    finally:
        world.broker.api("DELETE", f"/api/vhosts/{vhost}")
        world.tool.run("destroy", "--yes").check(0)


def nothing_refused(*agents: RunningAgent) -> None:
    """No agent has refused, handed over or let through unsigned anything."""
    for agent in agents:
        messages = agent.status()["messages"]
        assert messages["refused"] == [], f"{agent.service}: {messages['refused']}"
        assert messages["handed_over"] == 0, agent.service
        assert messages["unverified"] == [], f"{agent.service}: {messages['unverified']}"
