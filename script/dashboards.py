"""The Grafana dashboards in `helm/letrade-topo/files/dashboards`, written by `script/reference`.

A dashboard is rows of panels; a panel is a question in PromQL, with a title that says it in words. Grafana's JSON is
made of them here, so that a person can read and change what is asked.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

WIDTH = 24
SCHEMA_VERSION = 38
DATASOURCE = {"type": "prometheus", "uid": "${datasource}"}
AGENT = 'namespace=~"$namespace", instance=~"$instance"'
CONTROLLER = 'namespace=~"$namespace"'
RATE = "[$__rate_interval]"
DAY = 86_400


@dataclass(frozen=True, slots=True)
class Panel:
    """One question.

    Args:
        title: the question's short form.
        queries: PromQL and, for each, what its series are called.
        unit: Grafana's word for the unit.
        text: what it means, and what is good.
        kind: timeseries, stat or bargauge.
        width, height: of 24 columns; in lines.
        stacked: the areas add up.
        thresholds: from which value on it is which colour.
        mappings: words instead of values.
    """

    title: str
    queries: Sequence[tuple[str, str]]
    unit: str = "short"
    text: str = ""
    kind: str = "timeseries"
    width: int = 8
    height: int = 7
    stacked: bool = False
    thresholds: Sequence[tuple[float, str]] = ()
    mappings: dict[str, tuple[str, str]] = field(default_factory=dict)


Rows = Sequence[tuple[str, Sequence[Panel]]]

_CERTIFICATES = "letrade_agent_tls_cert_not_after_timestamp_seconds"
_OF_AGENTS = "and on (job, instance) letrade_agent_build_info"
_RETRYING = f'letrade_topo_queue_messages{{{CONTROLLER}, queue=~".+[.]retry[.][0-9]+"}}'
_UP_DOWN = {"0": ("down", "red"), "1": ("up", "green")}
_BAD_ABOVE_ZERO = ((0, "green"), (0.000_001, "red"))


def _stat(
    title: str,
    query: str,
    unit: str = "short",
    text: str = "",
    thresholds: Sequence[tuple[float, str]] = (),
    mappings: dict[str, tuple[str, str]] | None = None,
    legend: str = "",
) -> Panel:
    return Panel(title, [(query, legend)], unit, text, "stat", 4, 4, False, thresholds, mappings or {})


def _quantile(share: float, metric: str, by: str, scope: str = AGENT, more: str = "") -> str:
    grouped = ", ".join(filter(None, [by, "le"]))
    return f"histogram_quantile({share}, sum by ({grouped}) (rate({metric}_bucket{{{scope}{more}}}{RATE})))"


def _rate(metric: str, by: str, scope: str = AGENT, more: str = "") -> str:
    return f"sum by ({by}) (rate({metric}{{{scope}{more}}}{RATE}))"


AGENTS: Rows = (
    (
        "At a glance",
        (
            _stat("Agents", f"count(letrade_agent_build_info{{{AGENT}}})", text="That answer Prometheus."),
            _stat(
                "Without a broker",
                f"count(letrade_agent_broker_up{{{AGENT}}} == 0) or vector(0)",
                text="Their services can neither publish nor consume.",
                thresholds=_BAD_ABOVE_ZERO,
            ),
            _stat("Messages", f"sum(rate(letrade_agent_messages_total{{{AGENT}}}{RATE}))", "mps"),
            _stat(
                "Refused",
                f'sum(rate(letrade_agent_messages_total{{{AGENT}, outcome="rejected"}}{RATE})) '
                f"/ sum(rate(letrade_agent_messages_total{{{AGENT}}}{RATE}))",
                "percentunit",
                "Publishes and deliveries.",
                ((0, "green"), (0.001, "orange"), (0.01, "red")),
            ),
            _stat(
                "Added latency, p99",
                _quantile(0.99, "letrade_agent_added_latency_seconds", ""),
                "s",
                "What the agents themselves add to a message.",
                ((0, "green"), (0.005, "orange"), (0.05, "red")),
            ),
            _stat("Unsettled deliveries", f"sum(letrade_agent_unsettled_deliveries{{{AGENT}}})"),
        ),
    ),
    (
        "The contract's four figures",
        (
            Panel(
                "Processing rate",
                [
                    (
                        _rate("letrade_agent_messages_total", "instance, direction", more=', outcome="forwarded"'),
                        "{{instance}} {{direction}}",
                    )
                ],
                "mps",
                "Messages that went through, in either direction.",
                width=6,
            ),
            Panel(
                "Queue depth",
                [(f"sum by (queue) (letrade_agent_queue_messages{{{AGENT}}}) > 0", "{{queue}}")],
                text="Messages that wait in the services' own queues, as their agents last heard. Empty is good.",
                width=6,
            ),
            Panel(
                "Processing latency",
                [
                    (_quantile(0.5, "letrade_agent_delivery_settle_duration_seconds", "instance"), "{{instance}} p50"),
                    (_quantile(0.99, "letrade_agent_delivery_settle_duration_seconds", "instance"), "{{instance}} p99"),
                ],
                "s",
                "From handing a delivery to the service to its acknowledgement or rejection.",
                width=6,
            ),
            Panel(
                "Errors",
                [
                    (_rate("letrade_agent_messages_rejected_total", "direction"), "refused, {{direction}}"),
                    (
                        _rate(
                            "letrade_agent_delivery_settle_duration_seconds_count", "outcome", more=', outcome!="ack"'
                        ),
                        "service: {{outcome}}",
                    ),
                    (_rate("letrade_agent_dead_letters_total", "reason") + " > 0", "dead: {{reason}}"),
                ],
                "mps",
                "Refused by an agent, rejected by a service, given up after the last retry.",
                width=6,
            ),
        ),
    ),
    (
        "Traffic",
        (
            Panel(
                "By destination",
                [
                    (
                        "topk(10, " + _rate("letrade_agent_messages_total", "direction, destination") + ") > 0",
                        "{{direction}} {{destination}}",
                    )
                ],
                "mps",
                "The busiest ten: exchanges that are published to, queues that are consumed.",
            ),
            Panel("Bytes", [(_rate("letrade_agent_transferred_bytes_total", "direction"), "{{direction}}")], "Bps"),
            Panel(
                "Size of messages",
                [
                    (_quantile(0.5, "letrade_agent_message_size_bytes", "direction"), "{{direction}} p50"),
                    (_quantile(0.99, "letrade_agent_message_size_bytes", "direction"), "{{direction}} p99"),
                ],
                "bytes",
            ),
            Panel(
                "Publisher confirms",
                [(_rate("letrade_agent_publish_confirms_total", "outcome"), "{{outcome}}")],
                "mps",
                "nack: the broker refused; lost: the connection ended before the confirm.",
            ),
            Panel(
                "Until the confirm",
                [
                    (_quantile(0.5, "letrade_agent_publish_confirm_duration_seconds", ""), "p50"),
                    (_quantile(0.99, "letrade_agent_publish_confirm_duration_seconds", ""), "p99"),
                ],
                "s",
                "From writing a publish to the broker's confirm.",
            ),
            Panel(
                "Added latency",
                [
                    (_quantile(0.5, "letrade_agent_added_latency_seconds", "direction"), "{{direction}} p50"),
                    (_quantile(0.99, "letrade_agent_added_latency_seconds", "direction"), "{{direction}} p99"),
                ],
                "s",
                "From reading the end of a message to writing it.",
            ),
        ),
    ),
    (
        "Security",
        (
            Panel(
                "Refused, by reason",
                [
                    (
                        _rate("letrade_agent_messages_rejected_total", "direction, reason") + " > 0",
                        "{{direction}}: {{reason}}",
                    )
                ],
                "mps",
                "The first check that failed. Empty is good.",
            ),
            Panel(
                "Let through in mode warn, or unverified",
                [
                    (_rate("letrade_agent_messages_warned_total", "direction"), "warned, {{direction}}"),
                    (
                        _rate("letrade_agent_messages_unverified_total", "direction, cause"),
                        "unverified, {{direction}}: {{cause}}",
                    ),
                ],
                "mps",
                "For a migration; zero in production.",
            ),
            Panel(
                "Signing and verifying, p99",
                [
                    (_quantile(0.99, "letrade_agent_sign_duration_seconds", "alg"), "sign {{alg}}"),
                    (_quantile(0.99, "letrade_agent_verify_duration_seconds", "alg"), "verify {{alg}}"),
                ],
                "s",
            ),
            Panel(
                "Days until a certificate ends",
                [
                    (
                        f"(min by (role) ({_CERTIFICATES}{{{AGENT}}}) - time()) / {DAY}",
                        "{{role}}",
                    )
                ],
                "d",
                kind="bargauge",
                thresholds=((0, "red"), (3, "orange"), (14, "green")),
            ),
            Panel(
                "Verification keys",
                [(f"letrade_agent_verification_keys{{{AGENT}}}", "{{instance}}")],
                text="Public keys in force; all agents should have as many.",
            ),
            Panel(
                "Topology in force",
                [(f"count by (topology_sha) (letrade_agent_config_info{{{AGENT}}})", "{{topology_sha}}")],
                text="Agents by the topology that they follow; two colours for long are a roll-out that stands still.",
                stacked=True,
            ),
        ),
    ),
    (
        "Connections and resources",
        (
            Panel(
                "Connections",
                [
                    (f"sum by (instance) (letrade_agent_client_connections{{{AGENT}}})", "{{instance}} of clients"),
                    (f"sum by (instance) (letrade_agent_broker_connections{{{AGENT}}})", "{{instance}} to the broker"),
                ],
            ),
            Panel(
                "Ended connections of clients",
                [(_rate("letrade_agent_client_disconnects_total", "cause") + " > 0", "{{cause}}")],
                "cps",
                stacked=True,
            ),
            Panel(
                "Connects to the broker",
                [(_rate("letrade_agent_broker_connect_attempts_total", "outcome") + " > 0", "{{outcome}}")],
                "cps",
                stacked=True,
            ),
            Panel(
                "Memory",
                [
                    (
                        f"process_resident_memory_bytes{{{AGENT}}} {_OF_AGENTS}",
                        "{{instance}}",
                    )
                ],
                "bytes",
            ),
            Panel(
                "Processor",
                [
                    (
                        f"rate(process_cpu_seconds_total{{{AGENT}}}{RATE}) {_OF_AGENTS}",
                        "{{instance}}",
                    )
                ],
                "percentunit",
                "Of one core.",
            ),
            Panel(
                "Lateness of the event loop, p99",
                [(_quantile(0.99, "letrade_agent_event_loop_lag_seconds", "instance"), "{{instance}}")],
                "s",
            ),
            Panel(
                "Waiting to be written",
                [
                    (
                        f"sum by (instance, direction) (letrade_agent_buffered_bytes{{{AGENT}}})",
                        "{{instance}} {{direction}}",
                    )
                ],
                "bytes",
            ),
            Panel(
                "Reading paused",
                [
                    (
                        _rate("letrade_agent_backpressure_seconds_total", "instance, direction"),
                        "{{instance}} {{direction}}",
                    )
                ],
                "percentunit",
                "Share of the time in which one side did not take what the other sent.",
            ),
            Panel(
                "Blocked by the broker",
                [(f"letrade_agent_broker_blocked{{{AGENT}}}", "{{instance}}")],
                "bool_yes_no",
            ),
        ),
    ),
)

DEAD_LETTERS: Rows = (
    (
        "At a glance",
        (
            _stat(
                "Dead letters",
                f'sum(letrade_topo_queue_messages{{{CONTROLLER}, queue=~"(.+[.])?dlq"}})',
                text="They wait for a person: docs/how-to/dead-letter-queue-is-full.md",
                thresholds=((0, "green"), (1, "orange"), (100, "red")),
            ),
            _stat(
                "Rejected, not yet routed",
                f'sum(letrade_topo_queue_messages{{{CONTROLLER}, queue=~".+[.]rejected"}})',
                text="In <queue>.rejected. For longer than a moment: no agent of that service runs.",
                thresholds=((0, "green"), (1, "orange")),
            ),
            _stat(
                "Waiting for a retry",
                f"sum({_RETRYING})",
            ),
            _stat("Retries", f"sum(increase(letrade_agent_retries_total{{{AGENT}}}[1h]))", text="In the last hour."),
            _stat(
                "Given up", f"sum(increase(letrade_agent_dead_letters_total{{{AGENT}}}[1h]))", text="In the last hour."
            ),
            _stat(
                "Hand-overs that failed",
                f"sum(increase(letrade_agent_hand_over_failures_total{{{AGENT}}}[1h]))",
                text="In the last hour; they are tried again.",
                thresholds=_BAD_ABOVE_ZERO,
            ),
        ),
    ),
    (
        "Where messages wait",
        (
            Panel(
                "Dead letters",
                [(f'sum by (queue) (letrade_topo_queue_messages{{{CONTROLLER}, queue=~"(.+[.])?dlq"}})', "{{queue}}")],
            ),
            Panel(
                "On their way back",
                [
                    (
                        f"sum by (queue) ({_RETRYING}) > 0",
                        "{{queue}}",
                    )
                ],
                text="By the delay queue of their attempt. Empty is good.",
                stacked=True,
            ),
            Panel(
                "Rejected, not yet routed",
                [
                    (
                        f'sum by (queue) (letrade_topo_queue_messages{{{CONTROLLER}, queue=~".+[.]rejected"}}) > 0',
                        "{{queue}}",
                    )
                ],
            ),
        ),
    ),
    (
        "What happens to them",
        (
            Panel(
                "Retries",
                [(_rate("letrade_agent_retries_total", "queue, attempt") + " > 0", "{{queue}} attempt {{attempt}}")],
                "mps",
                "Later attempts near the first ones: the cause does not go away.",
                width=12,
            ),
            Panel(
                "Given up",
                [(_rate("letrade_agent_dead_letters_total", "queue, reason") + " > 0", "{{queue}}: {{reason}}")],
                "mps",
                width=12,
            ),
            Panel(
                "Refused deliveries",
                [
                    (
                        _rate("letrade_agent_messages_rejected_total", "reason", more=', direction="deliver"') + " > 0",
                        "{{reason}}",
                    )
                ],
                "mps",
                "By an agent, before its service saw them; these go straight to the dead letters. Empty is good.",
                width=12,
            ),
            Panel(
                "Settled by services",
                [
                    (
                        _rate("letrade_agent_delivery_settle_duration_seconds_count", "instance, outcome"),
                        "{{instance}} {{outcome}}",
                    )
                ],
                "mps",
                width=12,
            ),
        ),
    ),
    (
        "Handing over",
        (
            Panel(
                "Under way",
                [
                    (f"sum by (instance) (letrade_agent_hand_overs_in_flight{{{AGENT}}})", "{{instance}} in flight"),
                    (f"sum by (instance) (letrade_agent_held_deliveries{{{AGENT}}})", "{{instance}} held"),
                ],
            ),
            Panel(
                "Until the broker confirms",
                [
                    (_quantile(0.5, "letrade_agent_hand_over_duration_seconds", ""), "p50"),
                    (_quantile(0.99, "letrade_agent_hand_over_duration_seconds", ""), "p99"),
                ],
                "s",
            ),
            Panel("Failures", [(_rate("letrade_agent_hand_over_failures_total", "instance"), "{{instance}}")], "cps"),
        ),
    ),
)

TOPOLOGY: Rows = (
    (
        "At a glance",
        (
            _stat(
                "Broker",
                f"max(letrade_topo_broker_up{{{CONTROLLER}}})",
                text="Whether its management API could be read when it was last tried.",
                thresholds=((0, "red"), (1, "green")),
                mappings=_UP_DOWN,
            ),
            _stat(
                "Leaders",
                f"sum(letrade_topo_leader{{{CONTROLLER}}})",
                text="Controllers that work; one for each topology.",
                thresholds=((0, "red"), (1, "green")),
            ),
            _stat(
                "Differences",
                f"sum(letrade_topo_drift_objects{{{CONTROLLER}}})",
                text="Objects that are not as the topology says.",
                thresholds=((0, "green"), (1, "red")),
            ),
            _stat(
                "Blocked",
                f"sum(letrade_topo_drift_blocked_objects{{{CONTROLLER}}})",
                text="Differences that no repair touches: a person has to allow it.",
                thresholds=((0, "green"), (1, "orange")),
            ),
            _stat(
                "Last look",
                f"time() - max(letrade_topo_drift_check_last_success_timestamp_seconds{{{CONTROLLER}}})",
                "s",
                "How long ago the broker was last compared.",
            ),
            _stat("Objects", f"sum(letrade_topo_objects{{{CONTROLLER}}})", text="That the topology declares."),
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
                [(_rate("letrade_topo_drift_checks_total", "outcome", CONTROLLER), "{{outcome}}")],
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
                [(_quantile(0.9, "letrade_topo_apply_duration_seconds", "phase", CONTROLLER), "{{phase}}")],
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
                [(_rate("letrade_topo_management_api_requests_total", "code_class", CONTROLLER), "{{code_class}}")],
                "reqps",
                "error: no answer.",
                stacked=True,
            ),
            Panel(
                "Until the answer, p90",
                [
                    (
                        _quantile(0.9, "letrade_topo_management_api_request_duration_seconds", "method", CONTROLLER),
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


def agents() -> str:
    """The dashboard of agents."""
    return _dashboard("letrade-agents", "Letrade agents", AGENTS, "letrade_agent_build_info")


def dead_letters() -> str:
    """The dashboard of dead letters and retries."""
    return _dashboard(
        "letrade-dead-letters", "Letrade dead letters and retries", DEAD_LETTERS, "letrade_agent_build_info"
    )


def topology() -> str:
    """The dashboard of the controller."""
    return _dashboard("letrade-topology", "Letrade topology", TOPOLOGY, "letrade_topo_leader")


def _dashboard(uid: str, title: str, rows: Rows, told_by: str) -> str:
    panels: list[dict[str, Any]] = []
    y = 0
    for heading, found in rows:
        panels.append(
            {
                "id": len(panels) + 1,
                "type": "row",
                "title": heading,
                "collapsed": False,
                "panels": [],
                "gridPos": _place(0, y, WIDTH, 1),
            }
        )
        y += 1
        x = tallest = 0
        for panel in found:
            if x + panel.width > WIDTH:
                x, y, tallest = 0, y + tallest, 0
            panels.append(_panel(len(panels) + 1, panel, x, y))
            x, tallest = x + panel.width, max(tallest, panel.height)
        y += tallest
    variables = [_datasource(), _variable("namespace", "Namespace", told_by)]
    if told_by == "letrade_agent_build_info":
        variables.append(_variable("instance", "Agent", told_by + '{namespace=~"$namespace"}'))
    document = {
        "uid": uid,
        "title": title,
        "tags": ["letrade", "rabbitmq"],
        "schemaVersion": SCHEMA_VERSION,
        "version": 1,
        "editable": True,
        "graphTooltip": 1,
        "refresh": "30s",
        "time": {"from": "now-1h", "to": "now"},
        "links": [
            {"type": "dashboards", "title": "Letrade", "tags": ["letrade"], "asDropdown": True, "includeVars": True}
        ],
        "templating": {"list": variables},
        "annotations": {"list": [_alerts()]},
        "panels": panels,
    }
    return json.dumps(document, indent=2, ensure_ascii=False) + "\n"


def _panel(number: int, panel: Panel, x: int, y: int) -> dict[str, Any]:
    defaults: dict[str, Any] = {"unit": panel.unit, "min": 0}
    if panel.thresholds:
        steps = [
            {"color": colour, "value": value if place else None}
            for place, (value, colour) in enumerate(panel.thresholds)
        ]
        defaults["thresholds"] = {"mode": "absolute", "steps": steps}
    if panel.mappings:
        options = {value: {"text": text, "color": colour} for value, (text, colour) in panel.mappings.items()}
        defaults["mappings"] = [{"type": "value", "options": options}]
    options: dict[str, Any] = {}
    match panel.kind:
        case "timeseries":
            defaults["custom"] = {
                "fillOpacity": 20 if panel.stacked else 5,
                "showPoints": "never",
                "stacking": {"mode": "normal" if panel.stacked else "none"},
            }
            options = {
                "legend": {"displayMode": "list", "placement": "bottom"},
                "tooltip": {"mode": "multi", "sort": "desc"},
            }
        case "stat":
            options = {"reduceOptions": {"calcs": ["lastNotNull"]}, "colorMode": "value", "graphMode": "area"}
        case _:
            options = {"reduceOptions": {"calcs": ["lastNotNull"]}, "orientation": "horizontal", "displayMode": "basic"}
    return {
        "id": number,
        "type": panel.kind,
        "title": panel.title,
        "description": panel.text,
        "datasource": DATASOURCE,
        "gridPos": _place(x, y, panel.width, panel.height),
        "fieldConfig": {"defaults": defaults, "overrides": []},
        "options": options,
        "targets": [
            {
                "refId": chr(ord("A") + place),
                "datasource": DATASOURCE,
                "expr": query,
                "legendFormat": legend,
                "instant": panel.kind != "timeseries",
            }
            for place, (query, legend) in enumerate(panel.queries)
        ],
    }


def _place(x: int, y: int, width: int, height: int) -> dict[str, int]:
    return {"x": x, "y": y, "w": width, "h": height}


def _datasource() -> dict[str, Any]:
    return {"name": "datasource", "label": "Prometheus", "type": "datasource", "query": "prometheus", "refresh": 1}


def _variable(name: str, label: str, metric: str) -> dict[str, Any]:
    """Of which one may choose several; all means also series without the label, as outside of Kubernetes."""
    query = f"label_values({metric}, {name})"
    return {
        "name": name,
        "label": label,
        "type": "query",
        "datasource": DATASOURCE,
        "definition": query,
        "query": {"query": query, "refId": name},
        "refresh": 2,
        "sort": 1,
        "multi": True,
        "includeAll": True,
        "allValue": ".*",
        "current": {"text": ["All"], "value": ["$__all"]},
    }


def _alerts() -> dict[str, Any]:
    return {
        "name": "Alerts",
        "enable": True,
        "iconColor": "red",
        "datasource": DATASOURCE,
        "expr": 'ALERTS{alertname=~"Letrade.+", alertstate="firing"}',
        "titleFormat": "{{alertname}}",
        "textFormat": "{{severity}}",
    }
