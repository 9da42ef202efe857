"""What the client settles on one channel: its ack, nack, reject and recover, in the broker's tags.

They pass as the methods they are, because the broker treats them differently. What is finished is told to the
filters, for their memory against repeats; what goes back to the queue is not finished.
"""

from __future__ import annotations

from letrade_agent.amqp.basic import NACK, ack_frame, nack_frame, parse_settle, reject_frame
from letrade_agent.amqp.deliveries import DeliveryLedger, Settlement
from letrade_agent.amqp.faults import ClientFault
from letrade_agent.filters.verdicts import Remembered

from .session import Session

Note = tuple[Remembered, float]
"""What is remembered of a delivery that the client sees, and when (monotonic seconds) it was shown."""


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
        settlement = self._settle(delivery_tag, multiple, payload)
        session = self._session
        for tag, many in settlement[0]:
            session.to_upstream.append(ack_frame(self._number, tag, many))
        notes = settlement[1]
        session.measures.unsettled -= len(notes)
        times = self._ack_times
        settled = session.filters.inbound.settled
        for remembered, shown in notes:
            times.observe(session.started - shown)
            settled(remembered, session.epoch)

    def reject(self, payload: bytes) -> None:
        """The client's nack or reject.

        Raises:
            ClientFault: PRECONDITION_FAILED, an unknown delivery tag.
        """
        delivery_tag, multiple, requeue = parse_settle(payload)
        settlement = self._settle(delivery_tag, multiple, payload)
        write = self._session.to_upstream.append
        number = self._number
        if payload[:4] == NACK:
            for tag, many in settlement.upstream:
                write(nack_frame(number, tag, multiple=many, requeue=requeue))
            self._rejected(settlement, "nack", requeue)
        else:
            for tag, _ in settlement.upstream:
                write(reject_frame(number, tag, requeue=requeue))
            self._rejected(settlement, "reject", requeue)

    def _settle(self, delivery_tag: int, multiple: bool, payload: bytes) -> Settlement[Note]:
        try:
            return self._ledger.settle(delivery_tag, multiple)
        except ClientFault as fault:
            fault.class_id, fault.method_id = 60, payload[3]
            raise

    def recover(self, requeue: bool) -> None:
        """The client wants all that it has not settled again.

        Raises:
            ClientFault: NOT_IMPLEMENTED without `requeue`.
        """
        settlement = self._ledger.recover(requeue)
        for tag, many in settlement.upstream:
            self._session.to_upstream.append(nack_frame(self._number, tag, multiple=many, requeue=True))
        self._rejected(settlement, "nack", requeue)

    def _rejected(self, settlement: Settlement[Note], outcome: str, requeue: bool) -> None:
        session = self._session
        session.measures.unsettled -= len(settlement.notes)
        for remembered, shown in settlement.notes:
            session.measures.settle_seconds[outcome].observe(session.started - shown)
            if not requeue:
                session.filters.inbound.rejected(remembered, session.epoch)
