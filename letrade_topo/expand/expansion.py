"""The whole desired state of a topology on a broker of given capabilities."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import chain

from letrade_topo.broker.capabilities import Capabilities
from letrade_topo.broker.objects import Queue, Vhost, VhostLimit
from letrade_topo.expand.desired import Desired, DesiredState, DocumentPath, Notice, by_address
from letrade_topo.expand.fitting import fit_policies
from letrade_topo.expand.parameters import expand_parameters
from letrade_topo.expand.permissions import expand_services, expand_users
from letrade_topo.expand.policies import expand_policies
from letrade_topo.expand.queues import expand_bindings, expand_exchanges, expand_queues
from letrade_topo.model.messages import Priority
from letrade_topo.model.passages import agent_passages
from letrade_topo.model.queue_roles import roled_queues
from letrade_topo.model.topology import Topology

_TWO = 2


def expand(topology: Topology, capabilities: Capabilities) -> DesiredState:
    """Spell out every broker object that the topology implies.

    Args:
        topology: checked by the rules: every reference is declared.
        capabilities: of the broker's version.
    """
    expanded, expected, standby = expand_policies(topology, capabilities)
    policies, effect, notices = fit_policies(expanded, expected, capabilities)
    chained = chain(
        _vhost(topology, capabilities),
        expand_exchanges(topology),
        policies,
        expand_queues(topology),
        expand_bindings(topology),
        expand_services(topology),
        expand_users(topology),
        expand_parameters(topology),
    )
    objects = by_address(chained)
    queues = (one.object.name for one in objects.values() if isinstance(one.object, Queue))
    return DesiredState(
        objects=objects,
        policies=dict.fromkeys(queues) | effect,
        dead_letter_exchanges=frozenset(topology.failure_exchanges),
        notices=(*_notices(topology, capabilities), *notices),
        agent_passages={
            name: tuple(agent_passages(queue, topology.dead_letter)) for name, queue in topology.queues.items()
        },
        keeping=frozenset(queue.name for queue in roled_queues(topology) if queue.keeps_what_failed),
        standby=standby,
    )


def _vhost(topology: Topology, capabilities: Capabilities) -> Iterator[Desired]:
    protected = topology.vhost_protected if capabilities.vhost_deletion_protection else None
    settings = topology.vhost_settings
    vhost = Vhost(
        topology.vhost,
        protected,
        settings.description,
        settings.tags,
        None if settings.default_queue_type is None else str(settings.default_queue_type),
        settings.tracing,
    )
    yield Desired(vhost, ("vhost" if protected is None else "vhost_protected",))
    limits = topology.limits
    for name, value in (("max-connections", limits.max_connections), ("max-queues", limits.max_queues)):
        if value is not None:
            yield Desired(VhostLimit(name, value), ("limits", name.replace("-", "_")))


def _notices(topology: Topology, capabilities: Capabilities) -> Iterator[Notice]:
    levels = capabilities.quorum_priority_levels
    chosen = [message for message in topology.messages.values() if message.priority is not Priority.NORMAL]
    if chosen and levels == 0:
        yield Notice(
            "priority-without-effect",
            f"{len(chosen)} message types have a `priority`; quorum queues of RabbitMQ {capabilities.series} "
            "deliver in order of arrival and ignore it (from 4.3 they deliver strictly by priority); separate queues "
            "still keep them apart",
            ("messages", chosen[0].name, "priority"),
        )
    numbered = [message for message in chosen if not isinstance(message.priority, Priority)]
    if numbered and levels == _TWO:
        yield Notice(
            "priority-of-two-levels",
            f"{len(numbered)} message types have a number as `priority`; quorum queues of RabbitMQ "
            f"{capabilities.series} tell two levels apart, up to 4 and above, and deliver two of the higher to one of "
            "the lower (from 4.3 they deliver strictly by priority)",
            ("messages", numbered[0].name, "priority"),
        )
    if topology.vhost_protected and not capabilities.vhost_deletion_protection:
        yield Notice(
            "vhost-not-protected",
            f"vhost {topology.vhost!r} cannot be protected from deletion by RabbitMQ {capabilities.series}, which "
            "lacks that (4.0.6 and newer have it); `letrade-topo destroy` refuses all the same",
            ("vhost_protected",),
        )
    most = capabilities.max_multi_wildcards
    for service in topology.services.values():
        beyond = [pattern.text for pattern in service.patterns if most is not None and pattern.words.count("#") > most]
        if beyond:
            yield Notice(
                "pattern-with-many-wildcards",
                f"{service.name} cannot subscribe to {', '.join(map(repr, beyond))}: RabbitMQ {capabilities.series} "
                f"takes {most} `#` in a binding key at most",
                ("services", service.name, "consumes"),
            )
    if not capabilities.delayed_retry:
        yield from _undelayed(topology, capabilities)


def _undelayed(topology: Topology, capabilities: Capabilities) -> Iterator[Notice]:
    if topology.limits.redelivery_delay is not None:
        path: DocumentPath = ("limits", "redelivery_delay")
    else:
        own = (name for name, queue in topology.queues.items() if queue.limits.redelivery_delay is not None)
        first = next(own, None)
        if first is None:
            return
        path = ("queues", first, "redelivery_delay")
    yield Notice(
        "redelivery-not-delayed",
        f"`redelivery_delay` is left out: RabbitMQ {capabilities.series} delivers what a consumer gives back at once "
        "(4.3.1 and newer hold it back)",
        path,
    )
