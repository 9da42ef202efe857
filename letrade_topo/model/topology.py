"""The topology: everything that `topology.yaml` says, as one immutable value.

Names refer to each other as text here; that every reference is declared is what the rules check.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from letrade_topo.model.claim_check import ClaimCheck
from letrade_topo.model.messages import EnvelopeMode, Json, MessageType
from letrade_topo.model.parameters import DeclaredParameter
from letrade_topo.model.security import Enforcement, SecretReference, SecurityPolicy
from letrade_topo.model.services import DeclaredUser, Service
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


class Overflow(StrEnum):
    """What a full queue does, as RabbitMQ has it; `none` writes nothing, and the broker drops the oldest."""

    NONE = "none"
    DROP_HEAD = "drop-head"
    REJECT_PUBLISH = "reject-publish"
    REJECT_PUBLISH_DLX = "reject-publish-dlx"


class DeadLetterStrategy(StrEnum):
    """How a queue hands its dead letters over; `none` writes nothing, and the broker does so at most once."""

    NONE = "none"
    AT_MOST_ONCE = "at-most-once"
    AT_LEAST_ONCE = "at-least-once"


class DestinationType(StrEnum):
    """What a binding leads to."""

    QUEUE = "queue"
    EXCHANGE = "exchange"


class PolicyTarget(StrEnum):
    """What a policy applies to; queues by their type from RabbitMQ 3.12 on."""

    ALL = "all"
    QUEUES = "queues"
    EXCHANGES = "exchanges"
    CLASSIC_QUEUES = "classic_queues"
    QUORUM_QUEUES = "quorum_queues"
    STREAMS = "streams"


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
    """A dead-letter exchange and key of the topology's own choice, instead of the retry ladder.

    Args:
        exchange: the default exchange by its empty name.
        routing_key: without it, the message's own.
        strategy: of a quorum queue; `at-least-once` where nothing is said.
    """

    exchange: str
    routing_key: str | None = None
    strategy: DeadLetterStrategy | None = None


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
        is_declared: the file has a section for them, so they are made whatever else is in it.
    """

    exchange: str = "letrade.dlq"
    queue: str = "letrade.dlq"
    retry_exchange: str = "letrade.retry"
    is_declared: bool = False


@dataclass(frozen=True, slots=True)
class TopologyLimits:
    """Limits of the whole topology.

    Args:
        message_size: largest body on the wire.
        delivery_limit: deliveries after which a quorum queue gives a message up.
        redelivery_delay: how long a quorum queue holds back what a consumer gives back, times its failed deliveries and
            ten times at most (RabbitMQ 4.3.1); at once without it.
        max_connections: of the vhost; unlimited without it.
        max_queues: of the vhost; unlimited without it.
        hold_for_all: the file says something of deliveries, so it holds for every quorum queue, also for one that
            belongs to no service and takes no message type.
    """

    message_size: ByteSize = ByteSize(131_072)
    delivery_limit: int = 20
    redelivery_delay: Duration | None = None
    max_connections: int | None = None
    max_queues: int | None = None
    hold_for_all: bool = False


@dataclass(frozen=True, slots=True)
class DeclaredExchange:
    """A declared exchange.

    Args:
        name: as on the broker.
        type: the exchange type; of a plug-in as a text that begins with `x-`.
        durable: survives a broker restart.
        auto_delete: goes with the last binding that leaves from it.
        internal: only other exchanges may publish to it.
        alternate_exchange: receives what no binding routes.
        mode: enforcement of message checks on this exchange, if it differs from the topology's.
        envelope: of what is published here, by services that do not say it themselves: `require` refuses a body that
            lacks a member, `complete` has the agent put in `message_id`, `timestamp` and `source`.
        arguments: further arguments, as the broker gets them.
        as_found: one that is there stays as it is, if it is of this type.
        description: for people.
    """

    name: str
    type: ExchangeType | str = ExchangeType.TOPIC
    durable: bool = True
    auto_delete: bool = False
    internal: bool = False
    alternate_exchange: str | None = None
    mode: Enforcement | None = None
    envelope: EnvelopeMode = EnvelopeMode.REQUIRE
    arguments: Mapping[str, Json] = field(default_factory=dict, hash=False)
    as_found: bool = False
    description: str = ""


@dataclass(frozen=True, slots=True)
class QueueLimits:
    """Limits that may change without harm, so they become a policy and never a redeclare.

    Args:
        max_length: most messages.
        max_length_bytes: most bytes of bodies.
        delivery_limit: if it differs from the topology's; -1 for none.
        redelivery_delay: if it differs from the topology's.
        expires: an unused queue is deleted after this.
    """

    max_length: int | None = None
    max_length_bytes: ByteSize | None = None
    delivery_limit: int | None = None
    redelivery_delay: Duration | None = None
    expires: Duration | None = None


@dataclass(frozen=True, slots=True)
class DeclaredQueue:
    """A declared queue.

    Args:
        name: as on the broker.
        service: the service that consumes from it, if one does.
        messages: message types that are bound to it, by name.
        type: the queue type.
        durable: survives a broker restart.
        auto_delete: goes, with what is in it, when its last consumer goes.
        guarantee: keep everything, or drop the oldest when full.
        overflow: what it does when full, in RabbitMQ's own words, in place of a guarantee.
        dead_lettering: the retry ladder, nothing, or a target of its own.
        retry: the ladder's delays; `none`: a rejected message is dead at once.
        limits: what becomes a policy.
        message_ttl: messages older than this expire.
        single_active_consumer: only one consumer at a time receives; not without it.
        max_priority: classic queues only.
        arguments: further arguments, as the broker gets them.
        as_found: one that is there stays as it is, if it is of this type.
        description: for people.
    """

    name: str
    service: str | None = None
    messages: tuple[str, ...] = ()
    type: QueueType = QueueType.QUORUM
    durable: bool = True
    auto_delete: bool = False
    guarantee: Guarantee = Guarantee.AT_LEAST_ONCE
    overflow: Overflow | None = None
    dead_lettering: DeadLettering | DeadLetterTarget = DeadLettering.NONE
    retry: RetryPolicy | None = None
    limits: QueueLimits = QueueLimits()
    message_ttl: Duration | None = None
    single_active_consumer: bool | None = None
    max_priority: int | None = None
    arguments: Mapping[str, Json] = field(default_factory=dict, hash=False)
    as_found: bool = False
    description: str = ""

    @property
    def has_rejected_queue(self) -> bool:
        """Whether what is rejected here waits in `<queue>.rejected` for the router."""
        return self.dead_lettering is DeadLettering.RETRY

    @property
    def is_on_bus(self) -> bool:
        """Whether a service or a message type makes it one of ours; else it is a queue as RabbitMQ has it."""
        return self.service is not None or bool(self.messages) or self.has_rejected_queue


@dataclass(frozen=True, slots=True)
class DeclaredBinding:
    """A declared binding beyond those that follow from queues' message types."""

    source: str
    destination: str
    destination_type: DestinationType
    routing_key: str = ""
    arguments: Mapping[str, Json] = field(default_factory=dict, hash=False)


@dataclass(frozen=True, slots=True)
class DeclaredPolicy:
    """A declared policy, as the broker gets it."""

    name: str
    pattern: str
    apply_to: PolicyTarget
    definition: Mapping[str, Json] = field(hash=False)
    priority: int = 0


@dataclass(frozen=True, slots=True)
class VhostSettings:
    """What a vhost says of itself; what is None stays as it is found.

    Args:
        description: for people.
        tags: for people and tools.
        default_queue_type: of queues that are declared without a type.
        tracing: a copy of every message goes to `amq.rabbitmq.trace`.
    """

    description: str | None = None
    tags: tuple[str, ...] | None = None
    default_queue_type: QueueType | None = None
    tracing: bool | None = None


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
        vhost_protected: the broker refuses to delete the vhost (4.0.6), and `destroy` to begin; as found without it.
    """

    name: str
    vhost: str
    environment: str = ""
    ownership: Ownership = Ownership.SHARED
    broker: BrokerAccess = BrokerAccess()
    limits: TopologyLimits = TopologyLimits()
    retry: RetryPolicy = RetryPolicy()
    dead_letter: DeadLetterPolicy = DeadLetterPolicy()
    security: SecurityPolicy = SecurityPolicy()
    claim_check: ClaimCheck | None = None
    exchanges: Mapping[str, DeclaredExchange] = field(default_factory=dict, hash=False)
    messages: Mapping[str, MessageType] = field(default_factory=dict, hash=False)
    queues: Mapping[str, DeclaredQueue] = field(default_factory=dict, hash=False)
    services: Mapping[str, Service] = field(default_factory=dict, hash=False)
    users: Mapping[str, DeclaredUser] = field(default_factory=dict, hash=False)
    bindings: tuple[DeclaredBinding, ...] = ()
    policies: Mapping[str, DeclaredPolicy] = field(default_factory=dict, hash=False)
    operator_policies: Mapping[str, DeclaredPolicy] = field(default_factory=dict, hash=False)
    parameters: tuple[DeclaredParameter, ...] = ()
    global_parameters: Mapping[str, Json] = field(default_factory=dict, hash=False, repr=False)
    ignore: tuple[str, ...] = ()
    vhost_protected: bool | None = None
    vhost_settings: VhostSettings = VhostSettings()

    def mode_of(self, exchange: str) -> Enforcement:
        """How strictly agents judge the messages of an exchange; the topology's mode where it has none of its own."""
        declared = self.exchanges.get(exchange)
        return self.security.jwt.mode if declared is None or declared.mode is None else declared.mode

    @property
    def has_dead_letters(self) -> bool:
        """Whether the exchanges and the queue of `dead_letter` are made: where something of ours may fail.

        A topology that only spells out exchanges, queues and users gets nothing that it does not name.
        """
        return (
            self.dead_letter.is_declared
            or bool(self.services or self.messages)
            or any(queue.has_rejected_queue for queue in self.queues.values())
            or self._leads_to_dead_letters
        )

    @property
    def failure_exchanges(self) -> tuple[str, ...]:
        """The exchanges through which failed messages travel, where there are any."""
        return (self.dead_letter.retry_exchange, self.dead_letter.exchange) if self.has_dead_letters else ()

    @property
    def _leads_to_dead_letters(self) -> bool:
        """Whether something names what `dead_letter` makes, and the file does not declare that as its own."""
        exchanges = {self.dead_letter.exchange, self.dead_letter.retry_exchange} - self.exchanges.keys()
        queues = {self.dead_letter.queue} - self.queues.keys()
        targets = (queue.dead_lettering for queue in self.queues.values())
        return any(isinstance(target, DeadLetterTarget) and target.exchange in exchanges for target in targets) or any(
            binding.source in exchanges
            or binding.destination in (queues if binding.destination_type is DestinationType.QUEUE else exchanges)
            for binding in self.bindings
        )
