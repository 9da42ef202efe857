"""A shop that publishes orders and a clerk that consumes them from a queue for each way of consuming, an agent each."""

from __future__ import annotations

import asyncio
import json
import ssl
import threading
import time
import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import aio_pika
import pika

from letrade_topo.bus import Message, MessageBus
from tests.agents import RunningAgent, login_of, make_key_folder, running_agent
from tests.brokers import RunningBroker
from tests.retry.world import envelope, pika_connection
from tests.tool import Tool
from tests.topologies import Document, loaded, orders, write

EXCHANGE = "orders"
SERVICE = "clerk"


class Seen(NamedTuple):
    """A delivery as a service sees it; `at` in monotonic seconds."""

    number: int
    tag: int
    attempt: int
    at: float


def seen(number: int, tag: int | None, attempt: int) -> Seen:
    """A delivery that has just come."""
    return Seen(number, tag or 0, attempt, time.monotonic())


class Consuming(Protocol):
    """A service's program."""

    seen: list[Seen]
    ended: str
    """Why it consumes no more, as its library says; empty while it does."""

    def finish(self) -> None:
        """Stop."""


class Way(NamedTuple):
    """How a program consumes.

    Attributes:
        prefetch: None: it sets none.
        auto_ack: nothing is acknowledged.
        exclusive: it wants to be the only one.
        consumers: on its channel.
    """

    prefetch: int | None = 100
    auto_ack: bool = False
    exclusive: bool = False
    consumers: int = 1


WAYS: Mapping[str, Way] = {
    "one": Way(prefetch=1),
    "hundred": Way(),
    "unset": Way(prefetch=None),
    "auto": Way(auto_ack=True),
    "two": Way(prefetch=10, consumers=2),
    "exclusive": Way(exclusive=True),
    "single": Way(prefetch=10, consumers=2),
}
"""By pika; the name is that of the queue behind `clerk.`."""

OTHERS = ("aio", "bus", "held", "gone", "late", "kill", "real", "stock")
"""Queues that other tests consume."""


def document(vhost: str) -> Document:
    """The topology."""
    names = (*WAYS, *OTHERS)
    types = {f"order.{name}": {"exchange": EXCHANGE, "lifetime": "10m"} for name in names}
    queues: dict[str, dict[str, Any]] = {
        f"clerk.{name}": {"service": SERVICE, "messages": [f"order.{name}"], "retry": {"max_retries": 1, "delay": "1s"}}
        for name in names
    }
    queues["clerk.single"]["single_active_consumer"] = True
    return orders(
        limits=None,
        name=vhost,
        vhost=vhost,
        messages=types,
        services={
            "shop": {"user": f"{vhost}-shop", "publishes": list(types)},
            SERVICE: {"user": f"{vhost}-clerk", "consumes": list(types)},
        },
        queues=queues,
    )


class PikaConsumer(threading.Thread):
    """A program with pika that consumes one queue, and acknowledges each message unless told to keep it.

    Args:
        parameters: where it connects.
        queue: what it consumes.
        way: how.
    """

    def __init__(self, parameters: pika.ConnectionParameters, queue: str, way: Way) -> None:
        super().__init__(daemon=True)
        self.seen: list[Seen] = []
        self.ended = ""
        self.keeps = threading.Event()
        self.most_unsettled = 0
        self._unsettled: list[int] = []
        self._way = way
        self._told_to_stop = threading.Event()
        self._connection = pika.BlockingConnection(parameters)
        self._channel = self._connection.channel()
        if way.prefetch is not None:
            self._channel.basic_qos(prefetch_count=way.prefetch)
        self._channel.add_on_cancel_callback(lambda _: self._end("cancelled"))
        for _ in range(way.consumers):
            self._channel.basic_consume(queue, self._on_message, auto_ack=way.auto_ack, exclusive=way.exclusive)
        self.start()

    def settle(self, method: str = "basic_ack") -> None:
        """What it keeps is settled now, and nothing is kept any more."""

        def do() -> None:
            self.keeps.clear()
            for tag in self._unsettled:
                if method == "basic_reject_for_good":
                    self._channel.basic_reject(tag, requeue=False)
                else:
                    getattr(self._channel, method)(tag)
            self._unsettled.clear()

        self._connection.add_callback_threadsafe(do)

    def run(self) -> None:
        """Consume, until it is told to stop or cannot any more."""
        try:
            while not self._told_to_stop.is_set():
                self._connection.process_data_events(0.05)
            self._connection.close()
        except pika.exceptions.AMQPError as error:
            self._end(repr(error))

    def finish(self) -> None:
        """Stop."""
        self._told_to_stop.set()
        self.join(60)

    def _end(self, why: str) -> None:
        self.ended = self.ended or why

    def _on_message(self, channel: Any, method: Any, properties: Any, body: bytes) -> None:
        self.seen.append(seen(number_of(body), method.delivery_tag, _attempt(properties.headers)))
        if self._way.auto_ack:
            return
        self._unsettled.append(method.delivery_tag)
        self.most_unsettled = max(self.most_unsettled, len(self._unsettled))
        if not self.keeps.is_set():
            for tag in self._unsettled:
                channel.basic_ack(tag)
            self._unsettled.clear()


class Publisher(threading.Thread):
    """The shop, which publishes orders one after the other, each confirmed, until it is told to stop.

    Args:
        parameters: of its agent.
        name: of the queue behind `clerk.`.
        first: number.
        rate: orders a second at most.
    """

    def __init__(self, parameters: pika.ConnectionParameters, name: str, first: int = 0, rate: float = 200.0) -> None:
        super().__init__(daemon=True)
        self.confirmed: list[int] = []
        self.unconfirmed: list[int] = []
        """Published again under the same number when the connection was lost."""
        self.slowest = 0.0
        self._parameters = parameters
        self._key = f"order.{name}"
        self._next = first
        self._rate = rate
        self._told_to_stop = threading.Event()

    def run(self) -> None:
        """Publish; whatever ends the connection, connect again and go on with what is not confirmed."""
        while not self._told_to_stop.is_set():
            try:
                with pika_connection(self._parameters) as connection:
                    channel = connection.channel()
                    channel.confirm_delivery()
                    while not self._told_to_stop.wait(1 / self._rate):
                        self._publish(channel)
            except (pika.exceptions.AMQPError, OSError):
                self.unconfirmed.append(self._next)
                self._told_to_stop.wait(0.1)

    def finish(self) -> None:
        """Stop."""
        self._told_to_stop.set()
        self.join(60)

    def _publish(self, channel: Any) -> None:
        body, message_id = envelope(self._next)
        properties = pika.BasicProperties(message_id=message_id, delivery_mode=2)
        began = time.monotonic()
        channel.basic_publish(EXCHANGE, self._key, body, properties, mandatory=True)
        self.slowest = max(self.slowest, time.monotonic() - began)
        self.confirmed.append(self._next)
        self._next += 1


class AsyncConsumer(threading.Thread):
    """A program with asyncio that consumes one queue: by aio-pika's robust connection, or by the MessageBus."""

    def __init__(self) -> None:
        super().__init__(daemon=True)
        self.seen: list[Seen] = []
        self.ended = ""
        self._loop: asyncio.AbstractEventLoop | None = None
        self._over = asyncio.Event()
        self._ready = threading.Event()

    def begin(self) -> AsyncConsumer:
        """Start, and wait until it consumes."""
        self.start()
        assert self._ready.wait(60)
        return self

    def run(self) -> None:
        """Consume until it is told to stop."""
        try:
            asyncio.run(self._run())  # which ends what a library has left to do, and closes its sockets
        except Exception as error:  # noqa: BLE001  # whatever ends it is what a test asks for
            self.ended = repr(error)
        finally:
            self._ready.set()

    async def _run(self) -> None:
        self._loop = asyncio.get_running_loop()
        await self._consume()

    def finish(self) -> None:
        """Stop."""
        if self._loop is not None:
            with suppress(RuntimeError):  # it has ended by itself
                self._loop.call_soon_threadsafe(self._over.set)
        self.join(60)

    async def _consume(self) -> None:
        raise NotImplementedError


class AioConsumer(AsyncConsumer):
    """By aio-pika."""

    def __init__(self, url: str, queue: str) -> None:
        super().__init__()
        self._url = url
        self._queue = queue

    async def _consume(self) -> None:
        connection = await aio_pika.connect_robust(self._url)
        async with connection:
            channel = await connection.channel()
            await channel.set_qos(10)
            queue = await channel.declare_queue(self._queue, durable=True)  # as such programs do; robust only then
            connection.reconnect_callbacks.add(lambda *_: self._end())
            await queue.consume(self._on_message)
            self._ready.set()
            await self._over.wait()

    def _end(self) -> None:
        self.ended = "it has reconnected"

    async def _on_message(self, message: aio_pika.abc.AbstractIncomingMessage) -> None:
        self.seen.append(seen(number_of(message.body), message.delivery_tag, _attempt(message.headers)))
        await message.ack()


class BusConsumer(AsyncConsumer):
    """By the MessageBus."""

    def __init__(self, agent: RunningAgent, topology: Path, pattern: str) -> None:
        super().__init__()
        self._agent = agent
        self._topology = topology
        self._pattern = pattern

    async def _consume(self) -> None:
        admin = f"127.0.0.1:{self._agent.admin_port}"
        bus = MessageBus(service=SERVICE, topology=self._topology, url=self._agent.url, admin=admin)
        async with bus:
            await bus.subscribe(self._pattern, self._on_message, durable=True)
            self._ready.set()
            await self._over.wait()

    async def _on_message(self, topic: str, message: Message) -> None:
        self.seen.append(seen(int(message["number"]), len(self.seen) + 1, message.attempt))


@dataclass(slots=True)
class StayingWorld:
    """What runs.

    Args:
        broker: the broker.
        folder: with `topology.yaml` and `keys`.
        vhost: where the topology was applied.
        upstream: where agents connect; the broker without it.
        agents: by service.
        changes: of queues, by name, since the topology was applied first.
    """

    broker: RunningBroker
    folder: Path
    vhost: str
    upstream: str = ""
    agents: dict[str, RunningAgent] = field(default_factory=dict)
    changes: dict[str, dict[str, Any]] = field(default_factory=dict)

    @property
    def clerk(self) -> RunningAgent:
        """The agent beside the consumers."""
        return self.agents[SERVICE]

    @property
    def tool(self) -> Tool:
        """`letrade-topo` as the administrator."""
        amqp = f"amqps://localhost:{self.broker.amqps_port}"
        return Tool.at(self.broker, self.folder).having(LETRADE_TOPO_AMQP=amqp, LETRADE_TOPO_KEYS="keys")

    def change(self, name: str, **settings: Any) -> None:
        """Write the topology with another queue of that name; nothing is applied."""
        self.changes.setdefault(name, {}).update(settings)
        topology = document(self.vhost)
        for changed, values in self.changes.items():
            topology["queues"][f"clerk.{changed}"].update(values)
        write(self.folder / "topology.yaml", topology)

    def publish(self, name: str, numbers: range) -> None:
        """The shop publishes orders, each confirmed."""
        with pika_connection(self.agents["shop"].parameters) as connection:
            channel = connection.channel()
            channel.confirm_delivery()
            for number in numbers:
                body, message_id = envelope(number)
                properties = pika.BasicProperties(message_id=message_id, delivery_mode=2)
                channel.basic_publish(EXCHANGE, f"order.{name}", body, properties, mandatory=True)

    def straight(self) -> pika.ConnectionParameters:
        """Past the agents, as the administrator."""
        context = ssl.create_default_context(cafile=str(self.broker.ca_file))
        return pika.ConnectionParameters(
            "127.0.0.1",
            self.broker.amqps_port,
            self.vhost,
            pika.PlainCredentials(self.broker.username, self.broker.password),
            ssl_options=pika.SSLOptions(context, "127.0.0.1"),
        )

    def waiting(self, queue: str) -> float:
        """Consumers of a queue that wait for it, by the agent's metrics."""
        return self.clerk.metric("waiting_consumers", queue=queue)

    @contextmanager
    def agent(self, service: str, ports: tuple[int, int] | None = None) -> Iterator[RunningAgent]:
        """An agent beside a service."""
        with running_agent(
            self.folder,
            service=service,
            topology=self.folder / "topology.yaml",
            vhost=self.vhost,
            upstream=self.upstream or self.broker.amqps_url,
            ca_file=self.broker.ca_file,
            login=login_of(self.broker, f"{self.vhost}-{service}"),
            keys=self.folder / "keys",
            ports=ports,
        ) as agent:
            yield agent


@contextmanager
def running_world(
    broker: RunningBroker, folder: Path, upstream: str = "", *, topology_of: Callable[[str], Document] = document
) -> Iterator[StayingWorld]:
    """Apply the topology for a vhost, start the agents; everything is taken away at the end."""
    vhost = f"staying-{uuid.uuid4().hex[:12]}"
    topology = topology_of(vhost)
    write(folder / "topology.yaml", topology)
    make_key_folder(folder / "keys", loaded(topology))
    world = StayingWorld(broker, folder, vhost, upstream)
    world.tool.run("apply", "--yes").check(0)
    with world.agent("shop") as shop, world.agent(SERVICE) as clerk:
        world.agents = {"shop": shop, SERVICE: clerk}
        yield world
    world.broker.api("DELETE", f"/api/vhosts/{vhost}")
    world.tool.run("destroy", "--yes").check(0)


def number_of(body: bytes) -> int:
    """The number in an order."""
    return int(json.loads(body)["payload"]["number"])


def _attempt(headers: Mapping[str, Any] | None) -> int:
    return int((headers or {}).get("letrade-attempt", 0))
