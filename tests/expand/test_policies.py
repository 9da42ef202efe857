"""Policies: one for each role and one for each different set of limits, however many queues there are."""

from __future__ import annotations

import hashlib
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
    assert policy.definition == {"delivery-limit": 30, "max-length": 10}


def test_no_limit_is_among_the_arguments() -> None:
    """An argument would beat the policy for ever."""
    state = expanded(loaded(with_queue(max_length=10, delivery_limit=3)))
    for one in state.objects.values():
        if isinstance(one.object, Queue):
            assert not {"x-max-length", "x-delivery-limit", "x-expires"} & set(one.object.arguments)


@pytest.mark.parametrize("count", [1, 20, 300])
@pytest.mark.parametrize("ownership", ["exclusive", "shared"])
@pytest.mark.parametrize("version", VERSIONS)
def test_the_patterns_give_each_queue_exactly_the_policy_that_is_meant(
    version: str, ownership: str, count: int
) -> None:
    """However many there are, whatever they are called, and whatever their limits; none grows with their number."""
    state = expanded(loaded(with_many(count) | {"ownership": ownership, "queues": mixed(count)}), version)
    for policy in policies(state).values():
        assert re.fullmatch(r"\^.*\$", policy.pattern)
        assert len(policy.pattern.encode()) <= 1024
    assert len(policies(state)) <= 7
    for queue in queues(state):
        assert in_effect(state, queue) == state.policies[queue]
    for stranger in ("amq.gen-x", "letrade-topo.lock.orders", "clerk.reply.1", "clerk.sub.q1"):
        assert in_effect(state, stranger) is None


def mixed(count: int) -> Document:
    """That many queues of every kind that policies tell apart, some with names that are hard to tell apart."""
    kinds: list[Document] = [
        {},
        {"retry": "none"},
        {"max_length": 5},
        {"delivery_limit": -1, "retry": "none"},
        {"max_length": 5, "expires": "1h", "dead_letter": "none"},
        {"type": "classic", "dead_letter": "none"},
        {"type": "stream", "dead_letter": "none"},
        {"type": "classic", "dead_letter": "none", "max_length": 5},
    ]
    queues = {f"clerk.{number % len(kinds)}.q{number}": kinds[number % len(kinds)] for number in range(count)}
    hard = ["a+b|c(d)[e]{f}$^*?\\g", "x.rejected", "x.retry.1", "큐", "큐q", "a.reply.1", "q", "q1"]
    queues |= {f"shop.{name}": kinds[number] for number, name in enumerate(hard)}
    return {name: {"service": "clerk", "messages": ["order.placed"], **kind} for name, kind in queues.items()}


def test_queues_of_the_same_limits_share_a_policy_that_is_called_as_the_first_of_them() -> None:
    """So an edit of the limits is an update in place, and one queue has the policy that it always had."""
    document = with_many(40)
    limits = {name: 5 if int(name.removeprefix("clerk.q")) < 30 else 6 for name in document["queues"]}
    document["queues"] = {name: {**document["queues"][name], "max_length": limit} for name, limit in limits.items()}
    found = policies(expanded(loaded(document)))
    assert {name for name in found if ".queue." in name} == {"orders.queue.clerk.q0", "orders.queue.clerk.q30"}
    for queue in document["queues"].values():
        queue["max_length"] += 10
    edited = policies(expanded(loaded(document)))
    assert edited.keys() == found.keys()
    assert [edited[name].pattern for name in edited] == [found[name].pattern for name in edited]


@pytest.mark.wide
def test_where_one_pattern_cannot_name_the_queues_there_are_as_few_policies_as_possible() -> None:
    """Names without anything in common, among names that are like them: still every queue has its own limits."""
    digests = [hashlib.sha256(str(number).encode()).hexdigest()[:12] for number in range(1000)]
    queue = {"service": "clerk", "messages": ["order.placed"], "dead_letter": "none"}
    document = orders(queues={name: {**queue, "max_length": 5 + number % 2} for number, name in enumerate(digests)})
    for one in document["queues"].values():
        del one["service"]  # no permission could name them
    state = expanded(loaded(document))
    own = [policy for name, policy in policies(state).items() if ".queue." in name]
    assert 2 < len(own) < 40
    assert all(len(policy.pattern.encode()) <= 1024 for policy in own)
    for name in queues(state):
        assert in_effect(state, name) == state.policies[name]


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("count", [10, 70, 200])
def test_one_more_queue_changes_no_policy(count: int, version: str) -> None:
    """In a vhost of its own: queues come and go, and no policy has to be matched against all of them again."""
    before = policies(expanded(loaded(with_many(count)), version))
    document = with_many(count)
    document["queues"] = {"aaa": document["queues"]["clerk.q0"], **document["queues"]}
    assert policies(expanded(loaded(document), version)) == before


def test_consumers_have_no_policy_where_the_broker_has_their_limit_by_itself() -> None:
    """20 from 4.0 on; before, there is none, and a topology that wants none needs no policy either."""
    default = orders(limits=None)
    assert set(policies(expanded(loaded(default), "4.0.5"))) == {"orders.waiting"}
    assert set(policies(expanded(loaded(default), "3.10.8"))) == {"orders.consumer"}
    unlimited = orders(limits={"delivery_limit": -1})
    assert set(policies(expanded(loaded(unlimited), "4.0.5"))) == {"orders.waiting", "orders.consumer"}
    assert set(policies(expanded(loaded(unlimited), "3.10.8"))) == set()


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


def test_what_is_given_back_is_held_back_where_the_broker_can() -> None:
    """By the policy of the consumers, which then is needed although the limit is the broker's own; 4.3.1 and newer."""
    document = orders(limits={"redelivery_delay": "2s"})
    document["queues"]["clerk.slow"] = document["queues"][QUEUE] | {"redelivery_delay": "5m"}
    held = {"delayed-retry-type": "all", "delayed-retry-min": 2_000, "delayed-retry-max": 20_000}
    new, old = expanded(loaded(document), "4.3.1"), expanded(loaded(document), "4.3.0")
    assert policies(new)[new.policies[QUEUE] or ""].definition == {"delivery-limit": 20, **held}
    slow = policies(new)[new.policies["clerk.slow"] or ""].definition
    assert slow == {"delivery-limit": 20, **held, "delayed-retry-min": 300_000, "delayed-retry-max": 3_000_000}
    assert not any("delayed" in str(policy.definition) for policy in policies(old).values())
    assert [notice.name for notice in (*new.notices, *old.notices)] == ["redelivery-not-delayed"]
    waits = {new.policies[name] for name in queues(new) if name.endswith((".rejected", ".dlq"))}
    assert not any("delayed" in str(policies(new)[name or ""].definition) for name in waits)
