"""A small topology on a real broker with agents beside it, and the messages of its services."""

from __future__ import annotations

import json
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

import pika
from pika.adapters.blocking_connection import BlockingChannel

from tests.agents import AgentFactory, RunningAgent, login_of, make_key_folder
from tests.brokers import RunningBroker
from tests.tool import Tool
from tests.topologies import Document, loaded, write

LIMIT_SECONDS = 60.0
QUEUE = "clerk.orders"


@dataclass
class SmallBus:
    """A broker with a small topology, its file and its keys."""

    broker: RunningBroker
    folder: Path
    document: Document
    start_agent: AgentFactory
    connections: list[pika.BlockingConnection] = field(default_factory=list)

    def channel(self, agent: RunningAgent) -> BlockingChannel:
        """A channel in confirm mode on a connection of its own, which is closed before the agent is stopped."""
        self.connections.append(pika.BlockingConnection(agent.parameters))
        channel = self.connections[-1].channel()
        channel.confirm_delivery()
        return channel

    def close(self) -> None:
        """Close what is still open."""
        for connection in self.connections:
            with suppress(pika.exceptions.AMQPError):
                connection.close()

    @property
    def topology(self) -> Path:
        """The file."""
        return self.folder / "topology.yaml"

    @property
    def keys(self) -> Path:
        """The key folder."""
        return self.folder / "keys"

    def agent(self, service: str, *options: str) -> RunningAgent:
        """The agent beside a service."""
        vhost = self.document["vhost"]
        return self.start_agent(
            self.broker,
            service=service,
            topology=self.topology,
            vhost=vhost,
            login=login_of(self.broker, f"{vhost}-{service}"),
            keys=self.keys,
            options=options,
        )


@contextmanager
def applied(broker: RunningBroker, folder: Path, document: Document, start_agent: AgentFactory) -> Iterator[SmallBus]:
    """A place whose topology, with users named after its vhost, is applied; the users go at the end."""
    made = SmallBus(broker, folder, document, start_agent)
    write(made.topology, document)
    Tool.at(broker, folder).run("apply", "--yes").check(0)
    make_key_folder(made.keys, loaded(document))
    yield made
    made.close()
    name, vhost = document["name"], document["vhost"]
    for user in (f"{vhost}-shop", f"{vhost}-clerk"):
        broker.api("DELETE", f"/api/users/{user}")
    broker.api("DELETE", f"/api/global-parameters/letrade-topo.{name}.{vhost}")


def until(condition: Callable[[], object], what: str) -> None:
    """Wait for a condition, with a limit."""
    deadline = time.monotonic() + LIMIT_SECONDS
    while not condition():
        assert time.monotonic() < deadline, f"not within {LIMIT_SECONDS:g} s: {what}"
        time.sleep(0.05)


def order(source: str = "shop", **payload: object) -> bytes:
    """The body of a message."""
    moment = time.strftime("%Y-%m-%dT%H:%M:%S.000Z", time.gmtime())
    return json.dumps(
        {"message_id": str(uuid.uuid4()), "timestamp": moment, "source": source, "payload": payload}
    ).encode()
