"""The dashboard of agents: the contract's four figures, traffic, security, connections."""

from __future__ import annotations

from script.dashboards.grafana import dashboard
from script.dashboards.panels import AGENT, BAD_ABOVE_ZERO, RATE, Panel, Rows, quantile, rate, stat

_CERTIFICATES = "letrade_agent_tls_cert_not_after_timestamp_seconds"
_OF_AGENTS = "and on (job, instance) letrade_agent_build_info"
_DAY = 86_400

_ROWS: Rows = (
    (
        "At a glance",
        (
            stat("Agents", f"count(letrade_agent_build_info{{{AGENT}}})", text="That answer Prometheus."),
            stat(
                "Without a broker",
                f"count(letrade_agent_broker_up{{{AGENT}}} == 0) or vector(0)",
                text="Their services can neither publish nor consume.",
                thresholds=BAD_ABOVE_ZERO,
            ),
            stat("Messages", f"sum(rate(letrade_agent_messages_total{{{AGENT}}}{RATE}))", "mps"),
            stat(
                "Refused",
                f'sum(rate(letrade_agent_messages_total{{{AGENT}, outcome="rejected"}}{RATE})) '
                f"/ sum(rate(letrade_agent_messages_total{{{AGENT}}}{RATE}))",
                "percentunit",
                "Publishes and deliveries.",
                ((0, "green"), (0.001, "orange"), (0.01, "red")),
            ),
            stat(
                "Added latency, p99",
                quantile(0.99, "letrade_agent_added_latency_seconds", ""),
                "s",
                "What the agents themselves add to a message.",
                ((0, "green"), (0.005, "orange"), (0.05, "red")),
            ),
            stat("Unsettled deliveries", f"sum(letrade_agent_unsettled_deliveries{{{AGENT}}})"),
        ),
    ),
    (
        "The contract's four figures",
        (
            Panel(
                "Processing rate",
                [
                    (
                        rate("letrade_agent_messages_total", "instance, direction", more=', outcome="forwarded"'),
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
                    (quantile(0.5, "letrade_agent_delivery_settle_duration_seconds", "instance"), "{{instance}} p50"),
                    (quantile(0.99, "letrade_agent_delivery_settle_duration_seconds", "instance"), "{{instance}} p99"),
                ],
                "s",
                "From handing a delivery to the service to its acknowledgement or rejection.",
                width=6,
            ),
            Panel(
                "Errors",
                [
                    (rate("letrade_agent_messages_rejected_total", "direction"), "refused, {{direction}}"),
                    (
                        rate(
                            "letrade_agent_delivery_settle_duration_seconds_count", "outcome", more=', outcome!="ack"'
                        ),
                        "service: {{outcome}}",
                    ),
                    (rate("letrade_agent_dead_letters_total", "reason") + " > 0", "dead: {{reason}}"),
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
                        "topk(10, " + rate("letrade_agent_messages_total", "direction, destination") + ") > 0",
                        "{{direction}} {{destination}}",
                    )
                ],
                "mps",
                "The busiest ten: exchanges that are published to, queues that are consumed.",
            ),
            Panel("Bytes", [(rate("letrade_agent_transferred_bytes_total", "direction"), "{{direction}}")], "Bps"),
            Panel(
                "Size of messages",
                [
                    (quantile(0.5, "letrade_agent_message_size_bytes", "direction"), "{{direction}} p50"),
                    (quantile(0.99, "letrade_agent_message_size_bytes", "direction"), "{{direction}} p99"),
                ],
                "bytes",
            ),
            Panel(
                "Publisher confirms",
                [(rate("letrade_agent_publish_confirms_total", "outcome"), "{{outcome}}")],
                "mps",
                "nack: the broker refused; lost: the connection ended before the confirm.",
            ),
            Panel(
                "Until the confirm",
                [
                    (quantile(0.5, "letrade_agent_publish_confirm_duration_seconds", ""), "p50"),
                    (quantile(0.99, "letrade_agent_publish_confirm_duration_seconds", ""), "p99"),
                ],
                "s",
                "From writing a publish to the broker's confirm.",
            ),
            Panel(
                "Added latency",
                [
                    (quantile(0.5, "letrade_agent_added_latency_seconds", "direction"), "{{direction}} p50"),
                    (quantile(0.99, "letrade_agent_added_latency_seconds", "direction"), "{{direction}} p99"),
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
                        rate("letrade_agent_messages_rejected_total", "direction, reason") + " > 0",
                        "{{direction}}: {{reason}}",
                    )
                ],
                "mps",
                "The first check that failed. Empty is good.",
            ),
            Panel(
                "Let through in mode warn, or unverified",
                [
                    (rate("letrade_agent_messages_warned_total", "direction"), "warned, {{direction}}"),
                    (
                        rate("letrade_agent_messages_unverified_total", "direction, cause"),
                        "unverified, {{direction}}: {{cause}}",
                    ),
                ],
                "mps",
                "For a migration; zero in production.",
            ),
            Panel(
                "Signing and verifying, p99",
                [
                    (quantile(0.99, "letrade_agent_sign_duration_seconds", "alg"), "sign {{alg}}"),
                    (quantile(0.99, "letrade_agent_verify_duration_seconds", "alg"), "verify {{alg}}"),
                ],
                "s",
            ),
            Panel(
                "Days until a certificate ends",
                [
                    (
                        f"(min by (role) ({_CERTIFICATES}{{{AGENT}}}) - time()) / {_DAY}",
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
                [(rate("letrade_agent_client_disconnects_total", "cause") + " > 0", "{{cause}}")],
                "cps",
                stacked=True,
            ),
            Panel(
                "Connects to the broker",
                [(rate("letrade_agent_broker_connect_attempts_total", "outcome") + " > 0", "{{outcome}}")],
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
                [(quantile(0.99, "letrade_agent_event_loop_lag_seconds", "instance"), "{{instance}}")],
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
                        rate("letrade_agent_backpressure_seconds_total", "instance, direction"),
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


def page() -> str:
    """Its JSON."""
    return dashboard("letrade-agents", "Letrade agents", _ROWS, "letrade_agent_build_info")
