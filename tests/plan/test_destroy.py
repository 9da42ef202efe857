"""Destroying: everything that is ours goes, nothing else does, and the vhost only when it is empty."""

from __future__ import annotations

from dataclasses import replace

import pytest

from letrade_topo.broker.objects import (
    Address,
    Binding,
    BrokerObject,
    Exchange,
    Permission,
    Policy,
    Queue,
    TopicPermission,
    User,
    VhostLimit,
)
from letrade_topo.broker.parameters import Parameter
from letrade_topo.plan.ownership import OwnershipRecord
from tests.plan.worlds import PlanWorld, summary
from tests.topologies import expanded, loaded, orders

VHOST = Address("vhost:orders")


@pytest.mark.parametrize("ownership", ["exclusive", "shared"])
def test_everything_that_the_tool_made_goes_with_the_vhost(ownership: str) -> None:
    """In the opposite order of creation, the vhost at the end."""
    world = PlanWorld.in_sync(orders(ownership=ownership))
    plan = world.plan(destroys=True)
    assert summary(plan.changes) == {f"delete {address}" for address in expanded(world.topology).objects}
    assert plan.changes[-1].address == VHOST
    world.perform(plan.changes)
    assert world.objects == {}


@pytest.mark.parametrize(
    "thing",
    [
        Queue("by-hand"),
        Exchange("by-hand", "topic"),
        Binding("amq.topic", "exchange", "amq.fanout", "#"),
        Policy("by-hand", "^x", "all", {"max-length": 1}),
        Permission("somebody", "", "", ".*"),
        TopicPermission("somebody", "amq.topic", "", ".*"),
        VhostLimit("max-queues", 100),
    ],
    ids=lambda thing: str(thing.kind),
)
def test_the_vhost_stays_while_anything_of_somebody_else_is_in_it(thing: BrokerObject) -> None:
    """Foreign objects are neither deleted nor taken along, whatever their kind."""
    world = PlanWorld.in_sync(orders()).add(thing)
    plan = world.plan("delete-unmanaged", destroys=True)
    assert not {VHOST, thing.address} & {change.address for change in plan.changes}


def test_a_binding_by_hand_to_what_goes_keeps_nothing() -> None:
    """It goes with our queue."""
    world = PlanWorld.in_sync(orders()).add(Binding("orders", "queue", "clerk.orders", "by.hand"))
    assert VHOST in {change.address for change in world.plan(destroys=True).changes}


def test_an_operator_policy_keeps_the_vhost() -> None:
    """The operator's work is somebody else's too."""
    world = PlanWorld.in_sync(orders())
    world.operator_policies = ({"name": "cap", "pattern": "^x", "apply-to": "queues", "definition": {"max-length": 1}},)
    assert VHOST not in {change.address for change in world.plan(destroys=True).changes}


def test_a_parameter_keeps_the_vhost() -> None:
    """Somebody's shovel would go with it, and the messages that it moves would stay where they are."""
    world = PlanWorld.in_sync(orders())
    world.parameters = (Parameter("shovel", "by-hand"),)
    assert VHOST not in {change.address for change in world.plan(destroys=True).changes}


def test_a_run_time_queue_keeps_the_vhost() -> None:
    """A service still runs there."""
    world = PlanWorld.in_sync(orders()).add(Queue("clerk.reply.1", durable=False))
    assert VHOST not in {change.address for change in world.plan(destroys=True).changes}


def test_a_vhost_that_the_tool_did_not_make_stays() -> None:
    """Also when nothing is left in it."""
    world = PlanWorld.in_sync(orders())
    assert world.record is not None
    world.record = replace(world.record, vhost_created=False)
    assert VHOST not in {change.address for change in world.plan(destroys=True).changes}


def test_the_operators_permission_does_not_keep_the_vhost() -> None:
    """The broker made it for whoever made the vhost."""
    world = PlanWorld.in_sync(orders()).add(Permission("admin", ".*", ".*", ".*"))
    assert VHOST in {change.address for change in world.plan(destroys=True).changes}


def test_identical_objects_that_were_never_adopted_stay() -> None:
    """Being declared is not being ours."""
    world = PlanWorld.in_sync(orders()).disown("queue:letrade.dlq")
    changes = summary(world.plan(destroys=True).changes)
    assert "delete queue:letrade.dlq" not in changes
    assert "delete vhost:orders" not in changes


def test_nothing_is_destroyed_on_an_empty_broker() -> None:
    """No change, no record to delete."""
    plan = PlanWorld(loaded(orders())).plan(destroys=True)
    assert plan.is_empty
    assert plan.record_is_current


def test_a_record_of_what_is_gone_is_to_be_deleted() -> None:
    """Also when somebody has deleted every object by hand."""
    world = PlanWorld(loaded(orders()), record=OwnershipRecord(owned=frozenset({Address("queue:gone")})))
    plan = world.plan(destroys=True)
    assert plan.is_empty
    assert not plan.record_is_current


def test_users_go_also_when_the_vhost_was_deleted_by_hand() -> None:
    """They live outside of it."""
    world = PlanWorld.in_sync(orders())
    world.objects = {address: thing for address, thing in world.objects.items() if isinstance(thing, User)}
    assert summary(world.plan(destroys=True).changes) == {"delete user:orders-shop", "delete user:orders-clerk"}


def test_destroying_needs_no_secret() -> None:
    """A password reference that leads nowhere any more keeps nobody from deleting its user."""
    document = orders()
    document["services"]["shop"]["password"] = {"env": "GONE"}
    world = PlanWorld.in_sync(orders()).declare(document)
    assert "delete user:orders-shop" in summary(world.plan(destroys=True).changes)
