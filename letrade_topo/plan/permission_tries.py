"""Asking the broker what a login may write, before a plan is carried out; see `permissions_needed`."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Final

from letrade_topo.management.client import ManagementClient
from letrade_topo.management.trying import may_configure, may_lead
from letrade_topo.plan.guards import GuardRefusal
from letrade_topo.plan.permissions_needed import refused, tries
from letrade_topo.plan.plan import Plan

TRIES_AT_ONCE: Final = 8


def beyond_permissions(client: ManagementClient, plan: Plan) -> list[GuardRefusal]:
    """What this login may not write of what a plan changes.

    Raises:
        BrokerError: the broker did not answer.
    """
    vhost, user = plan.scope.vhost, plan.broker.username
    wanted = list(tries(plan.changes, plan.scope.topology))

    def configure(name: str) -> bool:
        return may_configure(client, vhost, name)

    with ThreadPoolExecutor(TRIES_AT_ONCE, thread_name_prefix="trying") as pool:
        names = list(dict.fromkeys(one.name for one in wanted))
        configured = dict(zip(names, pool.map(configure, names), strict=True))
        linked = [one for one in wanted if one.target is not None and configured[one.name]]
        leads = list(pool.map(lambda one: may_lead(client, vhost, one.name, one.target or ""), linked))
    refusals = [
        refused(one, user, may_configure=False)
        for one in wanted
        if not configured[one.name] and not one.only_if_configured
    ]
    return [
        *refusals,
        *(refused(one, user, may_configure=True) for one, yes in zip(linked, leads, strict=True) if not yes),
    ]
