"""The fingerprint changes exactly when something changes that a plan depends on."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from letrade_topo.broker.objects import (
    Address,
    Binding,
    BrokerObject,
    Exchange,
    Permission,
    Policy,
    Queue,
    User,
    UserLimit,
    Vhost,
)
from letrade_topo.broker.state import QueueStatus
from letrade_topo.management.reading import QueueCounts
from tests.plan.worlds import PlanWorld
from tests.topologies import loaded, orders


def fingerprint(world: PlanWorld) -> str:
    """Of the broker as it is."""
    return world.plan().fingerprint


@pytest.mark.parametrize(
    "thing",
    [
        Policy("orders.consumer", "x", "all", {"max-length": 1}),
        Permission("orders-shop", "", "^(?:orders|amq\\.default)$", ""),
        User("orders-shop", ("administrator",)),
        User("orders-shop", password_hash="aGFzaA=="),
        UserLimit("orders-shop", "max-channels", 1),
        Exchange("orders", "direct"),
        Queue("by-hand"),
        Binding("orders", "queue", "clerk.orders", "by.hand"),
        Permission("somebody", "", "", ".*"),
    ],
    ids=lambda thing: str(thing.address),
)
def test_what_the_plan_depends_on_changes_it(thing: BrokerObject) -> None:
    """Declared objects, limits of declared users, and in an exclusive vhost whatever else is there."""
    before = fingerprint(PlanWorld.in_sync(orders()))
    assert fingerprint(PlanWorld.in_sync(orders()).add(thing)) != before


@pytest.mark.parametrize(
    "thing",
    [
        User("somebody", ("administrator",)),
        UserLimit("somebody", "max-channels", 1),
        Queue("amq.gen-1"),
        Queue("clerk.reply.1", durable=False),
        Binding("orders", "queue", "clerk.reply.1", "order.placed"),
        Permission("admin", ".*", ".*", ".*"),
    ],
    ids=lambda thing: str(thing.address),
)
def test_what_the_plan_does_not_depend_on_does_not(thing: BrokerObject) -> None:
    """Other users, clients' own queues, the operator's own permission: services come and go between plan and apply."""
    before = fingerprint(PlanWorld.in_sync(orders()))
    assert fingerprint(PlanWorld.in_sync(orders()).add(thing)) == before


def test_in_a_shared_vhost_foreign_objects_do_not_change_it() -> None:
    """They are not seen."""
    before = fingerprint(PlanWorld.in_sync(orders(ownership="shared")))
    assert fingerprint(PlanWorld.in_sync(orders(ownership="shared")).add(Queue("by-hand"))) == before


@pytest.mark.parametrize("address", ["queue:clerk.orders", "user:orders-shop", "policy:orders.waiting"])
def test_a_deleted_object_changes_it(address: str) -> None:
    """The plan would make it again."""
    before = fingerprint(PlanWorld.in_sync(orders()))
    assert fingerprint(PlanWorld.in_sync(orders()).remove(address)) != before


def test_another_record_changes_it() -> None:
    """What is ours decides what is deleted; other topologies' records do not."""
    world = PlanWorld.in_sync(orders())
    before = fingerprint(world)
    world.other_records["letrade-topo.other.other"] = {"format": 1}
    assert fingerprint(world) == before
    assert fingerprint(world.disown("queue:clerk.orders")) != before


def test_messages_and_consumers_do_not_change_it() -> None:
    """They change all the time; the guards look at them again."""
    world = PlanWorld.in_sync(orders())
    before = fingerprint(world)
    world.status["clerk.orders"] = QueueStatus(messages=5, policy="orders.consumer")
    world.counts = {"clerk.orders": QueueCounts(5, 1)}
    assert fingerprint(world) == before


def test_making_the_vhost_does_not_change_it() -> None:
    """A run makes the vhost before it takes the lock, and compares after."""
    world = PlanWorld(loaded(orders()))
    before = fingerprint(world)
    world.add(Vhost("orders"), Permission("admin", ".*", ".*", ".*"))
    assert fingerprint(world) == before


def test_another_broker_changes_it() -> None:
    """A plan for one broker does not fit another that looks the same."""
    world = PlanWorld.in_sync(orders())
    live = world.live
    plan = world.plan()
    from letrade_topo.plan.prepare import plan_for

    def counts() -> dict[str, QueueCounts]:
        return {}

    for change in ({"version": "4.1.0"}, {"cluster": "other"}):
        values: dict[str, Any] = dict(change)
        other = replace(live, broker=replace(live.broker, **values))
        assert plan_for(other, world.request(), counts).fingerprint != plan.fingerprint
    assert Address("vhost:orders") in live.objects


def test_salts_do_not_change_it() -> None:
    """A password that has to be written gets a new salt each time the plan is made."""
    document = orders()
    document["services"]["shop"]["password"] = {"env": "SHOP"}
    world = PlanWorld.in_sync(orders()).declare(document)
    reference = world.topology.services["shop"].password
    assert reference is not None
    first, second = (world.plan(secrets={reference: "geheim"}) for _ in range(2))
    assert first.fingerprint == second.fingerprint
    assert first.changes != second.changes
