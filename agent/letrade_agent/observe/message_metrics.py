"""Metrics of messages: how many, refused for what, how big, how long it took."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import product
from typing import Final

from prometheus_client.core import Metric

from letrade_agent.filters.words import Cause, Undelivered, Word
from letrade_agent.measures import LATENCY_BOUNDS, SIZE_BOUNDS, WAITING_BOUNDS, Measures
from letrade_agent.observe.families import Labels, by_one, counter, gauge, histogram
from letrade_agent.observe.labels import (
    MOST_DESTINATIONS,
    MOST_REASONS,
    OTHER,
    Bounded,
    declared_destinations,
    own_destinations,
    summed,
)
from letrade_agent.state import AgentState, InForce
from letrade_topo.keys.reasons import Reason
from letrade_topo.messages.envelope import MESSAGE_ID, TIMESTAMP
from letrade_topo.model.security import JwtAlgorithm

DIRECTIONS: Final = ("publish", "deliver")
ALL: Final = "_all"
"""The destination of what is neither published nor delivered."""
OUTCOMES: Final = ("forwarded", "rejected")
RETURNS: Final = ("back", "gone")
DIFFERING: Final = (("publish", MESSAGE_ID), ("publish", TIMESTAMP), ("deliver", MESSAGE_ID))
"""On arrival a timestamp says nothing: a broker may write its own."""
UNVERIFIED_CAUSES: Final = ("undeclared", "off")
_OF_DECLARES: Final = (Word.DECLARE, Word.BIND, Word.DELETE, Word.CONSUME)
PUBLISH_REASONS: Final = tuple(word.value for word in Word if word not in _OF_DECLARES)
CAUSES: Final = tuple(cause.value for cause in Cause)
_OPERATIONS: Final = ("store", "fetch")
_OF_CLAIMS: Final = (Reason.CLAIM_MISSING.value, Reason.CLAIM_ALTERED.value)
DELIVER_REASONS: Final = (
    *(word.value for word in Reason if word is not Reason.REPEAT),
    *(word.value for word in Undelivered),
)


class MessageMetrics:
    """What the relays counted, with labels that the topology bounds.

    Args:
        measures: the counts.
        state: which topology is in force.
    """

    def __init__(self, measures: Measures, state: AgentState) -> None:
        self._measures = measures
        self._state = state
        self._destinations = Bounded(MOST_DESTINATIONS)
        self._reasons = Bounded(MOST_REASONS)
        self._reasons.allow((*PUBLISH_REASONS, *DELIVER_REASONS, *CAUSES))
        self._admitted: InForce | None = None
        self._exchanges: list[str] = []
        self._queues: list[str] = []

    def collect(self) -> Iterator[Metric]:
        """Every metric, now."""
        self._admit_declared()
        yield from self._counts()
        yield from self._refusals()
        yield from self._settling()
        yield from self._durations()
        yield from self._claims()

    def _admit_declared(self) -> None:
        """The service's own names get their labels before others can fill the bound."""
        in_force = self._state.in_force
        if in_force is self._admitted:
            return
        self._admitted = in_force
        self._destinations.allow(declared_destinations(in_force.topology))
        self._exchanges, self._queues = own_destinations(in_force.topology, self._state.service)
        for name in (*self._exchanges, *self._queues):
            self._destinations.label(name)

    def _counts(self) -> Iterator[Metric]:
        known = [
            *product(("publish",), map(self._destinations.label, self._exchanges), OUTCOMES),
            *product(("deliver",), map(self._destinations.label, self._queues), OUTCOMES),
        ]
        counts: dict[Labels, float] = dict.fromkeys(known, 0)
        overflow = 0
        for (direction, destination, outcome), count in list(self._measures.messages.items()):
            label = self._destinations.label(destination) if direction in DIRECTIONS else ALL
            key = (direction, label, outcome)
            counts[key] = counts.get(key, 0) + count
            overflow += count if label == OTHER != destination else 0
        labels = ("direction", "destination", "outcome")
        yield counter("messages", "Messages relayed or refused.", labels, counts)
        text = "Messages counted under the destination `_other` although theirs has a name: more than get a label."
        yield counter("destination_overflow", text, (), overflow)
        sizes = self._measures.sizes
        yield histogram("message_size_bytes", "Bodies.", SIZE_BOUNDS, ("direction",), sizes, DIRECTIONS)

    def _refusals(self) -> Iterator[Metric]:
        counts = self._measures
        known = [*product(("publish",), PUBLISH_REASONS), *product(("deliver",), DELIVER_REASONS)]
        zeros: dict[Labels, float] = dict.fromkeys(known, 0)
        labels = ("direction", "reason")
        refused = zeros | summed(counts.refused, {1: self._reasons})
        yield counter("messages_rejected", "Messages refused, by the first check that failed.", labels, refused)
        warned = zeros | summed(counts.warned, {1: self._reasons})
        yield counter("messages_warned", "Messages that mode `warn` let through.", labels, warned)
        passed: dict[Labels, float] = dict.fromkeys(product(DIRECTIONS, UNVERIFIED_CAUSES), 0)
        passed |= dict(counts.unverified.items())
        text = "Messages let through without a token: undeclared, or mode `off`."
        yield counter("messages_unverified", text, ("direction", "cause"), passed)
        differing: dict[Labels, float] = dict.fromkeys(DIFFERING, 0)
        differing |= dict(counts.differing.items())
        text = "Messages let through with an AMQP property that says something else than their envelope."
        yield counter("messages_differing", text, ("direction", "property"), differing)
        queues: dict[Labels, float] = {(self._destinations.label(queue),): 0 for queue in self._queues}
        queues |= summed({(queue,): count for queue, count in list(counts.repeats.items())}, {0: self._destinations})
        yield counter("repeats", "Deliveries that the service had settled before.", ("queue",), queues)

    def _settling(self) -> Iterator[Metric]:
        counts = self._measures
        confirms = by_one(counts.confirms, ("ack", "nack", "lost"))
        yield counter("publish_confirms", "What became of publishes on confirm channels.", ("outcome",), confirms)
        yield gauge("unsettled_deliveries", "Deliveries that the service has not settled.", (), counts.unsettled)
        yield gauge("held_deliveries", "Deliveries kept back: handed over, or waiting for a key.", (), counts.held)
        queues: dict[Labels, float] = {(self._destinations.label(queue),): 0 for queue in self._queues}
        waiting = {(queue,): count for queue, count in list(counts.waiting_consumers.items())}
        text = "Consumers whose queue is away, most likely because it is being migrated."
        yield gauge("waiting_consumers", text, ("queue",), queues | summed(waiting, {0: self._destinations}))
        outcomes: dict[Labels, float] = {(*queue, outcome): 0 for queue in queues for outcome in RETURNS}
        outcomes |= summed(counts.returns, {0: self._destinations})
        text = "How their wait ended: the queue is back and they go on, or it is gone and they are told."
        yield counter("consumer_returns", text, ("queue", "outcome"), outcomes)
        labelled = self._steps() | summed(counts.retries, {0: self._destinations})
        text = "Rejected messages that were put on their way back, by the delay of the ladder that they wait for."
        yield counter("retries", text, ("queue", "attempt"), labelled)
        labelled = dict.fromkeys(product(map(self._destinations.label, self._queues), CAUSES), 0)
        labelled |= summed(counts.dead_letters, {0: self._destinations, 1: self._reasons})
        text = "Messages that were handed over to the dead letters."
        yield counter("dead_letters", text, ("queue", "reason"), labelled)
        text = "Hand-overs, of retries or dead letters, that the broker did not confirm."
        yield counter("hand_over_failures", text, (), counts.hand_over_failures)
        yield gauge("hand_overs_in_flight", "Hand-overs under way.", (), counts.hand_overs_in_flight)
        taking = {(self._destinations.label(queue),): taken for queue, taken in list(counts.router_consuming.items())}
        text = "Whether the router takes the rejected messages of a queue; while it does not, they wait at the broker."
        yield gauge("router_consuming", text, ("queue",), taking)

    def _steps(self) -> dict[Labels, int]:
        """Every delay of every own queue, at 0."""
        queues = self._state.in_force.topology.queues
        own = [queues[name] for name in self._queues if name in queues and queues[name].has_rejected_queue]
        return {
            (self._destinations.label(queue.name), str(step)): 0
            for queue in own
            if queue.retry is not None
            for step in range(1, queue.retry.max_retries + 1)
        }

    def _claims(self) -> Iterator[Metric]:
        counts = self._measures
        if self._state.in_force.topology.claim_check is None:
            return
        known: dict[Labels, float] = {("store", "ok"): 0, ("store", "unavailable"): 0}
        known |= {("fetch", outcome): 0 for outcome in ("ok", *_OF_CLAIMS, "unavailable")}
        text = "Bodies that went to the claim check's store, or were fetched from there."
        yield counter("claims", text, ("operation", "outcome"), known | dict(counts.claims.items()))
        text = "Bytes of such bodies."
        yield counter("claim_bytes", text, ("operation",), by_one(counts.claim_bytes, _OPERATIONS))
        text = "How long the store took, when it answered."
        found = counts.claim_seconds
        yield histogram("claim_duration_seconds", text, WAITING_BOUNDS, ("operation",), found, _OPERATIONS)
        yield counter("claims_expired", "Objects that were deleted after their retention.", (), counts.claims_expired)

    def _durations(self) -> Iterator[Metric]:
        counts = self._measures
        text = "From reading the end of a message to writing it."
        latency = counts.added_latency
        yield histogram("added_latency_seconds", text, LATENCY_BOUNDS, ("direction",), latency, DIRECTIONS)
        algorithm = (self._state.in_force.topology.security.jwt.algorithm.value,)
        for name, text, seconds in (
            ("sign_duration_seconds", "Signing one batch.", counts.sign_seconds),
            ("verify_duration_seconds", "Verifying one delivery.", counts.verify_seconds),
        ):
            found = {str(name): seconds[name] for name in JwtAlgorithm if name in seconds}
            yield histogram(name, text, LATENCY_BOUNDS, ("alg",), found, algorithm)
        text = "From writing a publish to the broker's confirm."
        yield histogram("publish_confirm_duration_seconds", text, WAITING_BOUNDS, (), counts.confirm_seconds)
        text = "From writing a delivery to the service settling it."
        name, known = "delivery_settle_duration_seconds", ("ack", "nack", "reject")
        yield histogram(name, text, WAITING_BOUNDS, ("outcome",), counts.settle_seconds, known)
        text = "From deciding on a message to the broker's confirm that it has the retry or the dead letter."
        yield histogram("hand_over_duration_seconds", text, WAITING_BOUNDS, (), counts.hand_over_seconds)
