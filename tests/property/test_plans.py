"""Whatever a broker holds: what a plan says, done in its order, leaves nothing to do."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

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
    UserLimit,
    Vhost,
    VhostLimit,
)
from letrade_topo.plan.change import Action
from letrade_topo.plan.equivalence import is_equal
from letrade_topo.plan.holders import holders_of
from letrade_topo.plan.ownership import OwnershipRecord
from letrade_topo.plan.plan import Plan
from letrade_topo.plan.scope import Scope
from tests.plan.worlds import PlanWorld
from tests.topologies import Document, expanded, orders

ALL_WORDS = ("adopt", "replace", "delete-many", "delete-unmanaged")
EXTRA_QUEUES = ("archive", "audit")

names = st.sampled_from(["by-hand", "clerk.orders", "archive", "letrade.dlq"])
foreign: st.SearchStrategy[BrokerObject] = st.one_of(
    st.builds(Queue, names, arguments=st.sampled_from([{}, {"x-max-length": 1}, {"x-queue-type": "quorum"}])),
    st.builds(Exchange, st.sampled_from(["by-hand", "orders", "letrade.retry"]), st.sampled_from(["topic", "fanout"])),
    st.builds(Binding, st.just("orders"), st.just("queue"), names, st.sampled_from(["", "#", "order.placed"])),
    st.builds(Binding, st.just("orders"), st.just("exchange"), st.sampled_from(["by-hand", "letrade.dlq"])),
    st.builds(
        Policy, st.sampled_from(["by-hand", "orders.consumer"]), st.just("^x"), st.just("all"), st.just({"a": 1})
    ),
    st.builds(User, st.sampled_from(["orders-shop", "eve"]), st.sampled_from([(), ("management",)])),
    st.builds(UserLimit, st.sampled_from(["orders-shop"]), st.just("max-channels"), st.integers(0, 3)),
    st.builds(Permission, st.sampled_from(["orders-clerk"]), st.just(""), st.just(""), st.just(".*")),
    st.builds(TopicPermission, st.just("orders-shop"), st.just("orders"), st.just(".*"), st.just("")),
    st.builds(VhostLimit, st.just("max-queues"), st.integers(1, 3)),
)


@st.composite
def documents(draw: st.DrawFn) -> Document:
    """The orders topology with some queues more, or with other arguments."""
    document = orders(ownership=draw(st.sampled_from(["exclusive", "shared"])))
    for name in draw(st.lists(st.sampled_from(EXTRA_QUEUES), unique=True)):
        queue: dict[str, Any] = {"service": "clerk", "messages": ["order.placed"]}
        queue |= draw(st.sampled_from([{}, {"retry": "none"}, {"max_length": 7}, {"message_ttl": "1h"}]))
        document["queues"][name] = queue
    if draw(st.booleans()):
        document["exchanges"]["by-hand"] = {"type": draw(st.sampled_from(["topic", "direct"]))}
        document["bindings"] = [{"source": "orders", "exchange": "by-hand", "routing_key": "#"}]
    return document


def is_possible(objects: dict[Address, BrokerObject]) -> bool:
    """Whether a broker can hold this: bindings have ends, permissions users and exchanges, and all of it a vhost."""
    for thing in objects.values():
        if isinstance(thing, Binding | TopicPermission) and not holders_of(thing) <= objects.keys():
            return False
        if isinstance(thing, Permission | TopicPermission | UserLimit) and f"user:{thing.user}" not in objects:
            return False
        if not isinstance(thing, User | UserLimit | Vhost) and "vhost:orders" not in objects:
            return False
    return True


@st.composite
def worlds(draw: st.DrawFn) -> PlanWorld:
    """A broker as an earlier topology left it, partly deleted and changed by hand, under a topology of now."""
    world = PlanWorld.in_sync(draw(documents())).declare(draw(documents()))
    addresses = sorted(world.objects)
    world.remove(*draw(st.lists(st.sampled_from(addresses), max_size=8)))
    world.add(*draw(st.lists(foreign, max_size=6)))
    assume(is_possible(world.objects))
    assert world.record is not None
    recordable = [address for address in addresses if address != "vhost:orders"]  # whether it is ours is said apart
    owned = draw(st.sets(st.sampled_from(recordable), max_size=6))
    world.record = draw(
        st.sampled_from(
            [
                world.record,
                OwnershipRecord(),
                replace(world.record, owned=world.record.owned - owned, pending=frozenset(owned)),
                replace(world.record, owned=world.record.owned - owned),
            ]
        )
    )
    if "vhost:orders" not in world.objects:
        world.status = {}
    return world


def allowed(world: PlanWorld, *words: str, destroys: bool = False) -> Plan:
    """The plan with these words and whatever its refusals ask for beyond: doing as they say is enough."""
    asked = {refusal.allow for refusal in world.plan(*words, destroys=destroys).refusals}
    plan = world.plan(*words, *asked, destroys=destroys)
    assert not plan.refusals
    return plan


def settle(world: PlanWorld) -> None:
    """What apply records at its end, and what the broker then says of policies."""
    after = world.plan()
    owned = frozenset(address for address in after.comparison.in_sync if not address.startswith("vhost:"))
    assert world.record is not None
    world.record = world.record.settled(owned)
    world.status = {}


@given(worlds())
def test_doing_the_plan_leaves_nothing_to_do(world: PlanWorld) -> None:
    """With every word allowed: no step is impossible, and the next plan is empty."""
    plan = allowed(world, *ALL_WORDS)
    world.perform(plan.changes)
    assert world.plan(*ALL_WORDS).is_empty
    desired = expanded(world.topology).objects
    for address, one in desired.items():
        found = world.objects[address]  # may lack an argument that says what a queue does in any case
        assert found.attributes == one.object.attributes or is_equal(one.object, found, has_limit=False), address


@given(worlds())
def test_a_second_plan_is_empty_once_it_is_recorded(world: PlanWorld) -> None:
    """Without the words for what is not ours: those objects are left, and nothing else is to do."""
    plan = allowed(world, "adopt", "replace", "delete-many")
    world.perform(plan.changes)
    settle(world)
    again = world.plan()
    assert again.is_empty
    assert again.record_is_current


@pytest.mark.wide
@given(worlds())
def test_without_words_nothing_of_somebody_else_changes(world: PlanWorld) -> None:
    """A plan that no guard refuses touches only what is declared or ours; foreign objects stay as they are."""
    before = dict(world.objects)
    plan = world.plan("delete-many")  # of our own
    assume(not plan.refusals)
    assert world.record is not None
    world.perform(plan.changes)
    for address, thing in before.items():
        if not world.record.owns(address) and not isinstance(thing, UserLimit | Binding):
            assert world.objects[address].attributes == thing.attributes


@given(worlds())
def test_destroying_leaves_only_what_is_not_ours(world: PlanWorld) -> None:
    """Every owned object is gone, and everything else is as before, but for bindings of what went."""
    before = dict(world.objects)
    assert world.record is not None
    record = world.record
    plan = allowed(world, destroys=True)
    world.perform(plan.changes)
    assert not [address for address in world.objects if record.owns(address)]
    gone = {address for address in before if record.owns(address)}
    for address, thing in before.items():
        goes_along = holders_of(thing) & gone
        user = getattr(thing, "user", None)
        if address not in gone and not goes_along and f"user:{user}" not in gone and address != "vhost:orders":
            assert world.objects[address] == thing


@given(worlds())
def test_each_object_is_changed_once(world: PlanWorld) -> None:
    """No address is created and deleted in one plan, and every change has a stage and a reason."""
    plan = world.plan("adopt", "replace", "delete-many")
    addresses = [change.address for change in plan.changes]
    assert len(addresses) == len(set(addresses))
    deletes = [change.action is Action.DELETE for change in plan.changes]
    assert deletes == sorted(deletes)
    assert Scope.of(world.topology).record_name == "letrade-topo.orders.orders"
