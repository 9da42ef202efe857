"""Desired against live: which changes make the broker what the topology says.

    declared   live        ours   →
    yes        no                 create
    yes        identical          nothing (and from now on ours); also where a difference changes nothing
    yes        different   yes    update, or replace where the broker cannot update
    yes        different   no     the same, but it takes `--allow adopt`
    no         yes         yes    delete
    no         yes         no     `ownership: exclusive`: unmanaged, reported; `shared`: not seen

A queue whose migration is under way is to be migrated, whatever it looks like just now; what the migration has made,
and the queue's bindings, which it keeps elsewhere meanwhile, are no differences.

A replaced queue or exchange takes its bindings with it, an exchange its topic permissions too, so they are created
again although they look unchanged.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace

from letrade_topo.broker.capabilities import for_version
from letrade_topo.broker.objects import (
    IMMUTABLE_KINDS,
    OF_OTHERS_KINDS,
    Address,
    Binding,
    BrokerObject,
    Exchange,
    Kind,
    Queue,
    UserLimit,
    Vhost,
)
from letrade_topo.broker.order import Stage, stage_of
from letrade_topo.broker.state import LiveState
from letrade_topo.expand.desired import DesiredState, DocumentPath
from letrade_topo.migration.parts import belongs_to_migration
from letrade_topo.model.topology import Ownership
from letrade_topo.plan.change import Action, Change, ChangeReason
from letrade_topo.plan.equivalence import expiring, is_equal, is_equal_as_found, limits_of
from letrade_topo.plan.holders import ends_of, holders_of, is_of_exclusive_queue
from letrade_topo.plan.ownership import OwnershipRecord
from letrade_topo.plan.scope import Scope


@dataclass(frozen=True, slots=True)
class Comparison:
    """What differs.

    Args:
        changes: what would make the broker match; unmanaged objects are not among them.
        unmanaged: live objects in an exclusive vhost that nothing declares, as deletions nobody asked for yet.
        in_sync: addresses that are as declared.
        seen: the live objects that the comparison depended on.
        as_found: what differs and stays, because the topology says so: as the replacements that it saves.
    """

    changes: tuple[Change, ...]
    unmanaged: tuple[Change, ...]
    in_sync: frozenset[Address]
    seen: tuple[BrokerObject, ...]
    as_found: tuple[Change, ...] = ()


def compare(
    desired: DesiredState,
    live: LiveState,
    record: OwnershipRecord,
    scope: Scope,
    locate: Callable[[DocumentPath], str],
) -> Comparison:
    """Find every difference.

    Args:
        desired: with settled passwords.
        live: as read.
        record: what this topology owns.
        scope: which live objects count.
        locate: `file:line:column` of a place in the topology.
    """
    changes: list[Change] = []
    in_sync: set[Address] = set()
    seen: list[BrokerObject] = []

    def stage(thing: BrokerObject) -> Stage:
        return stage_of(thing, desired.dead_letter_exchanges)

    limited, expired = limits_of(desired, live), _expired(desired, live, record)
    as_found: list[Change] = []
    for address, one in desired.objects.items():
        found = live.objects.get(address)
        if isinstance(one.object, Queue) and one.object.name in record.migrations:
            before = found or record.migrations[one.object.name].before
            why, origin = ChangeReason.UNDER_WAY, locate(one.path)
            changes.append(Change(Action.MIGRATE, before, one.object, why, stage(one.object), origin))
            continue
        if found is None and belongs_to_migration(one.object, record.migrations):
            in_sync.add(address)
            continue
        if found is None:
            why = _why_missing(one.object, expired)
            changes.append(Change(Action.CREATE, None, one.object, why, stage(one.object), locate(one.path)))
            continue
        seen.append(found)
        if isinstance(one.object, Vhost) and isinstance(found, Vhost):
            one = replace(one, object=one.object.completed(found))
        has_limit = isinstance(one.object, Queue) and one.object.name in limited
        if is_equal(one.object, found, has_limit=has_limit):
            in_sync.add(address)
            continue
        if one.as_found and is_equal_as_found(one.object, found):
            in_sync.add(address)
            origin = locate(one.path)
            as_found.append(Change(Action.REPLACE, found, one.object, ChangeReason.IMMUTABLE, stage(found), origin))
            continue
        replaces = found.kind in IMMUTABLE_KINDS
        changes.append(
            Change(
                Action.REPLACE if replaces else Action.UPDATE,
                found,
                one.object,
                ChangeReason.IMMUTABLE if replaces else ChangeReason.DIFFERS,
                stage(one.object),
                locate(one.path),
                adopts=not (record.vhost_created if found.kind is Kind.VHOST else record.owns(address)),
            )
        )
    for queue, intent in record.migrations.items():
        if intent.after.address not in desired.objects:  # it is finished before it goes
            before = live.objects.get(intent.after.address, intent.before)
            why = ChangeReason.UNDER_WAY
            changes.append(Change(Action.MIGRATE, before, intent.after, why, stage(Queue(queue))))
    unmanaged: list[Change] = []
    for thing, ours in _undeclared(desired, live, record, scope):
        seen.append(thing)
        reason = ChangeReason.REMOVED if ours else ChangeReason.UNMANAGED
        change = Change(Action.DELETE, thing, None, reason, stage(thing), adopts=not ours)
        (changes if ours else unmanaged).append(change)
    changes += _lost(changes, desired, live, in_sync, stage, locate)
    return Comparison(
        tuple(ordered(changes)), tuple(ordered(unmanaged)), frozenset(in_sync), tuple(seen), tuple(as_found)
    )


def _why_missing(thing: BrokerObject, expired: frozenset[Address]) -> ChangeReason:
    """A queue or exchange that is gone because nobody used it took its bindings along."""
    return ChangeReason.EXPIRED if thing.address in expired or _ends(thing) & expired else ChangeReason.MISSING


def _ends(thing: BrokerObject) -> frozenset[Address]:
    return ends_of(thing) if isinstance(thing, Binding) else frozenset()


def _expired(desired: DesiredState, live: LiveState, record: OwnershipRecord) -> frozenset[Address]:
    """Queues and exchanges that were ours, go by themselves, and are not there any more."""
    if not live.vhost_exists:
        return frozenset()
    expires = expiring(desired)
    missing = (one.object for address, one in desired.objects.items() if address not in live.objects)
    gone = (
        thing.address
        for thing in missing
        if (isinstance(thing, Queue) and expires(thing)) or (isinstance(thing, Exchange) and thing.auto_delete)
    )
    return frozenset(address for address in gone if address in record.owned)


def _undeclared(
    desired: DesiredState, live: LiveState, record: OwnershipRecord, scope: Scope
) -> Iterator[tuple[BrokerObject, bool]]:
    operators = record.operators | {live.broker.username}
    for address, thing in live.objects.items():
        if address in desired.objects or thing.kind is Kind.VHOST or scope.ignores(address):
            continue
        if belongs_to_migration(thing, record.migrations):
            continue
        ours = record.owns(address)
        if isinstance(thing, UserLimit) and Address(f"user:{thing.user}") in desired.objects:
            ours = True  # a limit is part of a user that is declared without it
        if not ours and (thing.kind in OF_OTHERS_KINDS or scope.ownership is Ownership.SHARED):
            continue
        if not ours and not scope.sees(thing, live, operators):
            continue
        yield thing, ours


def _lost(
    changes: Iterable[Change],
    desired: DesiredState,
    live: LiveState,
    in_sync: set[Address],
    stage: Callable[[BrokerObject], Stage],
    locate: Callable[[DocumentPath], str],
) -> list[Change]:
    """What a replaced object takes with it, declared or not, to be made again: none may get lost on the way.

    Only the bindings of exclusive queues cannot be made again: their own connection alone may bind them.
    """
    known = {change.address for change in changes}
    replaced = {change.address for change in changes if change.action is Action.REPLACE}
    if not replaced:
        return []
    kinds = {Kind.BINDING}
    if for_version(live.broker.version).topic_permissions_may_go:
        kinds.add(Kind.TOPIC_PERMISSION)
    lost: list[Change] = []
    for address, thing in live.objects.items():
        if thing.kind not in kinds or address in known:
            continue
        if not holders_of(thing) & replaced or is_of_exclusive_queue(thing, live):
            continue
        in_sync.discard(address)
        declared = desired.objects.get(address)
        origin = locate(declared.path) if declared else ""
        lost.append(Change(Action.CREATE, None, thing, ChangeReason.REBIND, stage(thing), origin))
    return lost


def ordered(changes: Iterable[Change]) -> list[Change]:
    """In the order in which they are performed: creates and updates, then deletes the other way round."""

    def position(change: Change) -> tuple[bool, int, Address]:
        deletes = change.action is Action.DELETE
        return deletes, -change.stage if deletes else change.stage, change.address

    return sorted(changes, key=position)
