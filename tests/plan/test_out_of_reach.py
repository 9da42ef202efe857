"""Differences that a login may only read: who can change them, and what is refused because nobody could repair it."""

from __future__ import annotations

from dataclasses import replace

import pytest

from letrade_topo.broker.reach import LoginReach, Width
from letrade_topo.management.reading import QueueCounts
from letrade_topo.plan.plan import Plan
from letrade_topo.plan.prepare import plan_for
from tests.plan.worlds import PlanWorld
from tests.topologies import orders


def planned(world: PlanWorld, *tags: str, wanted: Width | None = None, allow: tuple[str, ...] = ()) -> Plan:
    """A plan for the world as a login of these tags sees it."""
    reach = LoginReach.of(tags, wanted)
    live = world.live
    seen = {address: thing for address, thing in live.objects.items() if reach.reads(thing.kind)}
    empty = {name: QueueCounts(0, 0) for name in live.queues}
    return plan_for(replace(live, objects=seen, reach=reach), world.request(*allow), lambda: empty)


@pytest.mark.parametrize("tag", ["management", "monitoring"])
def test_a_policy_that_may_only_be_read(tag: str) -> None:
    """A finding, not a change; it is drift all the same."""
    world = PlanWorld.in_sync(orders()).remove("policy:orders.consumer")
    plan = planned(world, tag)
    assert not plan.changes
    (found,) = [one for one in plan.findings if one.name == "out-of-reach"]
    assert (found.address, found.fix) == (
        "policy:orders.consumer",
        "a login with the tag `policymaker` can change it",
    )
    assert not plan.in_sync


def test_an_administrator_who_asked_for_less() -> None:
    """Users are compared; a difference is for a run that looks at everything."""
    world = PlanWorld.in_sync(orders()).remove("user:orders-shop")
    plan = planned(world, "administrator", wanted=Width.VHOST)
    assert not plan.changes
    assert {one.fix for one in plan.findings} == {"a run without `--scope vhost` can change it"}


def test_what_is_not_looked_at_stays_owned() -> None:
    """Users that the record owns are neither deleted nor forgotten when the topology drops them."""
    world = PlanWorld.in_sync(orders()).declare(orders(services=None, queues=None))
    plan = planned(world, "policymaker", allow=("delete-many",))
    assert not any(change.address.startswith("user:") for change in plan.changes)
    assert {"user:orders-shop", "user:orders-clerk"} <= plan.owned_afterwards


def test_a_topic_exchange_is_not_made_again_blindly() -> None:
    """Its topic permissions would go with it from 4.0 on, unseen; before, they stay."""
    document = orders()
    world = PlanWorld.in_sync(document)
    document["exchanges"]["orders"]["durable"] = False
    changed = world.declare(document)
    refused = planned(changed, "management", allow=("replace",)).refusals
    assert any("its users might then use every key" in one.why for one in refused)
    older = planned(replace(changed, version="3.10.8"), "management", allow=("replace",)).refusals
    assert not any("every key" in one.why for one in older)
