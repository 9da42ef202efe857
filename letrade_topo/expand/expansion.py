"""The whole desired state of a topology on a broker of given capabilities."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import chain

from letrade_topo.broker.capabilities import Capabilities
from letrade_topo.broker.objects import Queue, Vhost, VhostLimit
from letrade_topo.expand.desired import Desired, DesiredState, Notice, by_address
from letrade_topo.expand.permissions import expand_services, expand_users
from letrade_topo.expand.policies import expand_policies
from letrade_topo.expand.queues import expand_bindings, expand_exchanges, expand_queues
from letrade_topo.model.messages import Priority
from letrade_topo.model.topology import Topology


def expand(topology: Topology, capabilities: Capabilities) -> DesiredState:
    """Spell out every broker object that the topology implies.

    Args:
        topology: checked by the rules: every reference is declared.
        capabilities: of the broker's version.
    """
    policies, effect = expand_policies(topology, capabilities)
    chained = chain(
        _vhost(topology),
        expand_exchanges(topology),
        policies,
        expand_queues(topology),
        expand_bindings(topology),
        expand_services(topology),
        expand_users(topology),
    )
    objects = by_address(chained)
    queues = (one.object.name for one in objects.values() if isinstance(one.object, Queue))
    return DesiredState(
        objects=objects,
        policies=dict.fromkeys(queues) | effect,
        dead_letter_exchanges=frozenset({topology.dead_letter.exchange, topology.dead_letter.retry_exchange}),
        notices=tuple(_notices(topology, capabilities)),
    )


def _vhost(topology: Topology) -> Iterator[Desired]:
    yield Desired(Vhost(topology.vhost), ("vhost",))
    limits = topology.limits
    for name, value in (("max-connections", limits.max_connections), ("max-queues", limits.max_queues)):
        if value is not None:
            yield Desired(VhostLimit(name, value), ("limits", name.replace("-", "_")))


def _notices(topology: Topology, capabilities: Capabilities) -> Iterator[Notice]:
    urgent = [name for name, message in topology.messages.items() if message.priority is Priority.HIGH]
    if urgent and capabilities.quorum_priority_levels == 0:
        yield Notice(
            "priority-without-effect",
            f"{len(urgent)} message types have `priority: high`; quorum queues of RabbitMQ {capabilities.series} "
            "deliver in order of arrival and ignore it (from 4.0 they have two levels); separate queues still keep "
            "them apart",
            ("messages", urgent[0], "priority"),
        )
