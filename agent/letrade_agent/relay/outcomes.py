"""What becomes of a delivery of one channel once it is judged: shown under the client's tag, or settled at the broker.

What is not shown and not settled is withheld: it is held in the ledger until somebody decides (`deliveries` for
consumers, `gets` for basic.get). What fails is handed over to the dead letters and acknowledged only when that is
confirmed.
"""

from __future__ import annotations

from letrade_agent.amqp.deliveries import DeliveryLedger
from letrade_agent.filters.verdicts import Delivery, Examined, Failed, Fetched, Held, Repeated, Shown, ToFetch
from letrade_agent.filters.words import Undelivered
from letrade_agent.tracing.recorder import TracedDelivery, Tracer
from letrade_topo.amqp.basic import Deliver, ack_frame, deliver_with_tag, encode_deliver, nack_frame, reject_frame
from letrade_topo.amqp.faults import AmqpFault, readable
from letrade_topo.amqp.frames import encode_content
from letrade_topo.keys.reasons import Reason

from .effects import FetchObject, HandOver, Ticket
from .session import WITHHELD_OVERHEAD, Session
from .settlements import Note


class Outcomes:
    """Of one channel's deliveries.

    Attributes:
        ledger: which delivery is which.
        handing: those that are being handed over and will be acknowledged then: their numbers, by upstream tag.
    """

    __slots__ = ("_number", "_opening", "_session", "handing", "ledger")

    def __init__(self, session: Session, number: int, opening: int) -> None:
        self._session = session
        self._number = number
        self._opening = opening
        self.ledger: DeliveryLedger[Note] = DeliveryLedger()
        self.handing: dict[int, int] = {}

    def examine(self, delivery: Delivery, fetched: Fetched | None = None) -> Examined:
        """Ask the filters; a header that is malformed is a publisher's fault, not the broker's."""
        try:
            return self._session.filters.inbound.examine(delivery, self._session.epoch, fetched)
        except AmqpFault as fault:
            return Failed(Reason.TOKEN_MALFORMED, fault.text, "", "_other")

    def fits(self, shown: Shown) -> bool:
        """Whether its header goes into a frame of the client."""
        return len(shown[0]) <= self._session.client_room

    # Shown

    def tag(self, upstream_tag: int, delivery: Delivery, shown: Shown, *, no_ack: bool) -> int:
        """The client's tag of a delivery that has just come.

        Raises:
            BrokerFault: its tag does not rise.
        """
        session = self._session
        opened = None if session.tracer is None else _opened(session.tracer, session.epoch, delivery, shown)
        if no_ack:
            client_tag = self.ledger.forward_settled(upstream_tag)
            self._settled_at_once(shown, opened)
        else:
            client_tag = self.ledger.forward(upstream_tag, (shown[1], session.started, opened))
            session.measures.unsettled += 1
        return client_tag

    def late_tag(self, upstream_tag: int, delivery: Delivery, shown: Shown, *, no_ack: bool) -> int:
        """The client's tag of a withheld delivery that it sees now."""
        session = self._session
        opened = None if session.tracer is None else _opened(session.tracer, session.epoch, delivery, shown)
        if no_ack:
            client_tag = self.ledger.show(upstream_tag, None)
            self._settled_at_once(shown, opened)
        else:
            client_tag = self.ledger.show(upstream_tag, (shown[1], session.started, opened))
            session.measures.unsettled += 1
        return client_tag

    def _settled_at_once(self, shown: Shown, opened: TracedDelivery | None) -> None:
        session = self._session
        session.filters.inbound.settled(shown[1], session.epoch)
        if opened is not None and session.tracer is not None:
            session.tracer.settle(opened, "ack")

    def show(self, method: bytes, deliver: Deliver, delivery: Delivery, shown: Shown, client_tag: int) -> None:
        """A delivery goes to its consumer."""
        if shown[3] is not None or shown[4] is not None:
            method = encode_deliver(
                deliver._replace(
                    exchange=deliver.exchange if shown.exchange is None else shown.exchange,
                    routing_key=deliver.routing_key if shown.routing_key is None else shown.routing_key,
                )
            )
        self.write(deliver_with_tag(method, client_tag), delivery, shown, "deliver")

    def write(self, method: bytes, delivery: Delivery, shown: Shown, direction: str) -> None:
        """It goes to the client, under that method."""
        session = self._session
        body = delivery[5] if shown[5] is None else shown[5]
        session.to_client.append(encode_content(self._number, method, shown[0], body, session.client_frame_max))
        session.shown += 1
        session.measures.messages[direction, shown[2], "forwarded"] += 1

    # Withheld

    def withhold(self, delivery: Delivery, tag: int, no_ack: bool, verdict: Examined, direction: str) -> None:
        """A delivery that is in the ledger as held, and is not to be kept for later."""
        if isinstance(verdict, Held):
            verdict = verdict.over
        if isinstance(verdict, Repeated):
            self._session.measures.repeats[verdict.queue_label] += 1
            if self.ledger.release(tag) and not no_ack:
                frame = reject_frame(self._number, tag, requeue=False) if verdict.is_rejected else None
                self._session.to_upstream.append(frame or ack_frame(self._number, tag))
            return
        if isinstance(verdict, ToFetch):  # nobody is left to see it
            verdict = Failed(Undelivered.UNDELIVERABLE, "its no-ack consumer is gone", "", verdict.queue_label)
        elif isinstance(verdict, Shown):
            limit = self._session.client_frame_max
            text = f"content header of {len(verdict.header)} bytes does not fit into the client's frames of {limit}"
            verdict = Failed(Undelivered.FRAME_SIZE, text, "", verdict.queue_label)
        self.fail(delivery, tag, no_ack, verdict, direction)

    def fail(self, delivery: Delivery, tag: int, no_ack: bool, failed: Failed, direction: str) -> None:
        """It is handed over to the dead letters."""
        session = self._session
        session.measures.messages[direction, failed.queue_label, "rejected"] += 1
        session.measures.refused["deliver", failed.reason] += 1
        session.log("warning", "delivery_failed", self._about(delivery, failed))
        if no_ack:
            self.ledger.release(tag)
            session.filters.inbound.handed_over(delivery.number, session.epoch)
        else:
            self.handing[tag] = delivery.number
        ticket = Ticket(self._number, self._opening, None if no_ack else tag)
        session.effects.append(HandOver(ticket, session.filters.inbound.dead_letter(delivery, failed, session.epoch)))
        session.hand_over_begins(ticket, size_of(delivery))

    def oversized(self, upstream_tag: int, queue: str, body_size: int, no_ack: bool) -> None:
        """A delivery that is too large for memory: the broker itself moves it to its dead letters.

        Raises:
            BrokerFault: its tag does not rise.
        """
        self.ledger.hold(upstream_tag)
        self.ledger.release(upstream_tag)
        session = self._session
        if not no_ack:
            session.to_upstream.append(reject_frame(self._number, upstream_tag, requeue=False))
        session.measures.refused["deliver", Undelivered.OVERSIZE] += 1
        session.measures.messages["deliver", "_other", "rejected"] += 1
        limit = session.filters.inbound.largest_body
        particulars = {"reason": Undelivered.OVERSIZE, "queue": queue, "bytes": body_size, "limit": limit}
        session.log("warning", "delivery_rejected", particulars)

    def fetch(self, tag: int, verdict: ToFetch, *, may_wait: bool) -> None:
        """Its body is wanted from the object store."""
        ticket = Ticket(self._number, self._opening, tag)
        self._session.effects.append(FetchObject(ticket, verdict.claim, may_wait))

    def give_back(self, tag: int, delivery: Delivery) -> None:
        """It goes back to its queue."""
        self._session.filters.inbound.let_go(delivery.number, self._session.epoch)
        if self.ledger.release(tag):
            self._session.to_upstream.append(nack_frame(self._number, tag, requeue=True))

    def handed_over(self, upstream_tag: int) -> None:
        """The broker has confirmed the dead letter: the delivery may be acknowledged."""
        if self.ledger.release(upstream_tag):
            session = self._session
            session.filters.inbound.handed_over(self.handing.pop(upstream_tag, 0), session.epoch)
            session.to_upstream.append(ack_frame(self._number, upstream_tag))

    def tell_held(self, delivery: Delivery, held: Held) -> None:
        """For the log; a copy of what the service has is counted when it is acknowledged."""
        if isinstance(held.over, Failed):
            self._session.log("info", "delivery_held", self._about(delivery, held.over))

    def _about(self, delivery: Delivery, failed: Failed) -> dict[str, object]:
        return {
            "reason": failed.reason,
            "text": failed.detail,
            "issuer": failed.issuer,
            "queue": delivery.queue,
            "exchange": readable(delivery.exchange),
            "routing_key": readable(delivery.routing_key),
            "channel": self._number,
        }

    def end(self) -> None:
        """The channel is over: the broker takes everything back."""
        session = self._session
        inbound = session.filters.inbound
        session.measures.unsettled -= self.ledger.visible
        for remembered, _, opened in self.ledger.clear():
            if opened is not None and session.tracer is not None:
                session.tracer.settle(opened, "lost")
            inbound.given_back(remembered, session.epoch)
        for number in self.handing.values():
            inbound.let_go(number, session.epoch)
        self.handing.clear()


def size_of(delivery: Delivery) -> int:
    """How many bytes it takes while it is withheld."""
    return len(delivery.body) + len(delivery.header.payload) + WITHHELD_OVERHEAD


def _opened(tracer: Tracer, began: float, delivery: Delivery, shown: Shown) -> TracedDelivery | None:
    """What is traced of a delivery that goes to the client."""
    exchange = delivery.exchange if shown.exchange is None else shown.exchange
    routing_key = delivery.routing_key if shown.routing_key is None else shown.routing_key
    body = delivery.body if shown.body is None else shown.body
    about = (shown.remembered.queue, exchange, routing_key, shown.header, len(body), shown.remembered.identity)
    return tracer.open(began, *about, delivery.redelivered)
