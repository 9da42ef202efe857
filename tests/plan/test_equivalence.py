"""Differences that change nothing are none, what a topology takes as found stays, and what expired is no drift."""

from __future__ import annotations

from typing import Any

import pytest

from letrade_topo.broker.objects import Attributes, Exchange, Policy, Queue
from letrade_topo.broker.state import QueueStatus
from letrade_topo.plan.change import Action, ChangeReason
from letrade_topo.plan.plan import Plan
from letrade_topo.plan.saved import SavedPlan, load, save
from letrade_topo.render.plan_json import plan_to_json
from tests.plan.test_saved import ACCESS
from tests.plan.worlds import PlanWorld
from tests.topologies import Document, orders

QUORUM, CLASSIC, STREAM = ({"x-queue-type": kind} for kind in ("quorum", "classic", "stream"))


def declared(**queue: Any) -> Document:
    """A topology with one more queue, without retries."""
    document = orders()
    document["queues"]["old"] = {"messages": ["order.placed"], "dead_letter": "none", **queue}
    return document


def replaced(document: Document, live: Attributes, **other: Any) -> bool:
    """Whether a queue that is there with these arguments would be made again."""
    world = PlanWorld.in_sync(document).add(Queue("old", arguments=live, **other))
    return any(change.address == "queue:old" for change in world.plan("adopt").changes)


@pytest.mark.parametrize(
    ("queue", "live"),
    [
        ({}, QUORUM),
        ({}, QUORUM | {"x-overflow": "drop-head"}),
        ({"type": "classic"}, CLASSIC),
        ({"type": "classic"}, {}),
        ({"type": "classic"}, CLASSIC | {"x-overflow": "reject-publish-dlx"}),
        ({"type": "classic"}, CLASSIC | {"x-queue-mode": "default", "x-single-active-consumer": False}),
        ({"type": "classic", "guarantee": "at_most_once", "max_length": 5}, CLASSIC),
        ({"guarantee": "at_most_once", "arguments": {"x-max-length": 5}}, QUORUM | {"x-max-length": 5}),
        ({}, QUORUM | {"x-dead-letter-strategy": "at-most-once", "x-quorum-initial-group-size": 3}),
        ({"arguments": {"x-queue-leader-locator": "balanced"}}, QUORUM),
        ({"type": "stream"}, STREAM | {"x-initial-cluster-size": 1, "x-queue-leader-locator": "client-local"}),
    ],
    ids=str,
)
def test_arguments_that_change_nothing_do_not_differ(queue: Document, live: Attributes) -> None:
    """A queue that exists is taken over as it is."""
    assert not replaced(declared(**queue), live)


@pytest.mark.parametrize(
    ("queue", "live"),
    [
        ({"max_length": 5}, QUORUM),
        ({"arguments": {"x-max-length": 5}}, QUORUM | {"x-max-length": 5}),
        ({}, QUORUM | {"x-max-length": 5}),
        ({"dead_letter": {"exchange": "letrade.dlq"}}, QUORUM | {"x-dead-letter-exchange": "letrade.dlq"}),
        ({"dead_letter": {"exchange": "letrade.dlq"}}, QUORUM | {"x-overflow": "reject-publish"}),
        ({}, CLASSIC),
        ({"type": "classic"}, CLASSIC | {"x-queue-mode": "lazy"}),
        ({}, QUORUM | {"x-single-active-consumer": True}),
        ({}, QUORUM | {"x-message-ttl": 5}),
        ({}, QUORUM | {"x-unknown": 1}),
        ({"single_active_consumer": True}, QUORUM),
    ],
    ids=str,
)
def test_arguments_that_change_something_differ(queue: Document, live: Attributes) -> None:
    """Overflow, where there is a limit or dead letters rely on it; and everything else."""
    assert replaced(declared(**queue), live)


@pytest.mark.parametrize("by", ["policy", "operator"])
def test_overflow_counts_where_a_policy_by_hand_limits_the_queue(by: str) -> None:
    """Whoever made it: what is too much would be dropped instead of refused."""
    world = PlanWorld.in_sync(declared()).add(Queue("old", arguments=QUORUM))
    assert not [change for change in world.plan().changes if change.address == "queue:old"]
    if by == "policy":
        world.add(Policy("by-hand", "^old$", "all", {"max-length": 5}, 9))
        world.status["old"] = QueueStatus(policy="by-hand")
    else:
        world.operator_policies = ({"name": "limit", "pattern": "^old$", "definition": {"max-length": 5}},)
        world.status["old"] = QueueStatus(operator_policy="limit")
    assert [change.action for change in world.plan().changes if change.address == "queue:old"] == [Action.REPLACE]


def as_found() -> PlanWorld:
    """A queue and an exchange that are there otherwise than declared, and declared to stay so."""
    document = declared(type="classic", as_found=True)
    document["exchanges"]["old"] = {"type": "fanout", "as_found": True}
    world = PlanWorld.in_sync(document).disown("queue:old", "exchange:old")
    return world.add(
        Queue("old", durable=False, arguments=CLASSIC | {"x-max-priority": 9}),
        Exchange("old", "fanout", durable=False, arguments={"alternate-exchange": "amq.fanout"}),
    )


def test_what_is_taken_as_found_stays() -> None:
    """Neither a change nor drift, and no `--allow adopt`; what differs is told, and it becomes ours."""
    plan = as_found().plan()
    assert not plan.changes
    assert plan.in_sync
    assert {"queue:old", "exchange:old"} <= plan.comparison.in_sync
    told = " ".join(notice.text for notice in plan.notices)
    assert "arguments.x-max-priority is 9" in told
    assert "durable is False" in told


def test_what_is_taken_as_found_is_of_the_declared_type() -> None:
    """The type decides what it can do, so it is declared."""
    world = as_found().add(Queue("old", arguments=QUORUM), Exchange("old", "topic"))
    replaced = {change.address for change in world.plan().changes if change.action is Action.REPLACE}
    assert replaced == {"queue:old", "exchange:old"}


def test_what_is_not_there_is_made_as_declared() -> None:
    """As found is for what is found."""
    plan = as_found().remove("queue:old").plan()
    assert [change.reason for change in plan.changes if change.address == "queue:old"] == [ChangeReason.MISSING]


def test_a_saved_plan_knows_what_is_taken_as_found(tmp_path: Any) -> None:
    """Read back, it plans the same."""
    plan: Plan = as_found().plan()
    save(tmp_path / "plan", [SavedPlan.of(plan, tls_required=True, access=ACCESS)], plan_to_json(plan))
    taken = {address for address, one in load(tmp_path / "plan")[0].desired.objects.items() if one.as_found}
    assert taken == {"queue:old", "exchange:old"}


@pytest.mark.parametrize("by", ["expires", "argument", "policy"])
def test_a_queue_that_expired_as_declared_is_no_drift(by: str) -> None:
    """Nor are its bindings; who applies makes it again. One that was never made, or cannot expire, is missing."""
    how: dict[str, Document] = {
        "expires": {"expires": "1h"},
        "argument": {"arguments": {"x-expires": 9}},
        "policy": {"type": "classic"},
    }
    document = declared(**how[by])
    if by == "policy":
        document["policies"] = {"short": {"pattern": "^old$", "definition": {"expires": 5}}}
    world = PlanWorld.in_sync(document).remove("queue:old")
    del world.status["old"]

    plan = world.plan(leaves_expired=True)
    assert plan.in_sync
    assert plan.is_empty
    assert plan.record_is_current
    assert {change.address for change in plan.expired} == {"queue:old", "binding:orders -> queue:old [order.placed]"}
    assert {change.address for change in world.plan().changes} == {change.address for change in plan.expired}

    world.remove("queue:clerk.orders.rejected")
    assert not world.plan(leaves_expired=True).in_sync
    never = world.disown("queue:old").plan(leaves_expired=True)
    assert [change.reason for change in never.changes if change.address == "queue:old"] == [ChangeReason.MISSING]


def test_a_queue_that_cannot_expire_is_missing() -> None:
    """Whoever deleted it."""
    assert not PlanWorld.in_sync(declared()).remove("queue:old").plan(leaves_expired=True).in_sync
