"""Services with ladders of several shapes on one broker: a shop publishes, others consume, each with its agent.

`till` has no agent beside it, only `letrade-agent route`.
"""

from __future__ import annotations

import ssl
import threading
import time
import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pika
from pika.credentials import ExternalCredentials

from letrade_topo.model.names import rejected_queue, retry_queue
from tests.agents import RunningAgent, login_of, make_key_folder, running_agent
from tests.brokers import RunningBroker
from tests.tool import Tool
from tests.topologies import Document, loaded, orders, write

EXCHANGE = "orders"
DEAD = "letrade.dlq"
LIMIT_SECONDS = 60.0
SHORT: Mapping[str, Any] = {"max_retries": 3, "delay": "200ms", "multiplier": 2}
AGENTS = ("shop", "clerk", "audit")

QUEUES: Mapping[str, tuple[str, list[str], Mapping[str, Any] | str]] = {
    "clerk.orders": ("clerk", ["order.placed"], SHORT),
    "audit.orders": ("audit", ["order.placed"], SHORT),
    "clerk.changes": ("clerk", ["order.{id}.changed"], SHORT),
    "clerk.contract": ("clerk", ["commands.execute_trade"], {"max_retries": 3, "delay": "5s", "multiplier": 2}),
    "clerk.ladder": ("clerk", ["order.ladder"], {"max_retries": 2, "delay": "300ms", "multiplier": 20}),
    "clerk.frail": ("clerk", ["order.frail"], {"max_retries": 1, "delay": "200ms", "multiplier": 1}),
    "clerk.crowd": ("clerk", ["order.crowd"], {"max_retries": 1, "delay": "200ms", "multiplier": 1}),
    "clerk.strict": ("clerk", ["order.strict"], "none"),
    "clerk.brief": ("clerk", ["order.brief"], SHORT),
    "till.orders": ("till", ["order.till"], SHORT),
}


def until(condition: Callable[[], object], what: str, limit_seconds: float = LIMIT_SECONDS) -> None:
    """Wait for a condition, and fail with its name when it does not come."""
    deadline = time.monotonic() + limit_seconds
    while not condition():
        assert time.monotonic() < deadline, f"not within {limit_seconds:g} s: {what}"
        time.sleep(0.05)


def document(vhost: str) -> Document:
    """The topology."""
    types = [name for _, names, _ in QUEUES.values() for name in names]
    consumes: dict[str, list[str]] = {}
    for service, names, _ in QUEUES.values():
        consumes.setdefault(service, []).extend(names)
    services = {name: {"user": f"{vhost}-{name}", "consumes": types} for name, types in consumes.items()}
    queues: dict[str, dict[str, Any]] = {
        name: {"service": service, "messages": types, "retry": policy}
        for name, (service, types, policy) in QUEUES.items()
    }
    queues["clerk.brief"]["message_ttl"] = "300ms"
    return orders(
        limits=None,
        name=vhost,
        vhost=vhost,
        messages={key: {"exchange": EXCHANGE, "lifetime": "10m"} for key in types},  # tests wait for minutes at most
        services={"shop": {"user": f"{vhost}-shop", "publishes": list(dict.fromkeys(types))}, **services},
        queues=queues,
    )


@dataclass(frozen=True, slots=True)
class Seen:
    """A delivery as a service sees it."""

    at: float
    message_id: str
    exchange: str
    routing_key: str
    headers: Mapping[str, Any]
    body: bytes

    @property
    def attempt(self) -> int:
        """As the header says; 0 without one."""
        return int(self.headers.get("letrade-attempt", 0))


class RetryConsumer(threading.Thread):
    """A service that consumes with pika, and decides on each delivery.

    Args:
        parameters: where it connects.
        queue: what it consumes.
        accepts: whether a delivery is acknowledged; else it is rejected.
    """

    def __init__(self, parameters: pika.ConnectionParameters, queue: str, accepts: Callable[[Seen], bool]) -> None:
        super().__init__(daemon=True)
        self.seen: list[Seen] = []
        self.accepted: list[str] = []
        self._connection = pika.BlockingConnection(parameters)
        self._channel = self._connection.channel()
        self._channel.basic_qos(prefetch_count=50)
        self._channel.basic_consume(queue, self._on_message)
        self._accepts = accepts
        self._told_to_stop = threading.Event()

    def of(self, message_id: str) -> list[Seen]:
        """The deliveries of one message."""
        return [seen for seen in self.seen if seen.message_id == message_id]

    def run(self) -> None:
        """Consume, until it is told to stop or its agent is gone."""
        try:
            while not self._told_to_stop.is_set():
                self._connection.process_data_events(0.05)
            self._connection.close()
        except pika.exceptions.AMQPError:
            pass

    def finish(self) -> None:
        """Stop."""
        self._told_to_stop.set()
        self.join(LIMIT_SECONDS)

    def _on_message(self, channel: Any, method: Any, properties: Any, body: bytes) -> None:
        seen = Seen(
            time.monotonic(),
            properties.message_id,
            method.exchange,
            method.routing_key,
            properties.headers or {},
            body,
        )
        self.seen.append(seen)
        if self._accepts(seen):
            self.accepted.append(seen.message_id)
            channel.basic_ack(method.delivery_tag)
        else:
            channel.basic_reject(method.delivery_tag, requeue=False)


def never(_: Seen) -> bool:
    """A service that always rejects."""
    return False


def always(_: Seen) -> bool:
    """A service that takes everything."""
    return True


@dataclass(slots=True)
class Contract:
    """The contract's ladder in real time.

    Args:
        service: what always rejects.
        published: moments of publish, Unix seconds, by message.
    """

    service: RetryConsumer
    published: dict[str, float] = field(default_factory=dict)


@dataclass(slots=True)
class RetryWorld:
    """What runs.

    Args:
        broker: the broker.
        folder: with `topology.yaml` and `keys`.
        vhost: where the topology was applied.
        agents: by service.
        found: dead letters that were taken out of their queue, by message.
        contract: the contract's ladder in real time.
    """

    broker: RunningBroker
    folder: Path
    vhost: str
    agents: dict[str, RunningAgent] = field(default_factory=dict)
    found: dict[str, list[dict[str, Any]]] = field(default_factory=dict)
    contract: Contract | None = None

    @property
    def tool(self) -> Tool:
        """`letrade-topo` as the administrator."""
        return Tool.at(self.broker, self.folder)

    def publish(self, key: str, number: int = 0, headers: dict[str, Any] | None = None, **more: Any) -> str:
        """The shop publishes an order, confirmed; its message id."""
        return self.publish_all([(key, number)], headers, **more)[0]

    def publish_all(
        self, messages: list[tuple[str, int]], headers: dict[str, Any] | None = None, **more: Any
    ) -> list[str]:
        """The same for several: key and number of each."""
        ids = []
        with pika_connection(agent_parameters(self.agents["shop"])) as connection:
            channel = connection.channel()
            channel.confirm_delivery()
            for key, number in messages:
                body, message_id = envelope(number)
                properties = pika.BasicProperties(message_id=message_id, headers=headers, delivery_mode=2, **more)
                channel.basic_publish(EXCHANGE, key, body, properties)
                ids.append(message_id)
        return ids

    def consumer(self, queue: str, accepts: Callable[[Seen], bool], *, straight: bool = False) -> RetryConsumer:
        """The service of a queue, begun."""
        service = QUEUES[queue][0]
        parameters = self.straight(service) if straight else agent_parameters(self.agents[service])
        consumer = RetryConsumer(parameters, queue, accepts)
        consumer.start()
        return consumer

    @contextmanager
    def consuming(
        self, queue: str, accepts: Callable[[Seen], bool], *, straight: bool = False
    ) -> Iterator[RetryConsumer]:
        """The service of a queue, through its agent or straight at the broker."""
        consumer = self.consumer(queue, accepts, straight=straight)
        try:
            yield consumer
        finally:
            consumer.finish()

    def straight(self, service: str | None = None) -> pika.ConnectionParameters:
        """Past the agents, as a service by its certificate, or as the administrator."""
        context = ssl.create_default_context(cafile=str(self.broker.ca_file))
        credentials: Any = pika.PlainCredentials(self.broker.username, self.broker.password)
        if service is not None:
            certificate, key = self.broker.client_certificate(f"{self.vhost}-{service}")
            context.load_cert_chain(certificate, key)
            credentials = ExternalCredentials()
        return pika.ConnectionParameters(
            "127.0.0.1",
            self.broker.amqps_port,
            self.vhost,
            credentials,
            ssl_options=pika.SSLOptions(context, "127.0.0.1"),
        )

    def tapped(self, channel: Any, key: str) -> tuple[str, Any, bytes]:
        """Publish an order and catch it on its way: its id, properties as on the wire, and body."""
        tap = channel.queue_declare("", exclusive=True).method.queue
        channel.queue_bind(tap, EXCHANGE, key)
        message_id = self.publish(key)
        until(lambda: channel.queue_declare(tap, passive=True).method.message_count, "it is tapped")
        _, properties, body = channel.basic_get(tap, auto_ack=True)
        channel.queue_delete(tap)
        return message_id, properties, body

    def dead(self, message_id: str, limit_seconds: float = LIMIT_SECONDS) -> dict[str, Any]:
        """The dead letter of a message, waited for and taken out."""
        until(lambda: message_id in self.look(), f"the dead letter {message_id}", limit_seconds)
        assert len(self.found[message_id]) == 1, self.found[message_id]
        return self.found[message_id][0]

    def look(self) -> dict[str, list[dict[str, Any]]]:
        """Take all dead letters out of their queue; all that were there so far, by message."""
        question = {"count": 1000, "ackmode": "ack_requeue_false", "encoding": "auto"}
        answer = self.broker.api("POST", f"/api/queues/{self.vhost}/{DEAD}/get", json=question)
        for letter in answer.json():
            self.found.setdefault(letter["properties"]["message_id"], []).append(letter)
        return self.found

    def depth(self, queue: str) -> int:
        """Messages of a queue, unacknowledged ones among them; brokers count them every five seconds."""
        answer = self.broker.api("GET", f"/api/queues/{self.vhost}?disable_stats=true&enable_queue_totals=true")
        return next(int(row["messages"]) for row in answer.json() if row["name"] == queue)

    def under_way(self, queue: str) -> int:
        """Messages that are ready at this moment in a queue, its ladder, and among its rejected ones."""
        policy = QUEUES[queue][2]
        steps = range(1, 1 + policy["max_retries"]) if isinstance(policy, Mapping) else ()
        with pika_connection(self.straight()) as connection:
            channel = connection.channel()
            names = (queue, rejected_queue(queue), *(retry_queue(queue, step) for step in steps))
            return sum(channel.queue_declare(name, passive=True).method.message_count for name in names)

    @contextmanager
    def agent(self, service: str, *options: str, subcommand: str = "run") -> Iterator[RunningAgent]:
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
            options=options,
            subcommand=subcommand,
        ) as agent:
            yield agent


def agent_parameters(agent: RunningAgent) -> pika.ConnectionParameters:
    """For a client of an agent."""
    return agent.parameters


@contextmanager
def pika_connection(parameters: pika.ConnectionParameters) -> Iterator[Any]:
    """A blocking connection."""
    connection = pika.BlockingConnection(parameters)
    try:
        yield connection
    finally:
        if connection.is_open:
            connection.close()


def envelope(number: int) -> tuple[bytes, str]:
    """A body with blanks and an order of members that no serializer of ours would give it, and its id."""
    message_id = str(uuid.uuid4())
    moment = datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    body = (
        f'{{ "source" :"shop", "payload": {{"number":{number},"note":"\\u00e4 é"}},\n'
        f'"timestamp":"{moment}",   "message_id":"{message_id}"}}'
    )
    return body.encode(), message_id


@contextmanager
def running_world(broker: RunningBroker, folder: Path) -> Iterator[RetryWorld]:
    """Apply the topology, start the agents; everything is taken away at the end."""
    vhost = f"retry-{uuid.uuid4().hex[:12]}"
    topology = document(vhost)
    write(folder / "topology.yaml", topology)
    make_key_folder(folder / "keys", loaded(topology))
    world = RetryWorld(broker, folder, vhost)
    world.tool.run("apply", "--yes").check(0)
    with world.agent("shop") as shop, world.agent("clerk") as clerk, world.agent("audit") as audit:
        world.agents = {"shop": shop, "clerk": clerk, "audit": audit}
        try:
            yield world
        finally:
            if world.contract is not None:
                world.contract.service.finish()
    broker.api("DELETE", f"/api/vhosts/{vhost}")
    world.tool.run("destroy", "--yes").check(0)
