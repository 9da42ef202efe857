"""The way of one message by a topology: hop by hop, for whom it is, and what becomes of it when it fails."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from letrade_topo.broker.capabilities import for_version
from letrade_topo.graph.failing import FailureCause
from letrade_topo.graph.route import MessagePurpose, MessageRoute, PublishedMessage, purpose_of, route_of
from letrade_topo.graph.wiring import declared_wiring
from letrade_topo.model.header_match import headers_match
from letrade_topo.model.messages import Json
from letrade_topo.model.topology import Topology
from letrade_topo.render.route_text import render_route
from tests.brokers import RunningBroker
from tests.tool import Tool
from tests.topologies import expanded, loaded, orders, shipped, write


def route(topology: Topology, exchange: str, key: str, **headers: Json) -> MessageRoute:
    """The way of a message as the topology declares it."""
    return route_of(
        PublishedMessage(exchange, key, headers), declared_wiring(expanded(topology), for_version("4.0.5")), topology
    )


def test_retries_and_death_have_their_times() -> None:
    """The shipped ladder: 5, 10 and 20 seconds, and dead after 35 under the key with `.dead`."""
    (arrival,) = route(shipped(), "letrade.commands", "commands.execute_trade").arrivals

    steps = [(step.cause, step.milliseconds) for step in arrival.failure.steps]
    assert [at for cause, at in steps if cause is FailureCause.RETRIED] == [0, 5_000, 15_000]
    assert [step.milliseconds for step in arrival.failure.retries] == [5_000, 15_000, 35_000]
    assert {step.queues for step in arrival.failure.retries} == {(arrival.queue,)}
    last = arrival.failure.last
    assert (last.cause, last.milliseconds, last.exchange) == (FailureCause.DEAD, 35_000, "letrade.dlq")
    assert (last.key, last.queues) == ("commands.execute_trade.dead", ("letrade.dlq",))


def test_for_whom_it_is_and_who_may_publish_it() -> None:
    """Services by what they declare, users by their permissions."""
    topology = loaded(orders())

    found = route(topology, "orders", "order.7.changed")

    assert purpose_of(found.message, topology) == MessagePurpose(
        topology.messages["order.{id}.changed"], publishers=("shop",), consumers=("clerk",)
    )
    assert found.may_publish == ("orders-shop",)
    assert route(topology, "orders", "order.7.other").may_publish == ()
    assert route(topology, "letrade.retry", "clerk.orders.rejected").may_publish == ("orders-clerk",)


@pytest.mark.parametrize(
    ("dead_letter", "causes", "lost", "comes_back"),
    [
        ({"exchange": "later"}, [FailureCause.REJECTED, FailureCause.EXPIRED], False, True),
        ({"exchange": "", "routing_key": "rest"}, [FailureCause.REJECTED], False, False),
        ("none", [FailureCause.REJECTED], True, False),
    ],
)
def test_what_the_broker_does_by_itself(
    dead_letter: Json, causes: list[FailureCause], lost: bool, comes_back: bool
) -> None:
    """Dead letters to a queue in which they expire, to one where they rest, and to nowhere."""
    topology = loaded(
        {
            "topology": 1,
            "name": "t",
            "vhost": "t",
            "exchanges": {"in": {}, "later": {"type": "fanout"}},
            "queues": {
                "work": {"type": "classic", "dead_letter": dead_letter},
                "wait": {
                    "type": "classic",
                    "message_ttl": "3s",
                    "dead_letter": {"exchange": "", "routing_key": "work"},
                },
                "rest": {"type": "classic"},
            },
            "bindings": [{"source": "in", "queue": "work", "routing_key": "#"}, {"source": "later", "queue": "wait"}],
        }
    )

    (arrival,) = route(topology, "in", "k").arrivals

    assert [step.cause for step in arrival.failure.steps] == causes
    assert (arrival.failure.is_loss, arrival.failure.comes_back) == (lost, comes_back)


@pytest.mark.parametrize(
    ("arguments", "headers", "matches"),
    [
        ({}, {}, True),
        ({"x-match": "any"}, {"a": 1}, False),
        ({"a": 1}, {"a": 1.0}, False),
        ({"a": 1}, {"a": True}, False),
        ({"a": 1, "x-b": 2}, {"a": 1}, True),
        ({"x-match": "all-with-x", "a": 1, "x-b": 2}, {"a": 1}, False),
        ({"x-match": "any-with-x", "a": 1, "x-b": 2}, {"x-b": 2}, True),
        ({"x-match": "any", "a": 1, "x-b": 2}, {"x-b": 2}, False),
        ({"a": None}, {"a": "whatever"}, True),
    ],
)
def test_headers_match_by_value_and_kind(arguments: dict[str, Json], headers: dict[str, Json], matches: bool) -> None:
    """All or any, with `x-` or without; the broker itself is asked in `tests/soak/test_routes.py`."""
    assert headers_match(arguments, headers) is matches


def test_an_exchange_that_is_not_there() -> None:
    """The one that may be meant is named."""
    topology = loaded(orders())

    text = render_route(MessagePurpose(), route(topology, "order", "order.placed"), rejects=False)

    assert text.endswith("There is no exchange order: a publisher's channel is closed with 404. Did you mean 'orders'?")


def test_the_command_tells_where_a_broker_differs(broker: RunningBroker, vhost_name: str, tmp_path: Path) -> None:
    """Offline it needs no broker; live it ends with 2 once somebody has unbound the queue."""
    write(tmp_path / "topology.yaml", orders(vhost=vhost_name))
    tool = Tool.at(broker, tmp_path)
    words = ("route", "orders", "order.placed")

    offline = Tool(folder=tmp_path).run(*words, "--reject").check(0).out
    assert "1s  expired   clerk.orders.retry.1 → the default exchange [clerk.orders] → clerk.orders" in offline
    tool.run("apply", "--yes").check(0)
    assert "as the topology declares" in tool.run(*words, "--live").check(0).out
    path = f"/api/bindings/{vhost_name}/e/orders/q/clerk.orders/order.placed"
    assert broker.api("DELETE", path).status_code == 204

    report = json.loads(tool.run("route", "topology.yaml", *words[1:], "--live", "--format", "json").check(2).out)

    assert report["differs"] is True
    assert (report["declared"]["queues"], report["live"]["queues"]) == (["clerk.orders"], [])
    assert "error" in json.loads(tool.run("route", "orders", "--format", "json").check(64).out)
