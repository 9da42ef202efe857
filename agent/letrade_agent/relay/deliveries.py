"""What the broker delivers to the consumers of one channel: shown at once, kept, parked.

Theory of operation. Every delivery is examined when its last frame has come. What is shown goes to the client at
once, under tags without gaps. What may yet become good is kept and examined again; it blocks nothing behind it. What
lies in the object store is parked until it was fetched, and every later delivery of the channel behind it. The
client's settlements never touch what is withheld: see `letrade_agent.amqp.deliveries`.

A message that basic.get brought cannot be shown later: the answer has been given. If it becomes good while it is
kept, it goes back to the queue.
"""

from __future__ import annotations

from typing import NamedTuple

from letrade_agent.filters.verdicts import Delivery, Examined, Failed, Fetched, Held, Proven, Shown, ToFetch
from letrade_agent.filters.words import Undelivered
from letrade_topo.amqp.basic import Deliver, deliver_with_tag
from letrade_topo.amqp.frames import encode_content

from .outcomes import Outcomes, size_of
from .requests import Consumer
from .session import Session


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
        kept: by upstream tag, oldest first.
        parked: by upstream tag, in order: the first waits for its object, the others behind it.
    """

    __slots__ = ("_ledger", "_number", "_outcomes", "_session", "kept", "parked")

    def __init__(self, session: Session, number: int, outcomes: Outcomes) -> None:
        self._session = session
        self._number = number
        self._outcomes = outcomes
        self._ledger = outcomes.ledger
        self.kept: dict[int, Kept] = {}
        self.parked: dict[int, Kept] = {}

    # What arrives

    def proven(self, method: bytes, consumer: Consumer, proven: Proven, body: bytes) -> bool:
        """An ordinary delivery to a consumer; whether it is shown: else it has to be examined.

        Raises:
            BrokerFault: its tag does not rise.
        """
        session = self._session
        if self.parked or len(proven[2][0]) > session.client_room:
            return False
        shown = session.filters.inbound.accept(proven, session.epoch)
        if shown is None:
            return False
        tag_at = 5 + method[4]
        tag = int.from_bytes(method[tag_at : tag_at + 8], "big")
        body = body if shown[5] is None else shown[5]
        tracer = session.tracer
        opened = None if tracer is None else tracer.open_plain(session.epoch, method, shown[0], len(body), shown[1])
        if consumer.no_ack:
            client_tag = self._ledger.forward_settled(tag)
            session.filters.inbound.settled(shown[1], session.epoch)
            if opened is not None and tracer is not None:
                tracer.settle(opened, "ack")
        else:
            client_tag = self._ledger.forward(tag, (shown[1], session.started, opened))
            session.measures.unsettled += 1
        method = deliver_with_tag(method, client_tag)
        session.to_client.append(encode_content(self._number, method, shown[0], body, session.client_frame_max))
        return True

    def deliver(self, method: bytes, deliver: Deliver, consumer: Consumer, delivery: Delivery) -> None:
        """A delivery to a consumer.

        Raises:
            BrokerFault: its tag does not rise.
        """
        tag, outcomes = deliver[1], self._outcomes
        if self.parked:
            self._park(tag, consumer, method, deliver, delivery)
            return
        verdict = outcomes.examine(delivery)
        if isinstance(verdict, Shown) and outcomes.fits(verdict):
            client_tag = outcomes.tag(tag, delivery, verdict, no_ack=consumer.no_ack)
            outcomes.show(method, deliver, delivery, verdict, client_tag)
        elif isinstance(verdict, ToFetch):
            self._park(tag, consumer, method, deliver, delivery)
            outcomes.fetch(tag, verdict, may_wait=True)
        else:
            self._ledger.hold(tag)
            if isinstance(verdict, Held):
                self.keep(tag, Kept(consumer, method, deliver, delivery, self._session.started, size_of(delivery)))
                outcomes.tell_held(delivery, verdict)
            else:
                outcomes.withhold(delivery, tag, consumer.no_ack, verdict, "deliver")

    # What may yet become good

    def keep(self, tag: int, kept: Kept) -> None:
        """It is in the ledger as held, and examined again from time to time."""
        self.kept[tag] = kept
        self._session.keep(kept.size)

    def examine_again(self) -> None:
        """Ask for all that is kept, oldest first: what became good is shown, what took too long has failed."""
        for tag, kept in tuple(self.kept.items()):
            verdict = self._outcomes.examine(kept.delivery)
            if isinstance(verdict, Held) and self._session.started < kept.since + verdict.until_over:
                continue
            del self.kept[tag]
            if isinstance(verdict, ToFetch) and kept.consumer is not None:
                self.parked[tag] = kept
                if len(self.parked) == 1:
                    self._outcomes.fetch(tag, verdict, may_wait=True)
                continue
            self._session.let_go(kept.size)
            self._decide_late(tag, kept, verdict)

    def _decide_late(self, tag: int, kept: Kept, verdict: Examined) -> None:
        """A delivery that was kept or parked has its verdict."""
        consumer, outcomes = kept.consumer, self._outcomes
        no_ack = consumer is not None and consumer.no_ack
        is_good = isinstance(verdict, ToFetch) or (isinstance(verdict, Shown) and outcomes.fits(verdict))
        if not is_good:
            outcomes.withhold(kept.delivery, tag, no_ack, verdict, "get" if consumer is None else "deliver")
        elif consumer is None or kept.deliver is None or not isinstance(verdict, Shown):
            outcomes.give_back(tag, kept.delivery)
        else:
            client_tag = outcomes.late_tag(tag, kept.delivery, verdict, no_ack=no_ack)
            outcomes.show(kept.method, kept.deliver, kept.delivery, verdict, client_tag)

    # What waits for the object store

    def _park(self, tag: int, consumer: Consumer, method: bytes, deliver: Deliver, delivery: Delivery) -> None:
        self._ledger.hold(tag)
        size = size_of(delivery)
        self.parked[tag] = Kept(consumer, method, deliver, delivery, self._session.started, size)
        self._session.keep(size)

    def fetched(self, tag: int, fetched: Fetched) -> None:
        """What the store holds for a parked delivery; it and what waits behind it go on, in their order."""
        kept = self.parked.pop(tag, None)
        if kept is None:
            return
        self._go_on_with(tag, kept, self._outcomes.examine(kept.delivery, fetched))
        self._go_on()

    def _go_on(self) -> None:
        while self.parked:
            tag, kept = next(iter(self.parked.items()))
            verdict = self._outcomes.examine(kept.delivery)
            if isinstance(verdict, ToFetch):
                self._outcomes.fetch(tag, verdict, may_wait=True)
                return
            del self.parked[tag]
            self._go_on_with(tag, kept, verdict)

    def _go_on_with(self, tag: int, kept: Kept, verdict: Examined) -> None:
        if isinstance(verdict, Held):
            self.kept[tag] = kept._replace(since=self._session.started)
            self._outcomes.tell_held(kept.delivery, verdict)
        else:
            self._session.let_go(kept.size)
            self._decide_late(tag, kept, verdict)

    # What nobody waits for any more

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
            verdict = self._outcomes.examine(kept.delivery)
            if isinstance(verdict, Shown):  # good, but nobody is left to see it
                verdict = Failed(Undelivered.UNDELIVERABLE, "its no-ack consumer is gone", "", verdict.queue_label)
            self._outcomes.withhold(kept.delivery, tag, True, verdict, "deliver")
        elif give_back:
            self._outcomes.give_back(tag, kept.delivery)
        else:
            self._session.filters.inbound.let_go(kept.delivery.number, self._session.epoch)
