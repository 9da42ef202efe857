"""One channel of a relayed connection, from its open to the close-ok that frees its number.

What may happen when is in the table of `letrade_agent.amqp.channel`; here its actions are carried out. Contents in
progress are the assemblers': while a channel is open, frames of messages come straight to them, and only other
methods come by the table.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from letrade_agent.amqp.basic import DELIVER, GET_OK, RETURN, Deliver, parse_deliver, parse_get_ok
from letrade_agent.amqp.channel import ChannelAction, ChannelInput, ChannelState, step
from letrade_agent.amqp.channel_commands import ChannelClose, ChannelCloseOk, GetEmpty
from letrade_agent.amqp.content import Content, ContentAssembler
from letrade_agent.amqp.faults import BrokerFault, ClientFault, ReplyCode, shorten
from letrade_agent.amqp.frames import METHOD, Frame
from letrade_agent.amqp.methods import BY_NAME, method_of
from letrade_agent.amqp.properties import ContentHeader
from letrade_agent.filters.verdicts import Approved, Delivery, Fetched, Refusal, ToStore
from letrade_agent.filters.words import Undelivered

from .deliveries import Deliveries
from .effects import Opening, StoreObject
from .publishing import Publishing, seal_and_send
from .requests import Consumers, Get, QueueName, Request, Requests
from .session import Session
from .settlements import Settlements
from .waiting import Getting, Storing

OPEN: Final = BY_NAME["channel.open"].index
OPEN_OK: Final = BY_NAME["channel.open-ok"].index
CLOSE: Final = BY_NAME["channel.close"].index
CLOSE_OK: Final = BY_NAME["channel.close-ok"].index

CLOSE_OK_PAYLOAD: Final = ChannelCloseOk().encode()

HAND_OVER_SECONDS: Final = 2.0
"""How long a close waits upstream for hand-overs that are under way. Closed before, they would come again."""

GET_ATTEMPTS: Final = 100
GET_SECONDS: Final = 0.2
"""How often and how long a get is repeated while what it brings must not be shown."""

_S = ChannelState
_I = ChannelInput
_A = ChannelAction
_CLIENT_INPUTS: Final = {OPEN: _I.CLIENT_OPEN, CLOSE: _I.CLIENT_CLOSE, CLOSE_OK: _I.CLIENT_CLOSE_OK}
_BROKER_INPUTS: Final = {OPEN_OK: _I.BROKER_OPEN_OK, CLOSE: _I.BROKER_CLOSE, CLOSE_OK: _I.BROKER_CLOSE_OK}
_new = tuple.__new__


def client_input(index: bytes) -> ChannelInput:
    """Which input of the table a method of the client is."""
    return _CLIENT_INPUTS.get(index, _I.CLIENT_METHOD)


def broker_input(index: bytes) -> ChannelInput:
    """Which input of the table a method of the broker is."""
    return _BROKER_INPUTS.get(index, _I.BROKER_FRAME)


class RelayedChannel:
    """One opening of one channel.

    Attributes:
        number: its number.
        opening: the how-many-th opening on this connection.
        state: see the table.
        accepting: whether methods and contents of the client are worked on.
        taking: likewise, at once: nothing is being stored that they have to wait for.
        hearing: whether those of the broker are.
        storing: the publish whose body is being stored.
        getting: the answer to a get whose body is being fetched.
        publishing, deliveries, settlements, requests, consumers: what the channel knows.
        last_queue: the queue declared last.
        prefetch_known: whether client or agent have set a prefetch.
        assembler: of the frames of the broker.
        held_open: the client's next channel.open, which waits for the broker's close-ok.
        held_close: the client's channel.close, which waits for hand-overs.
        close_at: monotonic seconds, until when it does.
    """

    __slots__ = (
        "accepting",
        "assembler",
        "close_at",
        "consumers",
        "deliveries",
        "getting",
        "hearing",
        "held_close",
        "held_open",
        "last_queue",
        "number",
        "opening",
        "prefetch_known",
        "publishing",
        "requests",
        "session",
        "settlements",
        "state",
        "storing",
        "taking",
    )

    def __init__(self, session: Session, number: int, state: ChannelState) -> None:
        session.openings += 1
        self.session = session
        self.number = number
        self.opening = session.openings
        self.publishing = Publishing(session, number)
        self.deliveries = Deliveries(session, number, self.opening)
        self.settlements = Settlements(session, number, self.deliveries.ledger)
        self.requests = Requests(self.tell_client)
        self.consumers = Consumers()
        self.last_queue = QueueName(b"")
        self.prefetch_known = False
        self.assembler: ContentAssembler[Refusal] = ContentAssembler(self._admit)
        self.held_open: bytes | None = None
        self.held_close: bytes | None = None
        self.close_at = 0.0
        self.state = state
        self.accepting = self.hearing = self.taking = False
        self.storing: Storing | None = None
        self.getting: Getting | None = None
        session.measures.channels += 1
        self.enter(state)

    def tell_client(self, payload: bytes) -> None:
        """A method to the client."""
        self.session.tell_client(self.number, payload)

    def tell_upstream(self, payload: bytes) -> None:
        """A method to the broker."""
        self.session.tell_upstream(self.number, payload)

    # Life

    def enter(self, state: ChannelState) -> None:
        """The channel is in another state of its life."""
        self.state = state
        self.accepting = state is _S.OPEN or state is _S.OPENING
        if not self.accepting:
            self._wait_no_longer()
        self.taking = self.accepting and self.storing is None
        self.hearing = state is _S.OPEN and self.getting is None
        if not self.accepting:
            self.publishing.assembler.reset()
            self.deliveries.stop()
            if state is not _S.CLOSING_BY_CLIENT:
                self._forget()

    def _forget(self) -> None:
        self.publishing.end()
        self.deliveries.end()
        self.requests.clear()
        self.assembler.reset()

    def leave(self) -> None:
        """The channel is over."""
        self.stop()
        self._forget()
        self.session.measures.channels -= 1

    def stop(self) -> None:
        """The connection ends: nothing more comes from either side."""
        self.accepting = self.hearing = self.taking = False
        self._wait_no_longer()
        self.deliveries.stop()

    def close(self, fault: ClientFault) -> None:
        """The agent ends the channel; whatever waits for the end of this read goes first."""
        state, action = step(self.state, _I.AGENT_CLOSE)
        if action is _A.DISCARD:
            return
        self.session.log(
            "warning", "channel_closed", {"channel": self.number, "code": int(fault.code), "text": fault.text}
        )
        close = ChannelClose(
            reply_code=fault.code, reply_text=fault.reply_text, class_id=fault.class_id, method_id=fault.method_id
        )
        self.enter(state)
        self.tell_client(close.encode())
        if action is _A.CLOSE_BOTH:
            text = shorten(f"the agent closed it towards its client: {fault}")
            self.tell_upstream(ChannelClose(reply_code=ReplyCode.SUCCESS, reply_text=text).encode())

    def client_opens_or_closes(self, payload: bytes, happened: ChannelInput) -> None:
        """The client's channel.open, close or close-ok, or any frame while the channel is not open.

        Raises:
            ClientFault: it has no place in this state.
        """
        state, action = step(self.state, happened)
        if action is _A.RELAY and happened is _I.CLIENT_CLOSE and self.deliveries.handing:
            self.held_close = payload
            self.close_at = self.session.started + HAND_OVER_SECONDS
        elif action is _A.RELAY:
            self.tell_upstream(payload)
        elif action is _A.ANSWER:
            self.tell_client(CLOSE_OK_PAYLOAD)
        elif action is _A.HOLD:
            self.held_open = payload
        if state is not self.state:
            self.enter(state)

    def broker_opens_or_closes(self, payload: bytes, happened: ChannelInput) -> None:
        """The broker's channel.open-ok, close or close-ok, or any frame that is thrown away.

        Raises:
            BrokerFault: it has no place in this state.
        """
        state, action = step(self.state, happened)
        if self.held_close is not None and happened is _I.BROKER_CLOSE:
            self.tell_upstream(CLOSE_OK_PAYLOAD)  # our close has not left: it is over on both legs
            self.tell_client(CLOSE_OK_PAYLOAD)
            state = _S.CLOSED
        elif action is _A.RELAY:
            self.tell_client(payload)
        elif action is _A.RELAY_AND_ANSWER:
            self.tell_client(payload)
            self.tell_upstream(CLOSE_OK_PAYLOAD)
        elif action is _A.ANSWER:
            self.tell_upstream(CLOSE_OK_PAYLOAD)
        if state is not self.state:
            self.enter(state)

    def close_if_handed_over(self) -> None:
        """Pass on the client's close when no hand-over is under way, or after two seconds."""
        if self.held_close is not None and (not self.deliveries.handing or self.session.started >= self.close_at):
            payload, self.held_close = self.held_close, None
            self.deliveries.end()
            self.tell_upstream(payload)

    def handed_over(self, upstream_tag: int) -> None:
        """A delivery of this opening is among the dead letters."""
        if self.accepting or self.held_close is not None:
            self.deliveries.handed_over(upstream_tag)
            self.close_if_handed_over()

    # From the client

    def published(self, content: Content[Refusal]) -> None:
        """The last frame of a publish has come.

        Raises:
            AmqpFault: its header is malformed.
        """
        decision = self.publishing.decide(content)
        if isinstance(decision, ToStore):
            self._store(content, decision)
        else:
            self.session.decided.append((self, content, decision))

    def refused(self, content: Content[Refusal], refusal: Refusal) -> None:
        """A publish is refused."""
        fault = self.publishing.refuse(content, refusal)
        if fault is not None and self.session.refusing is None:
            self.close(fault)

    # What waits for the object store

    def _store(self, content: Content[Refusal], to_store: ToStore) -> None:
        self.storing = Storing(self.session, content, to_store)
        self.taking = False
        opening = Opening(self.number, self.opening)
        self.session.effects.append(StoreObject(opening, to_store.object, to_store.approved.body))

    def stored(self, decide: Callable[[ToStore], Approved | Refusal]) -> None:
        """The body is in the store, or cannot be: the publish goes on, then what waits behind it."""
        storing = self.storing
        if storing is not None:
            self.session.decided.append((self, storing.content, decide(storing.to_store)))
            self._store_no_longer(storing)

    def _store_no_longer(self, storing: Storing) -> None:
        self.storing = None
        self.taking = self.accepting
        storing.over()
        if storing.frames:
            self.session.from_client.append(storing.frames)

    def get_fetched(self, fetched: Fetched | None) -> None:
        """What the store holds for the answer to a get; None: it did not answer."""
        getting = self.getting
        if getting is None:
            return
        self.getting = None
        self.hearing = self.state is _S.OPEN
        request, get = getting.request, getting.request.about
        if isinstance(get, Get):
            shown = self.deliveries.got_fetched(getting.method, getting.got, get, getting.delivery, fetched)
            self._answer(request, get, shown=bool(shown), again=fetched is not None)
        self.session.from_upstream.append(getting.frames)

    def _wait_no_longer(self) -> None:
        """The channel is no longer open: what waits is taken in, as anything that comes then."""
        if self.storing is not None:
            self._store_no_longer(self.storing)
        self._get_no_longer()

    def _get_no_longer(self) -> None:
        getting, self.getting = self.getting, None
        if getting is not None:
            self.session.from_upstream.append(getting.frames)
            get = getting.request.about
            if isinstance(get, Get):
                self.deliveries.got_lost(getting.got, get, getting.delivery)

    def hear_later(self, frame: Frame) -> bool:
        """Whether a frame of the broker has to wait; its close ends the wait."""
        getting = self.getting
        if getting is None:
            return False
        getting.frames.append(frame)
        if frame[0] == METHOD and frame[2][:4] == CLOSE:
            self._get_no_longer()
            self.hearing = self.state is _S.OPEN
        return True

    def flush(self) -> None:
        """Carry out what was decided: no other method may overtake it."""
        if self.session.decided:
            seal_and_send(self.session)

    # From the broker

    def _admit(self, method: bytes, header: ContentHeader) -> Refusal | None:
        if method[:4] == RETURN:
            return None
        self.session.measures.sizes["deliver"].observe(header.body_size)
        if header.body_size > self.session.max_delivery_bytes:
            return Refusal(ReplyCode.CONTENT_TOO_LARGE, Undelivered.OVERSIZE, "")
        return None

    def arrived(self, content: Content[Refusal]) -> None:
        """The last frame of a content of the broker has come.

        Raises:
            AmqpFault: it has no place here.
        """
        method = content[0]
        index = method[:4]
        if index == DELIVER:
            self._delivered(content, method, parse_deliver(method))
        elif index == GET_OK:
            self._got(content, method)
        else:
            self.publishing.returned(content)

    def _delivered(self, content: Content[Refusal], method: bytes, deliver: Deliver) -> None:
        consumer = self.consumers.of(deliver[0], self.requests)
        if not self.accepting:
            return
        if content[3] is not None:
            self.deliveries.oversized(
                deliver.delivery_tag, consumer.queue.text, content.header.body_size, consumer.no_ack
            )
            return
        delivery = _new(Delivery, (consumer.queue.text, deliver[3], deliver[4], deliver[2], content[1], content[2]))
        self.deliveries.deliver(method, deliver, consumer, delivery)

    def _got(self, content: Content[Refusal], method: bytes) -> None:
        got = parse_get_ok(method)
        request = self.requests.find(GET_OK)
        get = request.about
        if not self.accepting or not isinstance(get, Get):
            return
        if content.refusal is not None:
            self.deliveries.oversized(got.delivery_tag, get.queue.text, content.header.body_size, get.no_ack)
        else:
            delivery = Delivery(
                get.queue.text, got.exchange, got.routing_key, got.redelivered, content.header, content.body
            )
            shown = self.deliveries.got(method, got, get, delivery)
            if shown is None:
                self.getting = Getting(request, method, got, delivery, [])
                self.hearing = False
                return
            if shown:
                self.requests.done(request, None)
                return
        self._answer(request, get, shown=False, again=True)

    def _answer(self, request: Request, get: Get, *, shown: bool, again: bool) -> None:
        """Whatever a get brought: the client has its answer, or the broker is asked again."""
        if shown:
            self.requests.done(request, None)
        elif (
            again
            and len(self.requests) == 1  # others wait behind it: asked again, it would be answered after them
            and get.attempts < GET_ATTEMPTS
            and self.session.started - get.since < GET_SECONDS
        ):
            get.attempts += 1
            self.tell_upstream(get.payload)
        else:
            self.requests.done(request, GetEmpty().encode())

    def cancel_by_broker(self, tag: bytes, payload: bytes) -> None:
        """The broker ends a subscription, because the queue is gone or has moved."""
        consumer = self.consumers.cancelled(tag)
        if consumer is not None:
            self.deliveries.cancelled(consumer)
        if b"consumer_cancel_notify" in self.session.capabilities:
            self.tell_client(payload)
        elif consumer is not None:
            text = f"the broker cancelled the consumer of queue '{consumer.queue.text}'"
            self.close(ClientFault(ReplyCode.PRECONDITION_FAILED, text))


def unexpected(payload: bytes, fault: type[ClientFault] | type[BrokerFault], text: str) -> ClientFault | BrokerFault:
    """COMMAND_INVALID for a method that its sender may not send there.

    Raises:
        AmqpFault: NOT_IMPLEMENTED, no such method.
    """
    method = method_of(payload)
    return fault(
        ReplyCode.COMMAND_INVALID,
        f"'{method.name}' {text}",
        class_id=method.class_id,
        method_id=method.method_id,
    )
