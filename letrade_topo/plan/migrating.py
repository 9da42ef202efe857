"""Which queues are migrated rather than replaced, and what makes that impossible. Pure."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator
from dataclasses import replace
from typing import Final

from letrade_topo.broker.capabilities import for_version
from letrade_topo.broker.objects import (
    Address,
    Binding,
    Exchange,
    Kind,
    OperatorPolicy,
    Permission,
    Policy,
    Queue,
    VhostLimit,
)
from letrade_topo.broker.state import LiveState
from letrade_topo.migration.intent import MigrationIntent
from letrade_topo.migration.layout import MigrationLayout, names_of
from letrade_topo.migration.steps import MigrationStep, Situation, next_step
from letrade_topo.model import names
from letrade_topo.model.names import ARGUMENT_QUEUE_TYPE, LONGEST_NAME_BYTES, why_never_unbound
from letrade_topo.model.topology import QueueType
from letrade_topo.plan.change import Action, Change, ChangeReason
from letrade_topo.plan.equivalence import is_equal
from letrade_topo.plan.holders import holders_of
from letrade_topo.plan.ownership import OwnershipRecord

MIGRATIONS_AT_ONCE: Final = 4
QUEUES_OF_ONE: Final = 2
"""The side queue and the kept one."""

_HARMFUL = frozenset({"expires", "message-ttl", "max-length", "max-length-bytes"})
"""Settings of a policy under which what waits in a side queue would get lost."""

_OUT_OF_WORK = frozenset({"down", "stopped", "crashed", "minority"})


def migrated(changes: Iterable[Change], allowed: Collection[Address]) -> list[Change]:
    """The same changes, where these queues are migrated and not replaced: their bindings then are not lost.

    Args:
        changes: with live counts.
        allowed: the addresses of queues that may be migrated.
    """
    changes = list(changes)
    moved = {one.address for one in changes if _is_replaced(one) and one.address in allowed}
    replaced = {one.address for one in changes if one.action is Action.REPLACE} - moved
    found: list[Change] = []
    for change in changes:
        if change.address in moved:
            change = replace(change, action=Action.MIGRATE)
        elif change.reason is ChangeReason.REBIND:
            holders = holders_of(change.object)
            if holders & moved and not holders & replaced:
                continue
        found.append(change)
    return found


def _is_replaced(change: Change) -> bool:
    return change.action is Action.REPLACE and change.kind is Kind.QUEUE


def intents_of(changes: Iterable[Change]) -> list[MigrationIntent]:
    """What is recorded of the migrations of a plan before the first of them begins."""
    return [
        MigrationIntent(one.before, one.after)
        for one in changes
        if one.action is Action.MIGRATE and isinstance(one.before, Queue) and isinstance(one.after, Queue)
    ]


def going_back(changes: Iterable[Change], aborts: Collection[Address], record: OwnershipRecord) -> list[Change]:
    """Of all changes the migrations that shall go back: to the queues as they were."""
    return [
        replace(one, after=record.migrations[one.object.name].before)
        for one in changes
        if one.action is Action.MIGRATE
        and one.address in aborts
        and isinstance(one.object, Queue)
        and one.object.name in record.migrations
    ]


def found_queue(name: str, live: LiveState) -> Queue | None:
    """A live queue by its name."""
    found = live.objects.get(Queue(name).address)
    return found if isinstance(found, Queue) else None


def is_as_wanted(wanted: Queue, found: Queue | None) -> bool:
    """Whether a queue is as a migration is to make it, overflow included: whether it is limited may change any time."""
    return found is not None and is_equal(wanted, found, has_limit=True)


def step_of(change: Change, live: LiveState) -> MigrationStep | None:
    """The step at which a migration stands; None of another change, and of one that has not begun."""
    if change.action is not Action.MIGRATE or change.reason is not ChangeReason.UNDER_WAY:
        return None
    assert isinstance(change.after, Queue)  # noqa: S101  # queues alone are migrated
    situation = Situation.of(change.after.name, live.objects.values())
    return next_step(situation, is_as_wanted=is_as_wanted(change.after, situation.queue))


def obstacles(change: Change, live: LiveState) -> Iterator[str]:
    """Why a queue cannot be migrated, each reason with what to do."""
    before, after = change.before, change.after
    if not isinstance(before, Queue) or not isinstance(after, Queue) or change.reason is ChangeReason.UNDER_WAY:
        return
    name, status = before.name, live.queues.get(before.name)
    if status is not None and status.exclusive:
        yield "it belongs to one connection, and nobody else may consume from it or delete it: close that connection"
    if before.auto_delete:
        yield "it is deleted with its last consumer, and what it holds with it: stop its consumers, then replace it"
    for queue, which in ((before, "it is"), (after, "it would be")):
        if queue.arguments.get(ARGUMENT_QUEUE_TYPE) == QueueType.STREAM:
            yield f"{which} a stream, whose messages stay with their offsets: declare another queue beside it"
    if status is not None and status.state in _OUT_OF_WORK:
        yield f"it is {status.state}: too few of its members are running; bring its nodes back first"
    longest = LONGEST_NAME_BYTES - len(names.LONGEST_MIGRATING_SUFFIX)
    if len(name.encode()) > longest:
        yield f"the queues of a migration are named after it, which takes a name of {longest} bytes at most"
    yield from _in_the_way(name, live)
    yield from _cannot_be_unbound(name, live)
    yield from _missing_rights(name, live)
    layout = MigrationLayout.of(after, for_version(live.broker.version))
    for waiting in (layout.side, layout.kept):
        yield from _harmful(waiting.name, live)


def without_room(changes: Iterable[Change], live: LiveState) -> Iterator[tuple[Address, str]]:
    """The limit of the vhost's queues, where it leaves no room for those of a migration."""
    moved = [one for one in changes if one.action is Action.MIGRATE and one.reason is not ChangeReason.UNDER_WAY]
    limit = next(
        (one for one in live.objects.values() if isinstance(one, VhostLimit) and one.name == "max-queues"), None
    )
    if not moved or limit is None or limit.value < 0:
        return
    there, needed = len(live.queues), QUEUES_OF_ONE * min(MIGRATIONS_AT_ONCE, len(moved))
    if there + needed > limit.value:
        yield (
            moved[0].address,
            f"a migration needs {needed} more queues for a time, and of {limit.value:,} that the vhost may have "
            f"{there:,} are there: raise its limit max-queues first",
        )


def _in_the_way(queue: str, live: LiveState) -> Iterator[str]:
    taken = [
        thing.address
        for thing in live.objects.values()
        if isinstance(thing, Queue | Exchange) and thing.name in names_of(queue)
    ]
    if taken:
        yield f"{taken[0]} is there already, whose name a migration needs: see whose it is, and delete it"


def _cannot_be_unbound(queue: str, live: LiveState) -> Iterator[str]:
    for thing in live.objects.values():
        if isinstance(thing, Binding) and thing.destination_type == "queue" and thing.destination == queue:
            why = why_never_unbound(thing.routing_key, has_arguments=bool(thing.arguments))
            if why is not None:
                yield f"its binding {thing.address} cannot be removed by the management API: remove it by AMQP"


def _missing_rights(queue: str, live: LiveState) -> Iterator[str]:
    user = live.broker.username
    found = live.objects.get(Permission(user, "", "", "").address)
    if not isinstance(found, Permission):
        yield f"{user!r} has no permissions in this vhost, and moves messages there: grant them"
        return
    for right, expression in (("configure", found.configure), ("write", found.write), ("read", found.read)):
        try:
            covers = all(re.search(expression, name) for name in (queue, *sorted(names_of(queue))))
        except re.error:
            continue  # Erlang's alone: the broker says it
        if not expression or not covers:
            yield f"{user!r} may not {right} it and the queues {queue}{names.MIGRATING_SUFFIX}…: grant that right"


def _harmful(name: str, live: LiveState) -> Iterator[str]:
    """A policy that would let messages expire where they wait, or limit how many may."""
    policies = [one for one in live.objects.values() if isinstance(one, Policy) and one.apply_to != "exchanges"]
    operators = [one for one in live.objects.values() if isinstance(one, OperatorPolicy)]
    for some in (policies, operators):
        matching = [one for one in some if live.matches(one.pattern, name)]
        if not matching:
            continue
        first = max(one.priority for one in matching)
        for one in matching:
            keys = sorted(_HARMFUL & one.definition.keys())
            if one.priority == first and keys:
                yield (
                    f"{one.address} would set {', '.join(keys)} on {name}, where messages wait meanwhile: narrow its "
                    "pattern"
                )
