"""One channel of a relayed connection, from its open to the close-ok that frees its number.

What may happen when is in the table of `letrade_agent.amqp.channel`; here its actions are carried out, one by one in
`_act`. What is to be worked on (`TAKE`) does not come by the table: the two directions ask `taking` and `hearing`,
which are made of it. Contents in progress are the assemblers'.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, assert_never

from letrade_agent.amqp.channel import ChannelAction, ChannelInput, ChannelState, is_of_broker, step, takes
from letrade_agent.filters.decisions import Approved, Decision, Refusal, ToStore, Whole
from letrade_agent.filters.verdicts import Fetched
from letrade_agent.filters.words import Undelivered
from letrade_topo.amqp.basic import RETURN
from letrade_topo.amqp.channel_commands import Cancel, ChannelClose, ChannelCloseOk
from letrade_topo.amqp.content import Content, ContentAssembler
from letrade_topo.amqp.faults import ClientFault, ReplyCode, shorten
from letrade_topo.amqp.frames import METHOD, Frame
from letrade_topo.amqp.properties import ContentHeader

from .deliveries import Deliveries
from .effects import Opening, StoreObject
from .gets import Gets
from .inputs import broker_input
from .outcomes import Outcomes
from .publishes import Publishes
from .requests import Consumer, Consumers, QueueName, Requests
from .session import Session
from .settlements import Settlements
from .staying import Staying
from .waiting import Reopening, Storing

CLOSE_OK_PAYLOAD: Final = ChannelCloseOk().encode()

_S = ChannelState
_I = ChannelInput
_A = ChannelAction


class RelayedChannel:
    """One channel; when it is opened again before the broker has closed it, the opening after that as well.

    Attributes:
        number: its number.
        opening: the how-many-th opening on this connection.
        state: see the table.
        accepting: whether methods and contents of the client are worked on.
        taking: likewise, at once: nothing is being stored that they have to wait for.
        hearing: whether those of the broker are, at once.
        storing: the publish whose body is being stored.
        publishes, outcomes, deliveries, gets, settlements, requests, consumers, staying: what the channel knows.
        last_queue: the queue declared last.
        prefetch: as client or agent have set it; 0: any number; None: not yet.
        assembler: of the frames of the broker.
        reopening: the client's next channel.open, which waits for the broker's close-ok, and what came behind it.
    """

    __slots__ = (
        "_close_at",
        "_held_close",
        "accepting",
        "assembler",
        "consumers",
        "deliveries",
        "gets",
        "hearing",
        "last_queue",
        "number",
        "opening",
        "outcomes",
        "prefetch",
        "publishes",
        "reopening",
        "requests",
        "session",
        "settlements",
        "state",
        "staying",
        "storing",
        "taking",
    )

    def __init__(self, session: Session, number: int) -> None:
        self.session = session
        self.number = number
        self.state = _S.CLOSED
        self._begin()

    def _begin(self) -> None:
        """An opening: nothing is known of one before."""
        session, number = self.session, self.number
        session.openings += 1
        self.opening = session.openings
        self.publishes = Publishes(session, number)
        self.outcomes = Outcomes(session, number, self.opening)
        self.deliveries = Deliveries(session, number, self.outcomes)
        self.settlements = Settlements(session, number, self.outcomes.ledger)
        self.requests = Requests(self.tell_client)
        self.gets = Gets(session, number, self.requests, self.outcomes, self.deliveries)
        self.consumers = Consumers(session.limits.cancelled_consumers)
        self.staying = Staying(session, number, self.requests, self.consumers, self.outcomes)
        self.last_queue = QueueName(b"")
        self.prefetch: int | None = None
        self.assembler: ContentAssembler[Refusal] = ContentAssembler(self._admit, session.broker_unfinished)
        self.reopening: Reopening | None = None
        self._held_close = b""
        self._close_at = 0.0
        self.accepting = self.hearing = self.taking = False
        self.storing: Storing | None = None

    def tell_client(self, payload: bytes) -> None:
        """A method to the client."""
        self.session.tell_client(self.number, payload)

    def tell_upstream(self, payload: bytes) -> None:
        """A method to the broker."""
        self.session.tell_upstream(self.number, payload)

    # Life

    def happens(
        self, happened: ChannelInput, payload: bytes = b"", *, frame_type: int = METHOD, upstream: bytes = b""
    ) -> ChannelAction:
        """Do what the table says.

        Args:
            happened: the input.
            payload: of the frame that it came by; where the agent closes, of what the client is told.
            frame_type: of the frame.
            upstream: where the agent closes, payload of what the broker is told.

        Raises:
            AmqpFault: it has no place in this state.
        """
        state, action = step(self.state, happened)
        of_broker = is_of_broker(happened)
        tell_sender = self.tell_upstream if of_broker else self.tell_client
        tell_other = self.tell_client if of_broker else self.tell_upstream
        match action:
            case _A.TAKE:
                raise AssertionError("what is worked on does not come by the table")
            case _A.DISCARD:
                pass
            case _A.RELAY:
                tell_other(payload)
            case _A.ANSWER:
                tell_sender(CLOSE_OK_PAYLOAD)
            case _A.RELAY_AND_ANSWER:
                tell_other(payload)
                tell_sender(CLOSE_OK_PAYLOAD)
            case _A.ANSWER_BOTH:
                tell_sender(CLOSE_OK_PAYLOAD)
                tell_other(CLOSE_OK_PAYLOAD)
            case _A.CLOSE_BOTH:
                self.tell_client(payload)
                self.tell_upstream(upstream)
            case _A.HOLD_CLOSE:
                self._held_close = payload
                self._close_at = self.session.started + self.session.limits.hand_over_seconds
            case _A.RELEASE_CLOSE:
                self.outcomes.end()
                self.tell_upstream(self._held_close)
            case _A.HOLD:
                self._hold((frame_type, self.number, payload))
            case _A.RELEASE:
                self._release()
            case _:
                assert_never(action)
        if state is not self.state:
            self._enter(state)
        return action

    def _enter(self, state: ChannelState) -> None:
        """The channel is in another state of its life."""
        self.state = state
        self.accepting = takes(state, _I.CLIENT_FRAME)
        if not self.accepting:
            self._wait_no_longer()
            self.publishes.assembler.reset()
            self.deliveries.stop()
            self.staying.clear()
        self.taking = self.accepting and self.storing is None
        self.hearing = takes(state, _I.BROKER_FRAME) and not self.gets.is_fetching
        if not self.accepting and not self.hearing:
            self._forget()

    def _forget(self) -> None:
        self.publishes.end()
        self.deliveries.stop()
        self.outcomes.end()
        self.requests.clear()
        self.assembler.reset()

    def leave(self) -> None:
        """The channel is over; what was sent ahead for its next opening is taken in by that."""
        self.stop()
        if self.reopening is not None:
            self.reopening.over()
        self._forget()

    def stop(self) -> None:
        """The connection ends: nothing more comes from either side."""
        self.accepting = self.hearing = self.taking = False
        self._wait_no_longer()
        self.deliveries.stop()
        self.staying.clear()

    def close(self, fault: ClientFault) -> None:
        """The agent ends the channel; whatever waits for the end of this read goes first."""
        close = ChannelClose(
            reply_code=fault.code, reply_text=fault.reply_text, class_id=fault.class_id, method_id=fault.method_id
        )
        text = shorten(f"the agent closed it towards its client: {fault}")
        upstream = ChannelClose(reply_code=ReplyCode.SUCCESS, reply_text=text)
        action = self.happens(_I.AGENT_CLOSE, close.encode(), upstream=upstream.encode())
        if action is _A.CLOSE_BOTH:
            about = {"channel": self.number, "code": int(fault.code), "text": fault.text}
            self.session.log("warning", "channel_closed", about)

    def close_if_handed_over(self) -> None:
        """The client's close waits no longer when no hand-over is under way, or after two seconds."""
        if not self.outcomes.handing or self.session.started >= self._close_at:
            self.happens(_I.HANDED_OVER)

    def handed_over(self, upstream_tag: int) -> None:
        """A delivery of this opening is among the dead letters."""
        self.outcomes.handed_over(upstream_tag)
        self.close_if_handed_over()

    def _hold(self, frame: Frame) -> None:
        if self.reopening is None:
            self.reopening = Reopening(self.session, frame[2])
        else:
            self.reopening.behind(frame)

    def _release(self) -> None:
        """The broker's close-ok has come: the open that waited for it begins anew, and what came behind it."""
        reopening = self.reopening
        self.leave()
        self._begin()
        if reopening is not None:
            self.tell_upstream(reopening.opened)
            if reopening.frames:
                self.session.from_client.append(reopening.frames)

    # What waits for the object store

    def store(self, whole: Whole, to_store: ToStore) -> None:
        """The body of a publish is to go to the object store; what comes behind it waits."""
        self.storing = Storing(self.session, whole, to_store)
        self.taking = False

    def send_to_store(self) -> None:
        """It goes there, if the channel is still open."""
        if self.storing is not None:
            to_store, opening = self.storing.to_store, Opening(self.number, self.opening)
            self.session.effects.append(StoreObject(opening, to_store.object, to_store.approved.body))

    def stored(self, decide: Callable[[ToStore], Approved | Refusal]) -> list[tuple[Whole, Decision | None]]:
        """The body is in the store, or cannot be: the publish goes on, then what waits behind it.

        Returns:
            Publishes that are to be carried out now, with what is decided of them already.
        """
        storing = self.storing
        if storing is None:
            return []
        self._store_no_longer(storing)
        return [(storing.whole, decide(storing.to_store)), *storing.publishes]

    def _store_no_longer(self, storing: Storing) -> None:
        self.storing = None
        self.taking = self.accepting
        storing.over()
        if storing.frames:
            self.session.from_client.append(storing.frames)

    def _wait_no_longer(self) -> None:
        """The channel is no longer open: what waits is taken in, as anything that comes then."""
        if self.storing is not None:
            self._store_no_longer(self.storing)
        self.gets.stop()

    # From the broker

    def _admit(self, method: bytes, header: ContentHeader) -> Refusal | None:
        if method[:4] == RETURN:
            return None
        self.session.measures.sizes["deliver"].observe(header.body_size)
        if header.body_size > self.session.filters.inbound.largest_body:
            return Refusal(ReplyCode.CONTENT_TOO_LARGE, Undelivered.OVERSIZE, "")
        return None

    def got(self, content: Content[Refusal]) -> None:
        """The broker answers a get with a message.

        Raises:
            BrokerFault: nothing was asked for, or its tag does not rise.
        """
        self.gets.got(content, accepting=self.accepting)
        self._hear()

    def hear_later(self, frame: Frame) -> bool:
        """Whether a frame of the broker has to wait for an answer to a get; the broker's close ends the wait."""
        if not self.gets.is_fetching:
            return False
        self.gets.behind(frame)
        if broker_input(frame[0], frame[2]) is _I.BROKER_CLOSE:
            self.gets.stop()
            self._hear()
        return True

    def _hear(self) -> None:
        self.hearing = takes(self.state, _I.BROKER_FRAME) and not self.gets.is_fetching

    def awaits(self, upstream_tag: int) -> bool:
        """Whether a delivery still waits for its object."""
        return upstream_tag in self.deliveries.parked or self.gets.awaits(upstream_tag)

    def fetched(self, upstream_tag: int, fetched: Fetched | None) -> None:
        """What the object store holds for a delivery; None: it did not answer."""
        if self.gets.awaits(upstream_tag):
            self.gets.fetched(fetched)
            self._hear()
        elif fetched is not None:
            self.deliveries.fetched(upstream_tag, fetched)

    def note_idle(self, heard_since: float) -> None:
        """Tell of consumers that could take more and get nothing.

        Args:
            heard_since: monotonic seconds, from when on the broker has been read.
        """
        deliveries, session = self.deliveries, self.session
        if not self.accepting or deliveries.parked:
            return
        unsettled = self.outcomes.ledger.visible + self.outcomes.ledger.held
        if self.prefetch and unsettled >= self.prefetch:
            return
        for consumer in self.consumers.active:
            if consumer.is_idle(session.started, unsettled, heard_since, session.limits.idle_seconds):
                was_active = consumer.last is not None
                session.filters.inbound.keeps_up(consumer.queue.text, session.epoch, was_active=was_active)

    def cancel(self, tag: bytes) -> Consumer | None:
        """A subscription is over; whose it was, if anybody's."""
        consumer = self.consumers.cancelled(tag)
        if consumer is not None:
            self.deliveries.cancelled(consumer)
        return consumer

    # Queues that are away

    def lost(self, consumer: Consumer) -> None:
        """The client hears that the broker has ended a subscription, because its queue is gone or has moved."""
        if b"consumer_cancel_notify" in self.session.capabilities:
            self.tell_client(Cancel(consumer_tag=consumer.tag, no_wait=True).encode())
        else:
            text = f"the broker cancelled the consumer of queue '{consumer.queue.text}'"
            self.close(ClientFault(ReplyCode.PRECONDITION_FAILED, text))

    def queue_is_back(self, queue: str) -> None:
        """Its consumers go on."""
        if self.accepting:
            self.staying.came_back(queue, self.prefetch)

    def queue_is_gone(self, queue: str) -> None:
        """Its consumers are told."""
        for consumer in self.staying.is_gone(queue):
            self.lost(consumer)

    def stay_on(self) -> None:
        """Consumers whose queue is back may go on now: time has gone by, or something was settled."""
        if self.accepting and self.staying.due:
            self.staying.go_on(self.prefetch)
