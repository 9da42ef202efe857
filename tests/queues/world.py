"""A topology on a real broker with keys, and dead letters in it as agents write them, by the thousand."""

from __future__ import annotations

import asyncio
import json
import secrets
import time
import uuid
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pika
from pika.spec import BasicProperties

from letrade_topo.keys.claims import HopClaims, HopRole
from letrade_topo.keys.hop import sign_hop
from letrade_topo.keys.jws import SigningKey
from letrade_topo.keys.keyset import load_keyset
from letrade_topo.keys.leaf import SignableMessage, SignedProperties, leaf_hash
from letrade_topo.keys.policy import audience_of
from letrade_topo.keys.signer import Signer
from letrade_topo.load.topology_file import load_topology
from letrade_topo.model.topology import Topology
from letrade_topo.queues.browse import Browse
from letrade_topo.queues.content import Properties
from letrade_topo.queues.endpoint import AmqpEndpoint, Login
from letrade_topo.queues.letter import Letter, LetterReader, waiting_queue
from letrade_topo.queues.link import LetterCopy, open_link
from letrade_topo.queues.sessions import LetterPlace, Looked, Visit, look
from tests.agents import make_key_folder
from tests.brokers import RunningBroker
from tests.tool import Tool
from tests.topologies import Document, orders, write

EXCHANGE = "orders"
PLACED = "order.placed"
QUEUE, AUDIT = "clerk.orders", "audit.orders"
DEAD = "letrade.dlq"
LIMIT_SECONDS = 60.0
_BATCH = 500


def document(vhost: str, lifetime: str = "60s") -> Document:
    """One type that two services consume, one of them with a queue of its own for changes."""
    types = ["order.placed", "order.{id}.changed"]
    return orders(
        name=vhost,
        vhost=vhost,
        messages={
            "order.placed": {
                "exchange": EXCHANGE,
                "lifetime": lifetime,
                "sensitive": ["/amount"],
                "schema": {"type": "object", "properties": {"number": {"type": "integer"}, "amount": {}}},
            },
            "order.{id}.changed": {"exchange": EXCHANGE, "lifetime": lifetime},
        },
        services={
            "shop": {"user": f"{vhost}-shop", "publishes": types},
            "clerk": {"user": f"{vhost}-clerk", "consumes": types},
            "audit": {"user": f"{vhost}-audit", "consumes": types},
        },
        queues={
            QUEUE: {"service": "clerk", "messages": types},
            AUDIT: {"service": "audit", "messages": types},
        },
    )


@dataclass(frozen=True, slots=True)
class Dead:
    """How a message died.

    Args:
        number: in its payload.
        queue: that failed it.
        reason: why.
        key: that it was published with.
        age: seconds since it was published, and failed.
        attempt: of its hop.
        late: it was published that long ago, and failed only now.
        signed: whether by its publisher's key.
        message_id: else a new one.
        publisher: whose it is.
        payload: instead of the ordinary one.
    """

    number: int
    queue: str = QUEUE
    reason: str = "rejected"
    key: str = PLACED
    age: int = 0
    attempt: int = 1
    late: bool = False
    signed: bool = True
    message_id: str | None = None
    publisher: str = "shop"
    payload: tuple[tuple[str, object], ...] = ()


def body_of(number: int, message_id: str, source: str = "shop", payload: tuple[tuple[str, object], ...] = ()) -> bytes:
    """An envelope, of the shop unless said otherwise, with something sensitive in it."""
    return json.dumps(
        {
            "message_id": message_id,
            "timestamp": "2025-06-15T15:06:40.250Z",
            "source": source,
            "payload": dict(payload) or {"number": number, "amount": "77.77", "note": "ordinary"},
        }
    ).encode()


class _Silent:
    """Progress that nobody sees."""

    def begin(self, title: str, total: int) -> None:
        """Nothing."""

    def advance(self, count: int) -> None:
        """Nothing."""

    def end(self) -> None:
        """Nothing."""


@dataclass(slots=True)
class LetterWorld:
    """A topology on a broker.

    Args:
        broker: the node.
        file: of the topology.
        topology: the model.
        keys: the key folder.
        tool: the command line, pointed at all of it.
    """

    broker: RunningBroker
    file: Path
    topology: Topology
    keys: Path
    tool: Tool
    signing: dict[str, SigningKey] = field(default_factory=dict)

    @classmethod
    def make(cls, broker: RunningBroker, vhost: str, folder: Path, lifetime: str = "60s") -> LetterWorld:
        """Apply the topology, and make its keys."""
        return cls.of(broker, write(folder / "topology.yaml", document(vhost, lifetime)), folder)

    @classmethod
    def of(cls, broker: RunningBroker, file: Path, folder: Path) -> LetterWorld:
        """Apply a topology file, and make its keys."""
        topology = load_topology(file).topology
        keys = make_key_folder(folder / "keys", topology)
        environment = {"LETRADE_TOPO_AMQP": broker.amqps_url, "LETRADE_TOPO_KEYS": str(keys)}
        tool = Tool.at(broker, folder).having(**environment)
        tool.run("apply", "--yes", str(file)).check(0)
        return cls(broker, file, topology, keys, tool)

    def empty(self) -> None:
        """Delete every message."""
        for queue in self.broker.api("GET", f"/api/queues/{self.topology.vhost}").json():
            path = f"/api/queues/{self.topology.vhost}/{queue['name']}/contents"
            assert self.broker.api("DELETE", path).status_code == 204

    def destroy(self) -> None:
        """Take everything away."""
        self.broker.api("DELETE", f"/api/vhosts/{self.topology.vhost}")
        self.tool.run("destroy", "--yes", str(self.file)).check(0)

    def key(self, owner: str) -> SigningKey:
        """The private key of a service."""
        if owner not in self.signing:
            found = load_keyset(self.keys, owner).signing_key(time.time())
            assert found is not None
            self.signing[owner] = found
        return self.signing[owner]

    @property
    def endpoint(self) -> AmqpEndpoint:
        """As the administrator."""
        return AmqpEndpoint.parse(
            self.broker.amqps_url,
            vhost=self.topology.vhost,
            login=Login(self.broker.username, self.broker.password),
            ca_file=self.broker.ca_file,
        )

    def bury(self, deaths: Iterable[Dead]) -> list[str]:
        """Put dead letters into the queue, confirmed; their ids."""
        made = [self.letter(dead) for dead in deaths]
        self.publish([publish for _, publish in made])
        return [message_id for message_id, _ in made]

    def publish(self, publishes: list[LetterCopy]) -> None:
        """Publish as the administrator, confirmed."""

        async def run() -> None:
            link = await open_link(self.endpoint, "test")
            await link.confirms()
            for start in range(0, len(publishes), _BATCH):
                sent = [link.publish(each) for each in publishes[start : start + _BATCH]]
                assert not [problem for problem in await asyncio.gather(*sent) if problem]
            await link.close()

        asyncio.run(run())

    def letter(self, dead: Dead) -> tuple[str, LetterCopy]:
        """One dead letter as an agent writes it."""
        now = int(time.time())
        failed_at = now if dead.late else now - dead.age
        message_id = dead.message_id or str(uuid.uuid4())
        body = body_of(dead.number, message_id, dead.publisher, dead.payload)
        exchange = next(each.exchange for each in self.topology.messages.values() if each.key.matches(dead.key))
        signed = SignedProperties(message_id.encode(), None, b"application/json", None, None)
        message = SignableMessage(exchange.encode(), dead.key.encode(), signed, body)
        headers: dict[str, Any] = {
            "letrade-reason": dead.reason,
            "letrade-attempt": dead.attempt if dead.attempt > 1 else 0,
        }
        if dead.signed:
            signer = Signer(self.key(dead.publisher), audience_of(self.topology))
            tokens = signer.sign([message], lifetime_seconds=60, issued_at=now - dead.age, jti=secrets.token_bytes(16))[
                0
            ]
            headers |= {"letrade-jws": tokens.jws.decode(), "letrade-to": tokens.to.decode()}
        owner = self.topology.queues[dead.queue].service
        assert owner is not None
        hop = HopClaims(
            issuer=owner,
            audience=audience_of(self.topology),
            issued_at=failed_at,
            expires_at=failed_at,
            jti=secrets.token_bytes(16),
            leaf=leaf_hash(message),
            exchange=exchange,
            routing_key=dead.key,
            queue=dead.queue,
            attempt=dead.attempt,
            first_failure=failed_at,
            reason=dead.reason,
            role=HopRole.SELF,
        )
        headers["letrade-hop"] = sign_hop(self.key(owner), hop).decode()
        properties = BasicProperties(
            content_type="application/json",
            headers=headers,
            delivery_mode=2,
            message_id=message_id,
            app_id=dead.publisher,
        )
        raw = b"".join(properties.encode())
        return message_id, LetterCopy(self.topology.dead_letter.exchange, f"{dead.key}.dead", raw, body)

    def letters(self) -> list[Letter]:
        """The dead letters; all of them stay."""
        found: list[Letter] = []
        self.look(visit=lambda letter, *_: found.append(letter))
        return found

    def look(self, queue: str = DEAD, visit: Visit = lambda *_: None) -> Looked:
        """One pass over a queue, as `dlq ls` makes it, without a process of its own."""
        waiting = waiting_queue(self.topology, queue)
        assert waiting is not None
        place = LetterPlace(self.endpoint, LetterReader(self.topology, waiting), queue, _Silent(), time.time)
        return asyncio.run(look(place, visit))

    def count(self, queue: str = DEAD) -> int:
        """Messages that are ready in a queue, by the broker's own word."""

        async def run() -> int:
            link = await open_link(self.endpoint, "test")
            try:
                return (await link.depth(queue)).ready
            finally:
                await link.close()

        return asyncio.run(run())

    def left(self, expected: int, queue: str = DEAD) -> None:
        """Wait until so many messages are ready in a queue.

        What a program held goes back after its end, when the queue's log is on disk.
        """
        deadline = time.monotonic() + LIMIT_SECONDS
        while (found := self.count(queue)) != expected:
            assert time.monotonic() < deadline, f"{found} messages in {queue}, expected {expected}"
            time.sleep(0.05)

    def take(self, queue: str) -> list[tuple[str, str, BasicProperties, bytes]]:
        """Everything that is ready in a queue, taken out: exchange, key, properties, body."""
        context = self.endpoint.context()
        assert context is not None
        parameters = pika.ConnectionParameters(
            self.endpoint.host,
            self.endpoint.port,
            self.topology.vhost,
            pika.PlainCredentials(self.broker.username, self.broker.password),
            ssl_options=pika.SSLOptions(context, self.endpoint.host),
        )
        found: list[tuple[str, str, BasicProperties, bytes]] = []
        with pika.BlockingConnection(parameters) as connection:
            channel = connection.channel()
            while True:
                method, properties, body = channel.basic_get(queue, auto_ack=True)
                if method is None:
                    return found
                found.append((method.exchange, method.routing_key, properties, body))

    def raw(self, queue: str) -> list[Properties]:
        """The properties of everything that is ready in a queue, as bytes; all of it stays."""

        async def run() -> list[Properties]:
            link = await open_link(self.endpoint, "test")
            browse = Browse(link, queue)
            await browse.begin()
            found = []
            while (delivery := await browse.next()) is not None:
                found.append(Properties.parse(delivery.raw))
            await link.close()
            return found

        return asyncio.run(run())

    def numbers(self, queue: str) -> Counter[int]:
        """Which messages are ready in a queue, taken out, by the number in their payload."""
        return Counter(json.loads(body)["payload"]["number"] for _, _, _, body in self.take(queue))
