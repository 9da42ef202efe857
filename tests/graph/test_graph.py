"""The graph: what leads where, which message takes which way, and what belongs to a node."""

from __future__ import annotations

import json
import random
from pathlib import Path

import pytest

from letrade_topo.broker.capabilities import for_version
from letrade_topo.graph.building import graph_of
from letrade_topo.graph.graph import EdgeKind, NodeKind, TopologyGraph
from letrade_topo.graph.reach import Reach
from letrade_topo.graph.route import PublishedMessage, route_of
from letrade_topo.graph.wiring import declared_wiring
from tests.brokers import RunningBroker
from tests.graph.random_topologies import random_topology
from tests.tool import Tool
from tests.topologies import Document, expanded, loaded, orders, shipped, write


def graph(document: Document | None = None) -> TopologyGraph:
    """Of a document, or of the shipped topology."""
    topology = shipped() if document is None else loaded(document)
    return graph_of(topology, declared_wiring(expanded(topology), for_version("4.0.5")))


def names(found: TopologyGraph, kind: NodeKind) -> set[str]:
    """Of all nodes of a kind."""
    return {node.name for node in found.nodes.values() if node.kind is kind}


def test_a_message_takes_only_its_own_ways() -> None:
    """From whoever publishes it to whoever consumes it, also into queues that are made at run time."""
    found = Reach(graph()).part("message:market_data.{exchange}.{symbol}")

    assert names(found, NodeKind.QUEUE) == {"strategy.market_data"}
    assert names(found, NodeKind.RUN_TIME_QUEUES) == {"strategy"}
    assert names(found, NodeKind.SERVICE) == {"exchange_connector", "strategy"}
    assert names(found, NodeKind.EXCHANGE) == {"letrade.events"}


@pytest.mark.parametrize("seed", range(20))
def test_the_graph_and_the_route_of_a_message_agree(seed: int) -> None:
    """What `graph` draws for a type is where `route` says that its messages go, over exchanges of every kind."""
    document = random_topology(seed, "v", random.Random(seed), (4, 0))  # noqa: S311  # not a secret
    for kind in document["exchanges"].values():
        kind["type"] = "topic" if kind["type"] == "headers" else kind["type"]
    source = next((name for name, one in document["exchanges"].items() if one["type"] == "topic"), None)
    if source is None:
        source = "t.types"
        document["exchanges"][source] = {}
    for binding in document["bindings"]:
        binding.pop("arguments", None)
    keys = ["a", "b.c", "a.b.c"]
    document["messages"] = {key: {"exchange": source, "lifetime": "1s"} for key in keys}
    document["security"] = {"tls": {"client_certificates": True}}
    document["services"] = {"s": {"publishes": keys, "consumes": keys}}
    topology = loaded(document)
    wiring = declared_wiring(expanded(topology), for_version("4.0.5"))
    whole = graph_of(topology, wiring)

    for key in keys:
        flow = whole.flows[f"message:{key}"]
        drawn = {whole.edges[place].target for place in flow}
        found = route_of(PublishedMessage(source, key), wiring, topology)
        assert {name for name in drawn if name.startswith("queue:")} == {f"queue:{name}" for name in found.queues}


def test_a_queue_has_its_ladder_and_its_end() -> None:
    """Rejected, three retries and back, and the dead letters; folded away they are not there."""
    whole = graph()
    found = Reach(whole).part("queue:strategy.error")

    ladder = {f"strategy.error.{end}" for end in ("rejected", "retry.1", "retry.2", "retry.3")}
    assert names(found, NodeKind.QUEUE) == {"strategy.error", "letrade.dlq", *ladder}
    retries = [
        edge.label for edge in found.edges if edge.kind is EdgeKind.RETRIES and edge.target == "queue:strategy.error"
    ]
    assert retries == ["after 5s", "after 10s", "after 20s"]
    assert names(found.folded(), NodeKind.QUEUE) == {"strategy.error"}
    assert Reach(whole).around("queue:strategy.error.retry.2") == Reach(whole).around("queue:strategy.error")


def test_every_declared_way_is_an_edge() -> None:
    """Bindings with arguments, exchange to exchange, alternates, and dead letters to an exchange of one's own."""
    found = graph(
        {
            "topology": 1,
            "name": "t",
            "vhost": "t",
            "exchanges": {"a": {"alternate_exchange": "c"}, "b": {"type": "headers"}, "c": {"type": "fanout"}},
            "queues": {"q": {"type": "classic", "dead_letter": {"exchange": "c"}}, "rest": {"type": "classic"}},
            "bindings": [
                {"source": "a", "exchange": "b", "routing_key": "x.#"},
                {"source": "b", "queue": "q", "arguments": {"k": 1}},
                {"source": "c", "queue": "rest"},
                {"source": "amq.topic", "queue": "q", "routing_key": "y"},
            ],
        }
    )

    assert {(edge.source, edge.target, str(edge.kind), edge.label) for edge in found.edges} == {
        ("exchange:a", "exchange:b", "binding", "x.#"),
        ("exchange:b", "queue:q", "binding", '{"k": 1}'),
        ("exchange:c", "queue:rest", "binding", ""),
        ("exchange:amq.topic", "queue:q", "binding", "y"),
        ("exchange:a", "exchange:c", "alternate", ""),
        ("queue:q", "exchange:c", "dead-letters", ""),
    }


def test_facts_say_who_may() -> None:
    """By permissions of the users that the topology makes."""
    found = graph(orders())

    assert found.nodes["exchange:orders"].facts["may publish"] == ["orders-shop"]
    assert found.nodes["queue:clerk.orders"].facts["may consume"] == ["orders-clerk"]
    assert found.nodes["queue:clerk.orders"].facts["retries"] == ["1s"]


@pytest.mark.parametrize("kind", NodeKind)
def test_what_is_around_a_node_contains_it(kind: NodeKind) -> None:
    """Of every node of the shipped topology."""
    whole = graph()
    reach = Reach(whole)

    for node in whole.nodes.values():
        if node.kind is kind:
            assert node.id in reach.part(node.id).nodes


def test_the_command_draws_a_broker_with_its_drift(broker: RunningBroker, vhost_name: str, tmp_path: Path) -> None:
    """A queue that is gone, a binding that somebody made, and what lies in a queue."""
    write(tmp_path / "topology.yaml", orders(vhost=vhost_name))
    tool = Tool.at(broker, tmp_path)
    tool.run("apply", "--yes").check(0)
    assert broker.api("DELETE", f"/api/queues/{vhost_name}/letrade.dlq").ok
    extra = {"routing_key": "by.hand"}
    assert broker.api("POST", f"/api/bindings/{vhost_name}/e/orders/q/clerk.orders", json=extra).ok

    found = json.loads(tool.run("graph", "--live", "--format", "json").check(0).out)

    nodes = {node["id"]: node for node in found["nodes"]}
    drifts = {name: node["drift"] for name, node in nodes.items() if node["drift"] is not None}
    assert drifts == {"queue:letrade.dlq": "missing"}
    edges = {edge["label"]: edge["drift"] for edge in found["edges"] if edge["drift"] is not None}
    assert edges == {"by.hand": "extra", "#": "missing"}
    assert nodes["queue:clerk.orders"]["load"]["consumers"] == 0
    assert "no queue 'clerk.order'" in Tool(folder=tmp_path).run("graph", "--queue", "clerk.order").check(64).err
