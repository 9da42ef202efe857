"""Queues bring their dead-letter wiring, their ladder and their bindings with them."""

from __future__ import annotations

from typing import Any

import pytest

from letrade_topo.broker.objects import Address, Binding, Queue
from letrade_topo.expand.desired import DesiredState
from letrade_topo.model.messages import Json
from tests.topologies import VERSIONS, Document, expanded, loaded, orders, shipped

QUEUE = "clerk.orders"


def with_queue(**queue: Any) -> Document:
    """The orders topology with these settings on its one queue."""
    document = orders()
    document["queues"][QUEUE].update(queue)
    return document


def arguments(state: DesiredState, queue: str) -> dict[str, Json]:
    """The arguments of a queue."""
    thing = state.objects[Address(f"queue:{queue}")].object
    assert isinstance(thing, Queue)
    return dict(thing.arguments)


def queues(state: DesiredState) -> set[str]:
    """The names of all queues."""
    return {one.object.name for one in state.objects.values() if isinstance(one.object, Queue)}


def bindings(state: DesiredState, destination: str) -> set[tuple[str, str]]:
    """Source and key of every binding to a queue."""
    things = (one.object for one in state.objects.values())
    return {
        (thing.source, thing.routing_key)
        for thing in things
        if isinstance(thing, Binding) and thing.destination == destination
    }


@pytest.mark.parametrize("version", VERSIONS)
def test_a_consumer_queue_is_a_quorum_queue_that_hands_over_what_it_rejects(version: str) -> None:
    """Wiring and overflow are arguments on every version, because a gap between policies loses messages."""
    assert arguments(expanded(loaded(orders()), version), QUEUE) == {
        "x-queue-type": "quorum",
        "x-overflow": "reject-publish",
        "x-dead-letter-exchange": "letrade.retry",
        "x-dead-letter-routing-key": "clerk.orders.rejected",
        "x-dead-letter-strategy": "at-least-once",
    }


@pytest.mark.parametrize("version", VERSIONS)
def test_the_shipped_ladder_waits_5_10_and_20_seconds_and_leads_back_to_the_same_queue(version: str) -> None:
    """Three delay queues for each consumer queue, one TTL each, back by the default exchange."""
    state = expanded(shipped(), version)
    ladders = {name for name in queues(state) if ".retry." in name}
    retried = {name.removesuffix(".rejected") for name in queues(state) if name.endswith(".rejected")}
    assert ladders == {f"{queue}.retry.{attempt}" for queue in retried for attempt in (1, 2, 3)}
    for ladder in ladders:
        queue, _, attempt = ladder.rpartition(".retry.")
        assert arguments(state, ladder) == {
            "x-queue-type": "quorum",
            "x-overflow": "reject-publish",
            "x-message-ttl": 5000 * 2 ** (int(attempt) - 1),
            "x-dead-letter-exchange": "",
            "x-dead-letter-routing-key": queue,
            "x-dead-letter-strategy": "at-least-once",
        }
        assert bindings(state, ladder) == {("letrade.retry", ladder)}


def test_where_messages_wait_nothing_expires_and_nothing_is_dropped() -> None:
    """`<queue>.rejected` and the dead-letter queue have no TTL, no target of their own and refuse when full."""
    state = expanded(loaded(orders()))
    for name in ("clerk.orders.rejected", "letrade.dlq"):
        assert arguments(state, name) == {"x-queue-type": "quorum", "x-overflow": "reject-publish"}
    assert bindings(state, "clerk.orders.rejected") == {("letrade.retry", "clerk.orders.rejected")}
    assert bindings(state, "letrade.dlq") == {("letrade.dlq", "#")}


def test_at_most_once_drops_its_oldest_and_has_neither_ladder_nor_dead_letter_exchange() -> None:
    """One full queue of ageing data must not refuse the publisher for all others, nor flood the dead letters."""
    state = expanded(loaded(with_queue(guarantee="at_most_once", max_length=10)))
    assert arguments(state, QUEUE) == {"x-queue-type": "quorum", "x-overflow": "drop-head"}
    assert queues(state) == {QUEUE, "letrade.dlq"}


def test_retry_none_hands_over_without_a_ladder() -> None:
    """A rejected message is dead at once, but still goes through `<queue>.rejected`."""
    state = expanded(loaded(with_queue(retry="none")))
    assert queues(state) == {QUEUE, f"{QUEUE}.rejected", "letrade.dlq"}
    assert arguments(state, QUEUE)["x-dead-letter-routing-key"] == f"{QUEUE}.rejected"


def test_a_queue_with_its_own_retry_has_its_own_delays() -> None:
    """Each delay is the multiplier times the one before, whatever the topology's own ladder is."""
    state = expanded(loaded(with_queue(retry={"max_retries": 2, "delay": "250ms", "multiplier": 10})))
    ladder = [arguments(state, f"{QUEUE}.retry.{attempt}")["x-message-ttl"] for attempt in (1, 2)]
    assert ladder == [250, 2500]
    assert f"{QUEUE}.retry.3" not in queues(state)


def test_a_dead_letter_target_of_its_own_replaces_the_ladder() -> None:
    """`dead_letter: {exchange, routing_key}` is used as it stands, at least once, and nothing is derived."""
    state = expanded(loaded(with_queue(dead_letter={"exchange": "letrade.dlq", "routing_key": "order.dead"})))
    assert queues(state) == {QUEUE, "letrade.dlq"}
    assert {name: value for name, value in arguments(state, QUEUE).items() if "dead-letter" in name} == {
        "x-dead-letter-exchange": "letrade.dlq",
        "x-dead-letter-routing-key": "order.dead",
        "x-dead-letter-strategy": "at-least-once",
    }


def test_a_queue_is_bound_with_the_narrowest_pattern_of_each_type() -> None:
    """A variable becomes `*` in the binding, also where it is only a part of a word."""
    document = orders()
    document["messages"]["order.eu_{shop}.paid"] = {"exchange": "orders", "lifetime": "1s"}
    document["services"]["shop"]["publishes"].append("order.eu_{shop}.paid")
    document["queues"][QUEUE]["messages"].append("order.eu_{shop}.paid")
    document["services"]["clerk"]["consumes"].append("order.eu_{shop}.paid")
    assert bindings(expanded(loaded(document)), QUEUE) == {
        ("orders", "order.placed"),
        ("orders", "order.*.changed"),
        ("orders", "order.*.paid"),
    }


def test_declared_arguments_reach_the_broker_as_they_are() -> None:
    """What the topology says under `arguments` is added to what is derived."""
    state = expanded(loaded(with_queue(arguments={"x-quorum-initial-group-size": 3}, single_active_consumer=True)))
    assert arguments(state, QUEUE)["x-quorum-initial-group-size"] == 3
    assert arguments(state, QUEUE)["x-single-active-consumer"] is True


def test_every_object_names_the_place_that_it_follows_from() -> None:
    """A plan can point at a line of the file for each object, derived ones too."""
    state = expanded(loaded(orders()))
    assert state.objects[Address("queue:clerk.orders.retry.1")].path == ("queues", QUEUE, "retry")
    assert state.objects[Address("permission:orders-clerk")].path == ("services", "clerk")
    assert all(one.path for one in state.objects.values())


def test_headers_bindings_of_one_pair_are_different_objects() -> None:
    """Two bindings that differ only in their arguments have two addresses, so that neither hides the other."""
    document = orders(exchanges={"orders": {}, "by-header": {"type": "headers"}})
    document["bindings"] = [
        {"source": "by-header", "queue": QUEUE, "arguments": {"x-match": "all", "country": country}}
        for country in ("DE", "KR")
    ]
    state = expanded(loaded(document))
    found = [address for address in state.objects if address.startswith(f"binding:by-header -> queue:{QUEUE}")]
    assert len(found) == 2
