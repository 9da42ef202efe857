"""What the agent counts, as plain numbers.

Whoever relays messages adds to these, some ten times per message, hence no locks and no label objects; the admin
port turns them into metrics when it is asked. One event loop writes and reads them.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter, defaultdict
from collections.abc import Sequence
from typing import Final, NamedTuple

from letrade_agent.rehearsal import Rehearsal

LATENCY_BOUNDS: Final = (5e-5, 1e-4, 2.5e-4, 5e-4, 1e-3, 2.5e-3, 5e-3, 1e-2, 2.5e-2, 5e-2, 0.1, 0.25)
"""Seconds; what the agent itself adds."""
WAITING_BOUNDS: Final = (0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0)
"""Seconds; what brokers and services take."""
SIZE_BOUNDS: Final = tuple(float(4**n) for n in range(4, 13))
"""Bytes: 256 to 16 MiB."""
SPAN_OUTCOMES: Final = ("sent", "dropped", "failed")


class Exemplar(NamedTuple):
    """An observation that can be looked at: the trace of one of the messages that it was made of.

    Attributes:
        trace: its id, in hexadecimal digits.
        value: that was observed.
        moment: seconds since the epoch.
    """

    trace: str
    value: float
    moment: float


class Histogram:
    """Observations in buckets.

    Attributes:
        bounds: upper bounds, ascending; one more bucket is above the last.
        counts: observations in each bucket, not cumulated.
        total: sum of all observations.
        exemplars: the last one of each bucket that has any.
    """

    __slots__ = ("bounds", "counts", "exemplars", "total")

    def __init__(self, bounds: tuple[float, ...]) -> None:
        self.bounds: Final = bounds
        self.counts = [0] * (len(bounds) + 1)
        self.total = 0.0
        self.exemplars: dict[int, Exemplar] = {}

    def observe(self, value: float, times: int = 1) -> None:
        """Count a value, or `times` equal ones."""
        self.counts[bisect_left(self.bounds, value)] += times
        self.total += value * times

    def exemplify(self, exemplar: Exemplar) -> None:
        """Keep the trace of what was observed."""
        self.exemplars[bisect_left(self.bounds, exemplar.value)] = exemplar

    def observe_all(self, values: Sequence[float]) -> None:
        """Count some values."""
        for value in values:
            self.counts[bisect_left(self.bounds, value)] += 1
        self.total += sum(values)


def _latency() -> Histogram:
    return Histogram(LATENCY_BOUNDS)


def _waiting() -> Histogram:
    return Histogram(WAITING_BOUNDS)


def _size() -> Histogram:
    return Histogram(SIZE_BOUNDS)


class Measures:
    """All counts of one agent.

    Attributes, by what they become (`letrade_agent_` before each):
        messages: `messages_total` by (direction: publish, deliver, get, return; destination; outcome: forwarded,
            rejected).
        refused: `messages_rejected_total` by (direction: publish, deliver; reason).
        warned: `messages_warned_total` by (direction; reason): in mode `warn`, what would have been refused.
        rehearsal: the same by place, with an example; not a metric.
        unverified: `messages_unverified_total` by (direction; cause: undeclared, off): what passed unsigned.
        differing: `messages_differing_total` by (direction: publish, deliver; property): what passed with an AMQP
            property that says something else than the envelope.
        repeats: `repeats_total` by queue: deliveries that the service had settled before.
        sizes: `message_size_bytes` by direction.
        added_latency: `added_latency_seconds` by direction: from the read that ended a message to its write.
        sign_seconds, verify_seconds: by algorithm.
        confirms: `publish_confirms_total` by outcome: ack, nack, lost.
        confirm_seconds: `publish_confirm_duration_seconds`.
        settle_seconds: `delivery_settle_duration_seconds` by outcome: ack, nack, reject.
        clients, client_connections: connections now, and ever.
        disconnects: `client_disconnects_total` by cause.
        channels: open ones.
        unsettled: deliveries that services have not settled.
        waiting_consumers: `waiting_consumers` by queue: consumers whose queue is away.
        returns: `consumer_returns_total` by (queue, outcome: back, gone): how their wait has ended.
        held: deliveries that are withheld (hand-over under way, or waiting for a key).
        upstreams: connections to the broker now.
        connect_attempts: `broker_connect_attempts_total` by outcome: ok, dns, refused, timeout, tls, auth, vhost,
            protocol.
        connect_seconds: `broker_connect_duration_seconds`.
        blocked, blocked_seconds: connections that the broker blocks now, and seconds of blocking that are over.
        transferred: `transferred_bytes_total` by direction: to_broker, to_client.
        buffered: `buffered_bytes` by direction.
        unfinished: bytes of clients' messages that have begun and not ended.
        backpressure_seconds: by direction.
        loop_lag: `event_loop_lag_seconds`.
        internal_errors: `internal_errors_total` by where: connection, login, router, job, loop. Each is a bug.
        retries: `retries_total` by (queue, attempt): put on their way back, and confirmed.
        dead_letters: `dead_letters_total` by (queue, reason): among the dead letters, and confirmed.
        hand_over_seconds: from verdict to the broker's confirm.
        hand_over_failures: attempts that were not confirmed.
        hand_overs_in_flight: now.
        router_consuming: whether the rejected messages of a queue are taken, by queue; empty without a router.
        claims: `claims_total` by (operation: store, fetch; outcome: ok, claim_missing, claim_altered, unavailable).
        claim_bytes: `claim_bytes_total` by operation.
        claim_seconds: `claim_duration_seconds` by operation: of calls that the store answered.
        claims_expired: `claims_expired_total`: objects that were deleted.
        spans: `trace_spans_total` by outcome: sent; dropped: there was no room for them; failed: the collector did not
            take them. Each is counted by one thread alone.
    """

    def __init__(self) -> None:
        self.messages: Counter[tuple[str, str, str]] = Counter()
        self.refused: Counter[tuple[str, str]] = Counter()
        self.warned: Counter[tuple[str, str]] = Counter()
        self.rehearsal = Rehearsal()
        self.unverified: Counter[tuple[str, str]] = Counter()
        self.differing: Counter[tuple[str, str]] = Counter()
        self.repeats: Counter[str] = Counter()
        self.sizes: defaultdict[str, Histogram] = defaultdict(_size)
        self.added_latency: defaultdict[str, Histogram] = defaultdict(_latency)
        self.sign_seconds: defaultdict[str, Histogram] = defaultdict(_latency)
        self.verify_seconds: defaultdict[str, Histogram] = defaultdict(_latency)
        self.confirms: Counter[str] = Counter()
        self.confirm_seconds = _waiting()
        self.settle_seconds: defaultdict[str, Histogram] = defaultdict(_waiting)
        self.clients = 0
        self.client_connections = 0
        self.disconnects: Counter[str] = Counter()
        self.channels = 0
        self.unsettled = 0
        self.waiting_consumers: Counter[str] = Counter()
        self.returns: Counter[tuple[str, str]] = Counter()
        self.held = 0
        self.upstreams = 0
        self.connect_attempts: Counter[str] = Counter()
        self.connect_seconds = _waiting()
        self.blocked = 0
        self.blocked_seconds = 0.0
        self.transferred: Counter[str] = Counter()
        self.buffered: Counter[str] = Counter()
        self.unfinished = 0
        self.backpressure_seconds: defaultdict[str, float] = defaultdict(float)
        self.loop_lag = _latency()
        self.internal_errors: Counter[str] = Counter()
        self.retries: Counter[tuple[str, str]] = Counter()
        self.dead_letters: Counter[tuple[str, str]] = Counter()
        self.hand_over_seconds = _waiting()
        self.hand_over_failures = 0
        self.hand_overs_in_flight = 0
        self.router_consuming: dict[str, bool] = {}
        self.claims: Counter[tuple[str, str]] = Counter()
        self.claim_bytes: Counter[str] = Counter()
        self.claim_seconds: defaultdict[str, Histogram] = defaultdict(_waiting)
        self.claims_expired = 0
        self.spans = dict.fromkeys(SPAN_OUTCOMES, 0)
