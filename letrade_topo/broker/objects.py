"""The objects of a broker, each with its address and its comparable attributes.

An address names an object in plans, in `--allow KIND=ADDRESS` and in the ownership record; equal
addresses mean the same object. `attributes` is everything that can differ between two objects of one
address, in the management API's own spelling.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import ClassVar, TypeAlias

from letrade_topo.broker.addresses import (
    Address,
    binding_address,
    old_binding_address,
    old_pair_address,
    pair_address,
)
from letrade_topo.broker.kinds import CLUSTER_KINDS, IMMUTABLE_KINDS, OF_OTHERS_KINDS, Attributes, Kind
from letrade_topo.broker.parameters import GlobalParameter, Parameter
from letrade_topo.broker.policies import OperatorPolicy, Policy
from letrade_topo.model.messages import Json
from letrade_topo.model.security import SecretReference


@dataclass(frozen=True, slots=True)
class Vhost:
    """A virtual host; what is None the broker does not know, or nobody cares about.

    Args:
        name: its name.
        protected: whether the broker refuses to delete it.
        description, tags: what it says of itself, the tags sorted.
        default_queue_type: of queues that are declared without a type.
        tracing: whether a copy of every message goes to `amq.rabbitmq.trace`.
    """

    kind: ClassVar[Kind] = Kind.VHOST

    name: str
    protected: bool | None = None
    description: str | None = None
    tags: tuple[str, ...] | None = None
    default_queue_type: str | None = None
    tracing: bool | None = None

    @property
    def address(self) -> Address:
        return Address(f"vhost:{self.name}")

    @property
    def attributes(self) -> Attributes:
        known: Attributes = {
            "protected": self.protected,
            "description": self.description,
            "tags": None if self.tags is None else list(self.tags),
            "default_queue_type": self.default_queue_type,
            "tracing": self.tracing,
        }
        return {name: value for name, value in known.items() if value is not None}

    def completed(self, found: Vhost) -> Vhost:
        """What nobody cares about as it is found: a vhost is written as a whole, and what is left out is reset."""
        return Vhost(
            self.name,
            found.protected if self.protected is None else self.protected,
            found.description if self.description is None else self.description,
            found.tags if self.tags is None else self.tags,
            found.default_queue_type if self.default_queue_type is None else self.default_queue_type,
            found.tracing if self.tracing is None else self.tracing,
        )


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
        is_hash: what is read there is a hash as the broker stores it.
        hashed_by: the algorithm of a hash that does not say it.
        is_password_unmanaged: whatever its password is on the broker, it stays.
    """

    kind: ClassVar[Kind] = Kind.USER

    name: str
    tags: tuple[str, ...] = ()
    password_hash: str = field(default="", repr=False)
    hashing_algorithm: str = ""
    password: SecretReference | None = field(default=None, compare=False)
    is_hash: bool = field(default=False, compare=False)
    hashed_by: str = field(default="", compare=False)
    is_password_unmanaged: bool = field(default=False, compare=False)

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
        return pair_address(self.kind, self.user, self.name)

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
        return binding_address(self.source, self.destination_type, self.destination, self.routing_key, self.arguments)

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
        return pair_address(self.kind, self.user, self.exchange)

    @property
    def attributes(self) -> Attributes:
        return {"write": self.write, "read": self.read}


BrokerObject: TypeAlias = (
    Vhost
    | VhostLimit
    | User
    | UserLimit
    | Exchange
    | Queue
    | Binding
    | Policy
    | OperatorPolicy
    | Permission
    | TopicPermission
    | Parameter
    | GlobalParameter
)


def old_address(thing: BrokerObject) -> Address:
    """The address of an object as 0.1.0 spelled it: two objects may have one; ownership records may hold it."""
    match thing:
        case Binding():
            return old_binding_address(
                thing.source, thing.destination_type, thing.destination, thing.routing_key, thing.arguments
            )
        case TopicPermission():
            return old_pair_address(thing.kind, thing.user, thing.exchange)
        case UserLimit():
            return old_pair_address(thing.kind, thing.user, thing.name)
        case _:
            return thing.address


__all__ = [
    "CLUSTER_KINDS",
    "IMMUTABLE_KINDS",
    "OF_OTHERS_KINDS",
    "Address",
    "Attributes",
    "Binding",
    "BrokerObject",
    "Exchange",
    "GlobalParameter",
    "Kind",
    "OperatorPolicy",
    "Parameter",
    "Permission",
    "Policy",
    "Queue",
    "TopicPermission",
    "User",
    "UserLimit",
    "Vhost",
    "VhostLimit",
    "old_address",
]
