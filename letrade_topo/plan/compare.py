"""Desired against live: which changes make the broker what the topology says.

    declared   live        ours   →
    yes        no                 create
    yes        identical          nothing (and from now on ours)
    yes        different   yes    update, or replace where the broker cannot update
    yes        different   no     the same, but it takes `--allow adopt`
    no         yes         yes    delete
    no         yes         no     `ownership: exclusive`: unmanaged, reported; `shared`: not seen

A replaced queue or exchange takes its bindings with it, so they are created again although they look
unchanged.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

from letrade_topo.broker.objects import (
    CLUSTER_KINDS,
    IMMUTABLE_KINDS,
    Address,
    Binding,
    BrokerObject,
    Kind,
    Queue,
    UserLimit,
)
from letrade_topo.broker.order import Stage, stage_of
from letrade_topo.broker.state import LiveState
from letrade_topo.expand.desired import DesiredState, DocumentPath
from letrade_topo.model.names import ARGUMENT_QUEUE_TYPE
from letrade_topo.model.topology import Ownership
from letrade_topo.plan.change import Action, Change, Reason, same
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
    """

    changes: tuple[Change, ...]
    unmanaged: tuple[Change, ...]
    in_sync: frozenset[Address]
    seen: tuple[BrokerObject, ...]


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

    for address, one in desired.objects.items():
        found = live.objects.get(address)
        if found is None:
            changes.append(Change(Action.CREATE, None, one.object, Reason.MISSING, stage(one.object), locate(one.path)))
            continue
        seen.append(found)
        if is_equal(one.object, found):
            in_sync.add(address)
            continue
        replaces = found.kind in IMMUTABLE_KINDS
        changes.append(
            Change(
                Action.REPLACE if replaces else Action.UPDATE,
                found,
                one.object,
                Reason.IMMUTABLE if replaces else Reason.DIFFERS,
                stage(one.object),
                locate(one.path),
                adopts=not record.owns(address),
            )
        )
    unmanaged: list[Change] = []
    for thing, ours in _undeclared(desired, live, record, scope):
        seen.append(thing)
        reason = Reason.REMOVED if ours else Reason.UNMANAGED
        change = Change(Action.DELETE, thing, None, reason, stage(thing), adopts=not ours)
        (changes if ours else unmanaged).append(change)
    changes += _rebinds(changes, desired, live, in_sync, stage, locate)
    return Comparison(tuple(ordered(changes)), tuple(ordered(unmanaged)), frozenset(in_sync), tuple(seen))


def is_equal(desired: BrokerObject, live: BrokerObject) -> bool:
    """Whether a live object is as declared; a classic queue need not say that it is one."""
    if isinstance(desired, Queue) and isinstance(live, Queue) and ARGUMENT_QUEUE_TYPE not in live.arguments:
        live = Queue(live.name, live.durable, live.auto_delete, {ARGUMENT_QUEUE_TYPE: "classic", **live.arguments})
    return same(desired.attributes, live.attributes)


def _undeclared(
    desired: DesiredState, live: LiveState, record: OwnershipRecord, scope: Scope
) -> Iterator[tuple[BrokerObject, bool]]:
    operators = record.operators | {live.broker.username}
    for address, thing in live.objects.items():
        if address in desired.objects or thing.kind is Kind.VHOST or scope.ignores(address):
            continue
        ours = record.owns(address)
        if isinstance(thing, UserLimit) and Address(f"user:{thing.user}") in desired.objects:
            ours = True  # a limit is part of a user that is declared without it
        if not ours and (thing.kind in CLUSTER_KINDS or scope.ownership is Ownership.SHARED):
            continue
        if not ours and not scope.sees(thing, live, operators):
            continue
        yield thing, ours


def _rebinds(
    changes: Iterable[Change],
    desired: DesiredState,
    live: LiveState,
    in_sync: set[Address],
    stage: Callable[[BrokerObject], Stage],
    locate: Callable[[DocumentPath], str],
) -> list[Change]:
    """Every live binding of a replaced object, declared or not: none may get lost on the way.

    Only those of exclusive queues cannot be made again: their own connection alone may bind them.
    """
    replaced = {change.address for change in changes if change.action is Action.REPLACE}
    deleted = {change.address for change in changes if change.action is Action.DELETE}
    if not replaced:
        return []
    rebinds: list[Change] = []
    for address, thing in live.objects.items():
        if not isinstance(thing, Binding) or address in deleted:
            continue
        status = live.queues.get(thing.destination) if thing.destination_type == Kind.QUEUE else None
        if not ends_of(thing) & replaced or (status is not None and status.exclusive):
            continue
        in_sync.discard(address)
        declared = desired.objects.get(address)
        origin = locate(declared.path) if declared else ""
        rebinds.append(Change(Action.CREATE, None, thing, Reason.REBIND, stage(thing), origin))
    return rebinds


def ends_of(binding: Binding) -> frozenset[Address]:
    """The addresses of the two objects that a binding goes with."""
    return frozenset(
        {Address(f"{Kind.EXCHANGE}:{binding.source}"), Address(f"{binding.destination_type}:{binding.destination}")}
    )


def ordered(changes: Iterable[Change]) -> list[Change]:
    """In the order in which they are performed: creates and updates, then deletes the other way round."""

    def position(change: Change) -> tuple[bool, int, Address]:
        deletes = change.action is Action.DELETE
        return deletes, -change.stage if deletes else change.stage, change.address

    return sorted(changes, key=position)
