"""A trade: a strategy commands it, its executor rejects it once, executes it, and tells; each beside a traced agent."""

from __future__ import annotations

import json
import secrets
import uuid
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pika

from tests.agents import RunningAgent, login_of, make_key_folder, running_agent
from tests.brokers import RunningBroker
from tests.retry.world import agent_parameters, pika_connection
from tests.tool import Tool
from tests.topologies import Document, loaded, orders, write

COMMANDS, EVENTS, DEAD = "letrade.commands", "letrade.events", "letrade.dlq"
COMMAND, EXECUTED = "execute_trade.{symbol}", "trade_executed.{symbol}"
SYMBOL = "BTC-USDT"
COMMAND_KEY, EXECUTED_KEY = f"execute_trade.{SYMBOL}", f"trade_executed.{SYMBOL}"
EXECUTOR, STRATEGY = "trade_execution", "strategy"
COMMAND_QUEUE, EXECUTED_QUEUE = "trade_execution.execute_trade", "strategy.trade_executed"
LIMIT_SECONDS = 60.0


def document(vhost: str) -> Document:
    """The topology of the trade; one retry, after half a second."""
    return orders(
        name=vhost,
        vhost=vhost,
        retry={"max_retries": 1, "delay": "500ms"},
        exchanges={COMMANDS: {}, EVENTS: {}},
        messages={
            COMMAND: {"exchange": COMMANDS, "lifetime": "10m"},
            EXECUTED: {"exchange": EVENTS, "lifetime": "10m"},
        },
        services={
            STRATEGY: {"user": f"{vhost}-strategy", "publishes": [COMMAND], "consumes": [EXECUTED]},
            EXECUTOR: {"user": f"{vhost}-executor", "publishes": [EXECUTED], "consumes": [COMMAND]},
        },
        queues={
            COMMAND_QUEUE: {"service": EXECUTOR, "messages": [COMMAND]},
            EXECUTED_QUEUE: {"service": STRATEGY, "messages": [EXECUTED]},
        },
    )


def traceparent(*, sampled: bool = True) -> tuple[str, str, str]:
    """A context as a publisher would make it: the header, the trace, the span."""
    trace, span = secrets.token_hex(16), secrets.token_hex(8)
    return f"00-{trace}-{span}-{'01' if sampled else '00'}", trace, span


def envelope(source: str, **payload: Any) -> tuple[str, bytes]:
    """An id, and a body with it."""
    message_id = str(uuid.uuid4())
    moment = datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    body = {"message_id": message_id, "timestamp": moment, "source": source, "payload": payload}
    return message_id, json.dumps(body).encode()


@dataclass(slots=True)
class TracedWorld:
    """What runs.

    Args:
        broker: the broker.
        folder: with `topology.yaml` and `keys`.
        vhost: where the topology was applied.
        agents: by service.
    """

    broker: RunningBroker
    folder: Path
    vhost: str
    agents: dict[str, RunningAgent] = field(default_factory=dict)

    def publish(
        self, service: str, exchange: str, key: str, headers: Mapping[str, Any] | None = None, **payload: Any
    ) -> str:
        """Publish a message of a service, confirmed; its id."""
        message_id, body = envelope(service, **payload)
        with pika_connection(agent_parameters(self.agents[service])) as connection:
            channel = connection.channel()
            channel.confirm_delivery()
            channel.basic_publish(exchange, key, body, pika.BasicProperties(headers=headers and dict(headers)))
        return message_id

    def take(self, service: str, queue: str, outcomes: str) -> list[pika.BasicProperties]:
        """Consume as many messages as there are outcomes: `a` acknowledges, `r` rejects; their properties."""
        seen: list[pika.BasicProperties] = []
        with pika_connection(agent_parameters(self.agents[service])) as connection:
            channel = connection.channel()
            channel.basic_qos(prefetch_count=1)
            for method, properties, _ in channel.consume(queue, inactivity_timeout=LIMIT_SECONDS):
                assert method is not None, f"{queue} gave {len(seen)} of {len(outcomes)} messages"
                if outcomes[len(seen)] == "a":
                    channel.basic_ack(method.delivery_tag)
                else:
                    channel.basic_reject(method.delivery_tag, requeue=False)
                seen.append(properties)
                if len(seen) == len(outcomes):
                    break
            channel.cancel()
        return seen

    def trade(self, headers: Mapping[str, Any] | None = None) -> tuple[str, str]:
        """The whole trade, with one retry; ids of the command and of what was told about it."""
        command = self.publish(STRATEGY, COMMANDS, COMMAND_KEY, headers, volume=3)
        _, again = self.take(EXECUTOR, COMMAND_QUEUE, "ra")
        executed = self.publish(EXECUTOR, EVENTS, EXECUTED_KEY, _context_of(again), volume=3)
        self.take(STRATEGY, EXECUTED_QUEUE, "a")
        return command, executed


def _context_of(properties: pika.BasicProperties) -> dict[str, Any] | None:
    """What a service passes on, as its instrumentation does."""
    found = (properties.headers or {}).get("traceparent")
    return None if found is None else {"traceparent": found}


@contextmanager
def traced_world(
    broker: RunningBroker,
    folder: Path,
    environment: Mapping[str, str],
    services: tuple[str, ...] = (STRATEGY, EXECUTOR),
) -> Iterator[TracedWorld]:
    """Apply the topology and start the agents; everything is taken away at the end.

    Args:
        broker: where.
        folder: for files.
        environment: of the agents: where spans go.
        services: whose agents are traced; the others' are not.
    """
    vhost = f"trace-{uuid.uuid4().hex[:12]}"
    topology = document(vhost)
    write(folder / "topology.yaml", topology)
    make_key_folder(folder / "keys", loaded(topology))
    world = TracedWorld(broker, folder, vhost)
    tool = Tool.at(broker, folder)
    tool.run("apply", "--yes").check(0)
    with ExitStack() as stack:
        for service, user in ((STRATEGY, "strategy"), (EXECUTOR, "executor")):
            world.agents[service] = stack.enter_context(
                running_agent(
                    folder,
                    service=service,
                    topology=folder / "topology.yaml",
                    vhost=vhost,
                    upstream=broker.amqps_url,
                    ca_file=broker.ca_file,
                    login=login_of(broker, f"{vhost}-{user}"),
                    keys=folder / "keys",
                    environment=dict(environment) if service in services else {},
                )
            )
        yield world
    broker.api("DELETE", f"/api/vhosts/{vhost}")
    tool.run("destroy", "--yes").check(0)
