"""Where rejected messages come from: a connection of its own, one channel for each `<queue>.rejected`.

One channel a queue, because the broker closes a channel over a queue that is missing or may not be read, and the
others must go on. Nothing is given back (a nack counts against a delivery limit): what is not acknowledged stays with
the broker, and comes again on the next channel.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Final, NamedTuple, Protocol

from letrade_agent.back_off import back_off
from letrade_agent.filters.verdicts import Delivery
from letrade_agent.limits import RetryLimits
from letrade_agent.upstream.own import OwnConnection
from letrade_agent.upstream.upstream import Upstream
from letrade_topo.amqp.basic import DELIVER, ack_frame, parse_deliver
from letrade_topo.amqp.channel_commands import Cancel, ChannelClose, ChannelCloseOk, ChannelOpen, Consume, Qos
from letrade_topo.amqp.content import Content, ContentAssembler
from letrade_topo.amqp.faults import ReplyCode, readable
from letrade_topo.amqp.frames import BODY, HEADER, METHOD, Frame
from letrade_topo.amqp.methods import BY_NAME
from letrade_topo.model.names import rejected_queue

_CHANNEL_CLOSE: Final = BY_NAME["channel.close"].index
_CHANNEL_CLOSE_OK: Final = BY_NAME["channel.close-ok"].index
_CANCEL: Final = BY_NAME["basic.cancel"].index
_CONSUME_OK: Final = BY_NAME["basic.consume-ok"].index


class DeliveryPlace(NamedTuple):
    """Which delivery it is.

    Attributes:
        queue: that gave the message up.
        opening: the how-many-th channel of that queue on this connection: a later one is another one.
        tag: at the broker.
    """

    queue: str
    opening: int
    tag: int


class Receives(Protocol):
    """Whoever takes rejected messages."""

    def delivered(self, place: DeliveryPlace, delivery: Delivery) -> None:
        """A rejected message, with the queue that gave it up as its queue."""

    def taken_back(self, queue: str) -> None:
        """The channel of a queue is gone: the broker has what was not acknowledged, and delivers it again."""

    def consuming(self, queue: str) -> None:
        """Messages of a queue come from now on."""

    def unusable(self, queue: str, problem: str) -> None:
        """The rejected messages of a queue cannot be read for now."""


class Intake:
    """One connection. It is over when `until_lost` returns.

    Args:
        connection: logged in.
        owner: takes the messages.
        monotonic: seconds.
        limits: of the router.
    """

    def __init__(
        self, connection: OwnConnection, owner: Receives, monotonic: Callable[[], float], limits: RetryLimits
    ) -> None:
        self._limits = limits
        self._connection = connection
        self._owner = owner
        self._monotonic = monotonic
        self._by_queue: dict[str, _Source] = {}
        self._by_number: dict[int, _Source] = {}

    @classmethod
    async def open(cls, upstream: Upstream, service: str, owner: Receives) -> Intake:
        """Connect and log in.

        Raises:
            UpstreamBroken: there is no connection to be had.
        """
        connection = await OwnConnection.open(upstream, f"retries via letrade-agent/{service}")
        intake = cls(connection, owner, upstream.monotonic, upstream.limits.retry)
        connection.begin(intake._on_frame, intake._on_end, lambda: None)
        return intake

    def consume(self, queues: Iterable[str]) -> None:
        """Consume the rejected messages of these queues, and of no others any more."""
        wanted = list(queues)
        for queue in [queue for queue in self._by_queue if queue not in wanted]:
            self._by_queue.pop(queue).leave()
            self._owner.taken_back(queue)
        for queue in wanted:
            if queue not in self._by_queue:
                number = max(self._by_number, default=0) + 1  # never one that is still closing
                source = _Source(queue, number, self._connection, self._owner, self._monotonic, self._limits)
                self._by_queue[queue] = self._by_number[number] = source
                source.open()

    def acknowledge(self, place: DeliveryPlace) -> None:
        """The broker may forget a message; nothing is done if it was taken back meanwhile."""
        source = self._by_queue.get(place.queue)
        if source is not None and source.is_open and source.opening == place.opening:
            self._connection.write(ack_frame(source.number, place.tag))

    async def until_lost(self) -> str:
        """Wait for its end; why."""
        return await self._connection.until_lost()

    def tick(self, now: float) -> None:
        """Heartbeats, and channels that are due again."""
        self._connection.tick(now)
        for source in self._by_queue.values():
            source.tick(now)

    def stop(self) -> None:
        """No further messages; what was delivered may still be acknowledged."""
        for source in self._by_queue.values():
            source.cancel()

    def close(self) -> None:
        """Close cleanly; what is not acknowledged stays with the broker."""
        self._connection.close()

    def _on_end(self) -> None:
        for queue in self._by_queue:
            self._owner.taken_back(queue)

    def _on_frame(self, frame: Frame) -> None:
        source = self._by_number.get(frame[1])
        if source is not None:
            source.on_frame(frame)


class _Source:
    """The channel of one queue."""

    def __init__(
        self,
        queue: str,
        number: int,
        connection: OwnConnection,
        owner: Receives,
        monotonic: Callable[[], float],
        limits: RetryLimits,
    ) -> None:
        self._limits = limits
        self.queue: Final = queue
        self.number: Final = number
        self.opening = 0
        self.is_open = False
        self._connection = connection
        self._owner = owner
        self._monotonic = monotonic
        self._content: ContentAssembler[None] = ContentAssembler(_admit_all)
        self._failures = 0
        self._reopen_at: float | None = None
        self._is_leaving = False
        self._is_closing = False

    def open(self) -> None:
        """Open the channel and consume."""
        self.opening += 1
        self.is_open = True
        self._reopen_at = None
        self._content.reset()
        send, number = self._connection.send, self.number
        send(number, ChannelOpen())
        send(number, Qos(prefetch_count=self._limits.prefetch))
        send(number, Consume(queue=rejected_queue(self.queue).encode(), consumer_tag=b"router"))

    def tick(self, now: float) -> None:
        """Try again when it is time."""
        is_due = self._reopen_at is not None and now >= self._reopen_at
        if is_due and not self._is_closing and not self._connection.is_closing:
            self.open()

    def cancel(self) -> None:
        """No further messages."""
        self._reopen_at = None
        self._is_leaving = True
        if self.is_open:
            self._connection.send(self.number, Cancel(consumer_tag=b"router", no_wait=True))

    def leave(self) -> None:
        """Close the channel: the broker takes everything back."""
        self._is_leaving = True
        self._reopen_at = None
        if self.is_open:
            self._close()

    def on_frame(self, frame: Frame) -> None:
        """Whatever the broker says on this channel."""
        kind, _, payload = frame
        if not self.is_open:  # what was on its way when it was closed
            if kind == METHOD and payload[:4] == _CHANNEL_CLOSE:
                self._connection.send(self.number, ChannelCloseOk())
            elif kind == METHOD and payload[:4] == _CHANNEL_CLOSE_OK:
                self._is_closing = False
            return
        if kind == METHOD:
            index = payload[:4]
            self._content.method(payload, has_content=index == DELIVER)
            if index == _CONSUME_OK:
                self._failures = 0
                self._owner.consuming(self.queue)
            elif index == _CHANNEL_CLOSE:
                self._connection.send(self.number, ChannelCloseOk())
                self._lost(readable(ChannelClose.parse(payload).reply_text))
            elif index == _CANCEL:  # the queue was deleted, or has lost its leader
                self._close()
                self._lost("the broker cancelled the consumer: its queue is gone")
        elif kind in (HEADER, BODY):
            content = self._content.header(payload) if kind == HEADER else self._content.body(payload)
            if content is not None:
                self._delivered(content)

    def _close(self) -> None:
        self.is_open = False
        self._is_closing = True
        self._connection.send(self.number, ChannelClose(reply_code=ReplyCode.SUCCESS, reply_text=b"Goodbye"))

    def _delivered(self, content: Content[None]) -> None:
        deliver = parse_deliver(content.method)
        delivery = Delivery(
            self.queue, deliver.exchange, deliver.routing_key, deliver.redelivered, content.header, content.body
        )
        self._owner.delivered(DeliveryPlace(self.queue, self.opening, deliver.delivery_tag), delivery)

    def _lost(self, problem: str) -> None:
        self.is_open = False
        self._owner.taken_back(self.queue)
        if self._is_leaving:
            return
        wait = back_off(self._limits.first_reopen_seconds, self._failures, self._limits.longest_reopen_seconds)
        self._failures += 1
        self._reopen_at = self._monotonic() + wait
        self._owner.unusable(self.queue, problem)


def _admit_all(_: bytes, __: object) -> None:
    """What the broker took, it may give."""
