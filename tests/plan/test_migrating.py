"""Migrations in plans: what is migrated, what makes that impossible, and what is said of those under way."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from letrade_topo.broker.capabilities import for_version
from letrade_topo.broker.objects import Binding, Permission, Policy, Queue, VhostLimit
from letrade_topo.broker.state import QueueStatus
from letrade_topo.management.reading import QueueCounts
from letrade_topo.migration.intent import MigrationIntent
from letrade_topo.migration.layout import MigrationLayout
from letrade_topo.migration.steps import rebound
from letrade_topo.plan.change import Action, Change
from letrade_topo.plan.ownership import OwnershipRecord
from tests.plan.worlds import PlanWorld
from tests.topologies import Document, orders

NAME = "clerk.orders"
ADDRESS = f"queue:{NAME}"


def declared() -> Document:
    """With an argument that the broker cannot change."""
    document = orders()
    document["queues"][NAME]["single_active_consumer"] = True
    return document


@pytest.fixture
def world() -> PlanWorld:
    """The queue holds seven messages, and whoever plans may do anything in the vhost."""
    world = PlanWorld.in_sync(orders()).declare(declared())
    world.add(Permission(world.live.broker.username, ".*", ".*", ".*"))
    world.counts = {NAME: QueueCounts(7, 1)}
    return world


def old(world: PlanWorld) -> Queue:
    """The queue as it is there."""
    found = world.live.objects[Queue(NAME).address]
    assert isinstance(found, Queue)
    return found


def change_of(world: PlanWorld, *allow: str) -> Change:
    """What a plan would do to the queue."""
    return next(one for one in world.plan(*allow).changes if one.address == ADDRESS)


def test_a_queue_in_use_is_migrated_when_allowed(world: PlanWorld) -> None:
    """By kind or by name; then its bindings are not made again by the plan: the migration keeps them."""
    assert [one.allow for one in world.plan().refusals] == ["migrate"]
    for word in ("migrate", f"migrate={ADDRESS}"):
        plan = world.plan(word)
        assert plan.refusals == ()
        assert [(one.action, one.address) for one in plan.changes] == [(Action.MIGRATE, ADDRESS)]
    assert change_of(world, "migrate=queue:other").action is Action.REPLACE


def test_an_empty_unused_queue_is_replaced_where_both_are_allowed(world: PlanWorld) -> None:
    """The shorter way, where somebody has said that what is published in the moment may go."""
    world.counts = {NAME: QueueCounts(0, 0)}
    assert change_of(world, "migrate", "replace").action is Action.REPLACE
    assert change_of(world, "migrate").action is Action.MIGRATE


def test_what_belongs_to_somebody_else_takes_two_words(world: PlanWorld) -> None:
    """Adoption is another decision."""
    world.disown(Queue(NAME).address)
    assert [one.allow for one in world.plan("migrate").refusals] == ["adopt"]


def _exclusive(world: PlanWorld) -> None:
    world.status[NAME] = QueueStatus(exclusive=True)


def _auto_delete(world: PlanWorld) -> None:
    world.add(replace(old(world), auto_delete=True))


def _stream(world: PlanWorld) -> None:
    world.add(Queue(NAME, arguments={"x-queue-type": "stream"}))


def _minority(world: PlanWorld) -> None:
    world.status[NAME] = QueueStatus(state="minority")


def _expiring(world: PlanWorld) -> None:
    world.add(Policy("everything", ".*", "all", {"message-ttl": 1000}, 99))


def _limited(world: PlanWorld) -> None:
    world.add(VhostLimit("max-queues", 1))


def _taken(world: PlanWorld) -> None:
    world.add(Queue(f"{NAME}.migrating"))


def _unbindable(world: PlanWorld) -> None:
    world.add(Binding("orders", "queue", NAME, "null"))


def _no_right(world: PlanWorld) -> None:
    world.add(Permission(world.live.broker.username, ".*", "^orders$", ".*"))


@pytest.mark.parametrize(
    ("made", "says"),
    [
        (_exclusive, "it belongs to one connection"),
        (_auto_delete, "it is deleted with its last consumer"),
        (_stream, "it is a stream"),
        (_minority, "it is minority: too few of its members"),
        (_expiring, "policy:everything would set message-ttl on clerk.orders.migrating"),
        (_limited, "a migration needs 2 more queues for a time"),
        (_taken, "queue:clerk.orders.migrating is there already"),
        (_unbindable, "cannot be removed by the management API"),
        (_no_right, "may not write it and the queues clerk.orders.migrating"),
    ],
)
def test_what_makes_it_impossible_is_refused_with_its_reason(
    world: PlanWorld, made: Callable[[PlanWorld], None], says: str
) -> None:
    """And nothing allows it."""
    made(world)
    refusals = [one for one in world.plan("migrate", "adopt").refusals if says in one.why]
    assert refusals, world.plan("migrate", "adopt").refusals
    assert {one.allow for one in refusals} == {""}


def test_before_it_begins_people_are_told(world: PlanWorld) -> None:
    """The steps, what may be there twice, what consumers notice, and who could publish past the switch."""
    world.add(Permission("somebody", "", ".*", ""))
    told = "\n".join(one.text for one in world.plan("migrate").notices)
    for words in ("1. prepare:", "9. forget:", "may be there twice", "the broker's cancel", "somebody may publish"):
        assert words in told
    assert "somebody may publish" not in "\n".join(one.text for one in world.plan().notices)


@pytest.fixture
def under_way(world: PlanWorld) -> PlanWorld:
    """The switch is made: what arrives waits."""
    plan = world.plan("migrate")
    (change,) = plan.changes
    assert isinstance(change.after, Queue)
    layout = MigrationLayout.of(change.after, for_version(world.version))
    record = world.record or OwnershipRecord()
    world.record = record.migrating([MigrationIntent(old(world), change.after)])
    direct = [thing for thing in world.objects.values() if isinstance(thing, Binding) and thing.destination == NAME]
    world.add(layout.side, layout.side_exchange, layout.to_side, layout.junction)
    for binding in direct:
        world.add(rebound(binding, "exchange", layout.junction.name))
        del world.objects[binding.address]
    return world


def test_one_under_way_is_the_only_difference(under_way: PlanWorld) -> None:
    """Neither what it made nor the bindings that it keeps elsewhere are; nobody has to allow it again."""
    plan = under_way.plan()
    assert [(one.action, one.address) for one in plan.changes] == [(Action.MIGRATE, ADDRESS)]
    assert plan.unmanaged == ()
    assert plan.refusals == ()
    assert "under way, at the step empty" in "\n".join(one.text for one in plan.notices)
    owned = {address for address in plan.comparison.in_sync if address.startswith("binding:")}
    assert owned


def test_one_under_way_keeps_everything_from_being_destroyed(under_way: PlanWorld) -> None:
    """Who deletes now would lose what waits."""
    refusals = under_way.plan(destroys=True).refusals
    assert any("its migration is under way, at the step empty" in one.why for one in refusals)


def test_a_repair_that_nobody_watches_leaves_it_alone(under_way: PlanWorld) -> None:
    """It says so."""
    plan = under_way.plan(leaves_blocked=True)
    assert plan.changes == ()
    assert [one.change.address for one in plan.blocked] == [ADDRESS]
    assert "under way" in plan.blocked[0].why
