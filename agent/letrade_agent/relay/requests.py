"""Answers in the client's order: what was asked of the broker on a channel, by the client and by the agent.

A request that the agent answers itself waits for the answers to those before it. A request that the agent made on
its own account has an answer that the client never sees.
"""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Final

from letrade_topo.amqp.channel_commands import Consume
from letrade_topo.amqp.faults import BrokerFault, ReplyCode, readable
from letrade_topo.amqp.methods import BY_NAME, TABLE, method_of

REPLIES: Final = {
    method.index: BY_NAME[method.reply].index for method in TABLE if method.reply is not None and method.class_id != 10
}
"""Which answer a method has."""

ANSWERS: Final = frozenset(REPLIES.values())
_CONSUME_OK: Final = BY_NAME["basic.consume-ok"].index


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
        prefetch: how many it may have unsettled; 0: any number.
        since: when it subscribed, in monotonic seconds.
        last: when it last got a delivery; None: never.
    """

    __slots__ = ("_asked", "last", "no_ack", "prefetch", "queue", "since", "tag")

    def __init__(self, asked: Consume, queue: QueueName, prefetch: int, since: float) -> None:
        self._asked = asked
        self.tag = asked.consumer_tag
        self.queue = queue
        self.no_ack = asked.no_ack
        self.prefetch = prefetch
        self.since = since
        self.last: float | None = None

    @property
    def asked(self) -> Consume:
        """What the client asked for, with the name of the queue and the tag that it turned out to have."""
        return replace(self._asked, queue=self.queue.name, consumer_tag=self.tag)

    def is_idle(self, now: float, unsettled: int, heard_since: float, idle_seconds: float) -> bool:
        """Whether it has got nothing for a while although it could take more.

        Arguments:
            now: monotonic seconds.
            unsettled: of all consumers of the channel.
            heard_since: monotonic seconds, from when on the broker has been read.
            idle_seconds: what a while is.
        """
        has_room = self.no_ack or not self.prefetch or unsettled < self.prefetch
        since = self.since if self.last is None else self.last
        return has_room and now - max(since, heard_since) >= idle_seconds


class PendingGet:
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
        about: object = None,
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

    @property
    def queues(self) -> Iterator[QueueName]:
        """The queues that unanswered requests are about, oldest first."""
        for request in self._unanswered:
            if isinstance(request.about, QueueName):
                yield request.about
            elif isinstance(request.about, Consumer | PendingGet):
                yield request.about.queue

    def clear(self) -> None:
        """The channel is over."""
        self._unanswered.clear()


class Consumers:
    """Who consumes what on one channel, by consumer tag.

    Args:
        remembered: cancelled ones, for deliveries that are still on their way.
    """

    __slots__ = ("_active", "_cancelled", "_remembered")

    def __init__(self, remembered: int) -> None:
        self._remembered = remembered
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
            if len(self._cancelled) > self._remembered:
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
