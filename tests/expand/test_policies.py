"""Policies: one shared per role, more only for large topologies, one of its own for a queue with limits."""

from __future__ import annotations

import re
from typing import Any

import pytest

from letrade_topo.broker.objects import Policy, Queue
from letrade_topo.expand.desired import DesiredState
from tests.topologies import VERSIONS, Document, expanded, loaded, orders, shipped

QUEUE = "clerk.orders"


def with_queue(**queue: Any) -> Document:
    """The orders topology with these settings on its one queue."""
    document = orders()
    document["queues"][QUEUE].update(queue)
    return document


def with_many(count: int) -> Document:
    """The orders topology with that many queues."""
    queue = {"service": "clerk", "messages": ["order.placed"], "retry": "none"}
    return orders(queues={f"clerk.q{number}": queue for number in range(count)})


def policies(state: DesiredState) -> dict[str, Policy]:
    """All policies by name."""
    things = (one.object for one in state.objects.values())
    return {thing.name: thing for thing in things if isinstance(thing, Policy)}


def queues(state: DesiredState) -> list[str]:
    """The names of all queues."""
    return [one.object.name for one in state.objects.values() if isinstance(one.object, Queue)]


def in_effect(state: DesiredState, queue: str) -> str | None:
    """The policy that RabbitMQ would choose: of those that match, the one of the highest priority."""
    matching = [policy for policy in policies(state).values() if re.search(policy.pattern, queue)]
    assert len({policy.priority for policy in matching}) == len(matching), "equal priorities: any could win"
    return max(matching, key=lambda policy: policy.priority).name if matching else None


def test_consumer_queues_share_a_delivery_limit() -> None:
    """One policy sets the topology's limit on every consumer queue without limits of its own."""
    policy = policies(expanded(loaded(orders(limits={"delivery_limit": 7}))))["orders.consumer"]
    assert policy.definition == {"delivery-limit": 7}
    assert policy.apply_to == "queues"


def test_waiting_queues_are_unlimited_by_policy_where_the_broker_knows_it() -> None:
    """From 4.0 a quorum queue has a limit by default, which would drop what people only look at; 3.10 has none."""
    assert policies(expanded(loaded(orders()), "4.0.5"))["orders.waiting"].definition == {"delivery-limit": -1}
    assert "orders.waiting" not in policies(expanded(loaded(orders()), "3.10.8"))


def test_limits_of_its_own_become_a_policy_of_its_own_that_wins() -> None:
    """Length, delivery limit and expiry are a policy, so that editing them is no redeclare."""
    limits = {"max_length": 10, "max_length_bytes": "1KiB", "delivery_limit": 3, "expires": "1h"}
    state = expanded(loaded(with_queue(**limits)))
    policy = policies(state)[f"orders.queue.{QUEUE}"]
    assert policy.definition == {
        "delivery-limit": 3,
        "max-length": 10,
        "max-length-bytes": 1024,
        "expires": 3_600_000,
    }
    assert "orders.consumer" not in policies(state)


def test_a_policy_of_its_own_keeps_the_topologys_delivery_limit() -> None:
    """A queue is under one policy only, so what it does not say itself must be in its own policy too."""
    policy = policies(expanded(loaded(with_queue(max_length=10))))[f"orders.queue.{QUEUE}"]
    assert policy.definition == {"delivery-limit": 20, "max-length": 10}


def test_no_limit_is_among_the_arguments() -> None:
    """An argument would beat the policy for ever."""
    state = expanded(loaded(with_queue(max_length=10, delivery_limit=3)))
    for one in state.objects.values():
        if isinstance(one.object, Queue):
            assert not {"x-max-length", "x-delivery-limit", "x-expires"} & set(one.object.arguments)


@pytest.mark.parametrize("count", [1, 64, 65, 300])
@pytest.mark.parametrize("version", VERSIONS)
def test_the_patterns_give_each_queue_exactly_the_policy_that_is_meant(version: str, count: int) -> None:
    """Each pattern is anchored and matches its own queues and no other; so do names with special characters."""
    document = with_many(count)
    document["queues"]["clerk.a+b|c(d)[e]{f}$^*?\\g"] = {"service": "clerk", "messages": ["order.placed"]}
    document["queues"]["clerk.q1x"] = {"service": "clerk", "messages": ["order.placed"], "max_length": 5}
    state = expanded(loaded(document), version)
    for policy in policies(state).values():
        assert re.fullmatch(r"\^\(\?:.*\)\$", policy.pattern)
    for queue in queues(state):
        assert in_effect(state, queue) == state.policies[queue]
        for stranger in (f"x{queue}", f"{queue}x", queue.replace(".", "-", 1)):
            assert stranger in queues(state) or in_effect(state, stranger) is None


def test_a_large_topology_has_several_policies_of_bounded_size() -> None:
    """No pattern grows with the topology: PCRE refuses compiled ones over 64 KiB."""
    found = [policy for policy in policies(expanded(loaded(with_many(1000)))).values() if "consumer" in policy.name]
    assert len(found) == 16
    assert max(policy.pattern.count("|") for policy in found) < 2 * 64


@pytest.mark.parametrize("count", [10, 70, 200])
def test_one_more_queue_changes_one_policy_of_each_role(count: int) -> None:
    """Names decide where a queue goes, not their order or number."""
    before = policies(expanded(loaded(with_many(count)), "3.10.8"))
    document = with_many(count)
    document["queues"] = {"aaa": document["queues"]["clerk.q0"], **document["queues"]}
    after = policies(expanded(loaded(document), "3.10.8"))
    assert len(before) == len(after)
    assert sum(before[name] != after[name] for name in before) == 1


def test_a_declared_policy_reaches_the_broker_as_written() -> None:
    """Declared policies are neither anchored nor changed."""
    declared = {"pattern": "^x", "apply_to": "exchanges", "definition": {"alternate-exchange": "orders"}, "priority": 3}
    policy = policies(expanded(loaded(orders(policies={"mine": declared}))))["mine"]
    assert policy == Policy("mine", "^x", "exchanges", {"alternate-exchange": "orders"}, 3)


@pytest.mark.parametrize("version", VERSIONS)
def test_every_queue_of_the_topology_has_an_expectation(version: str) -> None:
    """A queue that should be under no policy is expected so, or a policy made by hand would go unseen there."""
    state = expanded(shipped(), version)
    assert set(queues(state)) == set(state.policies)
    assert all(state.policies[queue] is None for queue in queues(state) if ".retry." in queue)
