"""A relay between two test ends: filters that decide by routing key, a client and a broker that speak by pamqp.

What the relay emits is read by pamqp, not by the code under test. Every piece of output is checked for two things
that hold always: no frame is larger than its side allows, and nothing comes between the frames of one content.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import pamqp.body
import pamqp.frame
import pamqp.header
from letrade_agent.filters.copies import DeadLetter
from letrade_agent.filters.decisions import Approved, Decision, Refusal, Sealable, ToStore, Whole
from letrade_agent.filters.in_force import Filters
from letrade_agent.filters.rulings import Pass, Ruling
from letrade_agent.filters.verdicts import (
    Arrived,
    Delivery,
    Examined,
    Failed,
    Fetched,
    Held,
    Proven,
    Remembered,
    Repeated,
    Shown,
    ToFetch,
)
from letrade_agent.measures import Measures
from letrade_agent.relay.channel import RelayedChannel
from letrade_agent.relay.effects import Effect, Ended, FetchObject, HandOver, StoreObject
from letrade_agent.relay.libraries import RefusalForm
from letrade_agent.relay.relay import Relay
from pamqp.commands import Basic, Channel, Confirm

from letrade_topo.amqp.basic import Publish, parse_publish
from letrade_topo.amqp.command import Command
from letrade_topo.amqp.faults import AmqpFault, ReplyCode
from letrade_topo.amqp.frames import FrameDecoder
from letrade_topo.amqp.properties import ContentHeader
from letrade_topo.messages.claim import Claim

ADDED = b"signed"
"""What sealing adds: the content type, so that it can be seen and taken off."""


class KeyedOutbound:
    """Refuses by routing key: `no.header`, `no.body`, `no.seal`; stores `big`; everything else is sealed."""

    largest_body = 1 << 20

    def __init__(self) -> None:
        self.message_size = 1_000_000
        self.batches: list[int] = []
        self.sealed_header: Callable[[ContentHeader], bytes] = lambda header: header.rewrite(
            replace={"content_type": ADDED}
        )

    def admit(self, publish: Publish, header: ContentHeader) -> Refusal | None:
        """Refuse at the header what is keyed so."""
        return _refusal(publish) if publish.routing_key == b"no.header" else None

    def decide(self, batch: Sequence[Whole], now: float) -> Sequence[Decision]:
        """One after the other."""
        return [self._decide(*whole) for whole in batch]

    def _decide(self, method: bytes, payload: bytes, body: bytes) -> Decision:
        """Refuse at the header or at the end, or store, what is keyed so."""
        publish = parse_publish(method)
        try:
            header = ContentHeader.parse(payload)
        except AmqpFault as fault:
            return fault
        if publish.routing_key == b"no.header":
            return _refusal(publish)
        if publish.routing_key == b"no.body":
            return _refusal(publish)
        approved = Approved(publish, header, body, "_other", None)
        return ToStore(approved, f"object of {body.decode()}", 0) if publish.routing_key == b"big" else approved

    def stub(self, stored: ToStore, sha256: str) -> Approved:
        """A body that says what it stands for."""
        body = b"stub of " + stored.approved.body
        header = ContentHeader.parse(stored.approved.header.rewrite(body_size=len(body)))
        return stored.approved._replace(body=body, header=header)

    def seal(self, batch: Sequence[Sealable], now: float) -> Sequence[bytes | Refusal]:
        """Mark, or refuse, what is keyed so."""
        self.batches.append(len(batch))
        return [
            _refusal(one.publish) if one.publish.routing_key == b"no.seal" else self.sealed_header(one.header)
            for one in batch
            if isinstance(one, Approved)
        ]

    def restore(self, header: ContentHeader, body: bytes) -> tuple[bytes, bytes]:
        """Take the mark off."""
        if header.content_type != ADDED:
            return header.payload, body
        return header.rewrite(replace={"content_type": None}), body


def _refusal(publish: Publish) -> Refusal:
    return Refusal(ReplyCode.PRECONDITION_FAILED, "test", f"refused: {publish.routing_key.decode()}")


class KeyedInbound:
    """Judges by routing key, or by what `verdicts` says of the body: good, bad, held, repeated, rejected, claim."""

    def __init__(self) -> None:
        self.largest_body = 1 << 24
        self.verdicts: dict[bytes, str] = {}
        self.settled_queues: list[str] = []
        self.rejected_queues: list[str] = []
        self.given_back_queues: list[str] = []
        self.let_go_numbers: list[int] = []
        self.handed_over_numbers: list[int] = []
        self.idle: list[tuple[str, bool]] = []
        self.until_over = 60.0
        self.seen: list[Delivery] = []
        self.shown_header: Callable[[ContentHeader], bytes] = lambda header: header.payload

    def prove(self, batch: Sequence[Arrived], now: float) -> Sequence[Proven | None]:
        """Nothing is ordinary."""
        return [None] * len(batch)

    def accept(self, proven: Proven, now: float) -> Shown | None:
        """Nothing is proven."""
        raise AssertionError("nothing is proven")

    def examine(self, delivery: Delivery, now: float, fetched: Fetched | None = None) -> Examined:
        """What was said of this body, else what its key says."""
        self.seen.append(delivery)
        failed = Failed("test", "bad", "", "_other")
        match self.verdicts.get(delivery.body, delivery.routing_key.decode()):
            case "bad":
                return failed
            case "held":
                return Held(failed, self.until_over)
            case "copy":
                return Held(Repeated("_other"), self.until_over)
            case "repeated":
                return Repeated("_other")
            case "rejected":
                return Repeated("_other", is_rejected=True)
            case "claim":
                return self._claim(delivery, now, fetched)
            case _:
                return Shown(self.shown_header(delivery.header), Remembered(delivery.queue, None, now), "_other")

    def _claim(self, delivery: Delivery, now: float, fetched: Fetched | None) -> Examined:
        if fetched is None:
            return ToFetch(Claim(f"object of {delivery.body.decode()}", "", 1, 0), "_other")
        if fetched.reason:
            return Failed(fetched.reason, "", "", "_other")
        header = delivery.header.rewrite(body_size=len(fetched.body))
        return Shown(header, Remembered(delivery.queue, None, now), "_other", body=fetched.body)

    def settled(self, remembered: Remembered, now: float) -> None:
        """Note it."""
        self.settled_queues.append(remembered.queue)

    def rejected(self, remembered: Remembered, now: float) -> None:
        """Note it."""
        self.rejected_queues.append(remembered.queue)

    def given_back(self, remembered: Remembered, now: float) -> None:
        """Note it."""
        self.given_back_queues.append(remembered.queue)

    def let_go(self, number: int, now: float) -> None:
        """Note it."""
        self.let_go_numbers.append(number)

    def handed_over(self, number: int, now: float) -> None:
        """Note it."""
        self.handed_over_numbers.append(number)

    def keeps_up(self, queue: str, now: float, *, was_active: bool) -> None:
        """Note it."""
        self.idle.append((queue, was_active))

    def dead_letter(self, delivery: Delivery, failed: Failed, now: float) -> DeadLetter:
        """The message, under a key of its own."""
        return DeadLetter(
            b"dlq", b"key.dead", delivery.header.payload, delivery.body, delivery.queue, failed.reason, failed.detail
        )


class ListedDeclares:
    """Rules as told; what it was not told passes."""

    def __init__(self) -> None:
        self.rulings: dict[str, Ruling] = {}
        self.asked: list[Command] = []
        self.migratable: set[str] = set()

    def may_come_back(self, queue: str) -> bool:
        """Those that are named."""
        return queue in self.migratable

    def rule(self, command: Command) -> Ruling:
        """What it was told."""
        self.asked.append(command)
        return self.rulings.get(command.method.name, Pass())


@dataclass
class ReadContent:
    """A whole content, as pamqp read it."""

    channel: int
    method: Any
    header: Any
    body: bytes

    @property
    def name(self) -> str:
        """Name of the method, as pamqp spells it."""
        return str(self.method.name)


@dataclass
class ReadMethod:
    """A method without content."""

    channel: int
    method: Any

    @property
    def name(self) -> str:
        """Name of the method, as pamqp spells it."""
        return str(self.method.name)


Seen = ReadContent | ReadMethod


class Reader:
    """Reads one side's output by pamqp, and holds it to the two rules above."""

    def __init__(self, frame_max: int) -> None:
        self._frame_max = frame_max
        self._open: dict[int, tuple[Any, Any, list[bytes], int]] = {}

    def read(self, data: bytes) -> list[Seen]:
        """Whole contents and methods, in order."""
        seen: list[Seen] = []
        while data:
            consumed, channel, frame = pamqp.frame.unmarshal(data)
            assert 0 < consumed <= self._frame_max, f"a frame of {consumed} bytes where {self._frame_max} are agreed"
            data = data[consumed:]
            seen += self._take(channel, frame)
        assert not self._open, "a call ended within a content"
        return seen

    def _take(self, channel: int, frame: Any) -> list[Seen]:
        if isinstance(frame, pamqp.header.ContentHeader):
            method, header, parts, _ = self._open[channel]
            assert header is None
            self._open[channel] = (method, frame, parts, frame.body_size)
        elif isinstance(frame, pamqp.body.ContentBody):
            method, header, parts, missing = self._open[channel]
            parts.append(frame.value)
            self._open[channel] = (method, header, parts, missing - len(frame.value))
        else:
            assert channel not in self._open, f"{frame.name} within a content of channel {channel}"
            if frame.name in ("Basic.Publish", "Basic.Deliver", "Basic.GetOk", "Basic.Return"):
                self._open[channel] = (frame, None, [], -1)
            else:
                return [ReadMethod(channel, frame)]
        method, header, parts, missing = self._open[channel]
        if missing == 0:
            del self._open[channel]
            return [ReadContent(channel, method, header, b"".join(parts))]
        return []


def marshal(frame: Any, channel: int = 1) -> bytes:
    """One frame by pamqp."""
    return bytes(pamqp.frame.marshal(frame, channel))


def content(method: Any, body: bytes = b"", *, channel: int = 1, cut: int = 4000, **properties: Any) -> bytes:
    """A whole content by pamqp, its body cut at `cut` bytes."""
    header = pamqp.header.ContentHeader(body_size=len(body), properties=Basic.Properties(**properties))
    pieces = [body[start : start + cut] for start in range(0, len(body), cut)]
    return marshal(method, channel) + b"".join(
        marshal(frame, channel) for frame in (header, *map(pamqp.body.ContentBody, pieces))
    )


def publish(key: str, body: bytes = b"body", *, mandatory: bool = False, channel: int = 1, **properties: Any) -> bytes:
    """A publish to the exchange `ex`."""
    method = Basic.Publish(exchange="ex", routing_key=key, mandatory=mandatory)
    return content(method, body, channel=channel, **properties)


def deliver(
    tag: int, key: str = "good", body: bytes = b"body", *, consumer: str = "c", channel: int = 1, **properties: Any
) -> bytes:
    """A delivery from the exchange `ex`."""
    method = Basic.Deliver(consumer_tag=consumer, delivery_tag=tag, redelivered=False, exchange="ex", routing_key=key)
    return content(method, body, channel=channel, **properties)


def get_ok(tag: int, key: str = "good", body: bytes = b"body", *, left: int = 0, channel: int = 1) -> bytes:
    """An answer to basic.get."""
    method = Basic.GetOk(delivery_tag=tag, redelivered=False, exchange="ex", routing_key=key, message_count=left)
    return content(method, body, channel=channel)


@dataclass
class Rig:
    """A relay with both ends in hand.

    Attributes:
        client, broker: everything that reached each, in order; `take_*` forget what they give.
        effects: everything that is to be done.
        clock: seconds, moved by hand.
    """

    client_frame_max: int = 131_072
    upstream_frame_max: int = 131_072
    capabilities: frozenset[bytes] = frozenset((b"consumer_cancel_notify", b"connection.blocked"))
    broker_counts_nacks: bool = True
    refusal_form: RefusalForm = RefusalForm.RETURN_AND_NACK
    client: list[Seen] = field(default_factory=list)
    broker: list[Seen] = field(default_factory=list)
    effects: list[Effect] = field(default_factory=list)
    logged: list[tuple[str, str, Mapping[str, object]]] = field(default_factory=list)
    clock: float = 1000.0
    outbound: KeyedOutbound = field(default_factory=lambda: KeyedOutbound())
    inbound: KeyedInbound = field(default_factory=lambda: KeyedInbound())

    def __post_init__(self) -> None:
        self.away: set[str] = set()
        self.declares = ListedDeclares()
        self.measures = Measures()
        self._client_reader = Reader(self.client_frame_max)
        self._broker_reader = Reader(self.upstream_frame_max)
        self._from_client = FrameDecoder(self.client_frame_max)
        self._from_broker = FrameDecoder(self.upstream_frame_max)
        self.relay = Relay(
            Filters(self.outbound, self.inbound, self.declares),
            self.measures,
            client_frame_max=self.client_frame_max,
            upstream_frame_max=self.upstream_frame_max,
            client_capabilities=self.capabilities,
            broker_counts_nacks=self.broker_counts_nacks,
            refusal_form=self.refusal_form,
            now=lambda: self.clock,
            monotonic=lambda: self.clock,
            log=lambda level, event, about: self.logged.append((level, event, about)),
            away=self.away,
        )

    def client_sends(self, *data: Any, channel: int = 1) -> None:
        """Bytes, or methods of pamqp on `channel`, in one read."""
        self.relay.from_client(self._from_client.feed(_joined(data, channel)))
        self.collect()

    def broker_sends(self, *data: Any, channel: int = 1) -> None:
        """The same from the broker."""
        self.relay.from_upstream(self._from_broker.feed(_joined(data, channel)))
        self.collect()

    def collect(self) -> None:
        """Read what the relay has emitted."""
        self.client += self._client_reader.read(self.relay.take_to_client())
        self.broker += self._broker_reader.read(self.relay.take_to_upstream())
        self.effects += self.relay.take_effects()

    def tick(self, seconds: float = 1.0) -> None:
        """Time goes on, and the relay is told."""
        self.clock += seconds
        self.relay.tick()
        self.collect()

    def hand_over(self, one: HandOver) -> None:
        """The dead letter is confirmed."""
        self.relay.handed_over(one.ticket)
        self.collect()

    def take_client(self) -> list[Seen]:
        """What reached the client since."""
        taken, self.client = self.client, []
        return taken

    def take_broker(self) -> list[Seen]:
        """What reached the broker since."""
        taken, self.broker = self.broker, []
        return taken

    def client_names(self) -> list[str]:
        """The same, names only."""
        return [seen.name for seen in self.take_client()]

    def broker_names(self) -> list[str]:
        """The same, names only."""
        return [seen.name for seen in self.take_broker()]

    @property
    def hand_overs(self) -> list[HandOver]:
        """All that were asked for."""
        return [effect for effect in self.effects if isinstance(effect, HandOver)]

    @property
    def stores(self) -> list[StoreObject]:
        """All bodies that were to be stored."""
        return [effect for effect in self.effects if isinstance(effect, StoreObject)]

    @property
    def fetches(self) -> list[FetchObject]:
        """All bodies that were to be fetched."""
        return [effect for effect in self.effects if isinstance(effect, FetchObject)]

    def store(self, one: StoreObject) -> None:
        """The body is stored."""
        self.relay.stored(one.opening, "")
        self.collect()

    def fetch(self, one: FetchObject, fetched: Fetched | None) -> None:
        """The store has answered, or not."""
        if fetched is None:
            self.relay.not_fetched(one.ticket)
        else:
            self.relay.fetched(one.ticket, fetched)
        self.collect()

    @property
    def ended(self) -> list[Ended]:
        """The ends of the connection."""
        return [effect for effect in self.effects if isinstance(effect, Ended)]

    def channel(self, number: int) -> RelayedChannel | None:
        """A channel, unless it is closed."""
        return self.relay._connection.channels.get(number)

    def open(self, channel: int = 1, *, confirms: bool = False) -> Rig:
        """Open a channel, and forget how."""
        self.client_sends(Channel.Open(), channel=channel)
        self.broker_sends(Channel.OpenOk(), channel=channel)
        if confirms:
            self.client_sends(Confirm.Select(), channel=channel)
            self.broker_sends(Confirm.SelectOk(), channel=channel)
        self.take_client()
        self.take_broker()
        return self

    def consume(self, tag: str = "c", *, queue: str = "q", no_ack: bool = False, channel: int = 1) -> Rig:
        """Subscribe, and forget how."""
        self.client_sends(Basic.Consume(queue=queue, consumer_tag=tag, no_ack=no_ack), channel=channel)
        if any(seen.name == "Basic.Qos" for seen in self.broker):
            self.broker_sends(Basic.QosOk(), channel=channel)
        self.broker_sends(Basic.ConsumeOk(consumer_tag=tag), channel=channel)
        self.take_client()
        self.take_broker()
        return self


def _joined(data: Sequence[Any], channel: int) -> bytes:
    return b"".join(one if isinstance(one, bytes) else marshal(one, channel) for one in data)
