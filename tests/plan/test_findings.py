"""Drift that no write repairs: policies in effect, plain-text listeners, policies that would end the lock."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from letrade_topo.broker.objects import Address, Policy
from letrade_topo.broker.state import Listener, QueueStatus
from letrade_topo.plan.findings import Finding
from tests.plan.worlds import World
from tests.topologies import loaded, orders

TLS = (Listener("amqp/ssl", "::", 5671), Listener("https", "::", 15671), Listener("clustering", "::", 25672))


def findings(world: World) -> list[tuple[str, str]]:
    """The name and address of each finding."""
    plan = world.plan()
    assert plan.is_empty
    assert plan.in_sync == (not plan.findings)
    return [(finding.name, finding.address) for finding in plan.findings]


@pytest.mark.parametrize("ownership", ["exclusive", "shared"])
@pytest.mark.parametrize("queue", ["clerk.orders", "clerk.orders.retry.1", "letrade.dlq"])
def test_another_policy_in_effect_is_found(queue: str, ownership: str) -> None:
    """A policy of higher priority takes the declared one's place, also where there should be none."""
    world = World.in_sync(orders(ownership=ownership))
    assert findings(world) == []
    world.status[queue] = QueueStatus(policy="by-hand")
    assert findings(world) == [("policy-effect", f"queue:{queue}")]


def test_a_declared_policy_may_take_effect() -> None:
    """The topology's own policies decide among themselves."""
    declared = {"pattern": "^clerk", "definition": {"max-length": 5}, "priority": 9}
    world = World.in_sync(orders(policies={"own": declared}))
    world.status["clerk.orders"] = QueueStatus(policy="own")
    assert findings(world) == []


def test_a_policy_that_the_plan_repairs_is_not_reported_twice() -> None:
    """While the policy itself differs, its effect is no finding of its own."""
    world = World.in_sync(orders()).remove("policy:orders.consumer")
    world.status["clerk.orders"] = QueueStatus()
    plan = world.plan()
    assert [change.address for change in plan.changes] == ["policy:orders.consumer"]
    assert not plan.findings


def test_an_operator_policy_on_a_queue_of_ours_is_found() -> None:
    """It changes limits, and the tool never writes operator policies."""
    world = World.in_sync(orders())
    world.status["clerk.orders"] = replace(world.status["clerk.orders"], operator_policy="cap")
    assert findings(world) == [("operator-policy", "operator-policy:cap")]


@pytest.mark.parametrize(
    ("listener", "address"),
    [
        (Listener("amqp", "::", 5672, "rabbit@one"), "listener:amqp:5672"),
        (Listener("http", "192.0.2.1", 15672), "listener:http:15672"),
        (Listener("mqtt", "::", 1883), "listener:mqtt:1883"),
        (Listener("stream", "::", 5552), "listener:stream:5552"),
    ],
    ids=lambda one: getattr(one, "protocol", ""),
)
def test_a_plain_listener_is_found_where_tls_is_required(listener: Listener, address: str) -> None:
    """With its protocol, its port and what to do; listeners with TLS and the cluster's own are fine."""
    world = World.in_sync(orders())
    world.listeners = TLS
    assert findings(world) == []
    world.listeners = (*TLS, listener)
    assert findings(world) == [("plain-listener", address)]
    world = World.in_sync(orders(security={"tls": {"required": False, "client_certificates": True}}))
    world.listeners = (*TLS, listener)
    assert findings(world) == []


def test_findings_can_be_ignored_by_address() -> None:
    """As objects can."""
    world = World.in_sync(orders(ignore=["listener:http:*"]))
    world.listeners = (Listener("http", "::", 15672), Listener("amqp", "::", 5672))
    assert findings(world) == [("plain-listener", "listener:amqp:5672")]


def test_each_finding_says_what_to_do() -> None:
    """None is a bare fact."""
    world = World.in_sync(orders())
    world.listeners = (Listener("amqp", "fe80::1", 5672, "rabbit@one"),)
    world.status["clerk.orders"] = QueueStatus(policy="by-hand", operator_policy="cap")
    found: list[Finding] = list(world.plan().findings)
    assert len(found) == 3
    assert all(one.fix and one.text for one in found)
    assert any("[fe80::1]:5672 of rabbit@one" in one.text for one in found)


@pytest.mark.parametrize(
    ("pattern", "apply_to", "definition", "hazard"),
    [
        (".*", "all", {"expires": 1000}, True),
        ("", "queues", {"expires": 1000, "max-length": 5}, True),
        ("^letrade-topo", "queues", {"expires": 1000}, True),
        (r"^(?!letrade-topo\.)", "queues", {"expires": 1000}, False),
        (".*", "exchanges", {"expires": 1000}, False),
        (".*", "all", {"message-ttl": 1000}, False),
        ("^orders", "all", {"expires": 1000}, False),
        ("(?P>unreadable", "all", {"expires": 1000}, True),
    ],
)
def test_a_policy_that_would_end_the_lock_is_a_hazard(
    pattern: str, apply_to: str, definition: dict[str, Any], hazard: bool
) -> None:
    """An `expires` that matches the lock's queue would free it while a run goes on."""
    policy = Policy("by-hand", pattern, apply_to, definition)
    assert bool(World.in_sync(orders(ownership="shared")).add(policy).plan().lock_hazards) is hazard
    world = World.in_sync(orders())
    world.operator_policies = ({"name": "op", **policy.attributes},)
    assert bool(world.plan().lock_hazards) is hazard


def test_a_declared_policy_that_would_end_the_lock_is_a_hazard_before_it_is_made() -> None:
    """Else the first run would make it under its own lock, and every later one would be refused."""
    declared = {"pattern": ".*", "definition": {"expires": 1000}}
    assert World(loaded(orders(policies={"own": declared}))).plan().lock_hazards
    fine = {"pattern": "^x", "definition": {"expires": 1000}}
    assert not World(loaded(orders(policies={"own": fine}))).plan().lock_hazards


def test_a_policy_of_another_kind_of_queue_is_no_hazard() -> None:
    """The lock is a classic queue."""
    policy = Policy("by-hand", ".*", "quorum_queues", {"expires": 1000})
    assert not World.in_sync(orders(ownership="shared")).add(policy).plan().lock_hazards
    assert Address("policy:by-hand") == policy.address
