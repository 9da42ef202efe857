"""Metrics for Prometheus: the agent's counts, as they are when they are asked for.

Every label has few values, known from the topology or from these pages; the known ones are there from the start,
as 0, so that an increase is seen from the first event on.
"""

from __future__ import annotations

import platform
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Final, NamedTuple

from prometheus_client.core import Metric, UnknownMetricFamily
from prometheus_client.exposition import choose_encoder
from prometheus_client.gc_collector import GCCollector
from prometheus_client.process_collector import ProcessCollector
from prometheus_client.registry import Collector, CollectorRegistry

from letrade_agent.measures import LATENCY_BOUNDS, SPAN_OUTCOMES, WAITING_BOUNDS, Measures
from letrade_agent.observe.families import PREFIX, by_one, counter, gauge, histogram
from letrade_agent.observe.message_metrics import MessageMetrics
from letrade_agent.state import AgentState, InForce, Phase, ReloadSource
from letrade_topo.keys.jwk import Use

DISCONNECT_CAUSES: Final = (
    "client_closed",
    "broker_closed",
    "idle_timeout",
    "protocol_error",
    "auth_failed",
    "connection_limit",
    "peer_refused",
    "drain",
    "internal_error",
)
BUGS_IN: Final = ("connection", "login", "router", "job", "loop")
CONNECT_OUTCOMES: Final = ("ok", "dns", "refused", "timeout", "tls", "auth", "vhost", "protocol")
TRANSFERS: Final = ("to_broker", "to_client")
_CALLED: Final = {ReloadSource.CONFIG: "topology", ReloadSource.KEYS: "keys"}


class Sidelights(NamedTuple):
    """What is neither counted by the relays nor part of the state, and is looked up elsewhere.

    Attributes:
        queue_messages: of the service's queues, by (queue, state); as last asked of the broker.
        certificates_end: seconds since the epoch, by role: client, server, ca.
        broker_up: whether the last attempt to reach the broker succeeded, or a connection to it is open.
    """

    queue_messages: Mapping[tuple[str, str], int] = {}
    certificates_end: Mapping[str, float] = {}
    broker_up: bool = False


class AgentCollector(Collector):
    """All metrics of one agent.

    Args:
        measures: its counts.
        state: how it is doing.
        version: of the distribution.
        sidelights: what is looked up elsewhere; asked at each scrape.
        clock: seconds since the epoch.
    """

    def __init__(
        self,
        measures: Measures,
        state: AgentState,
        version: str,
        sidelights: Callable[[], Sidelights],
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._measures = measures
        self._state = state
        self._version = version
        self._sidelights = sidelights
        self._clock = clock
        self._messages = MessageMetrics(measures, state)

    def collect(self) -> Iterator[Metric]:
        """Every metric, now."""
        yield from self._life()
        yield from self._clients()
        yield from self._broker()
        yield from self._bytes()
        yield from self._messages.collect()
        yield from self._configuration()
        yield from self._keys()
        yield from self._looked_up()

    def _life(self) -> Iterator[Metric]:
        build = {(self._version, platform.python_version()): 1.0}
        yield gauge("build_info", "Which agent this is.", ("version", "python_version"), build)
        states = {(phase.value,): float(phase is self._state.phase) for phase in Phase}
        yield gauge("state", "Where in its life the agent is.", ("state",), states)
        text = "How late the event loop runs what is due."
        yield histogram("event_loop_lag_seconds", text, LATENCY_BOUNDS, (), self._measures.loop_lag)
        text = "Errors that are the agent's own fault, by where they were caught; the log has each."
        bugs = by_one(self._measures.internal_errors, BUGS_IN)
        yield counter("internal_errors", text, ("where",), bugs)
        text = "Spans of traced messages: sent, dropped because too many waited, failed because no collector took them."
        yield counter("trace_spans", text, ("outcome",), by_one(self._measures.spans, SPAN_OUTCOMES))

    def _clients(self) -> Iterator[Metric]:
        counts = self._measures
        yield gauge("client_connections", "Connections of clients.", (), counts.clients)
        # In OpenMetrics a counter's family has no `_total`, and that name is the gauge's: so here it has no type.
        text = "Connections that clients opened."
        yield UnknownMetricFamily(f"{PREFIX}client_connections_total", text, value=counts.client_connections)
        causes = by_one(counts.disconnects, DISCONNECT_CAUSES)
        yield counter("client_disconnects", "Ended connections of clients, by their one cause.", ("cause",), causes)
        yield gauge("channels", "Open channels of clients.", (), counts.channels)

    def _broker(self) -> Iterator[Metric]:
        counts = self._measures
        yield gauge(
            "broker_up", "Whether the broker can be reached, as far as known.", (), self._sidelights().broker_up
        )
        yield gauge("broker_connections", "Connections to the broker.", (), counts.upstreams)
        attempts = by_one(counts.connect_attempts, CONNECT_OUTCOMES)
        yield counter("broker_connect_attempts", "Attempts to connect to a broker node.", ("outcome",), attempts)
        text = "How long a successful connect took, TLS and login included."
        yield histogram("broker_connect_duration_seconds", text, WAITING_BOUNDS, (), counts.connect_seconds)
        text = "Whether the broker blocks a connection (connection.blocked)."
        yield gauge("broker_blocked", text, (), counts.blocked > 0)
        yield counter("broker_blocked_seconds", "How long connections were blocked.", (), counts.blocked_seconds)

    def _bytes(self) -> Iterator[Metric]:
        counts = self._measures
        label = ("direction",)
        yield counter("transferred_bytes", "Bytes written.", label, by_one(counts.transferred, TRANSFERS))
        yield gauge("buffered_bytes", "Bytes that wait to be written.", label, by_one(counts.buffered, TRANSFERS))
        text = "How long reading was paused because the other side did not take what was there."
        yield counter("backpressure_seconds", text, label, by_one(counts.backpressure_seconds, TRANSFERS))

    def _configuration(self) -> Iterator[Metric]:
        sha = {(self._state.in_force.topology_sha,): 1.0}
        yield gauge("config_info", "Which topology is in force.", ("topology_sha",), sha)
        for source in ReloadSource:
            reloads, called = self._state.reloads[source], _CALLED[source]
            outcomes = {("ok",): float(reloads.ok), ("error",): float(reloads.failed)}
            yield counter(f"{source}_reloads", f"Reloads of the {called}.", ("outcome",), outcomes)
            text = f"Whether the last change of the {called} could be used."
            yield gauge(f"{source}_last_reload_successful", text, (), not reloads.problem)

    def _keys(self) -> Iterator[Metric]:
        in_force, now = self._state.in_force, self._clock()
        if in_force.keys is None:
            return
        text = "When the keys in force were read."
        yield gauge("keys_last_reload_timestamp_seconds", text, (), in_force.loaded_at)
        public = in_force.keys.public.values()
        verifying = [key for key in public if key.use is Use.SIGNATURE and not key.validity.is_forgotten(now)]
        yield gauge("verification_keys", "Public keys that verify something.", (), len(verifying))
        end = signing_ends(in_force, now)
        if end is not None:
            text = "When the service has no key to sign with any more; 0: it has none now. Absent: never."
            yield gauge("signing_key_not_after_timestamp_seconds", text, (), end)

    def _looked_up(self) -> Iterator[Metric]:
        found = self._sidelights()
        text = "Messages in the service's queues, as the broker last said."
        yield gauge("queue_messages", text, ("queue", "state"), found.queue_messages)
        ends = {(role,): moment for role, moment in found.certificates_end.items()}
        yield gauge("tls_cert_not_after_timestamp_seconds", "When a certificate ends.", ("role",), ends)


def signing_ends(in_force: InForce, now: float) -> float | None:
    """When the last of the keys that sign now or later is retired; None: never, or nothing is signed; 0: now."""
    keys = in_force.keys
    if keys is None:
        return None
    if keys.signing_key(now) is None:
        return 0.0
    validities = [keys.public[key.kid].validity for key in keys.signing]
    ends = [validity.retired_at for validity in validities if not validity.is_retired(now)]
    return None if None in ends else float(max(end for end in ends if end is not None))


class Scrape(NamedTuple):
    """An answer to Prometheus."""

    content_type: str
    body: bytes


class Exposition:
    """The registry of an agent, as the text that Prometheus asks for.

    Args:
        collector: the agent's own metrics; those of the process and of Python's garbage collection come with them.
    """

    def __init__(self, collector: Collector) -> None:
        self._registry = CollectorRegistry(auto_describe=False)
        self._registry.register(collector)
        ProcessCollector(registry=self._registry)
        GCCollector(registry=self._registry)

    def scrape(self, accept: str) -> Scrape:
        """All metrics, in the format that the header `Accept` prefers."""
        encode, content_type = choose_encoder(accept)
        return Scrape(content_type, encode(self._registry))
