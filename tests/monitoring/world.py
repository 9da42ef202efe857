"""Letrade in small, watched: a broker, the shipped topology, two agents with traffic, the controller, Prometheus."""

from __future__ import annotations

import json
import threading
import time
import uuid
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pika
import pika.exceptions

from tests.agents import RunningAgent, login_of, make_key_folder, running_agent
from tests.brokers import RunningBroker
from tests.bus.samples import SAMPLES
from tests.controllers import RunningController, running_controller
from tests.management.endpoints import amqp
from tests.monitoring.prometheus import Prometheus, running_prometheus
from tests.retry.world import RetryConsumer, agent_parameters, pika_connection
from tests.tool import Tool
from tests.topologies import SHIPPED, shipped

VHOST = "letrade"
SERVICES = ("strategy", "exchange_connector")
TRADES = "exchange_connector.execute_trade"


_TRADE, _TRADED = "commands.execute_trade", "events.trade_executed"
_SYMBOLS = ("btcusdt", "ethusdt", "solusdt")
_ROUND = (
    ("strategy", "letrade.commands", [_TRADE], _TRADE),
    ("exchange_connector", "letrade.events", [_TRADED], _TRADED),
    (
        "exchange_connector",
        "letrade.events",
        [f"market_data.binance.{name}" for name in _SYMBOLS] * 3,
        "market_data.binance.btcusdt",
    ),
)


@dataclass(slots=True)
class MonitoredWorld:
    """What runs.

    Args:
        broker: of its own: a test stops it.
        folder: with `topology.yaml` and `keys`.
        agents: by service.
        controller: in detect mode.
        prometheus: scrapes them.
    """

    broker: RunningBroker
    folder: Path
    agents: dict[str, RunningAgent]
    controller: RunningController
    prometheus: Prometheus

    @property
    def tool(self) -> Tool:
        """`letrade-topo` as the administrator."""
        return Tool.at(self.broker, self.folder)

    def publish(self, service: str, exchange: str, keys: list[str], sample: str, *, confirms: bool = True) -> None:
        """A service publishes the contract's sample, once for each key."""
        with pika_connection(agent_parameters(self.agents[service])) as connection:
            channel = connection.channel()
            if confirms:
                channel.confirm_delivery()
            for key in keys:
                channel.basic_publish(exchange, key, wrap(service, SAMPLES[sample]), pika.BasicProperties())

    def forge(self) -> None:
        """Somebody with a login of the broker publishes past the agents, without a token."""
        with amqp(self.broker, VHOST) as channel:
            body = json.dumps({"message_id": str(uuid.uuid4()), "payload": {}}).encode()
            channel.basic_publish("letrade.commands", "commands.execute_trade", body)

    def delete_queue(self, name: str) -> None:
        """By hand, as the administrator."""
        self.broker.api("DELETE", f"/api/queues/{VHOST}/{name}").raise_for_status()


class Traffic(threading.Thread):
    """Trades and market data, some of which the connector rejects.

    Args:
        world: whose agents it goes through.
        a_second: trades; of market data ten times as many.
    """

    def __init__(self, world: MonitoredWorld, a_second: float = 5.0) -> None:
        super().__init__(daemon=True)
        self._world = world
        self._pause = 1 / a_second
        self._told_to_stop = threading.Event()
        self._consumers = [
            RetryConsumer(agent_parameters(world.agents["exchange_connector"]), TRADES, _mostly),
            RetryConsumer(agent_parameters(world.agents["strategy"]), "strategy.trade_executed", lambda _: True),
            RetryConsumer(agent_parameters(world.agents["strategy"]), "strategy.market_data", lambda _: True),
        ]

    def run(self) -> None:
        """Publish, until it is told to stop or an agent is gone."""
        for consumer in self._consumers:
            consumer.start()
        try:
            while not self._told_to_stop.wait(self._pause):
                for service, exchange, keys, sample in _ROUND:
                    self._world.publish(service, exchange, keys, sample)
        except pika.exceptions.AMQPError:
            pass

    def finish(self) -> None:
        """Stop."""
        self._told_to_stop.set()
        self.join(10)
        for consumer in self._consumers:
            consumer.finish()


def wrap(source: str, payload: dict[str, Any]) -> bytes:
    """A message's body."""
    moment = datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    envelope = {"message_id": str(uuid.uuid4()), "timestamp": moment, "source": source, "payload": payload}
    return json.dumps(envelope).encode()


def _mostly(seen: Any) -> bool:
    """Nine of ten trades are taken, and take a moment."""
    time.sleep(0.01)
    return bool(sum(seen.message_id.encode()) % 10)


@contextmanager
def running_world(broker: RunningBroker, folder: Path, every: str = "1s") -> Iterator[MonitoredWorld]:
    """Apply the shipped topology, start the rest, and stop all of it at the end."""
    topology = folder / "topology.yaml"
    topology.write_bytes(SHIPPED.read_bytes())
    keys = make_key_folder(folder / "keys", shipped())
    Tool.at(broker, folder).run("apply", "--yes").check(0)
    with ExitStack() as stack:
        agents = {
            service: stack.enter_context(
                running_agent(
                    folder,
                    service=service,
                    topology=topology,
                    vhost=VHOST,
                    upstream=broker.amqps_url,
                    ca_file=broker.ca_file,
                    login=login_of(broker, service),
                    keys=keys,
                )
            )
            for service in SERVICES
        }
        controller = stack.enter_context(running_controller(broker, topology))
        own = folder / "prometheus"
        own.mkdir()
        targets = {
            "letrade-agents": {service: agent.admin_port for service, agent in agents.items()},
            "letrade-topo": {"controller": controller.port},
        }
        prometheus = stack.enter_context(running_prometheus(own, targets, every))
        yield MonitoredWorld(broker, folder, agents, controller, prometheus)
