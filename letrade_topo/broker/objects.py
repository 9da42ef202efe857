"""The objects of a broker, each with its address and its comparable attributes.

An address names an object in plans, in `--allow KIND=ADDRESS` and in the ownership record; equal
addresses mean the same object. `attributes` is everything that can differ between two objects of one
address, in the management API's own spelling.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import ClassVar, NewType, TypeAlias

from letrade_topo.model.messages import Json
from letrade_topo.model.security import SecretReference

Address = NewType("Address", str)
Attributes: TypeAlias = dict[str, Json]


class Kind(StrEnum):
    """The kinds of objects that the tool manages."""

    VHOST = "vhost"
    VHOST_LIMIT = "vhost-limit"
    USER = "user"
    USER_LIMIT = "user-limit"
    EXCHANGE = "exchange"
    POLICY = "policy"
    QUEUE = "queue"
    BINDING = "binding"
    TOPIC_PERMISSION = "topic-permission"
    PERMISSION = "permission"


IMMUTABLE_KINDS = frozenset({Kind.EXCHANGE, Kind.QUEUE, Kind.BINDING})
"""Objects whose attributes the broker never changes: a difference means replace."""

CLUSTER_KINDS = frozenset({Kind.USER, Kind.USER_LIMIT})
"""Objects that live outside any vhost, so another topology may use them too."""


@dataclass(frozen=True, slots=True)
class Vhost:
    """A virtual host."""

    kind: ClassVar[Kind] = Kind.VHOST

    name: str

    @property
    def address(self) -> Address:
        return Address(f"vhost:{self.name}")

    @property
    def attributes(self) -> Attributes:
        return {}


@dataclass(frozen=True, slots=True)
class VhostLimit:
    """`max-connections` or `max-queues` of the vhost."""

    kind: ClassVar[Kind] = Kind.VHOST_LIMIT

    name: str
    value: int

    @property
    def address(self) -> Address:
        return Address(f"vhost-limit:{self.name}")

    @property
    def attributes(self) -> Attributes:
        return {"value": self.value}


@dataclass(frozen=True, slots=True)
class User:
    """A user.

    Args:
        name: the user name.
        tags: sorted management tags.
        password_hash: as RabbitMQ stores it (base64 of salt and digest); empty for no password.
        hashing_algorithm: RabbitMQ's module name, empty for no password.
        password: where the desired password is read; display only, the hash decides.
    """

    kind: ClassVar[Kind] = Kind.USER

    name: str
    tags: tuple[str, ...] = ()
    password_hash: str = field(default="", repr=False)
    hashing_algorithm: str = ""
    password: SecretReference | None = field(default=None, compare=False)

    @property
    def address(self) -> Address:
        return Address(f"user:{self.name}")

    @property
    def attributes(self) -> Attributes:
        return {"tags": list(self.tags), "password_hash": self.password_hash}


@dataclass(frozen=True, slots=True)
class UserLimit:
    """`max-connections` or `max-channels` of a user."""

    kind: ClassVar[Kind] = Kind.USER_LIMIT

    user: str
    name: str
    value: int

    @property
    def address(self) -> Address:
        return Address(f"user-limit:{self.user}/{self.name}")

    @property
    def attributes(self) -> Attributes:
        return {"value": self.value}


@dataclass(frozen=True, slots=True)
class Exchange:
    """An exchange of the vhost."""

    kind: ClassVar[Kind] = Kind.EXCHANGE

    name: str
    type: str
    durable: bool = True
    auto_delete: bool = False
    internal: bool = False
    arguments: Mapping[str, Json] = field(default_factory=dict, hash=False)

    @property
    def address(self) -> Address:
        return Address(f"exchange:{self.name}")

    @property
    def attributes(self) -> Attributes:
        return {
            "type": self.type,
            "durable": self.durable,
            "auto_delete": self.auto_delete,
            "internal": self.internal,
            "arguments": dict(self.arguments),
        }


@dataclass(frozen=True, slots=True)
class Queue:
    """A queue of the vhost; its type is the argument `x-queue-type`."""

    kind: ClassVar[Kind] = Kind.QUEUE

    name: str
    durable: bool = True
    auto_delete: bool = False
    arguments: Mapping[str, Json] = field(default_factory=dict, hash=False)

    @property
    def address(self) -> Address:
        return Address(f"queue:{self.name}")

    @property
    def attributes(self) -> Attributes:
        return {"durable": self.durable, "auto_delete": self.auto_delete, "arguments": dict(self.arguments)}


@dataclass(frozen=True, slots=True)
class Binding:
    """A binding; all of it is its identity.

    Args:
        source: the exchange it leaves from.
        destination_type: `queue` or `exchange`.
        destination: the name of either.
        routing_key: the binding key.
        arguments: for headers exchanges.
        properties_key: the broker's own name for it, which only a live binding has.
    """

    kind: ClassVar[Kind] = Kind.BINDING

    source: str
    destination_type: str
    destination: str
    routing_key: str = ""
    arguments: Mapping[str, Json] = field(default_factory=dict, hash=False)
    properties_key: str | None = field(default=None, compare=False)

    @property
    def address(self) -> Address:
        end = f"{self.source} -> {self.destination_type}:{self.destination} [{self.routing_key}]"
        if not self.arguments:
            return Address(f"binding:{end}")
        text = json.dumps(self.arguments, sort_keys=True, separators=(",", ":"))
        return Address(f"binding:{end} {{{hashlib.sha256(text.encode()).hexdigest()[:12]}}}")

    @property
    def attributes(self) -> Attributes:
        return {
            "source": self.source,
            "destination_type": self.destination_type,
            "destination": self.destination,
            "routing_key": self.routing_key,
            "arguments": dict(self.arguments),
        }


@dataclass(frozen=True, slots=True)
class Policy:
    """A policy of the vhost."""

    kind: ClassVar[Kind] = Kind.POLICY

    name: str
    pattern: str
    apply_to: str
    definition: Mapping[str, Json] = field(hash=False)
    priority: int = 0

    @property
    def address(self) -> Address:
        return Address(f"policy:{self.name}")

    @property
    def attributes(self) -> Attributes:
        return {
            "pattern": self.pattern,
            "apply-to": self.apply_to,
            "definition": dict(self.definition),
            "priority": self.priority,
        }


@dataclass(frozen=True, slots=True)
class Permission:
    """What a user may configure, write and read in the vhost: regular expressions, empty for nothing."""

    kind: ClassVar[Kind] = Kind.PERMISSION

    user: str
    configure: str
    write: str
    read: str

    @property
    def address(self) -> Address:
        return Address(f"permission:{self.user}")

    @property
    def attributes(self) -> Attributes:
        return {"configure": self.configure, "write": self.write, "read": self.read}


@dataclass(frozen=True, slots=True)
class TopicPermission:
    """Which routing keys a user may write to, and which binding keys read from, one topic exchange."""

    kind: ClassVar[Kind] = Kind.TOPIC_PERMISSION

    user: str
    exchange: str
    write: str
    read: str

    @property
    def address(self) -> Address:
        return Address(f"topic-permission:{self.user}/{self.exchange}")

    @property
    def attributes(self) -> Attributes:
        return {"write": self.write, "read": self.read}


BrokerObject: TypeAlias = (
    Vhost | VhostLimit | User | UserLimit | Exchange | Queue | Binding | Policy | Permission | TopicPermission
)
