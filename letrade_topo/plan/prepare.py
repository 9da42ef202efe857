"""Read the broker and make a plan: the one place where planning touches the outside.

The number of calls is fixed, whatever the number of objects: the listings of `read_state`, and one more
for live counts when a queue would go.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace

from letrade_topo.broker.capabilities import Capabilities, for_version
from letrade_topo.broker.objects import (
    CLUSTER_KINDS,
    Binding,
    Kind,
    Permission,
    Queue,
    Vhost,
)
from letrade_topo.broker.order import Stage
from letrade_topo.broker.passwords import SALT_BYTES
from letrade_topo.broker.state import LiveState
from letrade_topo.expand.desired import DesiredState, DocumentPath
from letrade_topo.management.client import ManagementClient
from letrade_topo.management.reading import QueueCounts, read_queue_counts, read_state
from letrade_topo.model.security import SecretReference
from letrade_topo.model.topology import Ownership
from letrade_topo.plan.blocked import Blocked, separate
from letrade_topo.plan.change import Action, Change, Reason
from letrade_topo.plan.compare import compare, ends_of, ordered
from letrade_topo.plan.findings import find, lock_hazards
from letrade_topo.plan.guards import Allowance, Allowances, assess
from letrade_topo.plan.ownership import OwnershipRecord
from letrade_topo.plan.passwords import settle_passwords
from letrade_topo.plan.plan import Plan, fingerprint
from letrade_topo.plan.scope import Scope

UNKNOWN = QueueCounts(None, None)


@dataclass(frozen=True, slots=True)
class Request:
    """What is to be planned.

    Args:
        scope: the topology's view of the broker.
        expand: the desired state for a broker's capabilities.
        locate: `file:line:column` of a place in the topology.
        secrets: what password references resolve to.
        allowances: what the caller allowed.
        tls_required: plain-text listeners are findings.
        destroys: plan the deletion of everything that is owned.
        leaves_blocked: what a guard refuses is left out of the plan, with what goes with it, and the rest is done;
            otherwise one refusal stands against all of it.
    """

    scope: Scope
    expand: Callable[[Capabilities], DesiredState]
    locate: Callable[[DocumentPath], str]
    secrets: Mapping[SecretReference, str] = field(default_factory=dict, repr=False)
    allowances: Allowances = Allowances()
    tls_required: bool = False
    destroys: bool = False
    leaves_blocked: bool = False


def prepare(client: ManagementClient, request: Request) -> Plan:
    """Read the broker and plan.

    Raises:
        TopoError: the broker cannot be reached, read or understood.
    """
    live = read_state(client, request.scope.vhost)
    return plan_for(live, request, lambda: read_queue_counts(client, request.scope.vhost))


def plan_for(live: LiveState, request: Request, read_counts: Callable[[], Mapping[str, QueueCounts]]) -> Plan:
    """Plan for a state that was read.

    Args:
        live: the state.
        request: what is to be planned.
        read_counts: messages and consumers by queue name; called only when a queue would go.
    """
    scope = request.scope
    record = OwnershipRecord.parse(scope.record_name, live.records.get(scope.record_name))
    desired = request.expand(for_version(live.broker.version))
    if request.destroys:
        desired, scope = replace(desired, objects={}, policies={}), replace(scope, ownership=Ownership.SHARED)
    else:
        desired = settle_passwords(desired, live, request.secrets, lambda: os.urandom(SALT_BYTES))
    comparison = compare(desired, live, record, scope, request.locate)
    changes = [change for change in comparison.changes if not _belongs_to_another(change, live, scope)]
    if not request.destroys:
        changes = ordered([*changes, *_permitted(comparison.unmanaged, request.allowances)])
    if any(change.removes_queue for change in changes):
        changes = _with_counts(changes, read_counts())
    blocked: tuple[Blocked, ...] = ()
    if request.leaves_blocked:
        changes, blocked = separate(changes, lambda left: assess(left, live, record, request.allowances))
    refusals = assess(changes, live, record, request.allowances, destroys=request.destroys)
    if request.destroys:
        changes += _vhost_deletion(changes, live, record)
    return Plan(
        scope=scope,
        broker=live.broker,
        desired=desired,
        comparison=comparison,
        changes=tuple(changes),
        findings=find(desired, live, scope, tls_required=request.tls_required and not request.destroys),
        refusals=refusals,
        record=record,
        allowances=request.allowances,
        fingerprint=fingerprint(live, scope.record_name, comparison.seen),
        vhost_exists=live.vhost_exists,
        lock_hazards=lock_hazards(live, desired, scope.topology),
        destroys=request.destroys,
        blocked=blocked,
    )


def _permitted(unmanaged: Iterable[Change], allowances: Allowances) -> list[Change]:
    """Undeclared objects that may go, each with the bindings that lead to it: inflow stops first."""
    unmanaged = tuple(unmanaged)
    named = {one.address for one in unmanaged if allowances.permit(Allowance.DELETE_UNMANAGED, one.address)}
    return [
        one
        for one in unmanaged
        if one.address in named or (isinstance(one.object, Binding) and ends_of(one.object) & named)
    ]


def _with_counts(changes: Iterable[Change], counts: Mapping[str, QueueCounts]) -> list[Change]:
    counted: list[Change] = []
    for change in changes:
        thing = change.before
        if change.removes_queue and isinstance(thing, Queue):
            count = counts.get(thing.name, UNKNOWN)
            change = replace(change, messages=count.messages, consumers=count.consumers)
        counted.append(change)
    return counted


def _belongs_to_another(change: Change, live: LiveState, scope: Scope) -> bool:
    """A user may serve several topologies; the last one to let go of it deletes it."""
    if change.action is not Action.DELETE or change.kind not in CLUSTER_KINDS:
        return False
    others = ((name, value) for name, value in live.records.items() if name != scope.record_name)
    return any(OwnershipRecord.parse(name, value).owns(change.address) for name, value in others if _is_record(value))


def _is_record(value: object) -> bool:
    return isinstance(value, dict) and value.get("format") == 1


def _vhost_deletion(changes: Iterable[Change], live: LiveState, record: OwnershipRecord) -> list[Change]:
    """The vhost goes too when this tool made it and nothing else is in it."""
    if not record.vhost_created or not live.vhost_exists:
        return []
    gone = {change.address for change in changes}
    operators = record.operators | {live.broker.username}
    for address, thing in live.objects.items():
        if address in gone or thing.kind in CLUSTER_KINDS or thing.kind is Kind.VHOST:
            continue
        goes_along = isinstance(thing, Binding) and ends_of(thing) & gone
        operator = isinstance(thing, Permission) and thing.user in operators
        if not (goes_along or operator):
            return []
    if live.operator_policies:
        return []
    vhost = Vhost(live.vhost)
    return [Change(Action.DELETE, vhost, None, Reason.REMOVED, Stage.VHOST)]
