"""Desired against live: who owns what decides what is done about a difference (the table of plan/compare.py)."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from letrade_topo.broker.objects import (
    Address,
    Binding,
    Exchange,
    Kind,
    Permission,
    Policy,
    Queue,
    TopicPermission,
    User,
    UserLimit,
    VhostLimit,
)
from letrade_topo.broker.state import QueueStatus
from letrade_topo.model.messages import Json
from letrade_topo.plan.change import Action, ChangeReason
from letrade_topo.plan.ownership import OwnershipRecord
from letrade_topo.plan.scope import Scope
from tests.plan.worlds import PlanWorld, summary
from tests.topologies import Document, expanded, loaded, orders

POLICY = Address("policy:orders.consumer")
FOREIGN = Queue("by-hand", arguments={"x-queue-type": "classic"})


def shared() -> Document:
    """The orders topology in a vhost that others use too."""
    return orders(ownership="shared")


def without_queue(document: Document) -> Document:
    """The same topology without its queue."""
    document["queues"] = {}
    return document


@pytest.mark.parametrize("document", [orders(), shared()], ids=["exclusive", "shared"])
def test_nothing_is_to_do_when_the_broker_is_as_declared(document: Document) -> None:
    """No change, nothing unmanaged, no finding, no write of the record."""
    plan = PlanWorld.in_sync(document).plan()
    assert plan.in_sync
    assert plan.is_empty
    assert plan.record_is_current


def test_everything_is_created_on_an_empty_broker() -> None:
    """Every declared object, in the order of the stages."""
    world = PlanWorld(loaded(orders()))
    plan = world.plan()
    assert {change.address for change in plan.changes} == set(expanded(world.topology).objects)
    assert {change.action for change in plan.changes} == {Action.CREATE}
    assert [change.stage for change in plan.changes] == sorted(change.stage for change in plan.changes)
    assert not plan.vhost_exists


def test_declared_unowned_and_identical_is_adopted_silently() -> None:
    """No change and no question; only the record is to be written."""
    plan = PlanWorld.in_sync(orders()).disown("queue:clerk.orders").plan()
    assert plan.in_sync
    assert not plan.record_is_current


def test_declared_unowned_and_different_is_adopted_only_when_allowed() -> None:
    """Somebody else's policy of this name is not overwritten without being told to."""
    world = PlanWorld.in_sync(orders()).disown(POLICY).add(Policy("orders.consumer", "x", "all", {"max-length": 1}))
    assert [refusal.allow for refusal in world.plan().refusals] == ["adopt"]
    assert not world.plan("adopt").refusals
    assert not world.plan(f"adopt={POLICY}").refusals
    assert world.plan("adopt=policy:other").refusals
    assert summary(world.plan("adopt").changes) == {f"update {POLICY}"}


def test_owned_and_different_is_updated_in_place_where_the_broker_can() -> None:
    """A policy that somebody edited is written again."""
    plan = PlanWorld.in_sync(orders()).add(Policy("orders.consumer", "x", "all", {"max-length": 1})).plan()
    assert summary(plan.changes) == {f"update {POLICY}"}
    assert not plan.refusals
    assert {one.attribute for one in plan.changes[0].differences} == {
        "pattern",
        "apply-to",
        "definition.max-length",
        "definition.delivery-limit",
        "priority",
    }


def test_owned_and_undeclared_is_deleted() -> None:
    """What the tool made and the file dropped goes, and bindings before the queue."""
    world = PlanWorld.in_sync(orders()).declare(without_queue(orders()))
    plan = world.plan()
    deleted = [change for change in plan.changes if change.action is Action.DELETE]
    assert {change.reason for change in deleted} == {ChangeReason.REMOVED}
    addresses = [change.address for change in deleted]
    assert addresses.index(Address("binding:orders -> queue:clerk.orders [order.placed]")) < addresses.index(
        Address("queue:clerk.orders")
    )


@pytest.mark.parametrize(
    "thing",
    [
        FOREIGN,
        Exchange("by-hand", "fanout"),
        Binding("orders", "queue", "clerk.orders", "by.hand"),
        Policy("by-hand", ".*", "all", {"max-length": 1}),
        Permission("by-hand", ".*", ".*", ".*"),
        TopicPermission("by-hand", "orders", ".*", ".*"),
        VhostLimit("max-queues", 5),
    ],
    ids=lambda thing: str(thing.kind),
)
def test_foreign_objects_are_drift_where_the_vhost_is_exclusive_and_unseen_where_it_is_shared(
    thing: Queue | Exchange | Binding | Policy | Permission | TopicPermission | VhostLimit,
) -> None:
    """Reported and left alone, deleted when allowed; in a shared vhost, neither."""
    world = PlanWorld.in_sync(orders()).add(thing)
    plan = world.plan()
    assert [change.address for change in plan.unmanaged] == [thing.address]
    assert plan.is_empty
    assert not plan.in_sync
    assert summary(world.plan("delete-unmanaged").changes) == {f"delete {thing.address}"}
    assert summary(world.plan(f"delete-unmanaged={thing.address}").changes) == {f"delete {thing.address}"}
    assert world.plan("delete-unmanaged=queue:other").is_empty
    assert PlanWorld.in_sync(shared()).add(thing).plan("delete-unmanaged").in_sync


def test_foreign_users_are_never_touched() -> None:
    """Users belong to the cluster: an exclusive vhost says nothing about them."""
    world = PlanWorld.in_sync(orders()).add(
        User("by-hand", ("administrator",)), UserLimit("by-hand", "max-channels", 1)
    )
    assert world.plan("delete-unmanaged").in_sync


def test_a_limit_on_a_declared_user_is_drift() -> None:
    """A limit is a part of the user, so one that is not declared goes."""
    world = PlanWorld.in_sync(orders()).add(UserLimit("orders-clerk", "max-connections", 0))
    assert summary(world.plan().changes) == {"delete user-limit:orders-clerk/max-connections"}


def test_a_user_that_another_topology_owns_stays() -> None:
    """The last topology to let go of a user deletes it."""
    world = PlanWorld.in_sync(orders())
    document = orders()
    del document["services"]["shop"]
    document["messages"].pop("order.{id}.changed")
    for section in (document["services"]["clerk"]["consumes"], document["queues"]["clerk.orders"]["messages"]):
        section.remove("order.{id}.changed")
    document["services"]["clerk"]["publishes"] = ["order.placed"]
    later = world.declare(document)
    assert "delete user:orders-shop" in summary(later.plan().changes)
    other = OwnershipRecord(owned=frozenset({Address("user:orders-shop")})).to_json()
    later.other_records["letrade-topo.other.other"] = other
    assert "delete user:orders-shop" not in summary(later.plan().changes)
    assert "delete permission:orders-shop" in summary(later.plan().changes)


def test_what_is_let_go_of_is_let_go_of_in_the_record_too() -> None:
    """Else two topologies wait for each other to delete a user, or a later namesake is taken for ours."""
    world = PlanWorld.in_sync(orders())
    assert world.record is not None
    world.record = replace(world.record, owned=world.record.owned | {Address("queue:long-gone")})
    plan = world.plan()
    assert plan.in_sync
    assert not plan.record_is_current


def test_a_run_that_died_is_finished_by_the_next() -> None:
    """What the record says is pending counts as ours: it is neither adopted nor left behind."""
    world = PlanWorld.in_sync(orders()).disown("queue:clerk.orders", POLICY)
    assert world.record is not None
    world.record = replace(world.record, pending=frozenset({POLICY, Address("queue:dropped")}))
    world.add(Policy("orders.consumer", "x", "all", {"max-length": 1}), Queue("dropped"))
    plan = world.plan()
    assert not plan.refusals
    assert summary(plan.changes) == {f"update {POLICY}", "delete queue:dropped"}


@pytest.mark.parametrize(
    ("thing", "status"),
    [
        (Queue("clerk.reply.1a2b"), QueueStatus()),
        (Queue("shop.sub.1a2b"), QueueStatus()),
        (Queue("amq.gen-xyz"), QueueStatus()),
        (Queue("exclusive"), QueueStatus(exclusive=True)),
        (Queue("auto", auto_delete=True), QueueStatus()),
        (Queue("transient", durable=False), QueueStatus()),
    ],
    ids=lambda thing: getattr(thing, "name", ""),
)
def test_queues_that_clients_make_for_themselves_are_never_drift(thing: Queue, status: QueueStatus) -> None:
    """Nor are their bindings, even when undeclared objects may be deleted."""
    world = PlanWorld.in_sync(orders()).add(thing, Binding("orders", "queue", thing.name, "order.placed"))
    world.status[thing.name] = status
    assert world.plan("delete-unmanaged").in_sync


@pytest.mark.parametrize("name", ["clerk.replyx1", "xclerk.reply.1", "clerk.reply.", "other.reply.1"])
def test_a_name_that_only_looks_like_a_run_time_queue_is_drift(name: str) -> None:
    """The pattern of run-time names is anchored, and for declared services only."""
    assert not PlanWorld.in_sync(orders()).add(Queue(name)).plan().in_sync


def test_the_operators_own_permission_is_no_drift() -> None:
    """The broker gives whoever makes a vhost all rights in it; other users' are drift."""
    world = PlanWorld.in_sync(orders()).add(Permission("admin", ".*", ".*", ".*"))
    assert world.plan("delete-unmanaged").in_sync
    assert world.record is not None
    world.add(Permission("former-admin", ".*", ".*", ".*"))
    assert not world.plan().in_sync
    world.record = replace(world.record, operators=frozenset({"former-admin"}))
    assert world.plan().in_sync


def test_ignored_addresses_are_never_looked_at() -> None:
    """Globs over addresses: foreign objects that match are no drift and are never deleted."""
    world = PlanWorld.in_sync(orders(ignore=["queue:by-*", "policy:*"]))
    world.add(FOREIGN, Policy("x", "x", "all", {"expires": 1}))
    assert world.plan("delete-unmanaged").in_sync
    world.add(Queue("other"))
    assert [change.address for change in world.plan().unmanaged] == ["queue:other"]


@given(
    st.text(alphabet="ab[]*?.!- ~", max_size=8),
    st.text(alphabet="ab[]*?.!- ~", min_size=1, max_size=8),
    st.dictionaries(st.text(max_size=3), st.integers(), max_size=1),
)
def test_an_address_that_is_written_out_is_ignored(key: str, name: str, arguments: dict[str, Json]) -> None:
    """Whatever is in it: `[k]` is a binding's key, and no class of characters."""
    binding = Binding("orders", "queue", name, key, arguments)
    for thing in (binding, Queue(name), Policy(name, "x", "all", {})):
        assert replace(Scope.of(loaded(orders())), ignore=(thing.address,)).ignores(thing.address)


def test_a_glob_may_hold_the_key_of_a_binding() -> None:
    """In it, too, brackets are those of an address; `*` is any text."""
    scope = replace(Scope.of(loaded(orders())), ignore=("binding:orders -> queue:* [k]",))
    assert scope.ignores(Binding("orders", "queue", "q", "k").address)
    assert not scope.ignores(Binding("orders", "queue", "q", "x").address)


def test_exchanges_that_clients_make_for_themselves_are_never_drift() -> None:
    """Those that go with their last binding, nor what is bound to or from them."""
    world = PlanWorld.in_sync(orders()).add(
        Exchange("auto", "fanout", auto_delete=True),
        Binding("auto", "queue", "clerk.orders"),
        Binding("orders", "exchange", "auto", "order.placed"),
    )
    assert world.plan("delete-unmanaged").in_sync
    world.add(Exchange("by-hand", "fanout"))
    assert [change.address for change in world.plan().unmanaged] == ["exchange:by-hand"]


def test_a_queue_that_is_handed_over_by_ignoring_it_stays() -> None:
    """Dropped from the file and put under `ignore`: it is left alone although the tool made it."""
    document = without_queue(orders(ignore=["queue:clerk.orders*", "binding:*clerk.orders*"]))
    plan = PlanWorld.in_sync(orders()).declare(document).plan("delete-unmanaged")
    deleted = {change.address for change in plan.changes if change.action is Action.DELETE}
    assert deleted == {"topic-permission:orders-clerk/letrade.retry", "policy:orders.consumer"}


def test_a_classic_queue_need_not_say_that_it_is_one() -> None:
    """The broker's listing of a classic queue may lack `x-queue-type`."""
    document = orders()
    document["queues"]["clerk.orders"] |= {"type": "classic", "dead_letter": "none"}
    world = PlanWorld.in_sync(document)
    queue = world.objects[Address("queue:clerk.orders")]
    assert isinstance(queue, Queue)
    bare = {name: value for name, value in queue.arguments.items() if name != "x-queue-type"}
    assert world.add(replace(queue, arguments=bare)).plan().in_sync


def test_true_is_not_one() -> None:
    """JSON's `true` and `1` are different arguments for the broker, unlike in Python."""
    document = orders()
    document["queues"]["clerk.orders"]["single_active_consumer"] = True
    world = PlanWorld.in_sync(document)
    queue = world.objects[Address("queue:clerk.orders")]
    assert isinstance(queue, Queue)
    world.add(replace(queue, arguments={**queue.arguments, "x-single-active-consumer": 1}))
    assert summary(world.plan().changes) >= {"replace queue:clerk.orders"}


def test_a_replaced_queue_gets_all_its_bindings_again() -> None:
    """They go with it although they look unchanged, those made by hand too; exclusive queues' cannot be."""
    world = PlanWorld.in_sync(orders())
    queue = world.objects[Address("queue:clerk.orders")]
    assert isinstance(queue, Queue)
    world.add(replace(queue, arguments={**queue.arguments, "x-message-ttl": 1}))
    world.add(Binding("orders", "queue", "clerk.orders", "by.hand"))
    plan = world.plan("replace")
    assert summary(plan.changes) == {
        "replace queue:clerk.orders",
        "create binding:orders -> queue:clerk.orders [order.placed]",
        "create binding:orders -> queue:clerk.orders [order.*.changed]",
        "create binding:orders -> queue:clerk.orders [by.hand]",
    }
    assert {change.reason for change in plan.changes} == {ChangeReason.IMMUTABLE, ChangeReason.REBIND}


def test_an_exchange_of_another_type_is_replaced_with_all_its_bindings() -> None:
    """Bindings from and to it; and the topic permissions on it, that somebody made by hand too."""
    by_hand = TopicPermission("orders-shop", "orders", ".*", "")
    world = PlanWorld.in_sync(orders()).add(Exchange("orders", "direct"), User("by-hand"), by_hand)
    world.add(TopicPermission("by-hand", "orders", "^a$", ""))
    assert summary(world.plan("replace").changes) == {
        "replace exchange:orders",
        "create topic-permission:orders-clerk/orders",
        "update topic-permission:orders-shop/orders",
        "create topic-permission:by-hand/orders",
        "create binding:orders -> queue:clerk.orders [order.placed]",
        "create binding:orders -> queue:clerk.orders [order.*.changed]",
    }


def test_topic_permissions_stay_where_they_do_not_go_with_their_exchange() -> None:
    """Before 4.0 there is no Khepri: a plan does not name what is not lost."""
    world = PlanWorld.in_sync(orders()).add(Exchange("orders", "direct"))
    world.version = "3.10.8"
    assert not [change for change in world.plan("replace").changes if change.kind is Kind.TOPIC_PERMISSION]


@pytest.mark.parametrize("ownership", ["exclusive", "shared"])
def test_what_goes_with_a_user_is_in_the_plan(ownership: str) -> None:
    """Its permissions and limits that somebody made by hand go with it: they are listed, whoever made them."""
    world = PlanWorld.in_sync(orders(ownership=ownership))
    bare = orders(ownership=ownership)
    del bare["services"]["shop"]
    bare["messages"] = {}
    bare["services"]["clerk"]["consumes"] = []
    bare["queues"]["clerk.orders"]["messages"] = []
    by_hand = (TopicPermission("orders-shop", "amq.topic", ".*", ""), UserLimit("orders-shop", "max-channels", 3))
    world.add(Exchange("other", "topic"), *by_hand)
    plan = world.declare(bare).plan("delete-many")
    assert {f"delete {thing.address}" for thing in by_hand} <= summary(plan.changes)
    assert {ChangeReason.TAKEN_ALONG} == {change.reason for change in plan.changes if change.before in by_hand}


def test_what_goes_with_an_exchange_is_in_the_plan() -> None:
    """In a shared vhost, too: somebody's binding and topic permission go with an exchange that nobody declares now."""
    document = orders(ownership="shared")
    document["exchanges"]["side"] = {}
    world = PlanWorld.in_sync(document)
    world.add(
        Binding("side", "queue", "clerk.orders", "x"), User("by-hand"), TopicPermission("by-hand", "side", "", "")
    )
    del document["exchanges"]["side"]
    assert summary(world.declare(document).plan().changes) == {
        "delete exchange:side",
        "delete binding:side -> queue:clerk.orders [x]",
        "delete topic-permission:by-hand/side",
    }
