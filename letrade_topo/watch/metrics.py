"""What the controller counts and shows to Prometheus. Labels are known words, and queues that the topology declares."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from prometheus_client.gc_collector import GCCollector
from prometheus_client.process_collector import ProcessCollector

from letrade_topo.apply.applying import RunPhase
from letrade_topo.apply.outcome import Outcome, Status
from letrade_topo.broker.objects import Kind
from letrade_topo.management.transport import HttpRequest
from letrade_topo.plan.change import Action
from letrade_topo.plan.plan import Plan
from letrade_topo.watch.drift import KINDS, Drift, blocked_of, drift_of, objects_of

PREFIX: Final = "letrade_topo_"
OTHER: Final = "_other"
MOST_QUEUES: Final = 500
"""Queues that get a label of their own; the rest is summed."""

QUEUE_STATES: Final = {"ready": "messages_ready", "unacked": "messages_unacknowledged"}
CHECKS: Final = ("in_sync", "drift", "error")
RUNS: Final = ("ok", "noop", "partial", "error", "locked")
RELOADS: Final = ("ok", "error")
PHASES: Final = ("read", "plan", RunPhase.WRITE.value, RunPhase.VERIFY.value)
METHODS: Final = ("GET", "PUT", "POST", "DELETE")
CODE_CLASSES: Final = ("2xx", "3xx", "4xx", "5xx", "error")
_CALL_BUCKETS: Final = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10)
_PHASE_BUCKETS: Final = (0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300)


class Metrics:
    """The metrics of one controller.

    Args:
        topology: the topology's name.
        version: of this program.
        mode: detect or repair.
        interval_seconds: from one look at the broker to the next.
    """

    def __init__(self, topology: str, version: str, mode: str, interval_seconds: float) -> None:
        self.registry = CollectorRegistry()
        ProcessCollector(registry=self.registry)
        GCCollector(registry=self.registry)
        self._topology = topology
        self._version, self._mode = version, mode
        self._info = self._gauge("info", "Which topology and which controller this is.", "topology_sha version mode")
        self.leader = self._one(self._gauge("leader", "Whether this controller works; others stand by."))
        self.broker_up = self._one(self._gauge("broker_up", "Whether the broker could be read when it was last tried."))
        self._one(self._gauge("interval_seconds", "From one look at the broker to the next.")).set(interval_seconds)
        self._objects = self._gauge("objects", "Objects that the topology declares.", "kind")
        self._drift = self._gauge("drift_objects", "Objects that differ from the topology.", "kind change")
        self._blocked = self._gauge(
            "drift_blocked_objects", "Objects that differ and that no repair touches: a person has to allow it.", "kind"
        )
        self._unseen = self._gauge(
            "not_looked_at_objects",
            "Objects that the topology declares and the login cannot look at; kinds that it can are absent.",
            "kind",
        )
        self._checks = self._counter("drift_checks", "Looks at the broker, by what they found.", "outcome")
        self._checked = self._gauge(
            "drift_check_last_success_timestamp_seconds", "When the broker was last compared with the topology."
        )
        self._runs = self._counter("apply_runs", "Repairs, by how they ended; noop: nothing was to be done.", "outcome")
        self._ran = self._gauge("apply_last_run_timestamp_seconds", "When a repair last ended, however.")
        self._succeeded = self._gauge(
            "apply_last_success_timestamp_seconds", "When a repair last ended well, or there was nothing to repair."
        )
        self._phases = self._histogram(
            "apply_duration_seconds", "How long the parts of a pass took.", _PHASE_BUCKETS, "phase"
        )
        self._changes = Counter(
            f"{PREFIX}changes",
            "Objects that repairs changed.",
            ["kind", "action", "outcome"],
            registry=self.registry,
        )
        self._requests = Counter(
            f"{PREFIX}management_api_requests",
            "Requests to the management API; error: no answer.",
            ["method", "code_class"],
            registry=self.registry,
        )
        self._request_seconds = self._histogram(
            "management_api_request_duration_seconds",
            "From sending a request to having the answer.",
            _CALL_BUCKETS,
            "method",
        )
        self._lock_seconds = self._histogram(
            "lock_wait_duration_seconds",
            "How long repairs waited for the lock that keeps two runs apart.",
            _CALL_BUCKETS,
        )
        self._queues = Gauge(
            f"{PREFIX}queue_messages",
            "Messages in declared queues, as the broker last said (up to 5 s before).",
            ["queue", "state"],
            registry=self.registry,
        )
        self._reloads = self._counter("config_reloads", "Changes of the topology's files.", "outcome")
        self._reloaded = self._one(
            self._gauge("config_last_reload_successful", "Whether the last change of the topology could be used.")
        )
        self._begin_at_zero()

    def in_force(self, sha: str) -> None:
        """This topology is in force."""
        self._info.clear()
        self._info.labels(self._topology, sha, self._version, self._mode).set(1)

    def reloaded(self, successful: bool) -> None:
        """The files have changed."""
        self._reloads.labels(self._topology, RELOADS[0] if successful else RELOADS[1]).inc()
        self._reloaded.set(successful)

    def standing_by(self) -> None:
        """Another one leads: what it sees is not ours to tell."""
        self.leader.set(0)
        for gauge in (
            self._objects,
            self._drift,
            self._blocked,
            self._unseen,
            self._queues,
            self._checked,
            self._ran,
            self._succeeded,
        ):
            gauge.clear()

    def checked(self, plan: Plan, now: float) -> None:
        """The broker was compared with the topology."""
        self._checks.labels(self._topology, CHECKS[0] if plan.in_sync else CHECKS[1]).inc()
        self._checked.labels(self._topology).set(now)
        self.show(plan)

    def show(self, plan: Plan) -> None:
        """This is how much differs."""
        declared, drift, blocked = objects_of(plan), drift_of(plan), blocked_of(plan)
        self._unseen.clear()
        for unseen, count in plan.unseen.declared.items():
            self._unseen.labels(self._topology, unseen.value).set(count)
        for kind in KINDS:
            self._objects.labels(self._topology, kind).set(declared[kind])
            self._blocked.labels(self._topology, kind).set(blocked[kind])
            for change in Drift:
                self._drift.labels(self._topology, kind, change.value).set(drift[kind, change])

    def check_failed(self) -> None:
        """The broker could not be compared."""
        self._checks.labels(self._topology, CHECKS[2]).inc()

    def queues(self, totals: Iterable[Mapping[str, Any]], declared: Iterable[str]) -> None:
        """So many messages are in the queues; only declared ones are shown, and those beyond MOST_QUEUES as one.

        Args:
            totals: as the management API lists queues.
            declared: names, the most telling first.
        """
        known = {item["name"]: item for item in totals}
        found: dict[tuple[str, str], float] = {}
        for place, name in enumerate(declared):
            if name not in known:
                continue
            label = name if place < MOST_QUEUES else OTHER
            for state, key in QUEUE_STATES.items():
                found[label, state] = found.get((label, state), 0) + (known[name].get(key) or 0)
        self._queues.clear()
        for labels, count in found.items():
            self._queues.labels(*labels).set(count)

    def ran(self, outcome: str, now: float, *, successful: bool) -> None:
        """A repair has ended.

        Args:
            outcome: one of RUNS.
            now: seconds since the epoch.
            successful: nothing that may be repaired is left.
        """
        self._runs.labels(self._topology, outcome).inc()
        self._ran.labels(self._topology).set(now)
        if successful:
            self._succeeded.labels(self._topology).set(now)

    def changed(self, outcomes: Iterable[Outcome]) -> None:
        """This became of the changes of a repair; what was skipped was not tried."""
        words = {Status.DONE: "ok", Status.FAILED: "error"}
        for one in outcomes:
            if one.status in words:
                self._changes.labels(one.change.kind.value, one.change.action.value, words[one.status]).inc()

    def timed(self, phase: str, seconds: float) -> None:
        """A part of a pass took so long."""
        if phase == RunPhase.LOCK:
            self._lock_seconds.observe(seconds)
        else:
            self._phases.labels(phase).observe(seconds)

    def requested(self, request: HttpRequest) -> None:
        """An HTTP request was sent; an observer of `ManagementClient`."""
        status = "error" if request.status is None else f"{request.status // 100}xx"
        self._requests.labels(request.method, status).inc()
        self._request_seconds.labels(request.method).observe(request.seconds)

    def _begin_at_zero(self) -> None:
        """Every known value of a label is there from the start, so that the first event is an increase."""
        for counter, outcomes in ((self._checks, CHECKS), (self._runs, RUNS), (self._reloads, RELOADS)):
            for outcome in outcomes:
                counter.labels(self._topology, outcome)
        for method in METHODS:
            self._request_seconds.labels(method)
            for code_class in CODE_CLASSES:
                self._requests.labels(method, code_class)
        for phase in PHASES:
            self._phases.labels(phase)
        for kind in Kind:
            for action in Action:
                for outcome in ("ok", "error"):
                    self._changes.labels(kind.value, action.value, outcome)
        self._reloaded.set(1)
        self.leader.set(0)
        self.broker_up.set(0)

    def _gauge(self, name: str, text: str, labels: str = "") -> Gauge:
        return Gauge(PREFIX + name, text, ["topology", *labels.split()], registry=self.registry)

    def _counter(self, name: str, text: str, labels: str) -> Counter:
        return Counter(PREFIX + name, text, ["topology", *labels.split()], registry=self.registry)

    def _histogram(self, name: str, text: str, buckets: tuple[float, ...], labels: str = "") -> Histogram:
        return Histogram(PREFIX + name, text, labels.split(), buckets=buckets, registry=self.registry)

    def _one(self, gauge: Gauge) -> Gauge:
        return gauge.labels(self._topology)
