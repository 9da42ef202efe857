"""A topology that only spells out what RabbitMQ has gets nothing that it does not name."""

from __future__ import annotations

from typing import Any

import pytest

from tests.topologies import VERSIONS, Document, expanded, loaded

PLAIN: Document = {
    "topology": 1,
    "name": "plain",
    "vhost": "plain",
    "security": {"tls": {"client_certificates": True}},
    "exchanges": {"orders": {"type": "fanout"}},
    "queues": {"bills": {}, "stock": {"type": "classic"}},
    "bindings": [{"source": "orders", "queue": "bills"}, {"source": "orders", "queue": "stock"}],
    "users": {"clerk": {"permissions": {"read": "^bills$"}}},
}
DERIVED = {"exchange:letrade.dlq", "exchange:letrade.retry", "queue:letrade.dlq"}


def addresses(document: Document, version: str = "4.0.5") -> set[str]:
    """Of everything that a topology wants."""
    return set(expanded(loaded(document), version).objects)


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("ownership", ["shared", "exclusive"])
def test_nothing_is_derived(version: str, ownership: str) -> None:
    """No exchange, queue or policy beyond the declared ones, on any version."""
    assert addresses(PLAIN | {"ownership": ownership}, version) == {
        "vhost:plain",
        "exchange:orders",
        "queue:bills",
        "queue:stock",
        "binding:orders -> queue:bills []",
        "binding:orders -> queue:stock []",
        "user:clerk",
        "permission:clerk",
    }


FLOW: Document = {
    "messages": {"order.placed": {"exchange": "topics", "lifetime": "60s"}},
    "exchanges": {"topics": {}, "orders": {"type": "fanout"}},
}


@pytest.mark.parametrize(
    "sections",
    [
        {"dead_letter": {"queue": "letrade.dlq"}},
        {"queues": PLAIN["queues"] | {"bills": {"retry": {"max_retries": 1}}}},
        {"services": {"billing": {}}},
        FLOW,
        {"queues": PLAIN["queues"] | {"bills": {"dead_letter": {"exchange": "letrade.dlq"}}}},
        {"bindings": [*PLAIN["bindings"], {"source": "orders", "queue": "letrade.dlq"}]},
    ],
    ids=["section", "ladder", "service", "messages", "target", "binding"],
)
def test_what_may_fail_has_a_place_for_dead_letters(sections: dict[str, Any]) -> None:
    """As soon as something is ours that may fail, or leads there."""
    assert addresses(PLAIN | sections) >= DERIVED


def test_a_queue_of_the_topologys_own_under_that_name_is_that_queue() -> None:
    """Exchange and queue of dead letters as somebody made them stay his."""
    own = {
        "exchanges": PLAIN["exchanges"] | {"letrade.dlq": {"type": "fanout"}},
        "queues": PLAIN["queues"] | {"letrade.dlq": {}, "bills": {"dead_letter": {"exchange": "letrade.dlq"}}},
        "bindings": [*PLAIN["bindings"], {"source": "letrade.dlq", "queue": "letrade.dlq"}],
    }
    state = expanded(loaded(PLAIN | own))
    assert state.objects["exchange:letrade.dlq"].object.attributes["type"] == "fanout"  # type: ignore[index]
    assert "exchange:letrade.retry" not in state.objects


def test_limits_reach_the_queues_that_are_ours_and_those_that_name_them() -> None:
    """A queue on the bus has the topology's delivery limit; one beside it only where the file says so."""
    queues = {"bills": {}, "stock": {"max_length": 5}, "placed": {"messages": ["order.placed"]}}
    document = PLAIN | FLOW | {"queues": queues}
    state = expanded(loaded(document), "3.10.8")
    assert state.policies["placed"] == "plain.consumer"
    assert state.policies["bills"] is None
    assert state.policies["stock"] == "plain.queue.stock"
    assert state.objects["policy:plain.queue.stock"].object.attributes["definition"] == {"max-length": 5}  # type: ignore[index]

    for_all = expanded(loaded(document | {"limits": {"delivery_limit": 7}}), "3.10.8")
    assert for_all.policies["bills"] == "plain.consumer"
    definition = for_all.objects["policy:plain.queue.stock"].object.attributes["definition"]  # type: ignore[index]
    assert definition == {"max-length": 5, "delivery-limit": 7}
