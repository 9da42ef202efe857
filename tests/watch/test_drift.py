"""What a plan says about a broker, in numbers and in lines."""

from __future__ import annotations

from letrade_topo.broker.objects import Queue
from letrade_topo.broker.state import LiveListener
from letrade_topo.management.reading import QueueCounts
from letrade_topo.watch.drift import KINDS, Drift, blocked_of, differences, drift_of, objects_of
from tests.plan.worlds import PlanWorld
from tests.topologies import orders


def test_in_sync() -> None:
    """Nothing is counted."""
    plan = PlanWorld.in_sync(orders()).plan(leaves_blocked=True)

    assert not drift_of(plan)
    assert not blocked_of(plan)
    assert differences(plan) == ()
    assert objects_of(plan)["queue"] == 4  # with its rejected messages, one delay, and the dead letters


def test_each_kind_of_drift() -> None:
    """Missing, extra and different are told apart; what a person must allow is counted a second time."""
    world = PlanWorld.in_sync(orders()).remove("queue:clerk.orders").add(Queue("stranger"))
    world.listeners = (LiveListener("amqp", "::", 5672),)
    plan = world.plan(leaves_blocked=True)

    drift = drift_of(plan)

    assert drift["queue", Drift.MISSING] == 1
    assert drift["binding", Drift.MISSING] == 2
    assert drift["queue", Drift.EXTRA] == 1
    assert drift["listener", Drift.UNMANAGEABLE] == 1
    assert blocked_of(plan) == {"queue": 1, "listener": 1}
    assert {kind for kind, _ in drift} <= set(KINDS)


def test_a_binding_made_again_with_its_queue_is_no_drift() -> None:
    """One queue differs; that its bindings would go and come with it is not news."""
    document = orders()
    document["queues"]["clerk.orders"]["single_active_consumer"] = True
    world = PlanWorld.in_sync(orders()).declare(document)
    world.counts = {"clerk.orders": QueueCounts(1, 0)}

    plan = world.plan(leaves_blocked=True)

    assert drift_of(plan) == {("queue", Drift.DIFFERENT): 1}
    assert blocked_of(plan) == {"queue": 1}
    (line,) = differences(plan)
    assert "queue:clerk.orders" in line
    assert "blocked: " in line
