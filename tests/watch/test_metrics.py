"""The controller's metrics: names and labels of the documented table, zeros from the start, series that stay few."""

from __future__ import annotations

from prometheus_client import generate_latest
from prometheus_client.parser import text_string_to_metric_families

from letrade_topo.watch.metrics import MOST_QUEUES, OTHER, Metrics
from tests.plan.worlds import PlanWorld
from tests.topologies import orders

TABLE = {
    "info": {"topology", "topology_sha", "version", "mode"},
    "leader": {"topology"},
    "broker_up": {"topology"},
    "interval_seconds": {"topology"},
    "objects": {"topology", "kind"},
    "drift_objects": {"topology", "kind", "change"},
    "drift_blocked_objects": {"topology", "kind"},
    "drift_checks_total": {"topology", "outcome"},
    "drift_check_last_success_timestamp_seconds": {"topology"},
    "apply_runs_total": {"topology", "outcome"},
    "apply_last_run_timestamp_seconds": {"topology"},
    "apply_last_success_timestamp_seconds": {"topology"},
    "apply_duration_seconds_count": {"phase"},
    "changes_total": {"kind", "action", "outcome"},
    "management_api_requests_total": {"method", "code_class"},
    "management_api_request_duration_seconds_count": {"method"},
    "lock_wait_duration_seconds_count": set(),
    "queue_messages": {"queue", "state"},
    "config_reloads_total": {"topology", "outcome"},
    "config_last_reload_successful": {"topology"},
}


def fresh() -> Metrics:
    """Of a controller that has seen nothing."""
    metrics = Metrics("orders", "1.0", "repair", 60)
    metrics.in_force("0123456789ab")
    return metrics


def series(metrics: Metrics) -> dict[tuple[str, frozenset[tuple[str, str]]], float]:
    """Every series of ours with its value, without the prefix."""
    return {
        (sample.name.removeprefix("letrade_topo_"), frozenset(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(generate_latest(metrics.registry).decode())
        for sample in family.samples
        if sample.name.startswith("letrade_topo_") and not sample.name.endswith("_created")
    }


def test_the_table() -> None:
    """Each metric has exactly the documented labels."""
    metrics = fresh()
    metrics.checked(PlanWorld.in_sync(orders()).plan(leaves_blocked=True), 1.0)
    metrics.ran("ok", 1.0, successful=True)
    metrics.queues([{"name": "clerk.orders", "messages_ready": 1}], ["clerk.orders"])

    labels = {name: {label for label, _ in values} for name, values in series(metrics)}

    assert {name: found for name, found in labels.items() if name in TABLE} == TABLE
    assert not {name for name in labels if name not in TABLE and not name.endswith(("_bucket", "_sum"))}


def test_zeros_from_the_start() -> None:
    """An alert on an increase sees the first event."""
    found = series(fresh())

    assert found["drift_checks_total", frozenset({("topology", "orders"), ("outcome", "error")})] == 0
    assert found["apply_runs_total", frozenset({("topology", "orders"), ("outcome", "locked")})] == 0
    assert found["management_api_requests_total", frozenset({("method", "GET"), ("code_class", "5xx")})] == 0


def test_queues_are_bounded() -> None:
    """Undeclared queues have no label; those beyond the bound are one sum."""
    metrics = fresh()
    names = [f"q{number}" for number in range(MOST_QUEUES + 100)]

    metrics.queues([{"name": name, "messages_ready": 2} for name in [*names, "stranger"]], names)

    shown = {
        dict(labels)["queue"]: value for (name, labels), value in series(metrics).items() if "ready" in str(labels)
    }
    assert len([1 for name, _ in series(metrics) if name == "queue_messages"]) == 2 * (MOST_QUEUES + 1)
    assert shown[OTHER] == 200
    assert "stranger" not in shown


def test_whoever_stands_by_tells_nothing_of_the_broker() -> None:
    """A gauge that nobody refreshes would be a lie, and its age an alert."""
    metrics = fresh()
    metrics.leader.set(1)
    metrics.checked(PlanWorld.in_sync(orders()).plan(leaves_blocked=True), 1.0)

    metrics.standing_by()

    names = {name for name, _ in series(metrics)}
    assert "drift_objects" not in names
    assert "drift_check_last_success_timestamp_seconds" not in names
    assert series(metrics)["leader", frozenset({("topology", "orders")})] == 0


def test_drift_that_is_gone_is_zero_again() -> None:
    """Not absent: the alert must resolve, and the graph must fall."""
    metrics = fresh()
    world = PlanWorld.in_sync(orders()).remove("queue:clerk.orders")
    metrics.show(world.plan(leaves_blocked=True))
    missing = ("drift_objects", frozenset({("topology", "orders"), ("kind", "queue"), ("change", "missing")}))
    assert series(metrics)[missing] == 1

    metrics.show(PlanWorld.in_sync(orders()).plan(leaves_blocked=True))

    assert series(metrics)[missing] == 0
