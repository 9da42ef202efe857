"""The dashboard of dead letters and retries: where failed messages are, and what becomes of them."""

from __future__ import annotations

from script.dashboards.grafana import dashboard
from script.dashboards.panels import AGENT, BAD_ABOVE_ZERO, CONTROLLER, Panel, Rows, quantile, rate, stat

_RETRYING = f'letrade_topo_queue_messages{{{CONTROLLER}, queue=~".+[.]retry[.][0-9]+"}}'

_ROWS: Rows = (
    (
        "At a glance",
        (
            stat(
                "Dead letters",
                f'sum(letrade_topo_queue_messages{{{CONTROLLER}, queue=~"(.+[.])?dlq"}})',
                text="They wait for a person: docs/how-to/dead-letter-queue-is-full.md",
                thresholds=((0, "green"), (1, "orange"), (100, "red")),
            ),
            stat(
                "Rejected, not yet routed",
                f'sum(letrade_topo_queue_messages{{{CONTROLLER}, queue=~".+[.]rejected"}})',
                text="In <queue>.rejected. For longer than a moment: no agent of that service runs.",
                thresholds=((0, "green"), (1, "orange")),
            ),
            stat(
                "Waiting for a retry",
                f"sum({_RETRYING})",
            ),
            stat("Retries", f"sum(increase(letrade_agent_retries_total{{{AGENT}}}[1h]))", text="In the last hour."),
            stat(
                "Given up", f"sum(increase(letrade_agent_dead_letters_total{{{AGENT}}}[1h]))", text="In the last hour."
            ),
            stat(
                "Hand-overs that failed",
                f"sum(increase(letrade_agent_hand_over_failures_total{{{AGENT}}}[1h]))",
                text="In the last hour; they are tried again.",
                thresholds=BAD_ABOVE_ZERO,
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
                [(rate("letrade_agent_retries_total", "queue, attempt") + " > 0", "{{queue}} attempt {{attempt}}")],
                "mps",
                "Later attempts near the first ones: the cause does not go away.",
                width=12,
            ),
            Panel(
                "Given up",
                [(rate("letrade_agent_dead_letters_total", "queue, reason") + " > 0", "{{queue}}: {{reason}}")],
                "mps",
                width=12,
            ),
            Panel(
                "Refused deliveries",
                [
                    (
                        rate("letrade_agent_messages_rejected_total", "reason", more=', direction="deliver"') + " > 0",
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
                        rate("letrade_agent_delivery_settle_duration_seconds_count", "instance, outcome"),
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
                    (quantile(0.5, "letrade_agent_hand_over_duration_seconds", ""), "p50"),
                    (quantile(0.99, "letrade_agent_hand_over_duration_seconds", ""), "p99"),
                ],
                "s",
            ),
            Panel("Failures", [(rate("letrade_agent_hand_over_failures_total", "instance"), "{{instance}}")], "cps"),
        ),
    ),
)


def page() -> str:
    """Its JSON."""
    return dashboard("letrade-dead-letters", "Letrade dead letters and retries", _ROWS, "letrade_agent_build_info")
