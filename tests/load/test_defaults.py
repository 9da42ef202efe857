"""`defaults`: what exchanges and queues are that do not say otherwise."""

from __future__ import annotations

from pathlib import Path

import pytest

from letrade_topo.load.diagnostics import InvalidTopology
from letrade_topo.load.source_text import SourceText
from letrade_topo.load.topology_file import LoadedTopology, load_sources
from letrade_topo.model.topology import DeadLettering, DeadLetterTarget, ExchangeType, QueueType
from letrade_topo.model.units import Duration

HEAD = "topology: 1\nname: t\nvhost: t\n"
BOUND = "bindings: [{source: amq.topic, queue: a, routing_key: '#'}, {source: amq.topic, queue: b, routing_key: '#'}]\n"


def load(*texts: str) -> LoadedTopology:
    """A topology and its overlays."""
    named = [SourceText(f"{number}.yaml", Path(), text) for number, text in enumerate(texts)]
    return load_sources(named)


def test_an_entry_says_what_differs() -> None:
    """Also one without a value; what it says counts as a whole."""
    topology = load(
        f"{HEAD}defaults:\n  exchanges: {{type: fanout}}\n"
        "  queues: {type: classic, message_ttl: 1m, dead_letter: {exchange: x, routing_key: k}}\n"
        "exchanges: {x: , y: {type: topic}}\n"
        "queues:\n  a:\n  b: {type: quorum, message_ttl: 5m, dead_letter: none}\n"
        f"{BOUND[:-2]}, {{source: x, queue: a}}]\n"
    ).topology

    assert topology.exchanges["x"].type is ExchangeType.FANOUT
    assert topology.exchanges["y"].type is ExchangeType.TOPIC
    a, b = topology.queues["a"], topology.queues["b"]
    assert (a.type, a.message_ttl, a.dead_lettering) == (
        QueueType.CLASSIC,
        Duration(60_000),
        DeadLetterTarget("x", "k"),
    )
    assert (b.type, b.message_ttl, b.dead_lettering) == (QueueType.QUORUM, Duration(300_000), DeadLettering.NONE)


def test_an_overlay_changes_them() -> None:
    """As any other mapping."""
    base = f"{HEAD}defaults: {{queues: {{type: classic}}}}\nqueues: {{a: , b: {{type: quorum}}}}\n{BOUND}"

    topology = load(base, "defaults: {queues: {type: stream}}\n").topology

    assert [queue.type for queue in topology.queues.values()] == [QueueType.STREAM, QueueType.QUORUM]


def test_what_is_wrong_in_them_is_said_once() -> None:
    """Where it stands, however many entries it is for."""
    with pytest.raises(InvalidTopology) as refused:
        load(f"{HEAD}defaults:\n  queues: {{message_ttl: 5, service: s}}\nqueues: {{a: , b: }}\n{BOUND}")

    found = [(one.rule, one.location.line) for one in refused.value.diagnostics]
    assert found == [("duration", 5), ("unknown-key", 5)]


def test_a_rule_that_a_default_breaks_names_the_entry() -> None:
    """Each entry for itself: a quorum queue among them is right."""
    with pytest.raises(InvalidTopology) as refused:
        load(
            f"{HEAD}defaults:\n  queues: {{type: classic, delivery_limit: 5}}\n"
            f"queues:\n  a:\n  b: {{type: quorum}}\n{BOUND}"
        )

    found = [(one.rule, one.location.line) for one in refused.value.diagnostics if one.is_error]
    assert found == [("delivery-limit-type", 7)]
