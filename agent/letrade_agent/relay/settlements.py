"""What the client settles on one channel: its ack, nack, reject and recover, in the broker's tags.

They pass as the methods they are, because the broker treats them differently: but for what is given back, where the
broker does not count a nack or a recover towards the queue's delivery limit (`counts_nacks`). There each delivery goes
back by a reject of its own, which every version counts, so that one that nobody can process becomes a dead letter.
What the agent itself gives back stays a nack: nobody has failed on it.

What is finished is told to the filters, for their memory against repeats; what goes back to the queue is not finished.
"""

from __future__ import annotations

from letrade_agent.amqp.deliveries import DeliveryLedger, Settlement
from letrade_agent.filters.verdicts import Remembered
from letrade_agent.tracing.recorder import TracedDelivery
from letrade_topo.amqp.basic import NACK, ack_frame, nack_frame, parse_settle, reject_frame
from letrade_topo.amqp.faults import ClientFault

from .session import Session

Note = tuple[Remembered, float, TracedDelivery | None]
"""What is remembered of a delivery that the client sees, when (monotonic seconds) it was shown, and what is traced."""


class Settlements:
    """One channel's settlements.

    Args:
        session: of the connection.
        number: of the channel.
        ledger: which delivery is which.
    """

    __slots__ = ("_ack_times", "_ledger", "_number", "_session")

    def __init__(self, session: Session, number: int, ledger: DeliveryLedger[Note]) -> None:
        self._session = session
        self._number = number
        self._ledger = ledger
        self._ack_times = session.measures.settle_seconds["ack"]

    def acknowledge(self, payload: bytes) -> None:
        """The client's ack.

        Raises:
            ClientFault: PRECONDITION_FAILED, an unknown delivery tag.
        """
        delivery_tag, multiple, _ = parse_settle(payload)
        settlement = self._settle(delivery_tag, multiple, payload, one_by_one=False)
        session = self._session
        for tag, many in settlement[0]:
            session.to_upstream.append(ack_frame(self._number, tag, many))
        notes = settlement[1]
        session.measures.unsettled -= len(notes)
        settled, started, epoch = session.filters.inbound.settled, session.started, session.epoch
        since, count = started, 0  # of those that were shown at once
        for remembered, shown, opened in notes:
            if opened is not None and session.tracer is not None:
                session.tracer.settle(opened, "ack")
            if shown != since and count:
                self._ack_times.observe(started - since, count)
                count = 0
            since = shown
            count += 1
            settled(remembered, epoch)
        if count:
            self._ack_times.observe(started - since, count)

    def reject(self, payload: bytes) -> None:
        """The client's nack or reject.

        Raises:
            ClientFault: PRECONDITION_FAILED, an unknown delivery tag.
        """
        delivery_tag, multiple, requeue = parse_settle(payload)
        is_nack = payload[:4] == NACK
        by_reject = not is_nack or (requeue and not self._session.broker_counts_nacks)
        settlement = self._settle(delivery_tag, multiple, payload, one_by_one=by_reject)
        write = self._session.to_upstream.append
        number = self._number
        if by_reject:
            for tag, _ in settlement.upstream:
                write(reject_frame(number, tag, requeue=requeue))
        else:
            for tag, many in settlement.upstream:
                write(nack_frame(number, tag, multiple=many, requeue=requeue))
        self._rejected(settlement, "nack" if is_nack else "reject", requeue)

    def _settle(self, delivery_tag: int, multiple: bool, payload: bytes, *, one_by_one: bool) -> Settlement[Note]:
        try:
            return self._ledger.settle(delivery_tag, multiple, one_by_one=one_by_one)
        except ClientFault as fault:
            fault.class_id, fault.method_id = 60, payload[3]
            raise

    def recover(self, requeue: bool) -> None:
        """The client wants all that it has not settled again.

        Raises:
            ClientFault: NOT_IMPLEMENTED without `requeue`.
        """
        session = self._session
        settlement = self._ledger.recover(requeue, one_by_one=not session.broker_counts_nacks)
        for tag, many in settlement.upstream:
            if session.broker_counts_nacks:
                session.to_upstream.append(nack_frame(self._number, tag, multiple=many, requeue=True))
            else:
                session.to_upstream.append(reject_frame(self._number, tag, requeue=True))
        self._rejected(settlement, "nack", requeue)

    def _rejected(self, settlement: Settlement[Note], outcome: str, requeue: bool) -> None:
        session = self._session
        session.measures.unsettled -= len(settlement.notes)
        inbound = session.filters.inbound
        note = inbound.given_back if requeue else inbound.rejected
        for remembered, shown, opened in settlement.notes:
            if opened is not None and session.tracer is not None:
                session.tracer.settle(opened, "requeue" if requeue else outcome)
            session.measures.settle_seconds[outcome].observe(session.started - shown)
            note(remembered, session.epoch)
