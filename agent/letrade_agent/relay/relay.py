"""One relayed connection: frames of both sides in, bytes and effects out.

It begins when both legs are open (after connection.open-ok) and ends with the effect `Ended`. It knows no socket, no
task and no clock but those it is given; nothing in here waits. Any frames of either side give bytes, effects and
closes, never an exception.

    client ─frames→ from_client ─→ take_to_upstream ─bytes→ broker
    client ←bytes─ take_to_client ←─ from_upstream ←frames─ broker

Channels keep their numbers: what the client calls channel 7 is channel 7 upstream, and publisher and consumer of a
direct reply-to share it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

from letrade_agent.amqp.basic import ACK, DELIVER, PUBLISH
from letrade_agent.amqp.faults import AmqpFault, ClientFault, ReplyCode, readable
from letrade_agent.amqp.frames import BODY, HEADER, Frame
from letrade_agent.filters.verdicts import Approved, Fetched, Filters, Refusal, ToStore
from letrade_agent.filters.words import Word
from letrade_agent.log import Log
from letrade_agent.measures import Measures

from .connection import Connection
from .effects import Effect, Opening, Ticket
from .ending import agent_close
from .off_channel import broker_frame, broker_method, client_frame, client_method, close_if_stored
from .publishing import seal_and_send
from .session import Session
from .snapshot import ConnectionSnapshot, ConsumerSnapshot

MAX_DELIVERY_BYTES: Final = 16 * 1024 * 1024
"""RabbitMQ's own default for the largest message since 4.0. A larger delivery would not be published today."""

DRAIN_SECONDS: Final = 2.0
"""How long the end of a drain waits for the broker's confirms."""


class Relay:
    """One relayed connection.

    Args:
        filters: those in force; what they hold may be exchanged at any time (then call `filters_changed`).
        measures: where to count.
        client_frame_max, upstream_frame_max: as tuned on each leg, in bytes; 0 for no limit.
        client_capabilities: names of the capabilities that the client says it has.
        now: seconds since the epoch.
        monotonic: seconds, for durations.
        log: takes level, event and details.
        max_delivery_bytes: a delivery with a larger body is not taken into memory: it is rejected, so that the
            broker moves it to its dead letters.
    """

    __slots__ = ("_channels", "_connection", "_ending", "_session")

    def __init__(
        self,
        filters: Filters,
        measures: Measures,
        *,
        client_frame_max: int,
        upstream_frame_max: int,
        client_capabilities: frozenset[bytes],
        now: Callable[[], float],
        monotonic: Callable[[], float],
        log: Log,
        max_delivery_bytes: int = MAX_DELIVERY_BYTES,
    ) -> None:
        self._session = Session(
            filters,
            measures,
            client_frame_max=client_frame_max,
            upstream_frame_max=upstream_frame_max,
            client_capabilities=client_capabilities,
            max_delivery_bytes=max_delivery_bytes,
            now=now,
            monotonic=monotonic,
            log=log,
        )
        self._connection = Connection(self._session)
        self._ending = self._connection.ending
        self._channels = self._connection.channels

    # What goes out

    def take_to_client(self) -> bytes:
        """What is to be written to the client; empty if nothing."""
        return _take(self._session.to_client)

    def take_to_upstream(self) -> bytes:
        """What is to be written to the broker; empty if nothing."""
        return _take(self._session.to_upstream)

    def take_effects(self) -> list[Effect]:
        """What is to be done, in order."""
        effects = self._session.effects
        self._session.effects = []
        return effects

    @property
    def held_bytes(self) -> int:
        """How much memory withheld deliveries take: kept ones, and those whose hand-over is not confirmed."""
        return self._session.held_bytes

    @property
    def storing_bytes(self) -> int:
        """How much memory publishes take that are being stored, and what waits behind them."""
        return self._session.storing_bytes

    def awaits(self, ticket: Ticket) -> bool:
        """Whether a delivery still waits for its object."""
        channel = self._connection.channel_of(ticket)
        if channel is None:
            return False
        getting = channel.getting
        return ticket.upstream_tag in channel.deliveries.parked or (
            getting is not None and getting.got.delivery_tag == ticket.upstream_tag
        )

    def snapshot(self) -> ConnectionSnapshot:
        """What the connection looks like now."""
        channels = self._channels.values()
        return ConnectionSnapshot(
            channels=len(channels),
            consumers=tuple(
                ConsumerSnapshot(channel.number, readable(consumer.tag), consumer.queue.text, consumer.no_ack)
                for channel in channels
                for consumer in channel.consumers.active
            ),
            unsettled=sum(channel.deliveries.ledger.visible for channel in channels),
            unconfirmed=sum(channel.publishing.confirms.unanswered for channel in channels),
            held=sum(channel.deliveries.ledger.held for channel in channels),
            held_bytes=self._session.held_bytes,
            closing=bool(self._ending.cause),
        )

    # What comes in

    def from_client(self, frames: Sequence[Frame]) -> None:
        """Frames of the client, in order."""
        self._session.begin()
        self._take_from_client(frames)
        self._finish()

    def _take_from_client(self, frames: Sequence[Frame]) -> None:
        session = self._session
        known = self._channels.get
        for frame_type, number, payload in frames:
            try:
                channel = known(number)
                if channel is None or not channel.taking:
                    client_frame(self._connection, frame_type, number, payload)
                elif frame_type == BODY:
                    content = channel.publishing.assembler.body(payload)
                    if content is not None:
                        channel.published(content)
                elif frame_type == HEADER:
                    content = channel.publishing.assembler.header(payload)
                    if content is not None:
                        channel.published(content)
                elif payload[:4] == PUBLISH:
                    channel.publishing.assembler.method(payload, has_content=True)
                elif payload[:4] == ACK:
                    channel.publishing.assembler.method(payload, has_content=False)
                    if session.decided:
                        seal_and_send(session)
                    if channel.accepting:
                        channel.settlements.acknowledge(payload)
                else:
                    client_method(self._connection, channel, payload)
            except AmqpFault as fault:
                self._connection.fault_of_client(number, fault)
        self._connection.flush()

    def from_upstream(self, frames: Sequence[Frame]) -> None:
        """Frames of the broker, in order."""
        self._session.begin()
        self._take_from_upstream(frames)
        self._finish()

    def _take_from_upstream(self, frames: Sequence[Frame]) -> None:
        known = self._channels.get
        for frame_type, number, payload in frames:
            try:
                channel = known(number)
                if channel is None or not channel.hearing:
                    broker_frame(self._connection, frame_type, number, payload)
                elif frame_type == BODY:
                    content = channel.assembler.body(payload)
                    if content is not None:
                        channel.arrived(content)
                elif frame_type == HEADER:
                    content = channel.assembler.header(payload)
                    if content is not None:
                        channel.arrived(content)
                elif payload[:4] == DELIVER:
                    channel.assembler.method(payload, has_content=True)
                else:
                    broker_method(self._connection, channel, payload)
            except AmqpFault as fault:
                self._connection.fault_of_broker(fault)

    def _finish(self) -> None:
        """The end of every call: first what waited for the object store and need not any more."""
        session = self._session
        while session.from_client or session.from_upstream:
            if session.from_client:
                self._take_from_client(session.from_client.popleft())
            else:
                self._take_from_upstream(session.from_upstream.popleft())
        if self._connection.waiting_close is not None:
            close_if_stored(self._connection)
        self._connection.after()

    def tick(self) -> None:
        """Once a second: kept deliveries are examined again, closes do not wait for ever."""
        self._session.begin()
        self._connection.examine_again()
        for channel in tuple(self._channels.values()):
            channel.close_if_handed_over()
        self._finish()

    def filters_changed(self) -> None:
        """Keys or topology are new: what is kept may be good now."""
        self._session.begin()
        self._connection.examine_again()
        self._finish()

    def stored(self, opening: Opening, sha256: str) -> None:
        """A body is in the object store: its stub goes upstream, if its channel is still that one.

        Args:
            opening: of the channel.
            sha256: of the body, in hexadecimal digits.
        """
        outbound = self._session.filters.outbound
        self._stored(opening, lambda to_store: outbound.stub(to_store, sha256))

    def not_stored(self, opening: Opening, why: str) -> None:
        """A body could not be stored: the publish is refused."""

        def refuse(to_store: ToStore) -> Refusal:
            approved = to_store.approved
            text = f"message size {len(approved.body)} needs the claim check's store: {why}"
            return Refusal(ReplyCode.PRECONDITION_FAILED, Word.CLAIM_STORE, text, approved.destination)

        self._stored(opening, refuse)

    def _stored(self, opening: Opening, decide: Callable[[ToStore], Approved | Refusal]) -> None:
        self._session.begin()
        channel = self._connection.channel_of(opening)
        if channel is not None:
            channel.stored(decide)
            self._connection.flush()
        self._finish()

    def fetched(self, ticket: Ticket, fetched: Fetched) -> None:
        """What the object store holds for a delivery; it is decided, and what waited behind it."""
        self._fetched(ticket, fetched)

    def not_fetched(self, ticket: Ticket) -> None:
        """The object store did not answer, for a delivery that cannot wait."""
        self._fetched(ticket, None)

    def _fetched(self, ticket: Ticket, fetched: Fetched | None) -> None:
        self._session.begin()
        channel = self._connection.channel_of(ticket)
        if channel is not None and self.awaits(ticket) and ticket.upstream_tag is not None:
            if ticket.upstream_tag not in channel.deliveries.parked:
                channel.get_fetched(fetched)
            elif fetched is not None:
                channel.deliveries.fetched(ticket.upstream_tag, fetched)
        self._finish()

    def handed_over(self, ticket: Ticket) -> None:
        """The broker has confirmed the dead letter: acknowledge the delivery, if its channel is still that one."""
        self._session.begin()
        self._session.hand_over_ends(ticket)
        channel = self._connection.channel_of(ticket)
        if channel is not None and ticket.upstream_tag is not None:
            channel.handed_over(ticket.upstream_tag)
        self._finish()

    def client_gone(self, cause: str = "client_closed", text: str = "the client is gone") -> None:
        """The client's socket is closed.

        Args:
            cause: the label to count it under, if nothing else has ended the connection before.
            text: for the log.
        """
        self._session.begin()
        self._ending.because(cause, text)
        self._ending.client_closed()
        self._connection.end(agent_close(text))

    def upstream_gone(self, text: str) -> None:
        """The broker's socket is closed: the client is told, and nothing is told upstream any more."""
        self._session.begin()
        self._ending.because("broker_closed", text)
        self._ending.close_client(ClientFault(ReplyCode.CONNECTION_FORCED, f"the agent lost the broker: {text}"))
        self._connection.forget_channels()
        self._ending.upstream_closed()
        self._finish()

    def shut_down(self, text: str) -> None:
        """The agent ends the connection. Publishes that are unconfirmed get their answer, for up to two seconds."""
        self._session.begin()
        if self._connection.drain is None and not self._ending.cause:
            self._connection.drain = (text, self._session.started + DRAIN_SECONDS)
            self._session.refusing = Refusal(ReplyCode.CONNECTION_FORCED, Word.DRAIN, text)
        self._finish()


def _take(pieces: list[bytes]) -> bytes:
    if not pieces:
        return b""
    data = pieces[0] if len(pieces) == 1 else b"".join(pieces)
    pieces.clear()
    return data
