"""Consumers of one channel whose queue is away because it is migrated: the client keeps them, and notices a pause.

Theory of operation. The broker cancels a consumer when its queue is deleted. Where the queue is the service's own by
the topology, the client is not told at once: the shell finds out whether the queue comes back (`AwaitQueue`). If it
does, the agent consumes again as the client once asked, on its own account; tags go on rising, because the channel is
the same. If it does not, the client hears of it as it would have without an agent.

While a queue is known to be away, what the client asks about it is answered here: a consumer waits with the others, a
get finds nothing, a declare finds the queue. What would need the queue itself is refused.

A delivery of the old queue that the client has not settled is settled as any other: the broker takes an ack for a queue
that is gone, and the memory against repeats knows the message when its moved copy comes. Until then the consumer does
not go on, or it would have more than its prefetch.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from letrade_topo.amqp.channel_commands import Cancel, CancelOk, Consume, ConsumeOk, GetEmpty, Qos
from letrade_topo.amqp.command import Command
from letrade_topo.amqp.faults import ClientFault, FaultScope, ReplyCode, readable
from letrade_topo.amqp.topology_commands import QueueDeclare, QueueDeclareOk, QueueDelete, QueuePurge
from letrade_topo.amqp.wire import boolean_value

from .effects import AwaitQueue
from .outcomes import Outcomes
from .requests import REPLIES, Consumer, Consumers, QueueName, Request, Requests
from .session import Session

_CANCELLED_ON_FAIL_OVER: Final = b"x-cancel-on-ha-failover"
"""An argument by which a consumer asks to be cancelled although its queue goes on."""


class Staying:
    """One channel's consumers that wait.

    Args:
        session: of the connection.
        number: of the channel.
        requests, consumers, outcomes: of the channel.

    Attributes:
        due: consumers whose queue is back, and since when (monotonic seconds), by tag.
    """

    __slots__ = ("_consumers", "_names", "_number", "_outcomes", "_requests", "_session", "_waiting", "due")

    def __init__(
        self, session: Session, number: int, requests: Requests, consumers: Consumers, outcomes: Outcomes
    ) -> None:
        self._session = session
        self._number = number
        self._requests = requests
        self._consumers = consumers
        self._outcomes = outcomes
        self._waiting: dict[bytes, Consumer] = {}
        self.due: dict[bytes, tuple[Consumer, float]] = {}
        self._names = 0

    # What the broker says

    def keep(self, consumer: Consumer) -> bool:
        """Whether a consumer that the broker has cancelled stays, until it is known what became of its queue."""
        session = self._session
        if not session.filters.declares.may_come_back(consumer.queue.text) or _is_set(consumer.asked):
            return False
        self._wait(consumer)
        # what it has not settled may be why the broker has cancelled it: a consumer's time-out, from 4.3 on
        needs_sign = not session.broker_counts_nacks and bool(self._unsettled(consumer))
        session.effects.append(AwaitQueue(consumer.queue.text, needs_sign))
        return True

    def came_back(self, queue: str, prefetch: int | None) -> None:
        """A queue is back."""
        for tag, consumer in tuple(self._waiting.items()):
            if consumer.queue.text == queue:
                del self._waiting[tag]
                self.due[tag] = consumer, self._session.started
        self.go_on(prefetch)

    def is_gone(self, queue: str) -> list[Consumer]:
        """A queue does not come back: whose consumers are to be told."""
        gone = [consumer for consumer in self._waiting.values() if consumer.queue.text == queue]
        for consumer in gone:
            self._wait_no_longer(consumer.tag)
            self._session.measures.returns[queue, "gone"] += 1
        return gone

    def go_on(self, prefetch: int | None) -> None:
        """Consume again, where nothing of before is unsettled any more.

        Args:
            prefetch: as client or agent have set it last on this channel; None: not yet.
        """
        for tag, (consumer, since) in tuple(self.due.items()):
            is_late = self._session.started - since >= self._session.limits.settle_first_seconds
            if is_late or consumer.no_ack or not consumer.prefetch or not self._unsettled(consumer):
                self._wait_no_longer(tag)
                self._consume_again(consumer, prefetch)

    def _consume_again(self, consumer: Consumer, prefetch: int | None) -> None:
        differs = not consumer.no_ack and consumer.prefetch != (prefetch or 0)
        if differs:
            self._ask(Qos(prefetch_count=consumer.prefetch))
        self._consumers.asked(consumer, no_wait=False)
        self._ask(replace(consumer.asked, no_wait=False), consumer)
        if differs:
            self._ask(Qos(prefetch_count=prefetch or 0))
        session = self._session
        session.measures.returns[consumer.queue.text, "back"] += 1
        particulars = {"queue": consumer.queue.text, "consumer": readable(consumer.tag), "channel": self._number}
        session.log("info", "consumes_again", particulars)

    def _ask(self, command: Command, about: object = None) -> None:
        """On the agent's own account."""
        self._session.tell_upstream(self._number, command.encode())
        self._requests.sent(Request(REPLIES[command.method.index], about, swallow=True))

    def note_missing(self, text: bytes) -> None:
        """The broker closes the channel because something is not there: the next one may ask for it again.

        Args:
            text: the broker's, such as `NOT_FOUND - no queue 'q' in vhost 'v'`.
        """
        for queue in self._requests.queues:
            is_meant = b"queue '%b'" % queue.name in text
            if is_meant and self._session.filters.declares.may_come_back(queue.text):
                self._session.effects.append(AwaitQueue(queue.text, needs_sign=True))
                return

    # What the client says

    def cancelled(self, command: Cancel) -> bool:
        """The client ends a consumer; whether it was one of those that wait."""
        if command.consumer_tag not in self._waiting and command.consumer_tag not in self.due:
            return False
        self._wait_no_longer(command.consumer_tag)
        if not command.no_wait:
            self._requests.answer(CancelOk(consumer_tag=command.consumer_tag).encode())
        return True

    def answers(self, command: Command, name: QueueName, prefetch: int) -> bool:
        """Whether a command of the client is answered here, because its queue is away.

        Raises:
            ClientFault: RESOURCE_LOCKED, it needs the queue itself; NOT_ALLOWED, the consumer's tag is another's.
        """
        if isinstance(command, Consume) and (command.consumer_tag in self._waiting or command.consumer_tag in self.due):
            text = f"attempt to reuse consumer tag '{readable(command.consumer_tag)}'"
            raise _fault(command, ReplyCode.NOT_ALLOWED, text, FaultScope.CONNECTION)
        if name.text not in self._session.away:
            return False
        match command:
            case Consume():
                self._consume_later(command, name, prefetch)
            case QueueDeclare():
                if not command.no_wait:
                    self._requests.answer(QueueDeclareOk(queue=name.name).encode())
            case QueuePurge() | QueueDelete():
                text = f"queue '{name.text}' is being migrated; try again when it is back"
                raise _fault(command, ReplyCode.RESOURCE_LOCKED, text, FaultScope.CHANNEL)
            case _:
                return False
        return True

    def finds_nothing(self, name: QueueName) -> bool:
        """Whether a get of the client is answered here."""
        if name.text not in self._session.away:
            return False
        self._requests.answer(GetEmpty().encode())
        return True

    def _consume_later(self, command: Consume, name: QueueName, prefetch: int) -> None:
        tag = command.consumer_tag or self._new_tag()
        asked = replace(command, queue=name.name, consumer_tag=tag)
        consumer = Consumer(asked, name, prefetch, self._session.started)
        self._wait(consumer)
        self._session.effects.append(AwaitQueue(name.text, needs_sign=False))
        if not command.no_wait:
            self._requests.answer(ConsumeOk(consumer_tag=tag).encode())

    def _new_tag(self) -> bytes:
        self._names += 1
        return f"letrade.ctag-{self._number}.{self._names}".encode()

    # Who waits

    def clear(self) -> None:
        """The channel is over."""
        for tag in (*self._waiting, *self.due):
            self._wait_no_longer(tag)

    def _wait(self, consumer: Consumer) -> None:
        self._waiting[consumer.tag] = consumer
        self._session.measures.waiting_consumers[consumer.queue.text] += 1

    def _wait_no_longer(self, tag: bytes) -> None:
        consumer = self._waiting.pop(tag, None)
        if consumer is None:
            consumer, _ = self.due.pop(tag)
        self._session.measures.waiting_consumers[consumer.queue.text] -= 1

    def _unsettled(self, consumer: Consumer) -> int:
        """Deliveries of its queue that the client has and has not settled."""
        queue = consumer.queue.text
        return sum(remembered.queue == queue for remembered, _, _ in self._outcomes.ledger.notes)


def _is_set(asked: Consume) -> bool:
    """Whether the client itself wants to be cancelled when its queue fails over."""
    return boolean_value(asked.arguments.get(_CANCELLED_ON_FAIL_OVER) or b"V") is True


def _fault(command: Command, code: ReplyCode, text: str, scope: FaultScope) -> ClientFault:
    method = command.method
    return ClientFault(code, text, class_id=method.class_id, method_id=method.method_id, scope=scope)
