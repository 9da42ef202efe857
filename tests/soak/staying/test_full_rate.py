"""Campaign: queues that are full are migrated while a publisher and a consumer go on behind their agents.

Without the change of the dead-letter target: these queues have none, so that they may be classic ones.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import pika
import pytest

from letrade_topo.queues.endpoint import AmqpEndpoint, Login
from letrade_topo.queues.link import LetterCopy
from tests.agents import RunningAgent
from tests.brokers import RunningBroker
from tests.migration.queues_in_use import CHANGES
from tests.migration.traffic import Consumer, Publisher
from tests.retry.world import envelope
from tests.soak.conftest import Summarise
from tests.staying.world import EXCHANGE, SERVICE, document, number_of, running_world
from tests.topologies import Document, write

NAME = "kill"
APPLY = ("apply", "--yes", "--allow", "migrate", "--lock-timeout", "60")
PERSISTENT_WITH_ID = bytes.fromhex("1080") + bytes([2])
DRAINED_SECONDS = 600.0


@dataclass
class Shop(Publisher):
    """Publishes through its agent."""

    agent: RunningAgent | None = None

    def endpoint(self) -> AmqpEndpoint:
        """The agent, which wants no login."""
        assert self.agent is not None
        url = f"amqp://127.0.0.1:{self.agent.port}"
        return AmqpEndpoint.parse(url, vhost=self.vhost, login=Login("nobody", ""), insecure_loopback=True)

    def message(self, number: int) -> LetterCopy:
        """An order."""
        body, message_id = envelope(number)
        raw = PERSISTENT_WITH_ID + bytes([len(message_id)]) + message_id.encode()
        return LetterCopy(self.exchange, self.routing_key, raw, body)


@dataclass
class Clerk(Consumer):
    """Consumes through its agent."""

    agent: RunningAgent | None = None

    def connection(self) -> Any:
        """To the agent."""
        assert self.agent is not None
        return pika.BlockingConnection(self.agent.parameters)

    def number_of(self, body: bytes) -> int:
        """The number of an order."""
        return number_of(body)


def topology(settings: Mapping[str, Any], vhost: str) -> Document:
    """The queue with these settings, and without retries, which a classic one cannot have."""
    found = document(vhost)
    basis = {"service": SERVICE, "messages": [f"order.{NAME}"], "dead_letter": "none"}
    found["queues"][f"clerk.{NAME}"] = {**basis, **settings}
    return found


@pytest.mark.long_form  # the short ones are in tests/staying
@pytest.mark.parametrize("change", [name for name in CHANGES if name != "target"])
def test_full_rate(
    broker: RunningBroker, tmp_path: Path, pytestconfig: pytest.Config, summarise: Summarise, change: str
) -> None:
    """Nothing lost or refused, nothing twice; the consumer is not cancelled."""
    count, rate = pytestconfig.getoption("--messages"), pytestconfig.getoption("--rate")
    before, after = CHANGES[change]
    with running_world(broker, tmp_path, topology_of=partial(topology, before)) as world:
        shop = Shop(broker, world.vhost, EXCHANGE, f"order.{NAME}", agent=world.agents["shop"])
        clerk = Clerk(broker, world.vhost, f"clerk.{NAME}", prefetch=500, agent=world.agents[SERVICE])
        shop.publish(count)
        write(tmp_path / "topology.yaml", topology(after, world.vhost))
        begin = time.monotonic()
        with clerk.going():
            with shop.going(rate=rate):
                process = world.tool.start(*APPLY)
                said, problem = process.communicate()
                print(said[-400:], problem)
                assert process.returncode == 0, said + problem
            seconds = time.monotonic() - begin
            clerk.until(shop.published, DRAINED_SECONDS)
        world.tool.run("drift").check(0)
        lost = shop.confirmed - set(clerk.got)
        summarise(
            f"migration behind agents: {change}",
            broker.version,
            f"{shop.published:,} messages, {rate:g} a second, {seconds:.0f} s: {len(lost)} lost, {len(shop.refused)} "
            f"refused, {clerk.doubles} twice, {clerk.overtaken} overtaken, {clerk.cancels} cancels, longest pause of "
            f"the consumer {clerk.longest_pause:.1f} s, slowest confirm {shop.slowest:.2f} s",
        )
        assert not lost
        assert not shop.refused
        assert not clerk.doubles
        assert not clerk.cancels
