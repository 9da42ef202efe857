"""A topology on a real broker with an agent beside each service, and buses that speak to them."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

from letrade_topo.bus import MessageBus
from letrade_topo.bus.health import Health
from letrade_topo.bus.opened import _KEPT
from letrade_topo.load.topology_file import load_topology
from tests.agents import RunningAgent, login_of, make_key_folder, running_agent
from tests.brokers import RunningBroker
from tests.tool import Tool

LIMIT_SECONDS = 60.0


@dataclass(frozen=True)
class BusWorld:
    """A bus with agents.

    Args:
        broker: behind them.
        topology: the file.
        vhost: of it.
        agents: by service.
    """

    broker: RunningBroker
    topology: Path
    vhost: str
    agents: dict[str, RunningAgent]

    def bus(self, service: str) -> MessageBus:
        """A bus of a service, through its agent."""
        agent = self.agents[service]
        return MessageBus(
            service=service,
            topology=self.topology,
            url=f"amqp://127.0.0.1:{agent.port}",
            admin=f"127.0.0.1:{agent.admin_port}",
        )

    def environment(self, service: str) -> dict[str, str]:
        """What a program of a service finds in its environment."""
        agent = self.agents[service]
        return {
            "LETRADE_SERVICE": service,
            "LETRADE_TOPOLOGY": str(self.topology),
            "LETRADE_URL": f"amqp://127.0.0.1:{agent.port}",
            "LETRADE_ADMIN": f"127.0.0.1:{agent.admin_port}",
        }

    def messages(self, queue: str) -> list[dict[str, Any]]:
        """Take everything out of a queue, as the management API shows it."""
        question = {"count": 1000, "ackmode": "ack_requeue_false", "encoding": "auto"}
        path = f"/api/queues/{quote(self.vhost, safe='')}/{queue}/get"
        found: list[dict[str, Any]] = self.broker.api("POST", path, json=question).json()
        return found

    def purge(self, *queues: str) -> None:
        """Empty queues."""
        for queue in queues:
            path = f"/api/queues/{quote(self.vhost, safe='')}/{queue}/contents"
            assert self.broker.api("DELETE", path).ok


@contextmanager
def running_world(
    broker: RunningBroker, folder: Path, topology: Path, services: Sequence[str], options: Sequence[str] = ()
) -> Iterator[BusWorld]:
    """Apply a topology, start agents; everything is taken away at the end.

    Args:
        broker: where.
        folder: for keys and logs.
        topology: the file.
        services: which have an agent.
        options: of the agents.
    """
    model = load_topology(topology).topology
    tool = Tool.at(broker, topology.parent)
    tool.run("apply", "--yes", topology.name).check(0)
    keys = make_key_folder(folder / "keys", model)
    try:
        with ExitStack() as stack:
            agents = {
                service: stack.enter_context(
                    running_agent(
                        folder,
                        service=service,
                        topology=topology,
                        vhost=model.vhost,
                        upstream=broker.amqps_url,
                        ca_file=broker.ca_file,
                        login=login_of(broker, model.services[service].user),
                        keys=keys,
                        options=options,
                    )
                )
                for service in services
            }
            yield BusWorld(broker, topology, model.vhost, agents)
    finally:
        broker.api("DELETE", f"/api/vhosts/{quote(model.vhost, safe='')}")
        tool.run("destroy", "--yes", topology.name).check(0)


def run(scenario: Callable[[], Awaitable[None]], limit_seconds: float = 2 * LIMIT_SECONDS) -> None:
    """Run an asyncio test, which has to end."""

    async def limited() -> None:
        async with asyncio.timeout(limit_seconds):
            await scenario()

    asyncio.run(limited())


async def until(condition: Callable[[], object], what: str, limit_seconds: float = LIMIT_SECONDS) -> None:
    """Wait for a condition."""
    deadline = time.monotonic() + limit_seconds
    while not condition():
        assert time.monotonic() < deadline, f"not within {limit_seconds:g} s: {what}"
        await asyncio.sleep(0.02)


async def healthy(bus: MessageBus, condition: Callable[[Health], object], what: str) -> Health:
    """What `health_check` says, once it is as expected.

    Asked once is not enough: who does not answer within two seconds counts as away, and a busy machine may take them.
    """
    deadline = time.monotonic() + LIMIT_SECONDS
    while not condition(health := await bus.health_check()):
        assert time.monotonic() < deadline, f"not within {LIMIT_SECONDS:g} s: {what}: {health}"
        await asyncio.sleep(0.02)
    return health


async def close_forgotten() -> None:
    """Close every bus that somebody opened and kept no hold of."""
    for opened in list(_KEPT):
        await opened.close(1)
