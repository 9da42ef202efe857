"""Answers in the client's order: what was asked of the broker on a channel, by the client and by the agent.

A request that the agent answers itself waits for the answers to those before it. A request that the agent made on
its own account has an answer that the client never sees.
"""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Callable
from typing import Final

from letrade_agent.amqp.faults import BrokerFault, ReplyCode, readable
from letrade_agent.amqp.methods import BY_NAME, TABLE, method_of

REPLIES: Final = {
    method.index: BY_NAME[method.reply].index for method in TABLE if method.reply is not None and method.class_id != 10
}
"""Which answer a method has."""

ANSWERS: Final = frozenset(REPLIES.values())
_CONSUME_OK: Final = BY_NAME["basic.consume-ok"].index

_REMEMBERED_CONSUMERS: Final = 256


class QueueName:
    """The name of a queue, from the moment on that it is known: the broker may have to make it up first.

    Attributes:
        name: empty while it is not known.
    """

    __slots__ = ("_text", "name")

    def __init__(self, name: bytes) -> None:
        self.name = name
        self._text = ""

    @property
    def text(self) -> str:
        """As filters know it."""
        if not self._text:
            self._text = readable(self.name)
        return self._text


class Consumer:
    """A subscription of the client.

    Attributes:
        tag: as the client chose it, or the broker.
        queue: what it consumes.
        no_ack: whether deliveries are settled by being sent.
    """

    __slots__ = ("no_ack", "queue", "tag")

    def __init__(self, tag: bytes, queue: QueueName, no_ack: bool) -> None:
        self.tag = tag
        self.queue = queue
        self.no_ack = no_ack


class Get:
    """A basic.get that is not answered yet.

    Attributes:
        payload: of the method.
        queue: what is got from.
        no_ack: whether the message is settled by being sent.
        attempts: how often the broker was asked.
        since: monotonic seconds.
    """

    __slots__ = ("attempts", "no_ack", "payload", "queue", "since")

    def __init__(self, payload: bytes, queue: QueueName, no_ack: bool, since: float) -> None:
        self.payload = payload
        self.queue = queue
        self.no_ack = no_ack
        self.attempts = 1
        self.since = since


class Request:
    """A request whose answer the broker, or for a local one the agent, owes.

    Attributes:
        reply: index of the method that answers it; empty for a local one.
        about: what has to be known when the answer comes.
        swallow: whether the client does not see the answer.
        local: payload of the agent's own answer.
    """

    __slots__ = ("about", "local", "reply", "swallow")

    def __init__(
        self,
        reply: bytes,
        about: QueueName | Consumer | Get | None = None,
        *,
        swallow: bool = False,
        local: bytes = b"",
    ) -> None:
        self.reply = reply
        self.about = about
        self.swallow = swallow
        self.local = local


class Requests:
    """The unanswered requests of one channel, in the order of the client.

    Arguments:
        tell_client: sends the payload of a method.
    """

    __slots__ = ("_tell_client", "_unanswered")

    def __init__(self, tell_client: Callable[[bytes], None]) -> None:
        self._tell_client = tell_client
        self._unanswered: deque[Request] = deque()

    def __len__(self) -> int:
        return len(self._unanswered)

    def sent(self, request: Request) -> None:
        """A request went upstream."""
        self._unanswered.append(request)

    def answer(self, payload: bytes) -> None:
        """The agent answers the client's latest request itself, when it is its turn."""
        if self._unanswered:
            self._unanswered.append(Request(b"", local=payload))
        else:
            self._tell_client(payload)

    def find(self, reply: bytes, consumer_tag: bytes = b"") -> Request:
        """What the broker answers.

        RabbitMQ's consume-ok may be overtaken by later answers, because a queue sends it; so the first request of
        its kind is meant, for consume-ok the one with that tag.

        Raises:
            BrokerFault: COMMAND_INVALID, nothing of that kind is unanswered.
        """
        first: Request | None = None
        for request in self._unanswered:
            if request.reply != reply:
                continue
            if reply != _CONSUME_OK or not isinstance(request.about, Consumer) or request.about.tag == consumer_tag:
                return request
            if first is None and not request.about.tag:
                first = request
        if first is None:
            name = method_of(reply).name
            raise BrokerFault(ReplyCode.COMMAND_INVALID, f"{name!r} answers a method that was not sent")
        return first

    def done(self, request: Request, answer: bytes | None) -> None:
        """A request is answered: pass the answer on, then the agent's own answers that waited behind it.

        Arguments:
            answer: payload of a method; None when the client was answered otherwise, or sees no answer.
        """
        unanswered = self._unanswered
        unanswered.remove(request)
        if answer is not None and not request.swallow:
            self._tell_client(answer)
        while unanswered and not unanswered[0].reply:
            self._tell_client(unanswered.popleft().local)

    def clear(self) -> None:
        """The channel is over."""
        self._unanswered.clear()


class Consumers:
    """Who consumes what on one channel, by consumer tag."""

    __slots__ = ("_active", "_cancelled")

    def __init__(self) -> None:
        self._active: dict[bytes, Consumer] = {}
        self._cancelled: OrderedDict[bytes, Consumer] = OrderedDict()

    def __len__(self) -> int:
        return len(self._active)

    @property
    def active(self) -> tuple[Consumer, ...]:
        """All that are subscribed."""
        return tuple(self._active.values())

    def asked(self, consumer: Consumer, no_wait: bool) -> None:
        """The client subscribes; deliveries may come before the answer does, or with `no_wait` without one."""
        if consumer.tag and (no_wait or consumer.tag not in self._active):
            self._active[consumer.tag] = consumer

    def subscribed(self, consumer: Consumer, tag: bytes) -> None:
        """The broker says consume-ok."""
        consumer.tag = tag
        self._active[tag] = consumer

    def cancelled(self, tag: bytes) -> Consumer | None:
        """It is over; deliveries that are on their way are still known."""
        consumer = self._active.pop(tag, None)
        if consumer is not None:
            self._cancelled[tag] = consumer
            if len(self._cancelled) > _REMEMBERED_CONSUMERS:
                self._cancelled.popitem(last=False)
        return consumer

    def of(self, tag: bytes, requests: Requests) -> Consumer:
        """Whose delivery it is.

        Raises:
            BrokerFault: INTERNAL_ERROR, nobody's.
        """
        consumer = self._active.get(tag)
        if consumer is not None:
            return consumer
        consumer = self._cancelled.get(tag)
        if consumer is not None:
            return consumer
        about = requests.find(_CONSUME_OK, tag).about  # RabbitMQ may deliver before it says consume-ok
        if not isinstance(about, Consumer):
            raise BrokerFault(ReplyCode.INTERNAL_ERROR, "a delivery to a consumer that was not asked for")
        return about
