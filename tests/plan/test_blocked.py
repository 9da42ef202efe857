"""A plan without what guards refuse: the rest is done, what hangs on the refused is left, and ownership is kept."""

from __future__ import annotations

from letrade_topo.broker.objects import Address, Queue
from letrade_topo.management.reading import QueueCounts
from letrade_topo.plan.blocked import BlockedChange
from letrade_topo.plan.change import Action
from tests.plan.worlds import PlanWorld, summary
from tests.topologies import Document, orders

QUEUE = Address("queue:clerk.orders")
OTHER = "queue:shop.answers"


def document(**queue: object) -> Document:
    """Two queues, one of which has these attributes."""
    return orders(
        queues={
            "clerk.orders": {"service": "clerk", "messages": ["order.placed", "order.{id}.changed"]} | queue,
            "shop.answers": {"service": "clerk", "messages": ["order.placed"], "retry": "none"},
        }
    )


def whys(blocked: tuple[BlockedChange, ...]) -> dict[str, str]:
    """Why each is left out."""
    return {one.change.address: one.why for one in blocked}


def test_the_rest_is_done() -> None:
    """A queue that would have to be made again stays with its bindings; another that is missing is made."""
    world = PlanWorld.in_sync(document()).remove(OTHER).declare(document(single_active_consumer=True))
    world.counts = {"clerk.orders": QueueCounts(7, 1)}

    plan = world.plan(leaves_blocked=True)

    assert not plan.refusals
    assert f"create {OTHER}" in summary(plan.changes)
    assert not [change for change in plan.changes if "clerk.orders]" in change.address or change.address == QUEUE]
    assert "7 messages" in whys(plan.blocked)[QUEUE]
    world.perform(plan.changes)
    again = world.plan(leaves_blocked=True)
    assert again.is_empty
    assert not again.in_sync


def test_the_record_stays_current() -> None:
    """What is left out stays ours, so nothing is left to write, pass after pass."""
    world = PlanWorld.in_sync(document()).declare(document(single_active_consumer=True))
    world.counts = {"clerk.orders": QueueCounts(7, 1)}

    plan = world.plan(leaves_blocked=True)

    assert plan.is_empty
    assert plan.record_is_current


def test_what_is_not_ours_stays_so() -> None:
    """A foreign object of the same name that differs is neither changed nor recorded."""
    world = PlanWorld.in_sync(document()).disown(QUEUE).declare(document(single_active_consumer=True))
    world.counts = {"clerk.orders": QueueCounts(0, 0)}

    plan = world.plan(leaves_blocked=True)

    assert QUEUE in whys(plan.blocked)
    assert not plan.record.owns(QUEUE)
    assert plan.record_is_current


def test_a_queue_that_stays_keeps_what_it_dead_letters_into() -> None:
    """A guard that relied on a change which is left out is asked again."""
    smaller = document()
    del smaller["queues"]["clerk.orders"]
    world = PlanWorld.in_sync(document()).declare(smaller)
    world.counts = {"clerk.orders": QueueCounts(3, 0)}

    plan = world.plan(leaves_blocked=True)

    assert {QUEUE, "queue:clerk.orders.rejected"} <= whys(plan.blocked).keys()
    assert "delete queue:clerk.orders.rejected" not in summary(plan.changes)


def test_too_many_deletions_are_all_left_out() -> None:
    """They are more likely a wrong file than a wish."""
    many = {f"clerk.q{number}": {"service": "clerk", "messages": ["order.placed"]} for number in range(12)}
    world = PlanWorld.in_sync(orders(queues=many)).declare(orders(queues={}))
    world.add(Queue("stranger"))

    plan = world.plan(leaves_blocked=True)

    assert not [change for change in plan.changes if change.action is Action.DELETE]
    assert len(plan.blocked) > 20


def test_without_being_asked_one_refusal_stands_against_all() -> None:
    """`apply` does all or nothing."""
    world = PlanWorld.in_sync(document()).remove(OTHER).declare(document(single_active_consumer=True))
    world.counts = {"clerk.orders": QueueCounts(7, 1)}

    plan = world.plan()

    assert plan.refusals
    assert not plan.blocked
