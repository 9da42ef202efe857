"""What the broker delivers on one channel: shown, withheld, repeated.

Theory of operation. Every delivery is examined when its last frame has come. What is shown goes to the client at
once, under tags without gaps. What fails is handed over to the dead letters and acknowledged only when that is
confirmed. What may yet become good is kept and examined again; it blocks nothing behind it. What lies in the object
store is parked until it was fetched, and every later delivery of the channel behind it. The client's settlements never
touch what is withheld: see `letrade_agent.amqp.deliveries`.

A message that basic.get brought cannot be shown later: the answer has been given. If it becomes good while it is
kept, it goes back to the queue.
"""

from __future__ import annotations

from typing import NamedTuple

from letrade_agent.amqp.basic import (
    Deliver,
    GetOk,
    ack_frame,
    deliver_with_tag,
    encode_deliver,
    encode_get_ok,
    get_ok_with_tag,
    nack_frame,
    reject_frame,
)
from letrade_agent.amqp.deliveries import DeliveryLedger
from letrade_agent.amqp.faults import AmqpFault, readable
from letrade_agent.amqp.frames import encode_content
from letrade_agent.filters.verdicts import Delivery, Examined, Failed, Fetched, Held, Repeated, Shown, ToFetch
from letrade_agent.filters.words import Undelivered
from letrade_topo.keys.reasons import Reason

from .effects import FetchObject, HandOver, Ticket
from .requests import Consumer, Get
from .session import WITHHELD_OVERHEAD, Session
from .settlements import Note


class Kept(NamedTuple):
    """A delivery that may yet become good, or waits for the object store.

    Attributes:
        consumer: whose it is; None if basic.get brought it.
        method: payload of the deliver.
        deliver: the same, read.
        delivery: as filters see it.
        since: monotonic seconds.
        size: bytes that it takes.
    """

    consumer: Consumer | None
    method: bytes
    deliver: Deliver | None
    delivery: Delivery
    since: float
    size: int


class Deliveries:
    """One channel's deliveries.

    Attributes:
        ledger: which delivery is which.
        kept: by upstream tag, oldest first.
        parked: by upstream tag, in order: the first waits for its object, the others behind it.
        handing: how many are being handed over and will be acknowledged then.
    """

    __slots__ = ("_number", "_opening", "_session", "handing", "kept", "ledger", "parked")

    def __init__(self, session: Session, number: int, opening: int) -> None:
        self._session = session
        self._number = number
        self._opening = opening
        self.ledger: DeliveryLedger[Note] = DeliveryLedger()
        self.kept: dict[int, Kept] = {}
        self.parked: dict[int, Kept] = {}
        self.handing = 0

    # What arrives

    def deliver(self, method: bytes, deliver: Deliver, consumer: Consumer, delivery: Delivery) -> None:
        """A delivery to a consumer.

        Raises:
            BrokerFault: its tag does not rise.
        """
        session = self._session
        if self.parked:
            self._park(deliver[1], consumer, method, deliver, delivery)
            return
        inbound = session.filters.inbound
        try:
            verdict = inbound.examine(delivery, session.epoch)
        except AmqpFault as fault:
            verdict = _malformed(fault)
        tag = deliver[1]
        if isinstance(verdict, Shown) and len(verdict[0]) <= session.client_room:
            if consumer.no_ack:
                client_tag = self.ledger.forward_settled(tag)
                inbound.settled(verdict[1], session.epoch)
            else:
                client_tag = self.ledger.forward(tag, (verdict[1], session.started))
                session.measures.unsettled += 1
            self._show(method, deliver, verdict, _body(verdict, delivery), client_tag)
            return
        if isinstance(verdict, ToFetch):
            self._park(tag, consumer, method, deliver, delivery)
            self._fetch(tag, verdict)
            return
        self.ledger.hold(tag)
        if isinstance(verdict, Held):
            size = _size(delivery)
            self.kept[tag] = Kept(consumer, method, deliver, delivery, session.started, size)
            session.keep(size)
            session.log("info", "delivery_held", self._about(delivery, verdict.failed))
        else:
            self._withhold(delivery, tag, consumer.no_ack, verdict, "deliver")

    def got(
        self, method: bytes, got: GetOk, get: Get, delivery: Delivery, fetched: Fetched | None = None
    ) -> bool | None:
        """A message that the client asked for.

        Args:
            method: payload of the answer.
            got: the same, read.
            get: what is answered.
            delivery: as filters see it.
            fetched: what the store holds, when the first answer was None.

        Returns:
            Whether it was shown, else the answer is still owed; None: its body has to be fetched first.

        Raises:
            BrokerFault: its tag does not rise.
        """
        verdict = self._examine(delivery, fetched)
        session = self._session
        tag = got.delivery_tag
        if isinstance(verdict, ToFetch):
            self.ledger.hold(tag)
            session.keep(_size(delivery))
            ticket = Ticket(self._number, self._opening, tag)
            session.effects.append(FetchObject(ticket, verdict.claim, may_wait=get.no_ack))
            return None
        if isinstance(verdict, Shown) and len(verdict.header) <= session.client_room:
            if fetched is not None:
                client_tag = self._late_tag(tag, verdict, get.no_ack)
            elif get.no_ack:
                client_tag = self.ledger.forward_settled(tag)
                session.filters.inbound.settled(verdict.remembered, session.epoch)
            else:
                client_tag = self.ledger.forward(tag, (verdict.remembered, session.started))
                session.measures.unsettled += 1
            if verdict.exchange is not None or verdict.routing_key is not None:
                method = encode_get_ok(
                    got._replace(
                        exchange=got.exchange if verdict.exchange is None else verdict.exchange,
                        routing_key=got.routing_key if verdict.routing_key is None else verdict.routing_key,
                    )
                )
            self._write(get_ok_with_tag(method, client_tag), verdict.header, _body(verdict, delivery))
            session.measures.messages["get", verdict.queue_label, "forwarded"] += 1
            return True
        if fetched is None:
            self.ledger.hold(tag)
        if isinstance(verdict, Held) and not get.no_ack:
            size = _size(delivery)
            self.kept[tag] = Kept(None, method, None, delivery, session.started, size)
            session.keep(size)
            session.log("info", "delivery_held", self._about(delivery, verdict.failed))
        else:
            self._withhold(delivery, tag, get.no_ack, verdict, "get")
        return False

    def got_fetched(
        self, method: bytes, got: GetOk, get: Get, delivery: Delivery, fetched: Fetched | None
    ) -> bool | None:
        """The same with what the store holds; None: it did not answer, and the message goes back to its queue."""
        self._session.let_go(_size(delivery))
        if fetched is None:
            self._give_back(got.delivery_tag)
            return False
        return self.got(method, got, get, delivery, fetched)

    def got_lost(self, got: GetOk, get: Get, delivery: Delivery) -> None:
        """The channel is over while its body is being fetched: the broker takes it back, if it can."""
        self._session.let_go(_size(delivery))
        if get.no_ack:
            failed = Failed(Undelivered.UNDELIVERABLE, "its channel is gone", "", "_other")
            self._fail(delivery, got.delivery_tag, True, failed, "get")

    def oversized(self, upstream_tag: int, queue: str, body_size: int, no_ack: bool) -> None:
        """A delivery that is too large for memory: the broker itself moves it to its dead letters."""
        self.ledger.hold(upstream_tag)
        self.ledger.release(upstream_tag)
        session = self._session
        if not no_ack:
            session.to_upstream.append(reject_frame(self._number, upstream_tag, requeue=False))
        session.measures.refused["deliver", Undelivered.OVERSIZE] += 1
        session.measures.messages["deliver", "_other", "rejected"] += 1
        limit = session.max_delivery_bytes
        particulars = {"reason": Undelivered.OVERSIZE, "queue": queue, "bytes": body_size, "limit": limit}
        session.log("warning", "delivery_rejected", particulars)

    def _examine(self, delivery: Delivery, fetched: Fetched | None = None) -> Examined:
        try:
            return self._session.filters.inbound.examine(delivery, self._session.epoch, fetched)
        except AmqpFault as fault:
            return _malformed(fault)

    def _show(self, method: bytes, deliver: Deliver, verdict: Shown, body: bytes, client_tag: int) -> None:
        if verdict[3] is not None or verdict[4] is not None:
            method = encode_deliver(
                deliver._replace(
                    exchange=deliver.exchange if verdict.exchange is None else verdict.exchange,
                    routing_key=deliver.routing_key if verdict.routing_key is None else verdict.routing_key,
                )
            )
        session = self._session
        method = deliver_with_tag(method, client_tag)
        session.to_client.append(encode_content(self._number, method, verdict[0], body, session.client_frame_max))
        session.shown += 1
        session.measures.messages["deliver", verdict[2], "forwarded"] += 1

    def _write(self, method: bytes, header: bytes, body: bytes) -> None:
        session = self._session
        session.to_client.append(encode_content(self._number, method, header, body, session.client_frame_max))
        session.shown += 1

    def _withhold(self, delivery: Delivery, tag: int, no_ack: bool, verdict: Examined, direction: str) -> None:
        """A delivery that is in the ledger as held, and is not to be kept for later."""
        if isinstance(verdict, Repeated):
            self._session.measures.repeats[verdict.queue_label] += 1
            if verdict.is_rejected:
                self._reject(tag, no_ack)
            else:
                self._acknowledge(tag, no_ack)
            return
        if isinstance(verdict, Held):
            verdict = verdict.failed
        elif isinstance(verdict, ToFetch):  # nobody is left to see it
            verdict = Failed(Undelivered.UNDELIVERABLE, "its no-ack consumer is gone", "", verdict.queue_label)
        elif isinstance(verdict, Shown):
            limit = self._session.client_frame_max
            text = f"content header of {len(verdict.header)} bytes does not fit into the client's frames of {limit}"
            verdict = Failed(Undelivered.FRAME_SIZE, text, "", verdict.queue_label)
        self._fail(delivery, tag, no_ack, verdict, direction)

    def _fail(self, delivery: Delivery, tag: int, no_ack: bool, failed: Failed, direction: str) -> None:
        session = self._session
        session.measures.messages[direction, failed.queue_label, "rejected"] += 1
        session.measures.refused["deliver", failed.reason] += 1
        session.log("warning", "delivery_failed", self._about(delivery, failed))
        if no_ack:
            self.ledger.release(tag)
        else:
            self.handing += 1
        ticket = Ticket(self._number, self._opening, None if no_ack else tag)
        session.effects.append(HandOver(ticket, session.filters.inbound.dead_letter(delivery, failed, session.epoch)))
        session.hand_over_begins(ticket, _size(delivery))

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

    def _acknowledge(self, tag: int, no_ack: bool) -> None:
        if self.ledger.release(tag) and not no_ack:
            self._session.to_upstream.append(ack_frame(self._number, tag))

    def _reject(self, tag: int, no_ack: bool) -> None:
        if self.ledger.release(tag) and not no_ack:
            self._session.to_upstream.append(reject_frame(self._number, tag, requeue=False))

    # What is withheld

    def handed_over(self, upstream_tag: int) -> None:
        """The broker has confirmed the dead letter: the delivery may be acknowledged."""
        if self.ledger.release(upstream_tag):
            self.handing -= 1
            self._session.to_upstream.append(ack_frame(self._number, upstream_tag))

    def examine_again(self) -> None:
        """Ask for all that is kept, oldest first: what became good is shown, what took too long has failed."""
        for tag, kept in tuple(self.kept.items()):
            verdict = self._examine(kept.delivery)
            if isinstance(verdict, Held) and self._session.started < kept.since + verdict.until_over:
                continue
            del self.kept[tag]
            if isinstance(verdict, ToFetch) and kept.consumer is not None:
                self.parked[tag] = kept
                if len(self.parked) == 1:
                    self._fetch(tag, verdict)
                continue
            self._session.let_go(kept.size)
            self._decide_late(tag, kept, verdict)

    def _decide_late(self, tag: int, kept: Kept, verdict: Examined) -> None:
        """A delivery that was kept or parked has its verdict."""
        consumer = kept.consumer
        no_ack = consumer is not None and consumer.no_ack
        is_good = isinstance(verdict, ToFetch) or (
            isinstance(verdict, Shown) and len(verdict.header) <= self._session.client_room
        )
        if not is_good:
            self._withhold(kept.delivery, tag, no_ack, verdict, "get" if consumer is None else "deliver")
        elif consumer is None or kept.deliver is None or not isinstance(verdict, Shown):
            self._give_back(tag)
        else:
            client_tag = self._late_tag(tag, verdict, no_ack)
            self._show(kept.method, kept.deliver, verdict, _body(verdict, kept.delivery), client_tag)

    def _late_tag(self, tag: int, verdict: Shown, no_ack: bool) -> int:
        """The client's tag of a withheld delivery that it sees now."""
        session = self._session
        if no_ack:
            client_tag = self.ledger.show(tag, None)
            session.filters.inbound.settled(verdict.remembered, session.epoch)
        else:
            client_tag = self.ledger.show(tag, (verdict.remembered, session.started))
            session.measures.unsettled += 1
        return client_tag

    # What waits for the object store

    def _park(self, tag: int, consumer: Consumer, method: bytes, deliver: Deliver, delivery: Delivery) -> None:
        self.ledger.hold(tag)
        size = _size(delivery)
        self.parked[tag] = Kept(consumer, method, deliver, delivery, self._session.started, size)
        self._session.keep(size)

    def _fetch(self, tag: int, verdict: ToFetch) -> None:
        ticket = Ticket(self._number, self._opening, tag)
        self._session.effects.append(FetchObject(ticket, verdict.claim, may_wait=True))

    def fetched(self, tag: int, fetched: Fetched) -> None:
        """What the store holds for a parked delivery; it and what waits behind it go on, in their order."""
        kept = self.parked.pop(tag, None)
        if kept is None:
            return
        self._go_on_with(tag, kept, self._examine(kept.delivery, fetched))
        self._go_on()

    def _go_on(self) -> None:
        while self.parked:
            tag, kept = next(iter(self.parked.items()))
            verdict = self._examine(kept.delivery)
            if isinstance(verdict, ToFetch):
                self._fetch(tag, verdict)
                return
            del self.parked[tag]
            self._go_on_with(tag, kept, verdict)

    def _go_on_with(self, tag: int, kept: Kept, verdict: Examined) -> None:
        if isinstance(verdict, Held):
            self.kept[tag] = kept._replace(since=self._session.started)
            self._session.log("info", "delivery_held", self._about(kept.delivery, verdict.failed))
        else:
            self._session.let_go(kept.size)
            self._decide_late(tag, kept, verdict)

    def _give_back(self, tag: int) -> None:
        if self.ledger.release(tag):
            self._session.to_upstream.append(nack_frame(self._number, tag, requeue=True))

    def cancelled(self, consumer: Consumer) -> None:
        """A consumer is gone: what is kept for it goes back to the queue, or what cannot go back is handed over."""
        first = next(iter(self.parked), None)
        for tag, kept in (*self.kept.items(), *self.parked.items()):
            if kept.consumer is consumer:
                self._let_go(tag, kept, give_back=True)
        if first is not None and first not in self.parked:
            self._go_on()

    def stop(self) -> None:
        """Nothing more is shown on this channel; the broker takes back what it can."""
        for tag, kept in (*self.kept.items(), *self.parked.items()):
            self._let_go(tag, kept, give_back=False)

    def _let_go(self, tag: int, kept: Kept, *, give_back: bool) -> None:
        self.kept.pop(tag, None)
        self.parked.pop(tag, None)
        self._session.let_go(kept.size)
        if kept.consumer is not None and kept.consumer.no_ack:
            verdict = self._examine(kept.delivery)
            if isinstance(verdict, Shown):  # good, but nobody is left to see it
                verdict = Failed(Undelivered.UNDELIVERABLE, "its no-ack consumer is gone", "", verdict.queue_label)
            self._withhold(kept.delivery, tag, True, verdict, "deliver")
        elif give_back:
            self._give_back(tag)

    def end(self) -> None:
        """The channel is over: the broker takes everything back."""
        self.stop()
        self._session.measures.unsettled -= self.ledger.visible
        self.ledger.clear()
        self.handing = 0


def _malformed(fault: AmqpFault) -> Failed:
    """A publisher's fault, not the broker's."""
    return Failed(Reason.TOKEN_MALFORMED, fault.text, "", "_other")


def _body(verdict: Shown, delivery: Delivery) -> bytes:
    """What the client gets to see."""
    body = verdict[5]
    return delivery[5] if body is None else body


def _size(delivery: Delivery) -> int:
    return len(delivery.body) + len(delivery.header.payload) + WITHHELD_OVERHEAD
