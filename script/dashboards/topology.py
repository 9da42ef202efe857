"""The dashboard of the controller: drift, repairs, queue depths, the management API."""

from __future__ import annotations

from script.dashboards.grafana import dashboard
from script.dashboards.panels import CONTROLLER, RATE, Panel, Rows, quantile, rate, stat

_UP_DOWN = {"0": ("down", "red"), "1": ("up", "green")}

_ROWS: Rows = (
    (
        "At a glance",
        (
            stat(
                "Broker",
                f"max(letrade_topo_broker_up{{{CONTROLLER}}})",
                text="Whether its management API could be read when it was last tried.",
                thresholds=((0, "red"), (1, "green")),
                mappings=_UP_DOWN,
            ),
            stat(
                "Leaders",
                f"sum(letrade_topo_leader{{{CONTROLLER}}})",
                text="Controllers that work; one for each topology.",
                thresholds=((0, "red"), (1, "green")),
            ),
            stat(
                "Differences",
                f"sum(letrade_topo_drift_objects{{{CONTROLLER}}})",
                text="Objects that are not as the topology says.",
                thresholds=((0, "green"), (1, "red")),
            ),
            stat(
                "Blocked",
                f"sum(letrade_topo_drift_blocked_objects{{{CONTROLLER}}})",
                text="Differences that no repair touches: a person has to allow it.",
                thresholds=((0, "green"), (1, "orange")),
            ),
            stat(
                "Last look",
                f"time() - max(letrade_topo_drift_check_last_success_timestamp_seconds{{{CONTROLLER}}})",
                "s",
                "How long ago the broker was last compared.",
            ),
            stat("Objects", f"sum(letrade_topo_objects{{{CONTROLLER}}})", text="That the topology declares."),
        ),
    ),
    (
        "Drift and repair",
        (
            Panel(
                "What differs",
                [(f"sum by (kind, change) (letrade_topo_drift_objects{{{CONTROLLER}}}) > 0", "{{kind}} {{change}}")],
                text="Empty is good.",
                stacked=True,
            ),
            Panel(
                "Looks at the broker",
                [(rate("letrade_topo_drift_checks_total", "outcome", CONTROLLER), "{{outcome}}")],
                "cps",
                stacked=True,
            ),
            Panel(
                "Repairs",
                [
                    (
                        f"sum by (outcome) (increase(letrade_topo_apply_runs_total{{{CONTROLLER}}}{RATE})) > 0",
                        "{{outcome}}",
                    )
                ],
                text="noop: there was nothing to do. In detect mode there are none.",
                stacked=True,
            ),
            Panel(
                "Changed objects",
                [
                    (
                        f"sum by (action, outcome) (increase(letrade_topo_changes_total{{{CONTROLLER}}}{RATE})) > 0",
                        "{{action}} {{outcome}}",
                    )
                ],
            ),
            Panel(
                "How long a pass takes, p90",
                [(quantile(0.9, "letrade_topo_apply_duration_seconds", "phase", CONTROLLER), "{{phase}}")],
                "s",
            ),
            Panel(
                "Declared objects",
                [(f"sum by (kind) (letrade_topo_objects{{{CONTROLLER}}}) > 0", "{{kind}}")],
                kind="bargauge",
            ),
        ),
    ),
    (
        "Queues",
        (
            Panel(
                "Depth, the longest ten",
                [(f"topk(10, sum by (queue) (letrade_topo_queue_messages{{{CONTROLLER}}})) > 0", "{{queue}}")],
                text="Messages in declared queues, ready or with a consumer.",
                width=16,
                height=9,
            ),
            Panel(
                "By state",
                [(f"sum by (state) (letrade_topo_queue_messages{{{CONTROLLER}}})", "{{state}}")],
                text="unacked: with a consumer.",
                height=9,
                stacked=True,
            ),
        ),
    ),
    (
        "Management API",
        (
            Panel(
                "Requests",
                [(rate("letrade_topo_management_api_requests_total", "code_class", CONTROLLER), "{{code_class}}")],
                "reqps",
                "error: no answer.",
                stacked=True,
            ),
            Panel(
                "Until the answer, p90",
                [
                    (
                        quantile(0.9, "letrade_topo_management_api_request_duration_seconds", "method", CONTROLLER),
                        "{{method}}",
                    )
                ],
                "s",
            ),
            Panel(
                "Memory",
                [("process_resident_memory_bytes and on (job, instance) letrade_topo_leader", "{{instance}}")],
                "bytes",
            ),
        ),
    ),
)


def page() -> str:
    """Its JSON."""
    return dashboard("letrade-topology", "Letrade topology", _ROWS, "letrade_topo_leader")
