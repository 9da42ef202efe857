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

from collections.abc import Callable, Container, Sequence
from math import inf

from letrade_agent.filters.decisions import Approved, Refusal, ToStore
from letrade_agent.filters.in_force import Filters
from letrade_agent.filters.verdicts import Fetched
from letrade_agent.filters.words import Word
from letrade_agent.limits import DEFAULT_LIMITS, Limits
from letrade_agent.log import Log
from letrade_agent.measures import Measures
from letrade_agent.tracing.recorder import Tracer
from letrade_topo.amqp.faults import ClientFault, ReplyCode, readable
from letrade_topo.amqp.frames import Frame

from . import delivering, publishing
from .connection import RelayedConnection
from .effects import Effect, Opening, Ticket
from .ending import agent_close
from .libraries import RefusalForm
from .session import Session
from .snapshot import ConnectionSnapshot, ConsumerSnapshot


class Relay:
    """One relayed connection.

    Args:
        filters: those in force; what they hold may be exchanged at any time (then call `filters_changed`).
        measures: where to count.
        client_frame_max, upstream_frame_max: as tuned on each leg, in bytes; 0 for no limit.
        client_capabilities: names of the capabilities that the client says it has.
        broker_counts_nacks: whether what the client gives back by nack counts towards the delivery limit of its queue.
        refusal_form: what the client gets for a refused publish on a channel with confirms.
        now: seconds since the epoch.
        monotonic: seconds, for durations.
        log: takes level, event and details.
        away: names of queues that are away, and come back as far as is known; changes by itself.
        limits: of the agent.
        tracer: records what passes; None: nothing is traced.
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
        broker_counts_nacks: bool,
        refusal_form: RefusalForm,
        now: Callable[[], float],
        monotonic: Callable[[], float],
        log: Log,
        away: Container[str] = frozenset(),
        limits: Limits = DEFAULT_LIMITS,
        tracer: Tracer | None = None,
    ) -> None:
        self._session = Session(
            filters,
            measures,
            client_frame_max=client_frame_max,
            upstream_frame_max=upstream_frame_max,
            client_capabilities=client_capabilities,
            broker_counts_nacks=broker_counts_nacks,
            refusal_form=refusal_form,
            away=away,
            limits=limits,
            now=now,
            monotonic=monotonic,
            log=log,
            tracer=tracer,
        )
        self._connection = RelayedConnection(self._session)
        self._ending = self._connection.ending
        self._channels = self._connection.channels

    # What goes out

    def take_to_client(self) -> bytes:
        """What is to be written to the client; empty if nothing."""
        pieces = self._session.to_client
        return _take(pieces) if pieces else b""

    def take_to_upstream(self) -> bytes:
        """What is to be written to the broker; empty if nothing."""
        pieces = self._session.to_upstream
        return _take(pieces) if pieces else b""

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

    @property
    def unfinished_bytes(self) -> int:
        """How much memory messages of the client take that have begun and not ended."""
        return self._session.unfinished.bytes

    def awaits(self, ticket: Ticket) -> bool:
        """Whether a delivery still waits for its object."""
        channel = self._connection.channel_of(ticket)
        return channel is not None and ticket.upstream_tag is not None and channel.awaits(ticket.upstream_tag)

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
            unsettled=sum(channel.outcomes.ledger.visible for channel in channels),
            unconfirmed=sum(channel.publishes.confirms.unanswered for channel in channels),
            held=sum(channel.outcomes.ledger.held for channel in channels),
            held_bytes=self._session.held_bytes,
            closing=bool(self._ending.cause),
        )

    # What comes in

    def from_client(self, frames: Sequence[Frame]) -> None:
        """Frames of the client, in order."""
        self._session.begin()
        publishing.take(self._connection, frames)
        self._finish()

    def from_upstream(self, frames: Sequence[Frame]) -> None:
        """Frames of the broker, in order."""
        self._session.begin()
        delivering.take(self._connection, frames)
        self._finish()

    def _finish(self) -> None:
        """The end of every call: first what waited for the object store and need not any more."""
        session = self._session
        while session.from_client or session.from_upstream:
            if session.from_client:
                publishing.take(self._connection, session.from_client.popleft())
            else:
                delivering.take(self._connection, session.from_upstream.popleft())
        if self._connection.waiting_close is not None:
            publishing.close_if_stored(self._connection)
        self._connection.after()

    def tick(self, heard_since: float = inf) -> None:
        """Once a second: kept deliveries are examined again, closes do not wait for ever, idle consumers are noted.

        Args:
            heard_since: monotonic seconds, from when on the broker has been read; infinite: it is not, or who knows.
        """
        self._session.begin()
        self._connection.examine_again()
        for channel in tuple(self._channels.values()):
            channel.close_if_handed_over()
            channel.note_idle(heard_since)
            channel.stay_on()
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
        publishing.stored(self._connection, opening, decide)
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
        if channel is not None and ticket.upstream_tag is not None:
            channel.fetched(ticket.upstream_tag, fetched)
        self._finish()

    def handed_over(self, ticket: Ticket) -> None:
        """The broker has confirmed the dead letter: acknowledge the delivery, if its channel is still that one."""
        self._session.begin()
        self._session.hand_over_ends(ticket)
        channel = self._connection.channel_of(ticket)
        if channel is not None and ticket.upstream_tag is not None:
            channel.handed_over(ticket.upstream_tag)
        self._finish()

    def queue_is_back(self, queue: str) -> None:
        """A queue that was awaited is there again: its consumers go on."""
        self._session.begin()
        for channel in tuple(self._channels.values()):
            channel.queue_is_back(queue)
        self._finish()

    def queue_is_gone(self, queue: str) -> None:
        """A queue that was awaited does not come back: who has a consumer there is told."""
        self._session.begin()
        for channel in tuple(self._channels.values()):
            channel.queue_is_gone(queue)
        self._finish()

    def give_up(self, text: str) -> None:
        """The client takes more of the agent than it may: it is told so, and the connection ends.

        Args:
            text: what it has done, in words.
        """
        self._session.begin()
        self._connection.fault_of_client(0, ClientFault(ReplyCode.RESOURCE_ERROR, text))
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
        """The agent ends the connection. Publishes that are unconfirmed get their answer, for a while."""
        self._session.begin()
        if self._connection.drain is None and not self._ending.cause:
            self._connection.drain = (text, self._session.started + self._session.limits.drain_seconds)
            self._session.refusing = Refusal(ReplyCode.CONNECTION_FORCED, Word.DRAIN, text)
        self._finish()


def _take(pieces: list[bytes]) -> bytes:
    data = pieces[0] if len(pieces) == 1 else b"".join(pieces)
    pieces.clear()
    return data
