"""Whether a delivery has come before: the memory against repeats as the filter of deliveries uses it.

With it goes how long this agent has kept up with each queue, by which a retry that is late is told from one that
somebody kept and puts back.
"""

from __future__ import annotations

from collections.abc import Mapping
from math import inf
from typing import Final

from letrade_agent.filters.keeping_up import KeepingUp
from letrade_agent.filters.verdicts import Delivery, Failed, Held, Proven, Remembered, Repeated, Shown
from letrade_topo.keys.claims import HopRole
from letrade_topo.keys.reasons import Reason
from letrade_topo.keys.replay import Arrived, Replay, identity_of
from letrade_topo.keys.token import Accepted, Arrival, Verdict, Verifier
from letrade_topo.model.messages import MessageType
from letrade_topo.model.topology import Topology

_ORDINARY_PRIORITY: Final = 4


class Repeats:
    """What one service has been shown, and has not.

    Args:
        verifier: of the service.
        replay: the memory; outlives the filters.
        keeping_up: likewise.
        topology: in force.
        hold_seconds: that a delivery is kept while another one of it is open.
    """

    def __init__(
        self, verifier: Verifier, replay: Replay, keeping_up: KeepingUp, topology: Topology, hold_seconds: float
    ) -> None:
        self._hold_seconds = hold_seconds
        self._verifier = verifier
        self._replay = replay
        self._keeping_up = keeping_up
        self._queues = topology.queues
        self._outage: Final = topology.security.jwt.outage_tolerance.seconds
        self._leeway: Final = topology.security.jwt.leeway.seconds
        urgency = {name: _urgency(message) for name, message in topology.messages.items()}
        least = min(urgency.values(), default=0)
        self._unhurried: Final = frozenset(name for name, urgent in urgency.items() if urgent == least)
        """Types whose messages overtake no others: how long they waited says whether their queue is kept up with."""

    # What arrives.

    def verified(self, delivery: Delivery, arrival: Arrival, now: float) -> Verdict:
        """Whether a delivery is genuine and in time.

        A retry that came in time and could not be shown yet, or was shown and given back, is in time still.
        """
        verdict = self._verifier.verify(arrival, now, kept_up_until=self._keeping_up.until(delivery.queue))
        if isinstance(verdict, Accepted) or verdict.reason is not Reason.EXPIRED or not arrival.headers.hop:
            return verdict
        is_open = self._replay.is_open(delivery.number)
        if is_open or delivery.redelivered:
            known = self._verifier.verify(arrival, now, kept_up_until=-inf)
            if isinstance(known, Accepted) and (
                is_open or self._replay.is_unsettled(delivery.queue, identity_of(known), now)
            ):
                return known
        return verdict

    def of(self, delivery: Delivery, shown: Shown, accepted: Accepted, now: float) -> Repeated | Held | None:
        """What a genuine delivery is to the memory; None: it may be shown."""
        if accepted.hop is None and not delivery.redelivered:
            issued_at = accepted.origin.token.claims.issued_at
            self._arrived(delivery.queue, accepted.route.message_type, issued_at, now)
        identity = identity_of(accepted)
        arrived = self._replay.arrive(
            delivery.queue,
            identity,
            valid_until=accepted.valid_until,
            now=now,
            number=delivery.number,
        )
        match arrived:
            case Arrived.NEW:
                return None
            case Arrived.OPEN:
                # not for ever, as it takes a place among what its consumer may have unsettled, and the other is safe;
                # but what the broker delivers again may be the very message that the service has, over a connection
                # that is lost without anybody knowing yet: acknowledged, it would be lost with it
                return Held(Repeated(shown.queue_label), inf if delivery.redelivered else self._hold_seconds)
            case Arrived.REPEAT:
                return Repeated(shown.queue_label)
            case Arrived.REJECTED:
                # the broker may not have heard of it, or have moved it with its queue before it could;
                # what it does not deliver again is another copy
                is_moved = accepted.hop is not None and accepted.hop.role is HopRole.MOVE
                return Repeated(shown.queue_label, is_rejected=delivery.redelivered or is_moved)
            case Arrived.FULL:
                why = f"the memory against repeats is full: {len(self._replay)} tokens"
                return Held(Failed(Reason.REPEAT, why, identity.issuer, shown.queue_label), inf)

    def accept(self, proven: Proven, now: float) -> Shown | None:
        """See `Inbound.accept`."""
        identity, valid_until, shown = proven
        arrived = self._replay.arrive(shown.remembered.queue, identity, valid_until=valid_until, now=now)
        return shown if arrived is Arrived.NEW else None

    def proven(self, latest: Mapping[str, tuple[str, float]], now: float) -> None:
        """Ordinary deliveries have come.

        Args:
            latest: by queue, the message type of the last one, and when it was signed, in seconds since the epoch.
            now: likewise.
        """
        for queue, (message_type, issued_at) in latest.items():
            self._arrived(queue, message_type, issued_at, now)

    def _arrived(self, queue: str, message_type: str, issued_at: float, now: float) -> None:
        if message_type in self._unhurried:
            self._keeping_up.arrived(queue, issued_at, now)

    def keeps_up(self, queue: str, now: float, *, was_active: bool) -> None:
        """See `Inbound.keeps_up`."""
        declared = self._queues.get(queue)
        if was_active or declared is None or not declared.single_active_consumer:
            self._keeping_up.keeps_up(queue, now)

    # What becomes of it.

    def settled(self, remembered: Remembered, now: float) -> None:
        """See `Inbound.settled`."""
        queue, identity, valid_until = remembered
        if identity is not None:
            self._replay.settle(queue, identity, valid_until=valid_until, now=now)

    def rejected(self, remembered: Remembered, now: float) -> None:
        """See `Inbound.rejected`."""
        queue, identity, valid_until = remembered
        if identity is not None:
            self._replay.reject(queue, identity, valid_until=valid_until, now=now)

    def given_back(self, remembered: Remembered, now: float) -> None:
        """See `Inbound.given_back`."""
        if remembered.identity is not None:
            self._replay.give_back(remembered.queue, remembered.identity, until=now + self._outage)

    def let_go(self, number: int, now: float) -> None:
        """See `Inbound.let_go`."""
        self._replay.let_go(number, until=now + self._outage)

    def handed_over(self, number: int, now: float) -> None:
        """See `Inbound.handed_over`."""
        self._replay.finish(number, now)


def _urgency(message: MessageType) -> int:
    """Its AMQP priority; a message without one has 4 in a quorum queue."""
    priority = message.amqp_priority
    return _ORDINARY_PRIORITY if priority is None else priority
