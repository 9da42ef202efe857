"""basic.get on one channel: asked, answered, asked again; everything about it is here.

Theory of operation. The broker answers a get with a message or with get-empty. A message that the client must not see
is withheld like any other, and the broker is asked again, for a while, as if the message had not been there. One whose
body lies in the object store is fetched first; until then the broker's later frames on that channel wait, because
answers have an order, and count as withheld bytes. Nothing can be shown later: what is kept after the answer was given
goes back to its queue when it becomes good (see `letrade_agent.relay.deliveries`).
"""

from __future__ import annotations

from enum import Enum
from typing import assert_never

from letrade_agent.filters.decisions import Refusal
from letrade_agent.filters.verdicts import Delivery, Examined, Failed, Fetched, Held, Shown, ToFetch
from letrade_agent.filters.words import Undelivered
from letrade_topo.amqp.basic import GET_OK, GetOk, encode_get_ok, get_ok_with_tag, parse_get_ok
from letrade_topo.amqp.channel_commands import GetEmpty
from letrade_topo.amqp.content import Content
from letrade_topo.amqp.faults import BrokerFault, ReplyCode
from letrade_topo.amqp.frames import FRAME_OVERHEAD, Frame

from .deliveries import Deliveries, Kept
from .outcomes import Outcomes, size_of
from .requests import PendingGet, QueueName, Request, Requests
from .session import Session


class Got(Enum):
    """What has become of a message that the broker answered with."""

    SHOWN = "the client has it"
    WITHHELD = "the client must not have it, now or ever"
    GIVEN_BACK = "the store did not answer for it: it goes back to its queue"
    FETCHING = "its body is being fetched, and the answer waits"


class _Message:
    """A message that the broker answered with, and, while its body is being fetched, the frames behind it.

    Attributes:
        request, get: that it answers.
        method, got: the answer.
        delivery: as filters see it.
        frames: that have to wait.
        frames_size: of those, in bytes.
    """

    __slots__ = ("delivery", "frames", "frames_size", "get", "got", "method", "request")

    def __init__(self, request: Request, get: PendingGet, method: bytes, got: GetOk, delivery: Delivery) -> None:
        self.request = request
        self.get = get
        self.method = method
        self.got = got
        self.delivery = delivery
        self.frames: list[Frame] = []
        self.frames_size = 0


class Gets:
    """One channel's gets.

    Args:
        session: of the connection.
        number: of the channel.
        requests: the unanswered ones of the channel.
        outcomes, deliveries: of the channel.
    """

    __slots__ = ("_deliveries", "_fetching", "_number", "_outcomes", "_requests", "_session")

    def __init__(
        self, session: Session, number: int, requests: Requests, outcomes: Outcomes, deliveries: Deliveries
    ) -> None:
        self._session = session
        self._number = number
        self._requests = requests
        self._outcomes = outcomes
        self._deliveries = deliveries
        self._fetching: _Message | None = None

    @property
    def is_fetching(self) -> bool:
        """Whether the broker's frames on this channel have to wait."""
        return self._fetching is not None

    def awaits(self, upstream_tag: int) -> bool:
        """Whether it is this message whose body is being fetched."""
        return self._fetching is not None and self._fetching.got.delivery_tag == upstream_tag

    def ask(self, payload: bytes, queue: QueueName, *, no_ack: bool) -> None:
        """The client asks.

        Raises:
            ClientFault: the method does not fit upstream.
        """
        self._session.tell_upstream(self._number, payload)
        self._requests.sent(Request(GET_OK, PendingGet(payload, queue, no_ack, self._session.started)))

    def _asked(self) -> tuple[Request, PendingGet]:
        request = self._requests.find(GET_OK)
        if not isinstance(request.about, PendingGet):
            raise BrokerFault(ReplyCode.COMMAND_INVALID, "'basic.get-ok' answers a method that was not sent")
        return request, request.about

    def empty(self, payload: bytes) -> None:
        """The broker has nothing.

        Raises:
            BrokerFault: nothing was asked for.
        """
        request, get = self._asked()
        self._session.filters.inbound.keeps_up(get.queue.text, self._session.epoch, was_active=True)
        self._requests.done(request, payload)

    def got(self, content: Content[Refusal], *, accepting: bool) -> None:
        """The broker has something.

        Args:
            content: the answer.
            accepting: whether the channel is open for the client; else nobody waits for it.

        Raises:
            BrokerFault: nothing was asked for, or its tag does not rise.
        """
        method, header, body, refusal = content
        got = parse_get_ok(method)
        request, get = self._asked()
        if not accepting:
            return
        if refusal is not None:
            self._outcomes.oversized(got.delivery_tag, get.queue.text, header.body_size, get.no_ack)
            self._answer(request, get, Got.WITHHELD)
            return
        number = self._session.number_delivery()
        names = got.exchange, got.routing_key, got.redelivered
        message = _Message(request, get, method, got, Delivery(get.queue.text, *names, header, body, number))
        self._answer(request, get, self._decide(message))

    def _decide(self, message: _Message) -> Got:
        """A message has just come."""
        get, delivery, tag, outcomes = message.get, message.delivery, message.got.delivery_tag, self._outcomes
        verdict = outcomes.examine(delivery)
        if isinstance(verdict, Shown) and outcomes.fits(verdict):
            self._show(message, verdict, outcomes.tag(tag, delivery, verdict, no_ack=get.no_ack))
            return Got.SHOWN
        outcomes.ledger.hold(tag)
        if isinstance(verdict, ToFetch):
            self._session.keep(size_of(delivery))
            outcomes.fetch(tag, verdict, may_wait=get.no_ack)
            self._fetching = message
            return Got.FETCHING
        return self._withhold(message, verdict)

    def _decide_fetched(self, message: _Message, fetched: Fetched | None) -> Got:
        """Its body has been fetched, or the store did not answer."""
        get, delivery, tag, outcomes = message.get, message.delivery, message.got.delivery_tag, self._outcomes
        if fetched is None:
            outcomes.give_back(tag, delivery)
            return Got.GIVEN_BACK
        verdict = outcomes.examine(delivery, fetched)
        if isinstance(verdict, Shown) and outcomes.fits(verdict):
            self._show(message, verdict, outcomes.late_tag(tag, delivery, verdict, no_ack=get.no_ack))
            return Got.SHOWN
        return self._withhold(message, verdict)

    def _withhold(self, message: _Message, verdict: Examined) -> Got:
        get, delivery, tag = message.get, message.delivery, message.got.delivery_tag
        if isinstance(verdict, Held) and not get.no_ack:
            kept = Kept(None, message.method, None, delivery, self._session.started, size_of(delivery))
            self._deliveries.keep(tag, kept)
            self._outcomes.tell_held(delivery, verdict)
        else:
            self._outcomes.withhold(delivery, tag, get.no_ack, verdict, "get")
        return Got.WITHHELD

    def _show(self, message: _Message, shown: Shown, client_tag: int) -> None:
        method, got = message.method, message.got
        if shown.exchange is not None or shown.routing_key is not None:
            method = encode_get_ok(
                got._replace(
                    exchange=got.exchange if shown.exchange is None else shown.exchange,
                    routing_key=got.routing_key if shown.routing_key is None else shown.routing_key,
                )
            )
        self._outcomes.write(get_ok_with_tag(method, client_tag), message.delivery, shown, "get")

    def _answer(self, request: Request, get: PendingGet, got: Got) -> None:
        """The client has its answer, or the broker is asked again."""
        match got:
            case Got.SHOWN:
                self._requests.done(request, None)
            case Got.WITHHELD:
                self._ask_again(request, get)
            case Got.GIVEN_BACK:
                self._requests.done(request, GetEmpty().encode())
            case Got.FETCHING:
                pass
            case _:
                assert_never(got)

    def _ask_again(self, request: Request, get: PendingGet) -> None:
        is_alone = len(self._requests) == 1  # others wait behind it: asked again, it would be answered after them
        limits = self._session.limits
        in_time = self._session.started - get.since < limits.get_seconds
        if is_alone and in_time and get.attempts < limits.get_attempts:
            get.attempts += 1
            self._session.tell_upstream(self._number, get.payload)
        else:
            self._requests.done(request, GetEmpty().encode())

    # What waits for the object store

    def behind(self, frame: Frame) -> None:
        """A frame of the broker that has to wait."""
        fetching = self._fetching
        if fetching is not None:
            size = len(frame[2]) + FRAME_OVERHEAD
            fetching.frames.append(frame)
            fetching.frames_size += size
            self._session.held_bytes += size

    def fetched(self, fetched: Fetched | None) -> None:
        """What the store holds; None: it did not answer. Frames that waited are taken up after this call."""
        message = self._over()
        if message is not None:
            self._answer(message.request, message.get, self._decide_fetched(message, fetched))

    def stop(self) -> None:
        """Nobody waits for the answer any more: the broker takes its message back, if it can."""
        message = self._over()
        if message is None:
            return
        if message.get.no_ack:
            failed = Failed(Undelivered.UNDELIVERABLE, "its channel is gone", "", "_other")
            self._outcomes.fail(message.delivery, message.got.delivery_tag, True, failed, "get")
        else:
            self._session.filters.inbound.let_go(message.delivery.number, self._session.epoch)

    def _over(self) -> _Message | None:
        message, self._fetching = self._fetching, None
        if message is not None:
            self._session.let_go(size_of(message.delivery))
            self._session.held_bytes -= message.frames_size
            self._session.from_upstream.append(message.frames)
        return message
