"""A shop and a clerk with an agent each, whose topology has a claim check, on one broker."""

from __future__ import annotations

import json
import secrets
import ssl
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pika
from pika.adapters.blocking_connection import BlockingChannel

from tests.agents import RunningAgent, login_of, make_key_folder, running_agent
from tests.brokers import RunningBroker
from tests.tool import Tool
from tests.topologies import Document, loaded, orders, write

QUEUE, DEAD = "clerk.orders", "letrade.dlq"
LIMIT_SECONDS = 60.0
MIB = 1024 * 1024
CARD = "4111-7770-0420-9993"


def until(condition: Callable[[], object], what: str) -> None:
    """Wait for a condition, with a limit."""
    deadline = time.monotonic() + LIMIT_SECONDS
    while not condition():
        assert time.monotonic() < deadline, f"not within {LIMIT_SECONDS:g} s: {what}"
        time.sleep(0.02)


def order(size: int = 0, **payload: object) -> bytes:
    """A body of about that many bytes, in a formatting of its own, with a sensitive field."""
    moment = time.strftime("%Y-%m-%dT%H:%M:%S.000Z", time.gmtime())
    head = {"message_id": str(uuid.uuid4()), "timestamp": moment, "source": "shop"}
    text = json.dumps(head | {"payload": {"number": 1, "card": CARD, **payload}})
    rows = ",".join(f'[{number},"é \\u00e4"]' for number in range(1000))
    filler = secrets.token_hex(size // 2)
    return (text[:-2] + (f', "rows":\t[{rows}], "filler" :"{filler}"' if size else "") + "}}").encode()


@dataclass(slots=True)
class ClaimWorld:
    """What runs.

    Args:
        broker: the broker.
        folder: with `topology.yaml` and `keys`.
        document: the topology.
        environment: of the agents and of the tool.
        agents: by service.
    """

    broker: RunningBroker
    folder: Path
    document: Document
    environment: dict[str, str]
    agents: dict[str, RunningAgent] = field(default_factory=dict)

    @property
    def vhost(self) -> str:
        """Of the topology."""
        return str(self.document["vhost"])

    @property
    def shop(self) -> RunningAgent:
        """The publisher's agent."""
        return self.agents["shop"]

    @property
    def clerk(self) -> RunningAgent:
        """The consumer's agent."""
        return self.agents["clerk"]

    @property
    def store(self) -> Path:
        """The folder of the claim check, where it is one."""
        return self.folder / "claims"

    @property
    def objects(self) -> list[Path]:
        """What lies in it."""
        return [path for path in self.store.rglob("*") if path.is_file()]

    def ready(self, queue: str) -> int:
        """How many messages are ready in a queue, by the broker's own word."""
        context = ssl.create_default_context(cafile=str(self.broker.ca_file))
        parameters = pika.ConnectionParameters(
            "127.0.0.1",
            self.broker.amqps_port,
            self.vhost,
            pika.PlainCredentials(self.broker.username, self.broker.password),
            ssl_options=pika.SSLOptions(context, "127.0.0.1"),
        )
        with pika.BlockingConnection(parameters) as connection:
            return int(connection.channel().queue_declare(queue, passive=True).method.message_count)

    def dlq(self, *arguments: str) -> str:
        """What `letrade-topo dlq` prints of the one dead letter, once it is back from whoever looked at it before."""
        until(lambda: self.ready(DEAD) == 1, "the dead letter is in its queue")
        upstream = {"LETRADE_TOPO_AMQP": self.broker.amqps_url, "LETRADE_TOPO_KEYS": str(self.folder / "keys")}
        tool = Tool.at(self.broker, self.folder).having(**self.environment, **upstream)
        return tool.run("dlq", *arguments).check(0).out

    @contextmanager
    def channel(self, agent: RunningAgent) -> Iterator[BlockingChannel]:
        """A channel in confirm mode on a connection of its own."""
        connection = pika.BlockingConnection(agent.parameters)
        try:
            channel = connection.channel()
            channel.confirm_delivery()
            channel.basic_qos(prefetch_count=20)
            yield channel
        finally:
            if connection.is_open:
                connection.close()

    def publish(self, *bodies: bytes, **properties: Any) -> None:
        """The shop publishes orders, each confirmed."""
        with self.channel(self.shop) as channel:
            for body in bodies:
                channel.basic_publish("orders", "order.placed", body, pika.BasicProperties(**properties))

    @contextmanager
    def deliveries(self) -> Iterator[Iterator[tuple[BlockingChannel, Any, Any, bytes]]]:
        """What the clerk gets: channel, method, properties and body of each."""
        with self.channel(self.clerk) as channel:

            def received() -> Iterator[tuple[BlockingChannel, Any, Any, bytes]]:
                for method, properties, body in channel.consume(QUEUE, inactivity_timeout=LIMIT_SECONDS):
                    assert method is not None, "nothing came"
                    yield channel, method, properties, body

            yield received()

    def receive(self, count: int = 1) -> list[tuple[Any, bytes]]:
        """Properties and bodies of the next deliveries, acknowledged."""
        found = []
        with self.deliveries() as deliveries:
            for _ in range(count):
                channel, method, properties, body = next(deliveries)
                channel.basic_ack(method.delivery_tag)
                found.append((properties, body))
        return found

    def messages(self, queue: str) -> list[dict[str, Any]]:
        """What lies in a queue, left there, as the management API shows it."""
        question = {"count": 100, "ackmode": "ack_requeue_true", "encoding": "auto"}
        found: list[dict[str, Any]] = self.broker.api(
            "POST", f"/api/queues/{self.vhost}/{queue}/get", json=question
        ).json()
        return found

    def dead(self) -> dict[str, Any]:
        """The one dead letter, waited for."""
        deadline = time.monotonic() + LIMIT_SECONDS
        while not (found := self.messages(DEAD)):
            assert time.monotonic() < deadline, "no dead letter"
            time.sleep(0.05)
        assert len(found) == 1
        return found[0]

    def empty(self) -> None:
        """Forget what the last test left behind."""
        for queue in (QUEUE, DEAD):
            self.broker.api("DELETE", f"/api/queues/{self.vhost}/{queue}/contents")
        for path in self.objects:
            path.unlink()

    @contextmanager
    def agent(self, service: str) -> Iterator[RunningAgent]:
        """An agent beside a service."""
        with running_agent(
            self.folder,
            service=service,
            topology=self.folder / "topology.yaml",
            vhost=self.vhost,
            upstream=self.broker.amqps_url,
            ca_file=self.broker.ca_file,
            login=login_of(self.broker, f"{self.vhost}-{service}"),
            keys=self.folder / "keys",
            environment=self.environment,
        ) as agent:
            yield agent


@contextmanager
def running_world(
    broker: RunningBroker, folder: Path, claim_check: Document, environment: dict[str, str] | None = None
) -> Iterator[ClaimWorld]:
    """Apply the topology and start the agents; everything is taken away at the end."""
    vhost = f"claims-{uuid.uuid4().hex[:12]}"
    document = orders(name=vhost, vhost=vhost, environment="test", claim_check=claim_check)
    document["retry"] = {"max_retries": 1, "delay": "200ms"}
    # bodies of many megabytes take their time
    document["messages"]["order.placed"] |= {"sensitive": ["/card"], "lifetime": "10m"}
    write(folder / "topology.yaml", document)
    make_key_folder(folder / "keys", loaded(document))
    world = ClaimWorld(broker, folder, document, environment or {})
    tool = Tool.at(broker, folder)
    tool.run("apply", "--yes").check(0)
    with world.agent("shop") as shop, world.agent("clerk") as clerk:
        world.agents = {"shop": shop, "clerk": clerk}
        yield world
    broker.api("DELETE", f"/api/vhosts/{vhost}")
    tool.run("destroy", "--yes").check(0)
