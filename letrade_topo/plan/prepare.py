"""Read the broker and make a plan: the one place where planning touches the outside.

The number of calls is fixed, whatever the number of objects: the listings of `read_state`, one more for live
counts when a queue would go, and up to three when anything would be written: for queues without a leader, for what
the broker has given up, and for what users that would go may do elsewhere.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import chain

from letrade_topo.broker.addresses import Address
from letrade_topo.broker.capabilities import Capabilities, for_version
from letrade_topo.broker.objects import (
    CLUSTER_KINDS,
    BrokerObject,
    Kind,
    Permission,
    Queue,
    User,
    Vhost,
)
from letrade_topo.broker.order import Stage, stage_of
from letrade_topo.broker.passwords import SALT_BYTES
from letrade_topo.broker.reach import Width
from letrade_topo.broker.state import LiveState
from letrade_topo.expand.desired import DesiredState, DocumentPath, Notice
from letrade_topo.management.client import ManagementClient
from letrade_topo.management.errors import NotFound
from letrade_topo.management.reading import QueueCounts, read_queue_counts, read_state
from letrade_topo.model import names
from letrade_topo.model.security import SecretReference
from letrade_topo.model.topology import Ownership
from letrade_topo.plan.beside import NOBODY_BESIDE, RecordsBeside, after, changed_by, shared_notices
from letrade_topo.plan.blocked import BlockedChange, separate
from letrade_topo.plan.change import Action, Change, ChangeReason
from letrade_topo.plan.closing import closing_of
from letrade_topo.plan.compare import compare, ordered
from letrade_topo.plan.disk_room import NodeDisk, without_disk_room
from letrade_topo.plan.findings import find, lock_hazards
from letrade_topo.plan.guards import Allowance, Allowances, GuardRefusal, assess, protected_vhost, without_leaders
from letrade_topo.plan.holders import holders_of, taken_along
from letrade_topo.plan.migrating import found_queue, going_back, is_as_wanted, migrated, step_of
from letrade_topo.plan.migration_notices import migration_notices, waiting_notices
from letrade_topo.plan.migration_rights import with_seeing
from letrade_topo.plan.out_of_reach import Unseen, divided, open_exchanges, record_refusals, remarks, within
from letrade_topo.plan.out_of_reach import findings as out_of_reach
from letrade_topo.plan.own_login import own_login_notices, without_own_login
from letrade_topo.plan.ownership import OwnershipRecord
from letrade_topo.plan.parameters import settle_parameters
from letrade_topo.plan.passwords import hash_notices, settle_passwords, without_password
from letrade_topo.plan.permission_tries import beyond_permissions
from letrade_topo.plan.plan import Plan, fingerprint
from letrade_topo.plan.scope import Scope
from letrade_topo.plan.standby import with_standby
from letrade_topo.plan.told import denied_queues, rights_elsewhere, run_time_notices
from letrade_topo.plan.twins import twins
from letrade_topo.plan.wide_rights import wide_rights

UNKNOWN = QueueCounts(None, None)


def _nothing(_: Capabilities) -> frozenset[Address]:
    return frozenset()


@dataclass(frozen=True, slots=True)
class PlanRequest:
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
        aborts: queues whose migrations, under way, are to go back; nothing else is planned then.
        leaves_expired: a queue that has expired, as declared, is no change; otherwise it is made again.
        kept: what others declare that are planned beside this topology, for a broker's capabilities: it is not deleted.
        fingerprint: of a saved plan; a plan with another one is stale.
        tries_permissions: find out what the login may write, where it cannot be read.
    """

    scope: Scope
    expand: Callable[[Capabilities], DesiredState]
    locate: Callable[[DocumentPath], str]
    secrets: Mapping[SecretReference, str] = field(default_factory=dict, repr=False)
    allowances: Allowances = Allowances()
    tls_required: bool = False
    destroys: bool = False
    leaves_blocked: bool = False
    leaves_expired: bool = False
    aborts: frozenset[Address] = frozenset()
    kept: Callable[[Capabilities], frozenset[Address]] = _nothing
    fingerprint: str | None = None
    tries_permissions: bool = True


def prepare(client: ManagementClient, request: PlanRequest) -> Plan:
    """Read the broker and plan.

    Raises:
        TopoError: the broker cannot be reached, read or understood.
    """
    live = read_state(client, request.scope.vhost)
    return completed(client, request, plan_for(live, request, lambda: read_queue_counts(client, request.scope.vhost)))


def completed(client: ManagementClient, request: PlanRequest, plan: Plan, before: Sequence[Plan] = ()) -> Plan:
    """A plan with what this very broker says of it, where it changes something.

    Args:
        client: to the broker.
        request: that it was made for.
        plan: the plan.
        before: plans of other topologies that are performed before.

    Raises:
        TopoError: the broker cannot be reached, read or understood.
    """
    if not plan.changes or request.leaves_blocked:
        return plan  # nobody reads it
    if request.tries_permissions and plan.reach.width is Width.VHOST:
        plan = replace(plan, refusals=(*plan.refusals, *beyond_permissions(client, plan)))
    if plan.vhost_exists and not request.destroys:
        plan = replace(plan, refusals=(*plan.refusals, *_leaderless(client, plan)))
    if plan.counts[Action.MIGRATE]:
        plan = replace(plan, refusals=(*plan.refusals, *_without_disk_room(client, plan)))
    if any(isinstance(one.after, Queue) and not one.after.durable for one in plan.changes):
        denied = denied_queues(plan.changes, client.deprecated_features())
        plan = replace(plan, refusals=(*plan.refusals, *denied))
    return replace(plan, told=(*plan.told, *_told(client, plan, before)))


def _told(client: ManagementClient, plan: Plan, before: Sequence[Plan]) -> Iterator[Notice]:
    if plan.scope.run_time_queues and not plan.destroys:
        yield from run_time_notices(client.deprecated_features())
    if plan.counts[Action.MIGRATE]:
        yield from waiting_notices(plan.changes, client.taken_rates(plan.scope.vhost))
    gone = [one.object.name for one in plan.changes if one.action is Action.DELETE and isinstance(one.object, User)]
    if gone:
        taken = {
            (one.scope.vhost, change.address)
            for one in before
            for change in one.changes
            if change.action is Action.DELETE
        }
        left = (
            item
            for item in client.all_permissions()
            if (item["vhost"], Permission(str(item["user"]), "", "", "").address) not in taken
        )
        yield from rights_elsewhere(gone, left, plan.scope.vhost)


def _leaderless(client: ManagementClient, plan: Plan) -> tuple[GuardRefusal, ...]:
    """Not for who deletes everything, nor for repairs that nobody watches: those do what they can. Nor because of a
    queue that a migration has found empty: a node died while it was deleted, and the migration goes on with that."""
    if not for_version(plan.broker.version).leaders_checked:
        return ()
    lost = {str(item["name"]) for item in client.leaderless_queues(plan.scope.vhost)}
    ours = {name for name in lost if plan.record.owns(Queue(name).address) or name in plan.desired.policies}
    return without_leaders({name for name in ours if not _is_marked_empty(client, plan, name)}, plan.allowances)


def _is_marked_empty(client: ManagementClient, plan: Plan, queue: str) -> bool:
    try:
        bindings = client.bindings_to(plan.scope.vhost, "queue", queue)
    except NotFound:  # it has gone since
        return True
    return any(item["source"] == names.empty_exchange(queue) for item in bindings)


def _without_disk_room(client: ManagementClient, plan: Plan) -> Iterator[GuardRefusal]:
    if not plan.reach.sees_monitoring:
        return
    disks = [disk for disk in map(NodeDisk.parse, client.node_disks()) if disk is not None]
    for address, why in without_disk_room(plan.changes, client.queue_sizes(plan.scope.vhost), disks):
        yield GuardRefusal(address, why, "")


def plan_for(
    found: LiveState,
    request: PlanRequest,
    read_counts: Callable[[], Mapping[str, QueueCounts]],
    before: Sequence[Plan] = (),
) -> Plan:
    """Plan for a state that was read.

    Args:
        found: the state.
        request: what is to be planned.
        read_counts: messages and consumers by queue name; called only when a queue would go.
        before: plans of other topologies that are performed before.
    """
    scope, live = request.scope, after(found, before)
    reach = live.reach
    record = OwnershipRecord.parse(scope.record_name, live.records.get(scope.record_name))
    capabilities = for_version(live.broker.version)
    kept = request.kept(capabilities)
    desired, left_out = within(request.expand(capabilities), reach)
    unseen = Unseen(left_out, listeners=request.tls_required and live.broker.listeners is None)
    record = record.respelled(live.objects.values(), (one.object for one in desired.objects.values()))
    if request.destroys:
        desired, scope = replace(desired, objects={}, policies={}), replace(scope, ownership=Ownership.SHARED)
    else:
        desired = with_standby(desired, live, record, lambda address: _is_to_go(address, request))
        desired = settle_passwords(desired, live, request.secrets, lambda: os.urandom(SALT_BYTES))
        desired = settle_parameters(desired, request.secrets)
        desired = with_seeing(desired, live, record.migrations)
    comparison = compare(desired, live, record, scope, request.locate)
    unmanaged = tuple(change for change in comparison.unmanaged if change.address not in kept)
    comparison = replace(comparison, unmanaged=unmanaged)
    deletions = [one for one in comparison.changes if one.action is Action.DELETE]
    beside = RecordsBeside.of(live, scope.record_name) if deletions else NOBODY_BESIDE
    shared = [one for one in deletions if beside.owners(one.object)]
    stays = kept | {change.address for change in shared}
    wanted = [one for one in comparison.changes if one.action is not Action.DELETE or one.address not in stays]
    wanted, beyond = divided(wanted, reach)
    if not request.destroys:
        permitted, _ = divided(_permitted(comparison.unmanaged, request.allowances), reach)
        wanted = ordered([*wanted, *permitted])
    changes = without_own_login(wanted, live.broker.username)
    expired: tuple[Change, ...] = ()
    if request.leaves_expired:
        expired = tuple(change for change in changes if change.reason is ChangeReason.EXPIRED)
        changes = [change for change in changes if change.reason is not ChangeReason.EXPIRED]
    if any(change.empties_queue for change in changes):
        changes = _with_counts(changes, read_counts())
    changes = migrated(changes, _to_migrate(changes, request.allowances))
    if request.aborts:
        changes = going_back(changes, request.aborts, record)
    blocked: tuple[BlockedChange, ...] = ()

    def guards(left: list[Change]) -> tuple[GuardRefusal, ...]:
        refused = assess(left, live, record, request.allowances, topology=scope.topology, destroys=request.destroys)
        return (*refused, *open_exchanges(left, live), *_about_migrations(left, live, record, request))

    if request.leaves_blocked:
        changes, blocked = separate(changes, guards)
    refusals = (*guards(changes), *without_password(changes), *record_refusals(live, scope.record_name))
    if request.destroys and changes:
        refusals = (*refusals, *protected_vhost(live, request.scope.vhost_protected))

    def stage(thing: BrokerObject) -> Stage:
        return stage_of(thing, desired.dead_letter_exchanges)

    # After the guards: what is bound to a queue that goes is still bound for them.
    changes = [*changes, *divided(taken_along(changes, live, stage), reach)[0]]
    changes = ordered([*changes, *twins(changes, live, stage)])
    if request.destroys and reach.writes(Kind.VHOST):
        changes += _vhost_deletion(changes, live, record)
    closing = closing_of(changes, live)
    return Plan(
        scope=scope,
        broker=live.broker,
        desired=desired,
        comparison=comparison,
        changes=tuple(changes),
        findings=tuple(
            finding
            for finding in chain(
                find(
                    desired,
                    found,
                    scope,
                    {change.address for change in changes} | changed_by(before, scope.vhost),
                    tls_required=request.tls_required and not request.destroys,
                ),
                out_of_reach(beyond, reach),
            )
            if finding.address in desired.objects or finding.address not in kept
        ),
        refusals=refusals,
        record=record,
        allowances=request.allowances,
        fingerprint=fingerprint(found, scope.record_name, _as_found(comparison.seen, found)),
        vhost_exists=found.vhost_exists,
        lock_hazards=lock_hazards(live, desired, scope.topology),
        destroys=request.destroys,
        blocked=blocked,
        expired=expired,
        closing=closing,
        reach=reach,
        unseen=unseen,
        remarks=tuple(remarks(live, scope.record_name)),
        record_places=live.record_places.get(scope.record_name),
        told=(
            *hash_notices(desired),
            *migration_notices(changes, live),
            *own_login_notices(wanted, live.broker.username),
            *shared_notices(shared, beside),
            *wide_rights(desired, live, scope, {one.address for one in changes if one.action is Action.DELETE}),
        ),
    )


def _is_to_go(address: Address, request: PlanRequest) -> bool:
    """Whether an undeclared object is deleted because somebody allowed it."""
    is_ours_alone = request.scope.ownership is Ownership.EXCLUSIVE and not request.scope.ignores(address)
    return is_ours_alone and request.allowances.permit(Allowance.DELETE_UNMANAGED, address)


def _permitted(unmanaged: Iterable[Change], allowances: Allowances) -> list[Change]:
    """Undeclared objects that may go, each with what it takes along: of a queue the bindings, so inflow stops first."""
    unmanaged = tuple(unmanaged)
    named = {one.address for one in unmanaged if allowances.permit(Allowance.DELETE_UNMANAGED, one.address)}
    return [one for one in unmanaged if one.address in named or holders_of(one.object) & named]


def _with_counts(changes: Iterable[Change], counts: Mapping[str, QueueCounts]) -> list[Change]:
    counted: list[Change] = []
    for change in changes:
        thing = change.before
        if change.empties_queue and isinstance(thing, Queue):
            count = counts.get(thing.name, UNKNOWN)
            change = replace(change, messages=count.messages, consumers=count.consumers)
        counted.append(change)
    return counted


def _about_migrations(
    changes: Iterable[Change], live: LiveState, record: OwnershipRecord, request: PlanRequest
) -> Iterator[GuardRefusal]:
    """What is under way is finished by who knows that it is: not by a deletion, nor by a repair that nobody watches."""
    if request.destroys or request.leaves_blocked:
        for change in changes:
            step = step_of(change, live)
            if step is not None:
                why = f"its migration is under way, at the step {step}; finish it with apply, or go back first"
                yield GuardRefusal(change.address, why, "")
    for address in sorted(request.aborts):
        queue = address.removeprefix(f"{Kind.QUEUE}:")
        if queue not in record.migrations:
            yield GuardRefusal(address, "no migration of it is under way", "")
        elif is_as_wanted(record.migrations[queue].after, found_queue(queue, live)):
            yield GuardRefusal(address, "its new queue is there already, so its migration can only be finished", "")


def _to_migrate(changes: Iterable[Change], allowances: Allowances) -> frozenset[Address]:
    """Queues that may be migrated, but those that may be replaced and hold nothing for anybody."""

    def is_replaced(one: Change) -> bool:
        is_free = (one.messages, one.consumers) == (0, 0)
        return is_free and allowances.permit(Allowance.REPLACE, one.address)

    return frozenset(
        one.address
        for one in changes
        if one.removes_queue and allowances.permit(Allowance.MIGRATE, one.address) and not is_replaced(one)
    )


def _as_found(seen: Iterable[BrokerObject], found: LiveState) -> Iterator[BrokerObject]:
    """What a plan depends on, as it is before others are performed."""
    return (found.objects[thing.address] for thing in seen if thing.address in found.objects)


def _vhost_deletion(changes: Iterable[Change], live: LiveState, record: OwnershipRecord) -> list[Change]:
    """The vhost goes too when this tool made it and nothing else is in it."""
    if not record.vhost_created or not live.vhost_exists:
        return []
    gone = {change.address for change in changes}
    operators = record.operators | {live.broker.username}
    for address, thing in live.objects.items():
        if address in gone or thing.kind in CLUSTER_KINDS or thing.kind is Kind.VHOST:
            continue
        operator = isinstance(thing, Permission) and thing.user in operators
        if not (holders_of(thing) & gone or operator):
            return []
    operator_policies = {Address(f"{Kind.OPERATOR_POLICY}:{one.get('name')}") for one in live.operator_policies}
    if (operator_policies | {one.address for one in live.parameters}) - gone:
        return []
    vhost = Vhost(live.vhost)
    return [Change(Action.DELETE, vhost, None, ChangeReason.REMOVED, Stage.VHOST)]
