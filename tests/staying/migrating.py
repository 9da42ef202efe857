"""A migration by hand: its steps by the management API and AMQP, so that tests can stop between any two of them."""

from __future__ import annotations

import os
import re
import time
from dataclasses import dataclass
from typing import Any

from letrade_topo.keys.headers import HOP_HEADER, TokenHeaders
from letrade_topo.keys.keyset import load_keyset
from letrade_topo.keys.leaf import SignedProperties
from letrade_topo.keys.move import MoveSigner
from letrade_topo.load.topology_file import load_topology
from letrade_topo.model.names import side_queue
from tests.retry.world import pika_connection
from tests.staying.world import EXCHANGE, SERVICE, StayingWorld

_SHORT = ("message_id", "correlation_id", "content_type", "content_encoding", "type")


@dataclass(slots=True)
class Migration:
    """One queue, step by step; each is done when it returns.

    Args:
        world: where.
        queue: its name.
        key: with which it is bound.
    """

    world: StayingWorld
    queue: str
    key: str

    @property
    def side(self) -> str:
        """What receives meanwhile."""
        return side_queue(self.queue)

    def begin(self) -> None:
        """The side queue receives, and the queue does not any more; its service may see that."""
        self._let_see(True)
        self._declare(self.side, {"x-queue-type": "quorum"})
        self._bind("POST", self.side)
        self._bind("DELETE", self.queue)

    def move_from(self, source: str) -> None:
        """What another queue holds goes into this one."""
        self._move(source, self.queue)

    def delete(self) -> None:
        """The queue goes."""
        assert self.world.broker.api("DELETE", self._path("queues", self.queue)).ok

    def make(self, **arguments: Any) -> None:
        """It is there again, with other arguments, and not bound yet."""
        self._declare(self.queue, {"x-queue-type": "quorum", "x-max-length": 100_000, **arguments})

    def bring_back(self) -> None:
        """What was published meanwhile follows, oldest first, and then the queue receives again."""
        self._move(self.side, self.queue)
        self._bind("POST", self.queue)
        self._bind("DELETE", self.side)
        self._move(self.side, self.queue)

    def end(self) -> None:
        """The side queue goes."""
        assert self.world.broker.api("DELETE", self._path("queues", self.side)).ok
        self._let_see(False)

    def _move(self, source: str, target: str) -> None:
        model = load_topology(self.world.folder / "topology.yaml").topology
        keys = load_keyset(self.world.folder / "keys", "move")
        key = keys.signing_key(time.time())
        assert key is not None
        signer = MoveSigner(model, keys, key, os.urandom)
        with pika_connection(self.world.straight()) as connection:
            channel = connection.channel()
            channel.confirm_delivery()
            while True:
                method, properties, body = channel.basic_get(source)
                if method is None:
                    return
                headers = dict(properties.headers or {})
                hop = signer.hop(
                    TokenHeaders.gather((name.encode(), _bytes(value)) for name, value in headers.items()),
                    SignedProperties(*(_short(getattr(properties, name)) for name in _SHORT)),
                    body,
                    queue=self.queue,
                    service=SERVICE,
                    now=time.time(),
                )
                assert hop is not None
                properties.headers = headers | {HOP_HEADER.decode(): hop.decode()}
                channel.basic_publish("", target, body, properties, mandatory=True)
                channel.basic_ack(method.delivery_tag)

    def _declare(self, name: str, arguments: dict[str, Any]) -> None:
        body = {"durable": True, "arguments": arguments}
        answer = self.world.broker.api("PUT", self._path("queues", name), json=body)
        assert answer.ok, answer.text

    def _let_see(self, sees: bool) -> None:
        """As `apply` does it: from 4.3.1 on, who has no right on the side queue is not told whether it is there."""
        path = self._path("permissions", f"{self.world.vhost}-{SERVICE}")
        had = self.world.broker.api("GET", path).json()
        part = f"|^{re.escape(self.side)}$"
        read = had["read"].replace(part, "") + (part if sees else "")
        answer = self.world.broker.api(
            "PUT", path, json={"configure": had["configure"], "write": had["write"], "read": read}
        )
        assert answer.ok, answer.text

    def _bind(self, method: str, name: str) -> None:
        path = self._path("bindings", f"e/{EXCHANGE}/q/{name}")
        if method == "POST":
            answer = self.world.broker.api("POST", path, json={"routing_key": self.key})
        else:
            answer = self.world.broker.api("DELETE", f"{path}/{self.key}")
        assert answer.ok, answer.text

    def _path(self, kind: str, name: str) -> str:
        return f"/api/{kind}/{self.world.vhost}/{name}"


def _bytes(value: object) -> bytes | None:
    return value.encode() if isinstance(value, str) else value if isinstance(value, bytes) else None


def _short(value: str | None) -> bytes | None:
    return None if value is None else value.encode()
