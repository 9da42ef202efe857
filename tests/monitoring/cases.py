"""For every alert: series under which it fires, with which labels, and series under which it does not.

Series are in promtool's notation with one sample a minute; the clock begins at 0.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

SPACE = 'namespace="trading"'
AGENT = f'{SPACE},job="agents",instance="10.1.0.7:9464",pod="strategy-0"'
CONTROLLER = f'{SPACE},job="controller",instance="10.1.0.9:9465",pod="letrade-topo-0"'
TOPOLOGY = f'{CONTROLLER},topology="letrade"'
DAY = 86_400

AGENT_LABELS = {"namespace": "trading", "job": "agents", "instance": "10.1.0.7:9464", "pod": "strategy-0"}
CONTROLLER_LABELS = {"namespace": "trading", "job": "controller", "instance": "10.1.0.9:9465", "pod": "letrade-topo-0"}
TOPOLOGY_LABELS = {"namespace": "trading", "topology": "letrade"}

Series = Mapping[str, str]


@dataclass(frozen=True, slots=True)
class AlertCase:
    """When one alert fires.

    Args:
        alert: its name.
        severity: one of its severities.
        fires: series under which it fires at `at`.
        quiet: series under which it never fires.
        at: when it is looked at.
        labels: of the alert that fires, besides its name and those that the rule adds.
        early: a moment at which it does not fire yet, for those that have to hold a while.
    """

    alert: str
    severity: str
    fires: Series
    quiet: Series
    at: str
    labels: Mapping[str, str] = field(default_factory=dict)
    early: str = ""


def _rejected(reason: str, values: str, direction: str = "deliver") -> Series:
    return {f'letrade_agent_messages_rejected_total{{{AGENT},direction="{direction}",reason="{reason}"}}': values}


def _messages(forwarded: str, rejected: str) -> Series:
    name = "letrade_agent_messages_total"
    labels = f'{AGENT},direction="deliver",destination="strategy.error"'
    return {
        f'{name}{{{labels},outcome="forwarded"}}': forwarded,
        f'{name}{{{labels},outcome="rejected"}}': rejected,
    }


def _histogram(name: str, labels: str, bound: str, below: str, all_of_them: str) -> Series:
    """Two buckets: up to `bound`, and up to ten times as much."""
    ten = str(float(bound) * 10)
    return {
        f'{name}_bucket{{{labels},le="{bound}"}}': below,
        f'{name}_bucket{{{labels},le="{ten}"}}': all_of_them,
        f'{name}_bucket{{{labels},le="+Inf"}}': all_of_them,
    }


def _confirms(ack: str, nack: str) -> Series:
    name = "letrade_agent_publish_confirms_total"
    return {f'{name}{{{AGENT},outcome="ack"}}': ack, f'{name}{{{AGENT},outcome="nack"}}': nack}


def _drift(change: str, value: str) -> Series:
    return {f'letrade_topo_drift_objects{{{TOPOLOGY},kind="queue",change="{change}"}}': value}


def _runs(last_run: str, last_success: str | None) -> Series:
    name = "letrade_topo_apply_last"
    found = {f"{name}_run_timestamp_seconds{{{TOPOLOGY}}}": last_run}
    return found if last_success is None else found | {f"{name}_success_timestamp_seconds{{{TOPOLOGY}}}": last_success}


def _queue(name: str, values: str) -> Series:
    return {f'letrade_topo_queue_messages{{{CONTROLLER},queue="{name}",state="ready"}}': values}


def _pod(metric: str, more: str, values: str, container: str = "letrade-agent") -> Series:
    name = f"kube_pod_init_container_status_{metric}"
    return {f'{name}{{{SPACE},pod="strategy-0",container="{container}"{more}}}': values}


_WAITING = ',reason="CrashLoopBackOff"'
_POD = {"namespace": "trading", "pod": "strategy-0", "container": "letrade-agent"}
_SIGNING = f"letrade_agent_signing_key_not_after_timestamp_seconds{{{AGENT}}}"
_CERTIFICATE = f'letrade_agent_tls_cert_not_after_timestamp_seconds{{{AGENT},role="client"}}'
_LATENCY = "letrade_agent_added_latency_seconds"
_LAG = "letrade_agent_event_loop_lag_seconds"
_PUBLISH = f'{AGENT},direction="publish"'
_REQUESTS = f'letrade_topo_management_api_requests_total{{{CONTROLLER},method="GET",code_class='

CASES = (
    AlertCase(
        "LetradeAgentDown",
        "critical",
        # and is not over by itself when it has been down for long
        {f"up{{{AGENT}}}": "1x10 0x150", f"letrade_agent_build_info{{{AGENT}}}": "1x10 _x150"},
        # another target of the same job that never was an agent
        {
            f"up{{{AGENT}}}": "1x30",
            f"letrade_agent_build_info{{{AGENT}}}": "1x30",
            'up{job="agents",instance="x"}': "0x30",
        },
        "150m",
        AGENT_LABELS,
        "14m",
    ),
    AlertCase(
        "LetradeAgentCrashLooping",
        "critical",
        _pod("waiting_reason", _WAITING, "1x30"),
        {
            **_pod("waiting_reason", _WAITING, "1x30", "other"),
            **_pod("waiting_reason", ',reason="PodInitializing"', "1x30"),
        },
        "10m",
        _POD,
        "4m",
    ),
    AlertCase(
        "LetradeAgentRestarting",
        "warning",
        _pod("restarts_total", "", "0x5 1 2 3 4x30"),
        _pod("restarts_total", "", "0x5 1 2x30"),
        "20m",
        _POD,
    ),
    AlertCase(
        "LetradeAgentBrokerUnreachable",
        "critical",
        {f"letrade_agent_broker_up{{{AGENT}}}": "1x5 0x10"},
        {f"letrade_agent_broker_up{{{AGENT}}}": "1x5 0 1x10"},
        "9m",
        AGENT_LABELS,
        "6m",
    ),
    AlertCase(
        "LetradeAgentSignatureRejects",
        "critical",
        _rejected("signature", "0x5 1x10"),
        {**_rejected("expired", "0x5 9x10"), **_rejected("oversize", "0x5 9x10"), **_rejected("signature", "3x15")},
        "7m",
        {**AGENT_LABELS, "direction": "deliver", "reason": "signature", "category": "security"},
    ),
    AlertCase(
        "LetradeAgentRejectRatioHigh",
        "warning",
        _messages("0+600x40", "0+12x40"),
        _messages("0+600x40", "0+3x40"),
        "25m",
        {"namespace": "trading", "direction": "deliver"},
        "9m",
    ),
    AlertCase(
        "LetradeAgentOversizeRejects",
        "warning",
        _rejected("oversize", "0x5 1x20", "publish"),
        _rejected("schema", "0x5 1x20", "publish"),
        "10m",
        AGENT_LABELS,
    ),
    AlertCase(
        "LetradeAgentSigningKeyExpiresSoon",
        "warning",
        {_SIGNING: f"{6 * DAY}x30"},
        {_SIGNING: f"{8 * DAY}x30"},
        "15m",
        AGENT_LABELS,
        "9m",
    ),
    AlertCase(
        "LetradeAgentSigningKeyExpiresSoon",
        "critical",
        {_SIGNING: "0x30"},  # there is none
        {_SIGNING: f"{2 * DAY}x30"},
        "15m",
        AGENT_LABELS,
    ),
    AlertCase(
        "LetradeAgentTLSCertExpiresSoon",
        "warning",
        {_CERTIFICATE: f"{13 * DAY}x30"},
        {_CERTIFICATE: f"{15 * DAY}x30"},
        "15m",
        {**AGENT_LABELS, "role": "client"},
    ),
    AlertCase(
        "LetradeAgentTLSCertExpiresSoon",
        "critical",
        {_CERTIFICATE: f"{2 * DAY}x30"},
        {_CERTIFICATE: f"{4 * DAY}x30"},
        "15m",
        {**AGENT_LABELS, "role": "client"},
    ),
    AlertCase(
        "LetradeAgentReloadFailing",
        "warning",
        {
            f"letrade_agent_config_last_reload_successful{{{AGENT}}}": "1x30",
            f"letrade_agent_keys_last_reload_successful{{{AGENT}}}": "1x5 0x25",
        },
        {
            f"letrade_agent_config_last_reload_successful{{{AGENT}}}": "1x5 0x5 1x20",
            f"letrade_agent_keys_last_reload_successful{{{AGENT}}}": "1x30",
        },
        "20m",
        AGENT_LABELS,
        "14m",
    ),
    AlertCase(
        "LetradeAgentConfigSkew",
        "warning",
        {
            f'letrade_agent_config_info{{{SPACE},job="agents",instance="a",topology_sha="1111"}}': "1x80",
            f'letrade_agent_config_info{{{SPACE},job="agents",instance="b",topology_sha="2222"}}': "1x80",
        },
        {
            f'letrade_agent_config_info{{{SPACE},job="agents",instance="a",topology_sha="1111"}}': "1x80",
            f'letrade_agent_config_info{{{SPACE},job="agents",instance="b",topology_sha="1111"}}': "1x80",
            f'letrade_agent_config_info{{{SPACE},job="others",instance="c",topology_sha="2222"}}': "1x80",
        },
        "65m",
        {"namespace": "trading", "job": "agents"},
        "55m",
    ),
    AlertCase(
        "LetradeAgentAddedLatencyHigh",
        "warning",
        _histogram(_LATENCY, _PUBLISH, "0.05", "0+90x40", "0+100x40"),
        _histogram(_LATENCY, _PUBLISH, "0.05", "0+100x40", "0+100x40"),
        "25m",
        {**AGENT_LABELS, "direction": "publish"},
        "9m",
    ),
    AlertCase(
        "LetradeAgentPublishNacks",
        "warning",
        _confirms("0+1000x30", "0+5x30"),
        _confirms("0+10000x30", "0+1x30"),
        "15m",
        AGENT_LABELS,
    ),
    AlertCase(
        "LetradeAgentPublishersBlocked",
        "warning",
        {f"letrade_agent_broker_blocked{{{AGENT}}}": "0x5 1x20"},
        {f"letrade_agent_broker_blocked{{{AGENT}}}": "0x5 1x3 0x20"},
        "12m",
        AGENT_LABELS,
        "9m",
    ),
    AlertCase(
        "LetradeAgentEventLoopLag",
        "warning",
        _histogram(_LAG, AGENT, "0.25", "0+90x40", "0+100x40"),
        _histogram(_LAG, AGENT, "0.25", "0+100x40", "0+100x40"),
        "25m",
        AGENT_LABELS,
    ),
    AlertCase(
        "LetradeAgentInternalErrors",
        "warning",
        {f'letrade_agent_internal_errors_total{{{AGENT},where="connection"}}': "0x5 1x20"},
        {f'letrade_agent_internal_errors_total{{{AGENT},where="connection"}}': "2x25"},
        "10m",
        AGENT_LABELS,
    ),
    AlertCase(
        "LetradeAgentTooManyClients",
        "warning",
        {f'letrade_agent_client_disconnects_total{{{AGENT},cause="connection_limit"}}': "0x5 1x20"},
        {f'letrade_agent_client_disconnects_total{{{AGENT},cause="client_closed"}}': "0+3x25"},
        "10m",
        AGENT_LABELS,
    ),
    AlertCase(
        "LetradeAgentLabelOverflow",
        "info",
        {f"letrade_agent_destination_overflow_total{{{AGENT}}}": "0+5x90"},
        {f"letrade_agent_destination_overflow_total{{{AGENT}}}": "7x90"},
        "75m",
        AGENT_LABELS,
        "55m",
    ),
    AlertCase(
        "LetradeAgentHandOverFailures",
        "warning",
        {f"letrade_agent_hand_over_failures_total{{{AGENT}}}": "0+1x30"},
        {f"letrade_agent_hand_over_failures_total{{{AGENT}}}": "4x30"},
        "15m",
        AGENT_LABELS,
    ),
    AlertCase(
        "LetradeAgentDeadLetters",
        "warning",
        {f'letrade_agent_dead_letters_total{{{AGENT},queue="strategy.error",reason="rejected"}}': "0x5 2x20"},
        {f'letrade_agent_dead_letters_total{{{AGENT},queue="strategy.error",reason="rejected"}}': "2x25"},
        "10m",
        {"namespace": "trading", "job": "agents", "queue": "strategy.error", "reason": "rejected"},
    ),
    AlertCase(
        "LetradeTopoControllerDown",
        "warning",
        {f"up{{{CONTROLLER}}}": "1x10 0x150", f"letrade_topo_info{{{TOPOLOGY}}}": "1x10 _x150"},
        {f"up{{{CONTROLLER}}}": "1x10 0x3 1x20", f"letrade_topo_info{{{TOPOLOGY}}}": "1x30"},
        "150m",
        CONTROLLER_LABELS,
        "18m",
    ),
    AlertCase(
        "LetradeTopoNoLeader",
        "warning",
        {f"letrade_topo_leader{{{TOPOLOGY}}}": "1x5 0x20"},
        {
            f"letrade_topo_leader{{{TOPOLOGY}}}": "0x25",
            'letrade_topo_leader{namespace="trading",topology="letrade",pod="b"}': "1x25",
        },
        "12m",
        TOPOLOGY_LABELS,
        "9m",
    ),
    AlertCase(
        "LetradeTopoBrokerUnreachable",
        "warning",
        {f"letrade_topo_broker_up{{{TOPOLOGY}}}": "1x5 0x20"},
        {f"letrade_topo_broker_up{{{TOPOLOGY}}}": "1x5 0x2 1x20"},
        "12m",
        TOPOLOGY_LABELS,
        "9m",
    ),
    AlertCase(
        "LetradeTopoDriftDetected",
        "warning",
        _drift("extra", "0x5 2x50"),
        _drift("extra", "0x5 2x20 0x30"),
        "40m",
        {**TOPOLOGY_LABELS, "kind": "queue", "change": "extra"},
        "30m",
    ),
    AlertCase(
        "LetradeTopoDriftDetected",
        "critical",
        _drift("missing", "0x5 1x50"),
        {**_drift("missing", "0x5 1x3 0x50"), **_drift("different", "1x50")},
        "12m",
        {**TOPOLOGY_LABELS, "kind": "queue", "change": "missing"},
        "9m",
    ),
    AlertCase(
        "LetradeTopoDriftCheckStale",
        "warning",
        {
            f"letrade_topo_drift_check_last_success_timestamp_seconds{{{TOPOLOGY}}}": "60x30",
            f"letrade_topo_interval_seconds{{{TOPOLOGY}}}": "60x30",
        },
        {
            f"letrade_topo_drift_check_last_success_timestamp_seconds{{{TOPOLOGY}}}": "60x30",
            f"letrade_topo_interval_seconds{{{TOPOLOGY}}}": "3600x30",
        },
        "8m",
        TOPOLOGY_LABELS,
        "5m",
    ),
    AlertCase(
        "LetradeTopoApplyFailing",
        "critical",
        _runs("0+60x40", "60x40"),
        _runs("0+60x40", "0+60x40"),
        "25m",
        TOPOLOGY_LABELS,
        "14m",
    ),
    AlertCase(
        "LetradeTopoApplyFailing",  # never a success
        "critical",
        _runs("60+60x40", None),
        _runs("60+60x40", "60+60x40"),
        "25m",
        TOPOLOGY_LABELS,
    ),
    AlertCase(
        "LetradeTopoManagementApiErrors",
        "warning",
        {f'{_REQUESTS}"2xx"}}': "0+100x40", f'{_REQUESTS}"5xx"}}': "0+6x40", f'{_REQUESTS}"error"}}': "0+6x40"},
        {f'{_REQUESTS}"2xx"}}': "0+100x40", f'{_REQUESTS}"5xx"}}': "0+1x40", f'{_REQUESTS}"4xx"}}': "0+50x40"},
        "20m",
        {"namespace": "trading", "job": "controller"},
    ),
    AlertCase(
        "LetradeTopoReloadFailing",
        "warning",
        {f"letrade_topo_config_last_reload_successful{{{TOPOLOGY}}}": "1x5 0x25"},
        {f"letrade_topo_config_last_reload_successful{{{TOPOLOGY}}}": "1x5 0x5 1x20"},
        "20m",
        {**CONTROLLER_LABELS, **TOPOLOGY_LABELS},
        "14m",
    ),
    AlertCase(
        "LetradeRejectedMessagesWait",
        "warning",
        _queue("strategy.error.rejected", "0x5 3x30"),
        {**_queue("strategy.error", "9x35"), **_queue("core_engine.error.rejected", "0x5 3x10 0x20")},
        "22m",
        {"namespace": "trading", "queue": "strategy.error.rejected"},
        "18m",
    ),
    AlertCase(
        "LetradeDeadLetterQueueGrows",
        "critical",
        _queue("letrade.dlq", "90+2x60"),
        {**_queue("letrade.dlq", "300-1x60"), **_queue("strategy.error", "90+9x60")},
        "40m",
        {"namespace": "trading", "queue": "letrade.dlq"},
    ),
)
