"""What the suite wants of a client library: one small interface, so that each behaviour is written once.

Each library does it in its own words (`with_pika`, `with_aio_pika`, `with_amqplib`). Whatever the suite says, it
says through a library's public interface.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Any, Protocol

LIMIT_SECONDS = 60.0


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Where a client connects.

    Args:
        port: on loopback.
        vhost: which.
        username, password: of PLAIN.
        ca_file: TLS with this authority; None: plain text.
        socket: a Unix socket, for libraries that can; None, or others: the port.
    """

    port: int
    vhost: str
    username: str = "guest"
    password: str = "guest"
    ca_file: Path | None = None
    host: str = "127.0.0.1"
    socket: Path | None = None


class PublishOutcome(StrEnum):
    """What became of a publish."""

    SENT = "sent"
    CONFIRMED = "confirmed"
    REFUSED = "refused"
    RETURNED = "returned"


@dataclass(frozen=True, slots=True)
class ShownMessage:
    """A message as a client shows it.

    Args:
        tag: its delivery tag, or 0 when it was returned.
        properties: by their AMQP names, with underscores; `headers` among them.
    """

    body: bytes
    exchange: str = ""
    routing_key: str = ""
    tag: int = 0
    redelivered: bool = False
    properties: Mapping[str, Any] = field(default_factory=dict)

    @property
    def headers(self) -> Mapping[str, Any]:
        """The header table; empty if there is none."""
        found: Mapping[str, Any] = self.properties.get("headers") or {}
        return found


@dataclass(frozen=True, slots=True)
class ReturnedMessage:
    """What came back by basic.return."""

    code: int
    text: str
    message: ShownMessage


@dataclass(frozen=True, slots=True)
class QueueDeclared:
    """The answer to queue.declare."""

    name: str
    messages: int
    consumers: int


class ChannelClosed(Exception):
    """The peer closed the channel."""

    def __init__(self, code: int, text: str) -> None:
        super().__init__(f"{code} {text}")
        self.code = code
        self.text = text


class Channel(Protocol):
    """A channel of some library. Any call raises ChannelClosed when the peer has closed it."""

    def declare_exchange(self, name: str, kind: str = "topic", *, durable: bool = False) -> None:
        """Declare an exchange."""

    def declare_queue(
        self,
        name: str = "",
        *,
        passive: bool = False,
        durable: bool = False,
        exclusive: bool = False,
        auto_delete: bool = False,
        arguments: Mapping[str, Any] | None = None,
    ) -> QueueDeclared:
        """Declare a queue; without a name the broker gives one."""

    def bind(self, queue: str, exchange: str, key: str) -> None:
        """Bind a queue."""

    def unbind(self, queue: str, exchange: str, key: str) -> None:
        """Take a binding away."""

    def purge(self, queue: str) -> int:
        """Empty a queue; how many messages it held."""

    def delete_queue(self, queue: str) -> None:
        """Delete a queue."""

    def delete_exchange(self, name: str) -> None:
        """Delete an exchange."""

    def publish(
        self, exchange: str, key: str, body: bytes, properties: Mapping[str, Any] | None = None, *, mandatory: bool
    ) -> PublishOutcome:
        """Publish, and wait for the answer where the channel has confirms."""

    def returned(self) -> ReturnedMessage:
        """The next returned message, waited for."""

    def qos(self, count: int) -> None:
        """Set the prefetch count."""

    def consume(self, queue: str, *, no_ack: bool = False, exclusive: bool = False) -> str:
        """Begin to consume; the consumer tag."""

    def cancel(self, consumer: str) -> None:
        """End a consumer."""

    def next(self, limit_seconds: float = LIMIT_SECONDS) -> ShownMessage | None:
        """The next delivery; None when none came in that time."""

    def get(self, queue: str, *, no_ack: bool = False) -> ShownMessage | None:
        """basic.get."""

    def ack(self, tag: int, *, multiple: bool = False) -> None:
        """Acknowledge."""

    def nack(self, tag: int, *, multiple: bool = False, requeue: bool = True) -> None:
        """Refuse, as RabbitMQ extends it."""

    def reject(self, tag: int, *, requeue: bool = True) -> None:
        """Refuse one."""

    def recover(self) -> None:
        """Ask for everything that is not acknowledged once more."""

    def closed(self) -> ChannelClosed:
        """Why the peer closed the channel, waited for."""

    def close(self) -> None:
        """Close it."""


class LibraryConnection(Protocol):
    """A connection of some library."""

    def channel(self, *, confirms: bool = False) -> Channel:
        """Open a channel."""

    def close(self) -> None:
        """Close it; nothing happens if the peer has closed it."""


def patiently(connect: Callable[[], LibraryConnection]) -> LibraryConnection:
    """Connect, again when the agent says that its broker stood still."""
    deadline = time.monotonic() + LIMIT_SECONDS
    while True:
        try:
            return connect()
        except Exception as error:
            if "did not answer in time" not in repr(error) or time.monotonic() > deadline:
                raise


class Client(Protocol):
    """A library."""

    name: str
    #: Whether it can read and send floats in a header table.
    knows_floats: bool
    #: Whether it tells what was returned on a channel without confirms.
    tells_returns_without_confirms: bool
    #: Whether it writes a random message_id where the program sets none, on a channel with confirms.
    writes_message_ids: bool
    #: Whether a refusal on a channel with confirms comes with its reason.
    is_told_why: bool
    #: The frame sizes that a program can ask for with it; None is the peer's own.
    frame_sizes: tuple[int | None, ...]

    def connect(self, endpoint: Endpoint, *, frame_max: int | None = None) -> LibraryConnection:
        """Connect and log in."""

    def close(self) -> None:
        """Free what the library holds."""
