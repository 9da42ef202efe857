"""Queues that need no policy get one where somebody else's would apply to them."""

from __future__ import annotations

import pytest

from letrade_topo.broker.objects import Policy
from letrade_topo.broker.state import QueueStatus
from tests.plan.worlds import PlanWorld
from tests.topologies import orders

CONSUMER = "policy:orders.consumer"
HARM = {"max-length": 10, "expires": 1000}


def changes(world: PlanWorld) -> list[str]:
    """What a plan would do, in short."""
    return [f"{change.action} {change.address}" for change in world.plan().changes]


@pytest.mark.parametrize("ownership", ["exclusive", "shared"])
def test_a_policy_for_everything_does_not_reach_our_queues(ownership: str) -> None:
    """It was there first, or came later: the delivery limit becomes a policy, and goes with the reason for it."""
    world = PlanWorld.in_sync(orders(ownership=ownership, limits=None))
    assert changes(world) == []
    world.add(Policy("everything", "", "all", HARM))
    world.status["clerk.orders"] = QueueStatus(policy="everything")
    assert changes(world) == [f"create {CONSUMER}"]


def test_the_policy_of_an_earlier_version_stays_while_it_is_needed() -> None:
    """Its deletion would let another one in."""
    world = PlanWorld.in_sync(orders(ownership="shared")).declare(orders(ownership="shared", limits=None))
    world.add(Policy("everything", ".*", "queues", HARM))
    assert changes(world) == [f"update {CONSUMER}"]
    world.remove("policy:everything")
    assert changes(world) == [f"delete {CONSUMER}"]


@pytest.mark.parametrize(
    "harmless",
    [
        Policy("theirs", "^theirs", "queues", HARM),
        Policy("exchanges", "", "exchanges", {"alternate-exchange": "x"}),
        Policy("streams", "", "streams", {"max-age": "1D"}),
    ],
    ids=lambda policy: policy.name,
)
def test_others_are_none_of_our_business(harmless: Policy) -> None:
    """Nor is what the topology made itself."""
    world = PlanWorld.in_sync(orders(ownership="shared", limits=None)).add(harmless)
    assert changes(world) == []


def test_a_pattern_that_nobody_can_judge_might_match() -> None:
    """Unless the broker says that it does not."""
    world = PlanWorld.in_sync(orders(ownership="shared", limits=None)).add(Policy("odd", "[[:alpha:]]", "queues", HARM))
    assert changes(world) == [f"create {CONSUMER}"]
    world.matched = {"[[:alpha:]]": frozenset()}
    assert changes(world) == []


def test_a_policy_that_goes_is_no_reason() -> None:
    """One run is enough: what is made because of it would have to go again afterwards."""
    world = PlanWorld.in_sync(orders(limits=None)).add(Policy("everything", "", "all", HARM))
    plan = world.plan("delete-unmanaged=policy:everything")
    assert [f"{change.action} {change.address}" for change in plan.changes] == ["delete policy:everything"]
    world = world.declare(orders(limits=None, ignore=["policy:everything"]))
    plan = world.plan("delete-unmanaged")
    assert [f"{change.action} {change.address}" for change in plan.changes] == [f"create {CONSUMER}"]
