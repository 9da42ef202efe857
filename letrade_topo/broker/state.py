"""Live state: what a broker held at the moment it was read, within the scope of one vhost.

The scope is the vhost, all users (they belong to the cluster), and the ownership records of every
topology. What the broker makes by itself is left out: the default exchange, `amq.*` exchanges, the
default exchange's bindings, and the tool's own lock queue.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from letrade_topo.broker.objects import Address, BrokerObject
from letrade_topo.model.messages import Json


@dataclass(frozen=True, slots=True)
class QueueStatus:
    """What the listing says of a queue beyond its definition.

    Args:
        messages: ready and unacknowledged, as of the broker's last statistics (up to 5 s old).
        exclusive: belongs to one connection and goes with it.
        policy: the name of the policy in effect, or None.
        operator_policy: likewise, of the operator policy.
    """

    messages: int = 0
    exclusive: bool = False
    policy: str | None = None
    operator_policy: str | None = None


@dataclass(frozen=True, slots=True)
class Listener:
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
    """

    version: str
    cluster: str
    username: str
    user_tags: tuple[str, ...] = ()
    listeners: tuple[Listener, ...] | None = None


@dataclass(frozen=True, slots=True)
class LiveState:
    """What was read.

    Args:
        broker: who answered.
        vhost: the vhost in scope.
        objects: every object in scope by address.
        queues: status by queue name.
        records: ownership records of all topologies, by global parameter name, as stored.
        operator_policies: as listed; the tool never changes them.
    """

    broker: BrokerInfo
    vhost: str
    objects: Mapping[Address, BrokerObject] = field(default_factory=dict)
    queues: Mapping[str, QueueStatus] = field(default_factory=dict)
    records: Mapping[str, Json] = field(default_factory=dict)
    operator_policies: tuple[Mapping[str, Json], ...] = ()

    @property
    def vhost_exists(self) -> bool:
        """Whether the vhost itself is there."""
        return Address(f"vhost:{self.vhost}") in self.objects
