"""What a topology means where it says nothing."""

from __future__ import annotations

from pathlib import Path

import pytest

from letrade_topo.load.topology_file import load_topology
from letrade_topo.model.messages import Priority
from letrade_topo.model.topology import DeadLettering, DeadLetterTarget, DeclaredQueue, RetryPolicy, Topology
from letrade_topo.model.units import Duration
from tests.load.marked import HEADER
from tests.load.rule_cases import FLOW

SHIPPED = Path(__file__).parents[2] / "topology.yaml"


def loaded(folder: Path, text: str) -> Topology:
    """The model of a text."""
    path = folder / "topology.yaml"
    path.write_text(HEADER + text)
    return load_topology(path).topology


def queue(folder: Path, fields: str, top: str = "retry: {delay: 1s}\n") -> DeclaredQueue:
    """One queue with these fields."""
    return loaded(folder, f"{FLOW}{top}queues: {{q: {{messages: [a.b], {fields}}}}}\n").queues["q"]


@pytest.mark.parametrize(
    ("fields", "dead_lettering", "retry"),
    [
        ("service: s", DeadLettering.RETRY, RetryPolicy(3, Duration(1_000), 2)),
        ("service: s, retry: {max_retries: 5}", DeadLettering.RETRY, RetryPolicy(5, Duration(1_000), 2)),
        ("service: s, retry: none", DeadLettering.RETRY, None),
        ("service: s, dead_letter: none", DeadLettering.NONE, None),
        ("service: s, dead_letter: {exchange: letrade.dlq}", DeadLetterTarget("letrade.dlq"), None),
        ("service: s, guarantee: at_most_once, max_length: 5", DeadLettering.NONE, None),
        ("service: s, type: stream", DeadLettering.NONE, None),
        ("max_length: 5", DeadLettering.NONE, None),
        ("retry: {multiplier: 3}", DeadLettering.RETRY, RetryPolicy(3, Duration(1_000), 3)),
    ],
)
def test_how_a_queue_dead_letters(
    tmp_path: Path, fields: str, dead_lettering: DeadLettering | DeadLetterTarget, retry: RetryPolicy | None
) -> None:
    """The ladder for what a service must not miss; whatever the queue says comes first."""
    made = queue(tmp_path, fields)

    assert (made.dead_lettering, made.retry) == (dead_lettering, retry)


def test_names_stand_for_keys_and_users(tmp_path: Path) -> None:
    """A type's key is its name, a service's user is its name."""
    topology = loaded(tmp_path, FLOW + "  r: {user: other, publishes: [a.b]}\n")

    assert topology.messages["a.b"].key.text == "a.b"
    assert (topology.services["s"].user, topology.services["r"].user) == ("s", "other")


def test_a_pattern_is_kept_apart_from_types(tmp_path: Path) -> None:
    """An entry of `consumes` with a wildcard word is a pattern, with its variables."""
    service = loaded(tmp_path, FLOW.replace("consumes: [a.b]", "consumes: [a.b, '*.b_{id}', 'a.#']")).services["s"]

    assert service.consumes == ("a.b",)
    assert [pattern.text for pattern in service.patterns] == ["*.b_{id}", "a.#"]
    assert service.patterns[0].variables == ("id",)


def test_the_shipped_topology() -> None:
    """It loads without a warning and says what the contract says."""
    loaded = load_topology(SHIPPED)
    topology = loaded.topology

    assert loaded.diagnostics == ()
    assert set(topology.exchanges) == {"letrade.commands", "letrade.events", "letrade.requests"}
    assert [str(delay) for delay in topology.retry.delays] == ["5s", "10s", "20s"]
    assert topology.limits.message_size.bytes == 128 * 1024
    assert topology.environment == "development"
    high = {name for name, message in topology.messages.items() if message.priority is Priority.HIGH}
    assert high == {"commands.execute_trade", "commands.cancel_order", "request.capital.allocation"}
    market_data = topology.queues["strategy.market_data"]
    assert market_data.dead_lettering is DeadLettering.NONE
    assert all(
        one.retry == topology.retry and one.has_rejected_queue
        for one in topology.queues.values()
        if one is not market_data
    )
