"""The topology: everything that `topology.yaml` says, as one immutable value.

Names refer to each other as text here; that every reference is declared is what the rules check.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from letrade_topo.model.claim_check import ClaimCheck
from letrade_topo.model.messages import Json, MessageType
from letrade_topo.model.security import Enforcement, SecretReference, SecurityPolicy
from letrade_topo.model.services import Service, User
from letrade_topo.model.units import ByteSize, Duration


class Ownership(StrEnum):
    """What objects in the vhost that the topology does not declare mean."""

    EXCLUSIVE = "exclusive"
    SHARED = "shared"


class ExchangeType(StrEnum):
    """The exchange types that RabbitMQ has without plugins."""

    TOPIC = "topic"
    DIRECT = "direct"
    FANOUT = "fanout"
    HEADERS = "headers"


class QueueType(StrEnum):
    """The queue types of RabbitMQ; consumer queues are quorum queues unless said otherwise."""

    QUORUM = "quorum"
    CLASSIC = "classic"
    STREAM = "stream"


class Guarantee(StrEnum):
    """What a queue promises: keep everything, or let the oldest go when it is full."""

    AT_LEAST_ONCE = "at_least_once"
    AT_MOST_ONCE = "at_most_once"


class DestinationType(StrEnum):
    """What a binding leads to."""

    QUEUE = "queue"
    EXCHANGE = "exchange"


class PolicyTarget(StrEnum):
    """What a policy applies to; the targets that every supported broker knows."""

    ALL = "all"
    QUEUES = "queues"
    EXCHANGES = "exchanges"


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """After which delays a rejected message comes back.

    Args:
        max_retries: how many times it comes back before it is dead.
        delay: the first delay.
        multiplier: each further delay is this much longer.
    """

    max_retries: int = 3
    delay: Duration = Duration(5_000)
    multiplier: float = 2

    @property
    def delays(self) -> tuple[Duration, ...]:
        """The delay before each attempt after the first, for example 5 s, 10 s, 20 s."""
        return tuple(
            Duration(round(self.delay.milliseconds * self.multiplier**attempt)) for attempt in range(self.max_retries)
        )


@dataclass(frozen=True, slots=True)
class DeadLetterTarget:
    """A dead-letter exchange and key of the topology's own choice, instead of the retry ladder."""

    exchange: str
    routing_key: str | None = None


class DeadLettering(StrEnum):
    """The two ways a queue dead-letters when it does not name a target itself."""

    RETRY = "retry"
    NONE = "none"


@dataclass(frozen=True, slots=True)
class DeadLetterPolicy:
    """The exchanges and the queue through which failed messages travel.

    Args:
        exchange: receives a dead message under its key + `.dead`.
        queue: holds every dead message until a person decides.
        retry_exchange: leads to the queues of rejected messages and to the delay queues.
    """

    exchange: str = "letrade.dlq"
    queue: str = "letrade.dlq"
    retry_exchange: str = "letrade.retry"


@dataclass(frozen=True, slots=True)
class Limits:
    """Limits of the whole topology.

    Args:
        message_size: largest body on the wire.
        delivery_limit: deliveries after which a quorum queue gives a message up.
        max_connections: of the vhost; unlimited without it.
        max_queues: of the vhost; unlimited without it.
    """

    message_size: ByteSize = ByteSize(131_072)
    delivery_limit: int = 20
    max_connections: int | None = None
    max_queues: int | None = None


@dataclass(frozen=True, slots=True)
class Exchange:
    """A declared exchange.

    Args:
        name: as on the broker.
        type: the exchange type.
        durable: survives a broker restart.
        internal: only other exchanges may publish to it.
        alternate_exchange: receives what no binding routes.
        mode: enforcement of message checks on this exchange, if it differs from the topology's.
        arguments: further arguments, as the broker gets them.
        description: for people.
    """

    name: str
    type: ExchangeType = ExchangeType.TOPIC
    durable: bool = True
    internal: bool = False
    alternate_exchange: str | None = None
    mode: Enforcement | None = None
    arguments: Mapping[str, Json] = field(default_factory=dict, hash=False)
    description: str = ""


@dataclass(frozen=True, slots=True)
class QueueLimits:
    """Limits that may change without harm, so they become a policy and never a redeclare.

    Args:
        max_length: most messages.
        max_length_bytes: most bytes of bodies.
        delivery_limit: if it differs from the topology's; -1 for none.
        expires: an unused queue is deleted after this.
    """

    max_length: int | None = None
    max_length_bytes: ByteSize | None = None
    delivery_limit: int | None = None
    expires: Duration | None = None


@dataclass(frozen=True, slots=True)
class Queue:
    """A declared queue.

    Args:
        name: as on the broker.
        service: the service that consumes from it, if one does.
        messages: message types that are bound to it, by name.
        type: the queue type.
        guarantee: keep everything, or drop the oldest when full.
        dead_lettering: the retry ladder, nothing, or a target of its own.
        retry: the ladder's delays; `none`: a rejected message is dead at once.
        limits: what becomes a policy.
        message_ttl: messages older than this expire.
        single_active_consumer: only one consumer at a time receives.
        max_priority: classic queues only.
        arguments: further arguments, as the broker gets them.
        description: for people.
    """

    name: str
    service: str | None = None
    messages: tuple[str, ...] = ()
    type: QueueType = QueueType.QUORUM
    guarantee: Guarantee = Guarantee.AT_LEAST_ONCE
    dead_lettering: DeadLettering | DeadLetterTarget = DeadLettering.NONE
    retry: RetryPolicy | None = None
    limits: QueueLimits = QueueLimits()
    message_ttl: Duration | None = None
    single_active_consumer: bool = False
    max_priority: int | None = None
    arguments: Mapping[str, Json] = field(default_factory=dict, hash=False)
    description: str = ""

    @property
    def has_rejected_queue(self) -> bool:
        """Whether what is rejected here waits in `<queue>.rejected` for the router."""
        return self.dead_lettering is DeadLettering.RETRY


@dataclass(frozen=True, slots=True)
class Binding:
    """A declared binding beyond those that follow from queues' message types."""

    source: str
    destination: str
    destination_type: DestinationType
    routing_key: str = ""
    arguments: Mapping[str, Json] = field(default_factory=dict, hash=False)


@dataclass(frozen=True, slots=True)
class Policy:
    """A declared policy, as the broker gets it."""

    name: str
    pattern: str
    apply_to: PolicyTarget
    definition: Mapping[str, Json] = field(hash=False)
    priority: int = 0


@dataclass(frozen=True, slots=True)
class BrokerAccess:
    """Where the management API is, when neither flag nor environment says so."""

    management: str | None = None
    username: str | None = None
    password: SecretReference | None = None
    ca_file: str | None = None


@dataclass(frozen=True, slots=True)
class Topology:
    """The whole of `topology.yaml`. Mappings keep the order of the file; keys are the names.

    Args:
        claim_check: how bodies over the size limit travel; without it they are refused.
    """

    name: str
    vhost: str
    environment: str = ""
    ownership: Ownership = Ownership.SHARED
    broker: BrokerAccess = BrokerAccess()
    limits: Limits = Limits()
    retry: RetryPolicy = RetryPolicy()
    dead_letter: DeadLetterPolicy = DeadLetterPolicy()
    security: SecurityPolicy = SecurityPolicy()
    claim_check: ClaimCheck | None = None
    exchanges: Mapping[str, Exchange] = field(default_factory=dict, hash=False)
    messages: Mapping[str, MessageType] = field(default_factory=dict, hash=False)
    queues: Mapping[str, Queue] = field(default_factory=dict, hash=False)
    services: Mapping[str, Service] = field(default_factory=dict, hash=False)
    users: Mapping[str, User] = field(default_factory=dict, hash=False)
    bindings: tuple[Binding, ...] = ()
    policies: Mapping[str, Policy] = field(default_factory=dict, hash=False)
    ignore: tuple[str, ...] = ()
