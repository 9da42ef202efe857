"""Live state: what a broker held at the moment it was read, within the scope of one vhost.

The scope is the vhost, all users (they belong to the cluster), and the ownership records of every
topology. What the broker makes by itself is left out: the default exchange, `amq.*` exchanges, the
default exchange's bindings, and the tool's own lock queue.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from letrade_topo.broker.objects import Address, BrokerObject, Parameter
from letrade_topo.broker.reach import EVERYTHING, LoginReach
from letrade_topo.broker.records import RecordPlaces
from letrade_topo.model.messages import Json
from letrade_topo.model.pcre import matcher


@dataclass(frozen=True, slots=True)
class QueueStatus:
    """What the listing says of a queue beyond its definition.

    Args:
        messages: ready and unacknowledged, as of the broker's last statistics (up to 5 s old).
        exclusive: belongs to one connection and goes with it.
        policy: the name of the policy in effect, or None: the broker's word.
        operator_policy: likewise, of the operator policy.
        state: the broker's word for how it is; `running` when all is well.
    """

    messages: int = 0
    exclusive: bool = False
    policy: str | None = None
    operator_policy: str | None = None
    state: str = "running"


@dataclass(frozen=True, slots=True)
class LiveListener:
    """A network listener of some node."""

    protocol: str
    ip: str
    port: int
    node: str = ""


@dataclass(frozen=True, slots=True)
class BrokerInfo:
    """Which broker answered, and as whom.

    Args:
        version: RabbitMQ's version text.
        cluster: the cluster's name.
        username: the user that asked.
        user_tags: its management tags.
        listeners: None where the user may not see them.
        plugins: names of those that are enabled on any node; None where the broker does not say, as in the first
            seconds after its start.
        exchange_types: that it knows, plug-ins' among them; None where it does not say.
    """

    version: str
    cluster: str
    username: str
    user_tags: tuple[str, ...] = ()
    listeners: tuple[LiveListener, ...] | None = None
    plugins: frozenset[str] | None = None
    exchange_types: frozenset[str] | None = None


@dataclass(frozen=True, slots=True)
class LiveState:
    """What was read.

    Args:
        broker: who answered.
        vhost: the vhost in scope.
        objects: every object in scope by address.
        queues: status by queue name.
        records: ownership records of all topologies that can be seen, by global parameter name, wherever they are.
        record_places: where each of them is.
        operator_policies: as listed.
        exchange_policies: the policy in effect by exchange name, where there is one: the broker's word.
        matched: names of queues and exchanges that match a policy's pattern, by pattern, as the broker says; only of
            patterns that cannot be judged here.
        parameters: of the vhost, but its limits and policies.
        is_traced: every message of the vhost is copied to `amq.rabbitmq.trace`.
        reach: which kinds were looked at, and which may be written; of the others nothing is in `objects`.
    """

    broker: BrokerInfo
    vhost: str
    objects: Mapping[Address, BrokerObject] = field(default_factory=dict)
    queues: Mapping[str, QueueStatus] = field(default_factory=dict)
    records: Mapping[str, Json] = field(default_factory=dict)
    record_places: Mapping[str, RecordPlaces] = field(default_factory=dict)
    operator_policies: tuple[Mapping[str, Json], ...] = ()
    exchange_policies: Mapping[str, str] = field(default_factory=dict)
    matched: Mapping[str, frozenset[str]] = field(default_factory=dict)
    parameters: tuple[Parameter, ...] = ()
    is_traced: bool = False
    reach: LoginReach = EVERYTHING

    def matches(self, pattern: str, name: str) -> bool | None:
        """Whether a policy's pattern matches the name of a live queue or exchange; None when nobody could tell."""
        matches = matcher(pattern)
        if matches is not None:
            return matches(name)
        return name in self.matched[pattern] if pattern in self.matched else None

    @property
    def vhost_exists(self) -> bool:
        """Whether the vhost itself is there."""
        return Address(f"vhost:{self.vhost}") in self.objects
