"""What differs and what nobody declared: which is which, and that the two are the whole."""

from __future__ import annotations

import pytest

from letrade_topo.broker.objects import Binding, Permission, Policy, Queue
from letrade_topo.broker.parameters import Parameter
from letrade_topo.broker.state import LiveListener, QueueStatus
from letrade_topo.plan.drift import DriftKind, DriftReport, counts, kind_of, part
from letrade_topo.plan.plan import Plan
from tests.plan.worlds import PlanWorld
from tests.topologies import orders

DIFFERS, UNDECLARED = DriftKind.DIFFERS, DriftKind.UNDECLARED


def addresses(plan: Plan) -> set[str]:
    """What a plan names."""
    changed = {change.address for change in (*plan.changes, *plan.unmanaged)}
    return {str(address) for address in changed | {finding.address for finding in plan.findings}}


def told_apart(plan: Plan) -> dict[DriftKind, set[str]]:
    """What is of each kind; as many as are counted."""
    found = {kind: addresses(part(plan, kind)) for kind in DriftKind}
    assert {kind: len(named) for kind, named in found.items()} == counts(plan)
    return found


def test_nothing_is_neither() -> None:
    """In sync whichever is asked for."""
    plan = PlanWorld.in_sync(orders()).plan()

    assert counts(plan) == {DIFFERS: 0, UNDECLARED: 0}
    assert all(DriftReport(plan, only).is_clean for only in (None, *DriftKind))


def test_objects() -> None:
    """Missing, different and dropped from the file: that differs. Made by hand: undeclared, in an exclusive vhost."""
    world = PlanWorld.in_sync(orders()).remove("permission:orders-shop")
    world.add(
        Permission("orders-clerk", ".*", ".*", ".*"), Queue("stranger"), Binding("orders", "queue", "stranger", "#")
    )

    found = told_apart(world.plan())

    assert found == {DIFFERS: {"permission:orders-shop", "permission:orders-clerk"}, UNDECLARED: {"queue:stranger"}}


def test_what_the_file_has_dropped_is_no_stranger() -> None:
    """This tool made it, and `apply` deletes it."""
    plan = PlanWorld.in_sync(orders(users={"ops": {"tags": ["monitoring"]}})).declare(orders()).plan()

    assert told_apart(plan) == {DIFFERS: {"user:ops"}, UNDECLARED: set()}


def test_a_binding_by_hand_stays_undeclared_when_its_queue_is_made_again() -> None:
    """In the plan it is a change, to be made again with the queue; with the queue in order it would be there too."""
    document = orders()
    document["queues"]["clerk.orders"]["single_active_consumer"] = True
    by_hand = Binding("orders", "queue", "clerk.orders", "by.hand")
    world = PlanWorld.in_sync(orders()).declare(document).add(by_hand)

    plan = world.plan()
    found = told_apart(plan)

    assert by_hand.address in {change.address for change in plan.changes}
    assert found[UNDECLARED] == {by_hand.address}
    assert "queue:clerk.orders" in found[DIFFERS]
    assert not part(plan, UNDECLARED).changes


def test_findings() -> None:
    """Each counts for what it is about: queue, listener and vhost differ, what others have set is undeclared."""
    world = PlanWorld.in_sync(orders())
    world.listeners = (LiveListener("amqp", "::", 5672),)
    world.is_traced = True
    world.parameters = (Parameter("shovel", "away", {"src-queue": "clerk.orders"}),)
    world.operator_policies = ({"name": "cap", "pattern": ".*", "definition": {"max-length": 1}, "apply-to": "queues"},)
    was = world.status["clerk.orders"]
    world.status["clerk.orders"] = QueueStatus(policy=was.policy, operator_policy="cap", state="minority")
    rival = Policy("rival", "^clerk", "queues", {"max-length": 9}, _priority(world, was.policy))
    world.add(rival)

    plan = world.plan()

    assert {(one.name, kind_of(one, plan.desired)) for one in plan.findings} == {
        ("plain-listener", DIFFERS),
        ("tracing", DIFFERS),
        ("queue-state", DIFFERS),
        ("parameter", UNDECLARED),
        ("operator-policy", UNDECLARED),
        ("policy-tie", UNDECLARED),
    }
    found = {kind: {one.name for one in part(plan, kind).findings} for kind in DriftKind}
    assert found[DIFFERS] == {"plain-listener", "tracing", "queue-state"}
    assert found[UNDECLARED] == {"parameter", "operator-policy", "policy-tie"}
    assert [one.address for one in part(plan, UNDECLARED).unmanaged] == ["policy:rival"]


def _priority(world: PlanWorld, name: str | None) -> int:
    policy = world.objects[Policy(str(name), "", "", {}).address]
    assert isinstance(policy, Policy)
    return policy.priority


@pytest.mark.parametrize("only", DriftKind)
def test_what_is_asked_for_decides_alone(only: DriftKind) -> None:
    """With one of them found, asking for the other finds nothing, and for both something."""
    world = PlanWorld.in_sync(orders())
    if only is DIFFERS:
        world.add(Queue("stranger"))
    else:
        world.remove("queue:clerk.orders")
    plan = world.plan()

    assert DriftReport(plan, only).is_clean
    assert not DriftReport(plan, DIFFERS if only is UNDECLARED else UNDECLARED).is_clean
    assert not DriftReport(plan).is_clean
