"""Metrics: names and labels of the documented table, zeros from the start, and series that stay few."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import Any

import pytest
from letrade_agent.filters.words import Undelivered, Word
from letrade_agent.measures import Measures
from letrade_agent.observe.families import histogram
from letrade_agent.observe.labels import MOST_DESTINATIONS, OTHER, Bounded
from letrade_agent.observe.metrics import Sidelights, signing_ends
from letrade_agent.state import Phase, ReloadSource
from prometheus_client.core import Metric
from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse_openmetrics
from prometheus_client.parser import text_string_to_metric_families as parse_plain

from letrade_topo.keys.reasons import Reason
from tests.agent.observe.world import NOW, SERVICE, ObservedAgent
from tests.topologies import loaded, orders

OPENMETRICS = "application/openmetrics-text; version=1.0.0"

TABLE = {
    "build_info",
    "state",
    "client_connections",
    "client_connections_total",
    "client_disconnects_total",
    "broker_up",
    "broker_connections",
    "broker_connect_attempts_total",
    "broker_connect_duration_seconds_bucket",
    "broker_blocked",
    "broker_blocked_seconds_total",
    "channels",
    "transferred_bytes_total",
    "messages_total",
    "messages_rejected_total",
    "messages_warned_total",
    "messages_unverified_total",
    "repeats_total",
    "message_size_bytes_bucket",
    "added_latency_seconds_bucket",
    "sign_duration_seconds_bucket",
    "verify_duration_seconds_bucket",
    "publish_confirms_total",
    "publish_confirm_duration_seconds_bucket",
    "delivery_settle_duration_seconds_bucket",
    "unsettled_deliveries",
    "waiting_consumers",
    "consumer_returns_total",
    "held_deliveries",
    "buffered_bytes",
    "backpressure_seconds_total",
    "event_loop_lag_seconds_bucket",
    "hand_over_duration_seconds_bucket",
    "hand_over_failures_total",
    "hand_overs_in_flight",
    "destination_overflow_total",
    "config_info",
    "config_reloads_total",
    "keys_reloads_total",
    "config_last_reload_successful",
    "keys_last_reload_successful",
    "keys_last_reload_timestamp_seconds",
    "signing_key_not_after_timestamp_seconds",
    "verification_keys",
    "tls_cert_not_after_timestamp_seconds",
    "queue_messages",
}


def test_every_metric_of_the_table() -> None:
    """A fresh agent shows every documented metric; alerts on an increase see the first event."""
    agent = ObservedAgent(sidelights=Sidelights({("strategy.error", "ready"): 3}, {"client": NOW}, True))

    names = {series.partition("{")[0].removeprefix("letrade_agent_") for series in agent.own_series()}

    assert names >= TABLE


@pytest.mark.parametrize("accept", ["", OPENMETRICS, "text/plain"])
def test_formats(accept: str) -> None:
    """Both formats are what their strict parsers take, without _created series."""
    agent = ObservedAgent()
    agent.measures.messages["publish", "letrade.commands", "forwarded"] = 3
    text = agent.scrape(accept)

    parse: Callable[[str], Iterable[Metric]] = parse_openmetrics if accept == OPENMETRICS else parse_plain
    families = list(parse(text))

    assert text.endswith("# EOF\n") == (accept == OPENMETRICS)
    names = {sample.name for family in families for sample in family.samples}
    assert {"letrade_agent_client_connections", "letrade_agent_client_connections_total"} <= names
    assert {"process_resident_memory_bytes", "process_open_fds", "python_gc_collections_total"} <= names
    assert not [name for name in names if name.endswith("_created")]


def test_known_reasons() -> None:
    """Every word of the token format and of refused publishes is there as 0."""
    series = ObservedAgent().own_series()

    for reason in Reason:
        name = f'letrade_agent_messages_rejected_total{{direction="deliver",reason="{reason}"}}'
        assert (series.get(name) == 0) == (reason is not Reason.REPEAT)
    for undelivered in Undelivered:
        assert series[f'letrade_agent_messages_rejected_total{{direction="deliver",reason="{undelivered}"}}'] == 0
    for word in (Word.OVERSIZE, Word.UNDECLARED, Word.SCHEMA, Word.NO_KEY, Word.DRAIN):
        assert series[f'letrade_agent_messages_rejected_total{{direction="publish",reason="{word}"}}'] == 0


def test_thousand_destinations() -> None:
    """Whatever names travel, the number of series stays what the topology makes it."""
    agent = ObservedAgent()
    agent.measures.messages["publish", "letrade.commands", "forwarded"] = 1
    before = len(agent.own_series())
    for number in range(1000):
        name = f"somewhere.{number}"
        for direction in ("publish", "deliver", "get", "return"):
            agent.measures.messages[direction, name, "forwarded"] += 1
        agent.measures.repeats[name] += 1
        agent.measures.refused["publish", f"reason {number}"] += 1
        agent.measures.sign_seconds[f"algorithm {number}"].observe(1e-4)

    series = agent.own_series()

    assert len(series) - before <= 8
    assert (
        series[f'letrade_agent_messages_total{{destination="{OTHER}",direction="publish",outcome="forwarded"}}'] == 1000
    )
    assert series["letrade_agent_destination_overflow_total"] == 2000
    assert series[f'letrade_agent_messages_rejected_total{{direction="publish",reason="{OTHER}"}}'] == 1000


def test_series_of_letrade() -> None:
    """Few enough for every pod of a cluster (facts: 250 to 400, and 4 for each destination)."""
    assert len(ObservedAgent().own_series()) < 400


def test_declared_names_beyond_the_bound() -> None:
    """A topology of 200 exchanges gets 50 labels, the service's own first; the rest is counted as one."""
    exchanges: dict[str, Any] = {f"exchange{number}": {} for number in range(200)}
    topology = loaded(orders(exchanges={**exchanges, "orders": {}}))
    agent = ObservedAgent(topology=topology, service="shop")
    for name in exchanges:
        agent.measures.messages["publish", name, "forwarded"] = 1
    agent.measures.messages["publish", "orders", "forwarded"] = 7

    series = agent.own_series()

    destinations = {name for name in series if name.startswith("letrade_agent_messages_total{") and "forwarded" in name}
    assert len(destinations) == MOST_DESTINATIONS + 1
    assert series['letrade_agent_messages_total{destination="orders",direction="publish",outcome="forwarded"}'] == 7
    assert series["letrade_agent_destination_overflow_total"] == 200 - (MOST_DESTINATIONS - 1)


def test_counter_never_goes_back() -> None:
    """A name that was counted among the others stays there when a new topology declares it."""
    agent = ObservedAgent(topology=loaded(orders()), service="shop")
    agent.measures.messages["publish", "later", "forwarded"] = 5
    name = f'letrade_agent_messages_total{{destination="{OTHER}",direction="publish",outcome="forwarded"}}'
    assert agent.own_series()[name] == 5

    successor = loaded(orders(exchanges={"orders": {}, "later": {}}))
    agent.state.in_force = replace(agent.state.in_force, topology=successor, topology_sha="ba9876543210")

    assert agent.own_series()[name] == 5


def test_bounded_labels_are_sticky() -> None:
    """A label is given once."""
    bounded = Bounded(1)
    bounded.allow(["a", "b"])

    assert [bounded.label(name) for name in ("x", "a", "b", "a")] == [OTHER, "a", OTHER, "a"]


def test_histogram_is_cumulated() -> None:
    """Buckets count everything below their bound; the sum and the count are there."""
    measures = Measures()
    for seconds in (1e-5, 2e-4, 2e-4, 9.0):
        measures.loop_lag.observe(seconds)

    family = histogram("x_seconds", "text", measures.loop_lag.bounds, (), measures.loop_lag)

    values = {sample.labels.get("le", sample.name): sample.value for sample in family.samples}
    assert (values["5e-05"], values["0.00025"], values["0.25"], values["+Inf"]) == (1, 3, 3, 4)
    assert values["letrade_agent_x_seconds_count"] == 4
    assert values["letrade_agent_x_seconds_sum"] == pytest.approx(9.00041)


def test_state_and_reloads() -> None:
    """One of the states is 1; a failed reload is seen until a good one."""
    agent = ObservedAgent()
    agent.state.phase = Phase.DRAINING
    agent.state.reloads[ReloadSource.KEYS].failed = 2
    agent.state.reloads[ReloadSource.KEYS].problem = "bad"

    series = agent.own_series()

    assert {name: series[f'letrade_agent_state{{state="{name}"}}'] for name in Phase} == {
        "starting": 0,
        "ready": 0,
        "draining": 1,
    }
    assert series["letrade_agent_keys_last_reload_successful"] == 0
    assert series["letrade_agent_config_last_reload_successful"] == 1
    assert series['letrade_agent_keys_reloads_total{outcome="error"}'] == 2
    assert series['letrade_agent_config_info{topology_sha="0123456789ab"}'] == 1


def test_end_of_signing() -> None:
    """The end of the last key that signs; 0 once there is none; nothing where nothing is signed."""
    agent = ObservedAgent()
    end = NOW + 365 * 86_400

    assert agent.own_series()["letrade_agent_signing_key_not_after_timestamp_seconds"] == end
    assert signing_ends(agent.state.in_force, end) == 0
    assert (
        ObservedAgent(keys=None)
        .own_series()
        .keys()
        .isdisjoint({"letrade_agent_signing_key_not_after_timestamp_seconds"})
    )


def test_own_queues_are_there_from_the_start() -> None:
    """Deliveries from each declared queue of the service have their 0."""
    series = ObservedAgent().own_series()
    queues = {
        name.split('destination="')[1].split('"')[0]
        for name in series
        if name.startswith("letrade_agent_messages_total{") and 'direction="deliver"' in name
    }

    assert queues == {f"{SERVICE}.trade_executed", f"{SERVICE}.error", f"{SERVICE}.market_data"}
