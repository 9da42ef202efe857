"""Plans of several topologies on one broker, made together: each vhost is read once, and one plan knows the others."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import partial

from letrade_topo.broker.addresses import Address
from letrade_topo.broker.capabilities import Capabilities
from letrade_topo.broker.kinds import CLUSTER_KINDS
from letrade_topo.broker.state import LiveState
from letrade_topo.management.client import ManagementClient
from letrade_topo.management.reading import read_queue_counts, read_state
from letrade_topo.plan.ownership import OwnershipRecord
from letrade_topo.plan.plan import Plan
from letrade_topo.plan.prepare import PlanRequest, completed, plan_for


def beside_each_other(requests: Sequence[PlanRequest]) -> tuple[PlanRequest, ...]:
    """The same requests, each of which leaves alone what the others declare.

    Args:
        requests: of different topologies on one broker, in the order in which they are given.

    Returns:
        In the order in which they are performed: what was made first is destroyed last.
    """
    beside = [
        replace(one, kept=partial(_declared, one, [other for other in requests if other is not one]))
        for one in requests
    ]
    return tuple(reversed(beside) if any(one.destroys for one in requests) else beside)


def prepare_all(client: ManagementClient, requests: Sequence[PlanRequest]) -> tuple[Plan, ...]:
    """Read the broker, and plan for one topology after the other.

    Args:
        client: to the broker.
        requests: of `beside_each_other`.

    Returns:
        In the order in which they are performed: who made a vhost that is destroyed comes last, and takes it along.

    Raises:
        TopoError: the broker cannot be reached, read or understood.
    """
    found = {vhost: read_state(client, vhost) for vhost in dict.fromkeys(one.scope.vhost for one in requests)}
    plans: list[Plan] = []
    for request in sorted(requests, key=lambda one: one.destroys and _made_vhost(one, found[one.scope.vhost])):
        vhost = request.scope.vhost
        counts = partial(read_queue_counts, client, vhost)
        plans.append(completed(client, request, plan_for(found[vhost], request, counts, plans), plans))
    return tuple(plans) if len(plans) == 1 else tuple(map(_named, plans))


def _named(plan: Plan) -> Plan:
    """With the topology in what allows a refusal: what is allowed for one is not allowed for the others."""
    refusals = (replace(one, allow=f"{plan.scope.topology}/{one.allow}" if one.allow else "") for one in plan.refusals)
    return replace(plan, refusals=tuple(refusals))


def _made_vhost(request: PlanRequest, live: LiveState) -> bool:
    name = request.scope.record_name
    return OwnershipRecord.parse(name, live.records.get(name)).vhost_created


def _declared(request: PlanRequest, others: Sequence[PlanRequest], capabilities: Capabilities) -> frozenset[Address]:
    return frozenset(
        one.object.address
        for other in others
        if not other.destroys
        for one in other.expand(capabilities).objects.values()
        if one.object.kind in CLUSTER_KINDS or other.scope.vhost == request.scope.vhost
    )
