"""Drift that no write repairs: policies in effect, plain-text listeners, policies that would end the lock."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from letrade_topo.broker.objects import Address, Binding, BrokerObject, Exchange, Policy, Queue
from letrade_topo.broker.parameters import Parameter
from letrade_topo.broker.state import LiveListener, QueueStatus
from letrade_topo.plan.findings import Finding
from tests.plan.worlds import PlanWorld
from tests.topologies import loaded, orders

TLS = (
    LiveListener("amqp/ssl", "::", 5671),
    LiveListener("https", "::", 15671),
    LiveListener("clustering", "::", 25672),
)


def findings(world: PlanWorld) -> list[tuple[str, str]]:
    """The name and address of each finding."""
    plan = world.plan()
    assert plan.is_empty
    assert plan.in_sync == (not plan.findings)
    return [(finding.name, finding.address) for finding in plan.findings]


@pytest.mark.parametrize("ownership", ["exclusive", "shared"])
@pytest.mark.parametrize("queue", ["clerk.orders", "clerk.orders.retry.1", "letrade.dlq"])
def test_another_policy_in_effect_is_found(queue: str, ownership: str) -> None:
    """A policy of higher priority takes the declared one's place, also where there should be none."""
    world = PlanWorld.in_sync(orders(ownership=ownership))
    assert findings(world) == []
    world.status[queue] = QueueStatus(policy="by-hand")
    assert findings(world) == [("policy-effect", f"queue:{queue}")]


def declared(pattern: str, definition: dict[str, Any], priority: int = 9) -> PlanWorld:
    """A broker on which the policy `own` is as declared."""
    return PlanWorld.in_sync(
        orders(policies={"own": {"pattern": pattern, "definition": definition, "priority": priority}})
    )


def test_a_declared_policy_may_take_effect() -> None:
    """The topology's own policies decide among themselves, as long as no limit is lost."""
    world = declared("^clerk.orders$", {"max-length": 5, "delivery-limit": 30})
    world.status["clerk.orders"] = QueueStatus(policy="own")
    assert findings(world) == []


@pytest.mark.parametrize("queue", ["clerk.orders", "clerk.orders.rejected", "clerk.orders.retry.1", "letrade.dlq"])
def test_a_declared_policy_that_takes_limits_away_is_found(queue: str) -> None:
    """Also one that could not be judged beforehand, as its pattern is one that only the broker reads."""
    world = declared("[[:alpha:]]", {"max-length": 5})
    world.status[queue] = QueueStatus(policy="own")
    assert findings(world) == [("policy-effect", f"queue:{queue}")]
    (finding,) = world.plan().findings
    assert "delivery-limit is not" in finding.text or queue.endswith("retry.1")
    assert "is lost by max-length" in finding.text or queue == "clerk.orders"


def test_a_declared_policy_in_effect_on_nothing_is_found() -> None:
    """With the key that keeps all of it off; one that only waits behind a stronger one is as declared."""
    topology = orders(
        exchanges={"orders": {}, "other": {}}, policies={"own": {"pattern": "^x", "definition": {"a": 1}}}
    )
    world = PlanWorld.in_sync(topology)
    assert findings(world) == []  # it matches nothing
    world = declared("^clerk.orders$", {"max-length": 5}, priority=0)
    assert findings(world) == []
    world = declared(r"^clerk\.orders\.retry\.[[:digit:]]$", {"queue-mode": "lazy", "overflow": "drop-head"})
    assert findings(world) == [("policy-unjudged", "policy:own")]
    world.matched = {world.topology.policies["own"].pattern: frozenset({"clerk.orders.retry.1"})}
    assert findings(world) == [("policy-effect", "policy:own")]
    assert "queue-mode is not taken there" in world.plan().findings[0].text
    world.status["clerk.orders.retry.1"] = QueueStatus(policy="own")
    assert findings(world) == []


@pytest.mark.parametrize(
    ("policy", "found"),
    [
        (Policy("theirs", "^clerk", "queues", {"max-length": 1}, 2), True),
        (Policy("theirs", "^clerk.orders$", "queues", {"max-length": 1}, 1), False),
        (Policy("theirs", "^shop", "queues", {"max-length": 1}, 2), False),
        (Policy("theirs", "^clerk", "exchanges", {"max-length": 1}, 2), False),
        (Policy("theirs", "^clerk", "queues", {"max-age": "1D"}, 2), False),
    ],
)
def test_a_foreign_policy_of_the_same_priority_is_found(policy: Policy, found: bool) -> None:
    """The broker applies any one of two that tie, today ours."""
    document = orders(ownership="shared")
    document["queues"]["clerk.orders"]["max_length"] = 7
    world = PlanWorld.in_sync(document).add(policy)
    assert findings(world) == ([("policy-tie", "policy:theirs")] if found else [])


def test_a_foreign_policy_on_an_exchange_is_found() -> None:
    """An alternate exchange or a federation by policy changes where messages go."""
    world = PlanWorld.in_sync(orders(ownership="shared"))
    world.exchange_policies = {"orders": "by-hand", "amq.topic": "theirs"}
    assert findings(world) == [("policy-effect", "exchange:orders")]
    world = PlanWorld.in_sync(orders(ownership="shared", ignore=["policy:by-*"]))
    world.exchange_policies = {"orders": "by-hand"}
    assert findings(world) == []


@pytest.mark.parametrize(
    "things",
    [
        [Binding("letrade.retry", "queue", "clerk.orders", "#")],
        [Binding("letrade.dlq", "queue", "clerk.orders", "order.#")],
        [Binding("letrade.retry", "queue", "clerk.orders.retry.1", "*.*.rejected")],
        [Exchange("e", "fanout"), Binding("letrade.dlq", "exchange", "e", "#"), Binding("e", "queue", "clerk.orders")],
        [
            Queue("back", arguments={"x-dead-letter-exchange": "", "x-dead-letter-routing-key": "clerk.orders"}),
            Binding("letrade.retry", "queue", "back", "clerk.orders.rejected"),
        ],
        [
            Queue("by-policy"),
            Policy("p", "^by", "all", {"dead-letter-exchange": "orders", "dead-letter-routing-key": "order.placed"}),
            Binding("letrade.retry", "queue", "by-policy", "clerk.orders.rejected"),
        ],
        [
            Exchange("e", "direct", arguments={"alternate-exchange": "orders"}),
            Binding("letrade.dlq", "exchange", "e", "#"),
            Binding("orders", "queue", "clerk.orders", "#"),
        ],
    ],
    ids=["retry", "dlq", "step", "exchange", "queue", "policy", "alternate"],
)
@pytest.mark.parametrize("ownership", ["exclusive", "shared"])
def test_a_circle_of_dead_letters_is_found(things: list[BrokerObject], ownership: str) -> None:
    """Made by hand, over bindings, exchanges, queues and policies, whoever owns the vhost."""
    world = PlanWorld.in_sync(orders(ownership=ownership)).add(*things)
    if any(isinstance(thing, Policy) for thing in things):
        world.status["by-policy"] = QueueStatus(policy="p")
    (finding,) = world.plan().findings
    assert (finding.name, finding.address) == ("dead-letter-cycle", "queue:clerk.orders")
    assert "'clerk.orders' → " in finding.text


@pytest.mark.parametrize(
    "things",
    [
        [Binding("letrade.dlq", "queue", "letrade.dlq", "x"), Binding("letrade.retry", "queue", "letrade.dlq", "#")],
        [Queue("audit"), Binding("letrade.dlq", "queue", "audit", "#"), Binding("orders", "queue", "audit", "#")],
        [Binding("letrade.retry", "queue", "clerk.orders", "other.rejected")],
        [Queue("theirs", arguments={"x-dead-letter-exchange": "", "x-dead-letter-routing-key": "theirs"})],
    ],
)
def test_what_leads_to_rest_is_no_circle(things: list[BrokerObject]) -> None:
    """Copies of dead letters, keys of others, and circles of others in a vhost that is not ours alone."""
    assert findings(PlanWorld.in_sync(orders(ownership="shared")).add(*things)) == []


def test_an_operator_policy_that_nobody_can_judge_is_said() -> None:
    """Rather than passed over."""
    world = PlanWorld.in_sync(orders())
    world.operator_policies = ({"name": "op", "pattern": "[[:alpha:]]", "definition": {"message-ttl": 1}},)
    assert findings(world) == [("policy-unjudged", "operator-policy:op")]
    world.matched = {"[[:alpha:]]": frozenset()}
    assert findings(world) == []


def test_a_policy_that_the_plan_repairs_is_not_reported_twice() -> None:
    """While the policy itself differs, its effect is no finding of its own."""
    world = PlanWorld.in_sync(orders()).remove("policy:orders.consumer")
    world.status["clerk.orders"] = QueueStatus()
    plan = world.plan()
    assert [change.address for change in plan.changes] == ["policy:orders.consumer"]
    assert not plan.findings


def test_an_operator_policy_on_a_queue_of_ours_is_found() -> None:
    """It changes limits, and the tool never writes operator policies."""
    world = PlanWorld.in_sync(orders())
    world.status["clerk.orders"] = replace(world.status["clerk.orders"], operator_policy="cap")
    assert findings(world) == [("operator-policy", "operator-policy:cap")]


@pytest.mark.parametrize(
    ("status", "name"),
    [
        (QueueStatus(exclusive=True), "exclusive-queue"),
        (QueueStatus(state="down"), "queue-state"),
        (QueueStatus(state="minority"), "queue-state"),
        (QueueStatus(state="crashed"), "queue-state"),
    ],
)
def test_a_queue_that_cannot_be_used_is_found(status: QueueStatus, name: str) -> None:
    """As declared in all attributes, and of no use."""
    world = PlanWorld.in_sync(orders())
    world.status["clerk.orders"] = replace(status, policy=world.status["clerk.orders"].policy)
    assert findings(world) == [(name, "queue:clerk.orders")]
    world.status["clerk.orders"] = replace(world.status["clerk.orders"], exclusive=False, state="flow")
    assert findings(world) == []


def test_parameters_that_move_messages_are_found() -> None:
    """In a vhost of our own all of them, in a shared one those that touch what is ours; never with their secrets."""
    secret = "amqp://user:geheim@elsewhere"
    drain = Parameter("shovel", "drain/1", {"src-queue": "clerk.orders", "src-uri": secret, "dest-exchange": "orders"})
    theirs = Parameter("shovel", "theirs", {"src-queue": "x", "dest-queue": "y"})
    upstream = Parameter("federation-upstream", "up", {"uri": secret})
    world = PlanWorld.in_sync(orders(ownership="shared"))
    world.parameters = (drain, theirs, upstream)
    assert findings(world) == [("parameter", 'parameter:shovel/"drain/1"')]
    (finding,) = world.plan().findings
    assert "takes messages out of queue 'clerk.orders' and publishes to exchange 'orders'" in finding.text
    assert "geheim" not in repr(world.plan())
    world = PlanWorld.in_sync(orders(ignore=["parameter:shovel/*"]))
    world.parameters = (drain, theirs, upstream)
    assert findings(world) == [("parameter", "parameter:federation-upstream/up")]


def test_tracing_is_found() -> None:
    """Whoever may bind to the trace exchange reads everything."""
    world = PlanWorld.in_sync(orders())
    world.is_traced = True
    assert findings(world) == [("tracing", "vhost:orders")]


@pytest.mark.parametrize(
    ("listener", "address"),
    [
        (LiveListener("amqp", "::", 5672, "rabbit@one"), "listener:amqp:5672"),
        (LiveListener("http", "192.0.2.1", 15672), "listener:http:15672"),
        (LiveListener("mqtt", "::", 1883), "listener:mqtt:1883"),
        (LiveListener("stream", "::", 5552), "listener:stream:5552"),
    ],
    ids=lambda one: getattr(one, "protocol", ""),
)
def test_a_plain_listener_is_found_where_tls_is_required(listener: LiveListener, address: str) -> None:
    """With its protocol, its port and what to do; listeners with TLS and the cluster's own are fine."""
    world = PlanWorld.in_sync(orders())
    world.listeners = TLS
    assert findings(world) == []
    world.listeners = (*TLS, listener)
    assert findings(world) == [("plain-listener", address)]
    world = PlanWorld.in_sync(orders(security={"tls": {"required": False, "client_certificates": True}}))
    world.listeners = (*TLS, listener)
    assert findings(world) == []


def test_findings_can_be_ignored_by_address() -> None:
    """As objects can."""
    world = PlanWorld.in_sync(orders(ignore=["listener:http:*"]))
    world.listeners = (LiveListener("http", "::", 15672), LiveListener("amqp", "::", 5672))
    assert findings(world) == [("plain-listener", "listener:amqp:5672")]


def test_each_finding_says_what_to_do() -> None:
    """None is a bare fact."""
    world = PlanWorld.in_sync(orders())
    world.listeners = (LiveListener("amqp", "fe80::1", 5672, "rabbit@one"),)
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
    assert bool(PlanWorld.in_sync(orders(ownership="shared")).add(policy).plan().lock_hazards) is hazard
    world = PlanWorld.in_sync(orders())
    world.operator_policies = ({"name": "op", **policy.attributes},)
    assert bool(world.plan().lock_hazards) is hazard


def test_a_declared_policy_that_would_end_the_lock_is_a_hazard_before_it_is_made() -> None:
    """Else the first run would make it under its own lock, and every later one would be refused."""
    hazard = {"pattern": "^letrade-topo", "definition": {"expires": 1000}}
    assert PlanWorld(loaded(orders(policies={"own": hazard}))).plan().lock_hazards
    fine = {"pattern": "^x", "definition": {"expires": 1000}}
    assert not PlanWorld(loaded(orders(policies={"own": fine}))).plan().lock_hazards


def test_a_policy_of_another_kind_of_queue_is_no_hazard() -> None:
    """The lock is a classic queue."""
    policy = Policy("by-hand", ".*", "quorum_queues", {"expires": 1000})
    assert not PlanWorld.in_sync(orders(ownership="shared")).add(policy).plan().lock_hazards
    assert Address("policy:by-hand") == policy.address
