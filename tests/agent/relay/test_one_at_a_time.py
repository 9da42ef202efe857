"""However messages come, all in one read, one a read or frame by frame: the same bytes leave, in the same order.

The slow and obvious model is the relay itself with one message a read: then no row has a neighbour. Over several
channels, with and without confirms and acknowledgements: good, refused at the header, at the end and at sealing,
stored, encrypted; shown as ordinary or examined, decrypted, failed, held, repeated, fetched; methods in between.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule
from letrade_agent.filters.decisions import Approved, Decision
from letrade_agent.filters.verdicts import Arrived, Delivery, Examined, Fetched, Proven, Remembered, Repeated, Shown
from letrade_agent.relay.effects import FetchObject, HandOver, StoreObject
from pamqp.commands import Basic, Channel, Confirm

from letrade_topo.amqp.frames import Frame
from letrade_topo.amqp.properties import ContentHeader
from letrade_topo.keys.replay import Identity
from tests.examples_per_property import ordinary_examples

from .kit import KeyedInbound, KeyedOutbound, ReadContent, Rig, Seen, deliver, get_ok, marshal, publish

CHANNELS = (1, 2, 3)
WITHOUT_CONFIRMS = 3
WITHOUT_ACKNOWLEDGEMENT = 2
PUBLISHED = ("good", "good", "good", "encrypted", "no.header", "no.body", "no.seal", "big")
DELIVERED = ("ordinary", "ordinary", "ordinary", "good", "encrypted", "bad", "held", "repeated", "rejected", "claim")
SETTLEMENTS = ("ack", "ack all", "nack", "reject", "recover", "unknown")


class OutboundModel(KeyedOutbound):
    """Encrypts what is keyed so."""

    def _decide(self, method: bytes, payload: bytes, body: bytes) -> Decision:
        decision = super()._decide(method, payload, body)
        if isinstance(decision, Approved) and decision.publish.routing_key == b"encrypted":
            body = b"encrypted " + body
            header = ContentHeader.parse(decision.header.rewrite(body_size=len(body)))
            decision = decision._replace(body=body, header=header)
        return decision


class InboundModel(KeyedInbound):
    """Decrypts what is keyed so, and knows ordinary ones, which must not repeat."""

    def __init__(self) -> None:
        super().__init__()
        self.known: set[Identity] = set()

    def prove(self, batch: Sequence[Arrived], now: float) -> Sequence[Proven | None]:
        """By the key, which stands at the end of the names."""
        return [
            Proven(_identity(body), now, self._ordinary(ContentHeader.parse(header), queue, now))
            if names.endswith(b"ordinary")
            else None
            for queue, names, header, body in batch
        ]

    def accept(self, proven: Proven, now: float) -> Shown | None:
        """Unless it was here before."""
        if proven.identity in self.known:
            return None
        self.known.add(proven.identity)
        return proven.shown

    def examine(self, delivery: Delivery, now: float, fetched: Fetched | None = None) -> Examined:
        """The same for one that came in pieces."""
        if delivery.routing_key == b"encrypted":
            header = ContentHeader.parse(delivery.header.rewrite(body_size=4))
            return self._ordinary(header, delivery.queue, now)._replace(body=b"open", header=header.payload)
        if delivery.routing_key != b"ordinary":
            return super().examine(delivery, now, fetched)
        identity = _identity(delivery.body)
        if identity in self.known:
            return Repeated("_other")
        self.known.add(identity)
        return self._ordinary(delivery.header, delivery.queue, now)

    def _ordinary(self, header: ContentHeader, queue: str, now: float) -> Shown:
        return Shown(header.payload, Remembered(queue, None, now), "_other")


def _identity(body: bytes) -> Identity:
    return Identity("issuer", body, 0, 0)


class Way(Rig):
    """A relay that gets what comes in reads of its own size.

    Args:
        cut: messages, each as its frames, into reads.
    """

    def __init__(self, cut: Callable[[Sequence[list[Frame]]], list[list[Frame]]]) -> None:
        super().__init__(outbound=OutboundModel(), inbound=InboundModel())
        self._cut = cut
        self.raw = [b"", b""]

    def collect(self) -> None:
        """Keep the bytes as well."""
        to_client, to_broker = self.relay.take_to_client(), self.relay.take_to_upstream()
        self.raw[0] += to_client
        self.raw[1] += to_broker
        self.client += self._client_reader.read(to_client)
        self.broker += self._broker_reader.read(to_broker)
        self.effects += self.relay.take_effects()

    def from_client(self, messages: Sequence[bytes]) -> None:
        """What a client sends."""
        for frames in self._cut([self._from_client.feed(one) for one in messages]):
            self.relay.from_client(frames)
        self.collect()

    def from_broker(self, messages: Sequence[bytes]) -> None:
        """What a broker sends."""
        for frames in self._cut([self._from_broker.feed(one) for one in messages]):
            self.relay.from_upstream(frames)
        self.collect()

    @property
    def counts(self) -> tuple[object, ...]:
        """What has been counted of messages."""
        measures = self.measures
        return (
            +measures.messages,
            +measures.refused,
            +measures.repeats,
            +measures.confirms,
            measures.unsettled,
            measures.held,
            measures.channels,
        )


def _one_read(messages: Sequence[list[Frame]]) -> list[list[Frame]]:
    return [[frame for frames in messages for frame in frames]]


def _a_read_a_message(messages: Sequence[list[Frame]]) -> list[list[Frame]]:
    return list(messages)


def _a_read_a_frame(messages: Sequence[list[Frame]]) -> list[list[Frame]]:
    return [[frame] for frames in messages for frame in frames]


ANSWERS: dict[str, Callable[[Any], Any]] = {
    "Channel.Open": lambda method: Channel.OpenOk(),
    "Channel.Close": lambda method: Channel.CloseOk(),
    "Confirm.Select": lambda method: Confirm.SelectOk(),
    "Basic.Qos": lambda method: Basic.QosOk(),
    "Basic.Consume": lambda method: Basic.ConsumeOk(method.consumer_tag),
}
"""Of a broker; to basic.get it answers when it likes."""

_channels = st.sampled_from(CHANNELS)
_published = st.tuples(st.just("publish"), _channels, st.sampled_from(PUBLISHED), st.booleans())
_settled = st.tuples(st.just("settle"), _channels, st.sampled_from(SETTLEMENTS), st.booleans())
_other = st.tuples(st.sampled_from(("get", "close", "open")), _channels, st.just(""), st.booleans())
_sent = st.lists(_published | _published | _published | _settled | _other, min_size=1, max_size=8)
_delivered = st.tuples(st.just("deliver"), _channels, st.sampled_from(DELIVERED), st.booleans())
_confirmed = st.tuples(st.just("confirm"), _channels, st.sampled_from(("ack", "nack")), st.booleans())
_got = st.tuples(st.just("get"), _channels, st.sampled_from(("", "good", "bad", "held", "claim")), st.booleans())
_arriving = st.lists(_delivered | _delivered | _delivered | _confirmed | _got, min_size=1, max_size=8)


class OneAtATime(RuleBasedStateMachine):
    """Three relays that get the same; what client and broker know is read from the first."""

    def __init__(self) -> None:
        super().__init__()
        self.ways = [Way(cut) for cut in (_one_read, _a_read_a_message, _a_read_a_frame)]
        self.bodies = 0
        self.ordinary = b""
        self.life = dict.fromkeys(CHANNELS, "over")
        self.tags: dict[int, list[int]] = {}
        self.is_open_at_broker = dict.fromkeys(CHANNELS, False)
        self.delivered: dict[int, int] = {}
        self.arrived: dict[int, int] = {}
        self.unconfirmed: dict[int, list[int]] = {}
        self.gets: dict[int, int] = {}

    @initialize()
    def client_opens(self) -> None:
        """All channels."""
        self._client([self._opened(number) for number in CHANNELS])

    def _opened(self, number: int) -> bytes:
        self.life[number], self.tags[number] = "open", []
        data = marshal(Channel.Open(), number)
        if number != WITHOUT_CONFIRMS:
            data += marshal(Confirm.Select(), number)
        consume = Basic.Consume(queue="q", consumer_tag=f"c{number}", no_ack=number == WITHOUT_ACKNOWLEDGEMENT)
        return data + marshal(consume, number)

    def _body(self) -> bytes:
        self.bodies += 1
        return b"%04d" % self.bodies

    # What both sides send

    @rule(many=_sent)
    def client_sends(self, many: list[tuple[str, int, str, bool]]) -> None:
        """Publishes on any channels, and methods in between."""
        self._client([self._sent(*one) for one in many])

    def _sent(self, kind: str, number: int, key: str, flag: bool) -> bytes:
        if kind == "open":
            owed = {"agent": marshal(Channel.CloseOk(), number), "over": b""}.get(self.life[number])
            return b"" if owed is None else owed + self._opened(number)
        if self.life[number] != "open":
            return b""
        match kind:
            case "publish":
                body = self._body()
                return publish(key, body, mandatory=flag, channel=number, message_id=body.decode())
            case "settle":
                return self._settled(number, key, flag)
            case "get":
                return marshal(Basic.Get(queue="q", no_ack=flag), number)
            case _:
                self.life[number] = "client"
                return marshal(Channel.Close(200, "", 0, 0), number)

    def _settled(self, number: int, how: str, requeue: bool) -> bytes:
        tags = self.tags[number]
        if how == "unknown":
            return marshal(Basic.Ack(9999), number)
        if how == "recover":
            tags.clear()
            return marshal(Basic.Recover(True), number)
        if number == WITHOUT_ACKNOWLEDGEMENT or not tags:
            return b""
        tag = tags.pop()
        if how == "ack all":
            tags.clear()
        method = {
            "ack": Basic.Ack(tag),
            "ack all": Basic.Ack(tag, True),
            "nack": Basic.Nack(tag, False, requeue),
            "reject": Basic.Reject(tag, requeue),
        }[how]
        return marshal(method, number)

    @rule(many=_arriving)
    def broker_sends(self, many: list[tuple[str, int, str, bool]]) -> None:
        """Deliveries on any channels, and answers in between."""
        self._broker([self._arriving(*one) for one in many])

    def _arriving(self, kind: str, number: int, key: str, flag: bool) -> bytes:
        if not self.is_open_at_broker[number]:
            return b""
        match kind:
            case "confirm" if self.unconfirmed[number]:
                unconfirmed = self.unconfirmed[number]
                tag = unconfirmed.pop(-1 if flag else 0)
                if flag:
                    unconfirmed.clear()
                return marshal(Basic.Ack(tag, flag) if key == "ack" else Basic.Nack(tag, flag, False), number)
            case "get" if self.gets[number]:
                self.gets[number] -= 1
                if not key:
                    return marshal(Basic.GetEmpty(), number)
                self.delivered[number] += 1
                return get_ok(self.delivered[number], key, self._body(), channel=number)
            case "deliver":
                self.delivered[number] += 1
                body = self.ordinary if key == "ordinary" and flag and self.ordinary else self._body()
                if key == "ordinary":
                    self.ordinary = body
                return deliver(self.delivered[number], key, body, consumer=f"c{number}", channel=number)
            case _:
                return b""

    # What comes back from outside

    def _take(self, kind: type, pick: int) -> list[Any]:
        places = [place for place, effect in enumerate(self.ways[0].effects) if isinstance(effect, kind)]
        return [way.effects.pop(places[pick % len(places)]) for way in self.ways]

    def _has(self, kind: type) -> bool:
        return any(isinstance(effect, kind) for effect in self.ways[0].effects)

    @precondition(lambda self: self._has(StoreObject))
    @rule(pick=st.integers(0, 9), works=st.booleans())
    def store_answers(self, pick: int, works: bool) -> None:
        """A body is stored, or not."""
        for way, effect in zip(self.ways, self._take(StoreObject, pick), strict=True):
            if works:
                way.store(effect)
            else:
                way.relay.not_stored(effect.opening, "away")
                way.collect()
        self._same()

    @precondition(lambda self: self._has(FetchObject))
    @rule(pick=st.integers(0, 9), there=st.sampled_from((True, True, False, None)))
    def object_comes(self, pick: int, there: bool | None) -> None:
        """Or is missing, or the store does not answer somebody who does not wait."""
        for way, effect in zip(self.ways, self._take(FetchObject, pick), strict=True):
            is_away = there is None and not effect.may_wait
            fetched = Fetched(b"an object") if there else Fetched(reason="claim_missing")
            way.fetch(effect, None if is_away else fetched)
        self._same()

    @precondition(lambda self: self._has(HandOver))
    @rule(pick=st.integers(0, 9))
    def hand_over_is_confirmed(self, pick: int) -> None:
        """In any order."""
        for way, effect in zip(self.ways, self._take(HandOver, pick), strict=True):
            way.hand_over(effect)
        self._same()

    @rule(pick=st.integers(0, 9999), verdict=st.sampled_from(("good", "bad", "repeated", "claim")))
    def time_goes_on(self, pick: int, verdict: str) -> None:
        """Something may have become another thing meanwhile."""
        for way in self.ways:
            way.inbound.verdicts[b"%04d" % (pick % (self.bodies + 1))] = verdict
            way.tick(0.3)
        self._same()

    # What has to be the same

    def _client(self, messages: Sequence[bytes]) -> None:
        for way in self.ways:
            way.from_client(messages)
        self._same()

    def _broker(self, messages: Sequence[bytes]) -> None:
        for way in self.ways:
            way.from_broker(messages)
        self._same()

    def _same(self) -> None:
        """After every step; then both sides take note of what they have heard, and the broker answers."""
        first, *others = self.ways
        for way in others:
            assert way.raw == first.raw
            assert way.effects == first.effects
            assert way.counts == first.counts
            way.client, way.broker = [], []
        assert not first.ended, first.logged
        for way in self.ways:
            way.raw = [b"", b""]
        for seen in first.take_client():
            self._client_hears(seen)
        answers = [answer for seen in first.take_broker() if (answer := self._broker_hears(seen))]
        if answers:
            self._broker(answers)

    def _client_hears(self, seen: Seen) -> None:
        number = seen.channel
        if isinstance(seen, ReadContent) and seen.name != "Basic.Return":
            self.tags[number].append(seen.method.delivery_tag)
        elif seen.name == "Channel.Close":
            self.life[number] = "agent"
        elif seen.name == "Channel.CloseOk" and self.life[number] == "client":
            self.life[number] = "over"

    def _broker_hears(self, seen: Seen) -> bytes:
        number = seen.channel
        if isinstance(seen, ReadContent):
            self.arrived[number] += 1
            if number != WITHOUT_CONFIRMS:
                self.unconfirmed[number].append(self.arrived[number])
        elif seen.name == "Channel.Open":
            self.is_open_at_broker[number] = True
            self.delivered[number] = self.arrived[number] = self.gets[number] = 0
            self.unconfirmed[number] = []
        elif seen.name == "Channel.Close":
            self.is_open_at_broker[number] = False
        elif seen.name == "Basic.Get":
            self.gets[number] += 1
        answer = ANSWERS.get(seen.name)
        return b"" if answer is None else marshal(answer(seen.method), number)

    def teardown(self) -> None:
        """At the end nothing is counted as open."""
        for way in self.ways:
            way.relay.client_gone()
            way.relay.upstream_gone("the end")
            counted = way.measures
            assert (counted.channels, counted.unsettled, counted.held, way.relay.held_bytes) == (0, 0, 0, 0)
            assert way.relay.storing_bytes == 0


TestOneAtATime = OneAtATime.TestCase
TestOneAtATime.settings = settings(max_examples=ordinary_examples(), stateful_step_count=30, deadline=None)
