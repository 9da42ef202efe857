"""A shop that publishes, a clerk that consumes, a queue for each library, agents beside both that can be restarted."""

from __future__ import annotations

import signal
import time
import uuid
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final

from tests.agents import RunningAgent, login_of, make_key_folder, running_agent
from tests.brokers import RunningBroker
from tests.clients.program import LIMIT_SECONDS
from tests.interop.bus import envelope
from tests.ports import free_ports
from tests.tool import Tool
from tests.topologies import Document, loaded, orders, write

EXCHANGE: Final = "orders"
LOOKS: Final = 5
"""How often a message is delivered that is given back again and again, before it is dead."""
DEAD_LETTERS: Final = "letrade.dlq"
_DRAIN_SECONDS: Final = 20
_SCHEMA: Final = {
    "type": "object",
    "required": ["number"],
    "properties": {"number": {"type": "integer", "minimum": 0}},
}


def key_of(library: str) -> str:
    """The routing key of what is published for a library's consumer."""
    return f"order.{library}"


def queue_of(library: str) -> str:
    """The queue of a library's consumer."""
    return f"clerk.{library}"


def document(vhost: str, libraries: list[str], named: Mapping[str, str]) -> Document:
    """The topology."""
    typed = {"exchange": EXCHANGE, "lifetime": "10m", "schema": _SCHEMA}
    keys = [key_of(library) for library in libraries]
    return orders(
        name=vhost,
        vhost=vhost,
        limits={"delivery_limit": LOOKS},
        retry={"max_retries": 1, "delay": "300ms"},
        messages=dict.fromkeys(keys, typed),
        services={
            "shop": {"user": f"{vhost}-shop", "publishes": keys},
            "clerk": {"user": f"{vhost}-clerk", "consumes": keys},
        },
        queues={
            named.get(library, queue_of(library)): {"service": "clerk", "messages": [key_of(library)]}
            for library in libraries
        },
    )


@dataclass
class ClientWorld:
    """What runs.

    Args:
        broker: the broker.
        vhost: where the topology was applied.
        folder: of topology, keys and logs.
        stack: ends what was started.
        agents: by service.
    """

    broker: RunningBroker
    vhost: str
    folder: Path
    stack: ExitStack
    agents: dict[str, RunningAgent] = field(default_factory=dict)

    def start(self, service: str) -> RunningAgent:
        """Start an agent, where the one before was."""
        before = self.agents.get(service)
        ports = (before.port, before.admin_port) if before else tuple(free_ports(2))
        self.agents[service] = self.stack.enter_context(
            running_agent(
                self.folder,
                service=service,
                topology=self.folder / "topology.yaml",
                vhost=self.vhost,
                upstream=self.broker.amqps_url,
                ca_file=self.broker.ca_file,
                login=login_of(self.broker, f"{self.vhost}-{service}"),
                keys=self.folder / "keys",
                options=["--drain-timeout", f"{_DRAIN_SECONDS}s"],
                ports=(ports[0], ports[1]),
            )
        )
        return self.agents[service]

    def url(self, service: str) -> str:
        """Where clients connect."""
        return self.agents[service].url

    def kill(self, service: str) -> None:
        """End an agent as a node's end does: nobody is told anything."""
        agent = self.agents[service]
        agent.signal(signal.SIGKILL)
        agent.wait()

    def depths(self) -> dict[str, tuple[int, int, int]]:
        """Of each queue, by the broker's word: how many messages wait, how many are with a consumer, its consumers."""
        out = self.broker.ctl(
            "list_queues", "-q", "-p", self.vhost, "name", "messages_ready", "messages_unacknowledged", "consumers"
        )
        found: dict[str, tuple[int, int, int]] = {}
        for line in out.splitlines():
            name, *counts = line.split("\t")
            if counts and counts[0].isdecimal():
                ready, unacknowledged, consumers = map(int, counts)
                found[name] = ready, unacknowledged, consumers
        return found

    def dead_letters(self) -> list[dict[str, Any]]:
        """Those that are there; they stay."""
        question = {"count": 1000, "ackmode": "ack_requeue_true", "encoding": "auto"}
        found: list[dict[str, Any]] = self.broker.api(
            "POST", f"/api/queues/{self.vhost}/{DEAD_LETTERS}/get", json=question
        ).json()
        return found


@contextmanager
def running_client_world(
    broker: RunningBroker, folder: Path, libraries: list[str], named: Mapping[str, str] = MappingProxyType({})
) -> Iterator[ClientWorld]:
    """Apply the topology, start both agents; everything is taken away at the end.

    Args:
        broker: the broker.
        folder: for topology, keys and logs.
        libraries: slugs.
        named: queues that have names of their own, by slug.
    """
    vhost = f"clients-{uuid.uuid4().hex[:12]}"
    topology = document(vhost, libraries, named)
    write(folder / "topology.yaml", topology)
    make_key_folder(folder / "keys", loaded(topology))
    tool = Tool.at(broker, folder)
    tool.run("apply", "--yes").check(0)
    try:
        with ExitStack() as stack:
            world = ClientWorld(broker, vhost, folder, stack)
            for service in ("shop", "clerk"):
                world.start(service)
            yield world
    finally:
        broker.api("DELETE", f"/api/vhosts/{vhost}")
        tool.run("destroy", "--yes").check(0)


def order(number: int) -> bytes:
    """A body."""
    return envelope("shop", number)


def wait_until(condition: Any, what: str) -> None:
    """Wait for something."""
    deadline = time.monotonic() + LIMIT_SECONDS
    while not condition():
        assert time.monotonic() < deadline, f"not within {LIMIT_SECONDS:g} s: {what}"
        time.sleep(0.05)
