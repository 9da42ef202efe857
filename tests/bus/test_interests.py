"""Which queue or bindings a pattern means for a service."""

from __future__ import annotations

import pytest

from letrade_topo.bus.errors import PatternError
from letrade_topo.bus.interests import Interests
from tests.access import Access
from tests.topologies import Document, expanded, loaded, shipped

LETRADE = shipped()


def interests(service: str) -> Interests:
    """Of a service of Letrade."""
    return Interests(LETRADE, LETRADE.services[service])


@pytest.mark.parametrize(
    ("service", "pattern", "queue"),
    [
        ("strategy", "events.trade_executed", "strategy.trade_executed"),
        ("strategy", "events.trade_*", "strategy.trade_executed"),
        ("strategy", "market_data.#", "strategy.market_data"),
        ("strategy", "market_data.{exchange}.{symbol}", "strategy.market_data"),
        ("strategy", "market_data.binance.*", ""),
        ("strategy", "events.*", ""),
        ("strategy", "response.#", ""),
        ("capital_manager", "events.*", "capital_manager.trade_executed"),
        ("exchange_connector", "commands.execute_trade", "exchange_connector.execute_trade"),
    ],
)
def test_a_declared_queue_with_exactly_these_keys(service: str, pattern: str, queue: str) -> None:
    """It is used when the service may consume nothing else by the pattern, and everything in it is meant."""
    assert interests(service).of(pattern).queue == queue


def test_a_pattern_over_two_exchanges() -> None:
    """Every exchange gets its bindings."""
    found = interests("strategy").of("*.*.*")
    assert set(found.bindings) == {
        ("letrade.events", "market_data.*.*"),
        ("letrade.requests", "response.capital.allocation"),
    }


@pytest.mark.parametrize("service", LETRADE.services)
@pytest.mark.parametrize(
    "pattern",
    [
        "#",
        "*.*",
        "events.*",
        "events.trade_*",
        "market_data.binance.*",
        "*.strategy_123.*",
        "*.strategy_*.*",
        "#.error",
    ],
)
def test_the_broker_lets_the_service_bind_it(service: str, pattern: str) -> None:
    """By the permissions that the topology implies."""
    access = Access(expanded(LETRADE), LETRADE.services[service].user)
    try:
        found = interests(service).of(pattern)
    except PatternError:
        return
    for exchange, key in found.bindings:
        assert access.may_bind(f"{service}.sub.1", exchange, key)


def _document(**sections: object) -> Document:
    typed = {"lifetime": "60s"}
    return {
        "topology": 1,
        "name": "interests",
        "vhost": "interests",
        "security": {"tls": {"client_certificates": True}},
        "exchanges": {"one": {}, "two": {}},
        "messages": {
            "orders.strategy_{id}.placed": {"exchange": "one", **typed},
            "alerts.strategy_{id}.raised": {"exchange": "two", **typed},
            "alerts.other": {"exchange": "two", **typed},
        },
        "services": {
            "maker": {"publishes": ["orders.strategy_{id}.placed", "alerts.strategy_{id}.raised", "alerts.other"]},
            "watcher": {"consumes": ["alerts.other", "*.strategy_{id}.*"]},
            "clerk": {"consumes": ["orders.strategy_{id}.placed"]},
        },
        "queues": {
            "clerk.placed": {"service": "clerk", "messages": ["orders.strategy_{id}.placed"]},
            "watcher.other": {"service": "watcher", "messages": ["alerts.other"]},
        },
        **sections,
    }


def test_a_pattern_of_the_service_reaches_types_that_it_does_not_name() -> None:
    """`*.strategy_123.*` is bound on each exchange that has such a type, as narrowly as the permission allows."""
    topology = loaded(_document())
    watcher = Interests(topology, topology.services["watcher"])
    found = watcher.of("*.strategy_123.*")
    assert found.queue == ""
    assert set(found.bindings) == {("one", "*.strategy_123.*"), ("two", "*.strategy_123.*")}
    access = Access(expanded(topology), "watcher")
    assert all(access.may_bind("watcher.sub.1", *bound) for bound in found.bindings)


def test_what_amqp_cannot_say_is_an_error_and_no_binding_that_is_refused() -> None:
    """Part of a word: a service that may read `strategy_…` may not bind `*`. Its declared queue has it."""
    topology = loaded(_document())
    clerk = Interests(topology, topology.services["clerk"])
    assert clerk.of("orders.#").queue == "clerk.placed"
    with pytest.raises(PatternError, match="part of a word"):
        clerk.of("orders.strategy_1*.placed")
    assert clerk.of("orders.strategy_1.placed").bindings == (("one", "orders.strategy_1.placed"),)


def test_a_queue_with_a_binding_more_is_not_exactly_that() -> None:
    """What else is bound to it counts."""
    more = [{"source": "two", "queue": "watcher.other", "routing_key": "alerts.more"}]
    topology = loaded(_document(bindings=more))
    assert Interests(topology, topology.services["watcher"]).of("alerts.other").queue == ""


@pytest.mark.parametrize(
    ("service", "pattern", "said"),
    [
        ("strategy", "commands.*", "may not consume"),
        ("strategy", "event.trade_executed", "did you mean 'events.trade_executed'?"),
        ("strategy", "xyz", "strategy consumes"),
    ],
)
def test_nothing_to_subscribe_to(service: str, pattern: str, said: str) -> None:
    """It says why, and what to write."""
    with pytest.raises(PatternError) as raised:
        interests(service).of(pattern)
    assert said in str(raised.value)


def test_a_missing_durable_queue_says_what_to_declare() -> None:
    """A line for the topology."""
    found = interests("strategy")
    said = str(found.missing_queue(found.of("response.market_data")))
    assert 'strategy.market_data: {service: strategy, messages: ["response.market_data"]}' in said
