"""Filters of real services with real keys, messages as clients write them, and deliveries as brokers make them."""

from __future__ import annotations

import json
import struct
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import cache
from itertools import count
from types import MappingProxyType
from typing import Any

from letrade_agent.config import DeclareMode, Undeclared
from letrade_agent.filters.build import Chance, build_filters
from letrade_agent.filters.decisions import Approved, Refusal, Sealable, Whole
from letrade_agent.filters.in_force import Filters
from letrade_agent.filters.keeping_up import KeepingUp
from letrade_agent.filters.outbound import OutboundFilter
from letrade_agent.filters.verdicts import Arrived, Delivery, Examined, Failed, Held, Repeated, Shown
from letrade_agent.limits import Limits, UpstreamLimits
from letrade_agent.measures import Measures

from letrade_topo.amqp.basic import Publish
from letrade_topo.amqp.header_table import Entry, HeaderTable, integer_entry, long_string_entry
from letrade_topo.amqp.properties import ContentHeader
from letrade_topo.keys.jwk import Role
from letrade_topo.keys.keyset import KeySet
from letrade_topo.keys.replay import Replay
from letrade_topo.messages.encryption import SentKeys
from letrade_topo.model.topology import Topology
from tests.keys import world as key_world
from tests.keys.world import NOW, public_key, signing_key

COMMANDS, EXECUTE = b"letrade.commands", b"commands.execute_trade"
QUEUE = "exchange_connector.execute_trade"
MESSAGE_ID = "0b7c1f9e-5b0e-4c57-9d5e-0f0d1c2b3a49"
TIMESTAMP = "2025-06-15T15:06:40.250Z"
TIMESTAMP_SECONDS = 1_750_000_000
TRADE = {"strategy_id": 123, "symbol": "BTC/USDT", "side": "buy", "amount": 0.01}


@cache
def topology() -> Topology:
    """Letrade's own, but that nothing in it is sensitive: bodies travel as they were published."""
    shipped = key_world.topology()
    return replace(
        shipped, messages={name: replace(message, sensitive=()) for name, message in shipped.messages.items()}
    )


@dataclass(frozen=True)
class Given:
    """The settings that filters need."""

    service: str
    undeclared: Undeclared = Undeclared.REFUSE
    declares: DeclareMode = DeclareMode.ABSORB


@dataclass
class Chances:
    """Random bytes that count, and a clock that stands still."""

    numbers: count[int] = field(default_factory=lambda: count(1))

    def random_bytes(self, size: int) -> bytes:
        """Never the same twice."""
        return next(self.numbers).to_bytes(size, "big")


@dataclass
class ServiceFilters:
    """The filters beside one service, and what they counted and remember."""

    filters: Filters
    measures: Measures
    replay: Replay

    @property
    def outbound(self) -> OutboundFilter:
        """That of the filters."""
        assert isinstance(self.filters.outbound, OutboundFilter)
        return self.filters.outbound

    def seal(self, *messages: tuple[Publish, ContentHeader, bytes], now: float = NOW) -> list[bytes]:
        """Publish messages in one batch and give their headers; every one has to be let through."""
        decided = self.outbound.decide([whole(*message) for message in messages], now)
        sealable = [one for one in decided if isinstance(one, Sealable)]
        assert len(sealable) == len(messages), decided
        sealed = self.outbound.seal(sealable, now)
        payloads = [payload for payload in sealed if isinstance(payload, bytes)]
        assert len(payloads) == len(messages), sealed
        return payloads

    def seal_carefully(self, *messages: tuple[Publish, ContentHeader, bytes], now: float = NOW) -> list[bytes]:
        """The same, each by itself and none as an ordinary one."""
        approved = []
        for publish, header, body in messages:
            assert self.outbound.admit(publish, header) is None
            one = self.outbound.approve(publish, header, body, now)
            assert isinstance(one, Approved), one
            approved.append(one)
        return [payload for payload in self.outbound.seal(approved, now) if isinstance(payload, bytes)]

    def refusal(self, publish: Publish, header: ContentHeader, body: bytes, now: float = NOW) -> Refusal:
        """Why a message is refused, which it has to be; at its header or later is the same."""
        (verdict,) = self.outbound.decide([whole(publish, header, body)], now)
        at_header = self.outbound.admit(publish, header)
        assert at_header is None or at_header == verdict
        if isinstance(verdict, Sealable):
            assert at_header is None
            (sealed,) = self.outbound.seal([verdict], now)
            assert isinstance(sealed, Refusal), sealed
            return sealed
        assert isinstance(verdict, Refusal), verdict
        return verdict

    def examine(self, delivery: Delivery, now: float = NOW) -> Examined:
        """The verdict on a delivery; what is proven as an ordinary one has the same."""
        (proven,) = self.filters.inbound.prove([arrived(delivery)], now)
        verdict = self.filters.inbound.examine(delivery, now)
        assert proven is None or isinstance(verdict, Repeated | Held) or verdict == proven.shown, (proven, verdict)
        return verdict

    def shown(self, delivery: Delivery, now: float = NOW) -> Shown:
        """The delivery as the service sees it, which it has to."""
        verdict = self.examine(delivery, now)
        assert isinstance(verdict, Shown), verdict
        return verdict

    def failed(self, delivery: Delivery, now: float = NOW) -> Failed:
        """Why it goes to the dead letters, which it has to, at once or after the hold."""
        verdict = self.examine(delivery, now)
        if isinstance(verdict, Held):
            verdict = verdict.over
        assert isinstance(verdict, Failed), verdict
        return verdict


def keys_of(owner: str | None, model: Topology | None = None) -> KeySet:
    """The keys of a topology's services of `replay` and `move`, with the private one of an owner."""
    services = (topology() if model is None else model).services
    public = [public_key(signing_key(service)) for service in services]
    public.append(public_key(signing_key("replay"), Role.REPLAY))
    public.append(public_key(signing_key("move"), Role.MOVE))
    signing = () if owner is None else (signing_key(owner),)
    return KeySet(owner, MappingProxyType({key.kid: key for key in public}), signing)


def agent(
    service: str = "strategy",
    *,
    model: Topology | None = None,
    keys: KeySet | None = None,
    without_keys: bool = False,
    undeclared: Undeclared = Undeclared.REFUSE,
    declares: DeclareMode = DeclareMode.ABSORB,
    replay: Replay | None = None,
    sent: SentKeys | None = None,
    keeping_up: KeepingUp | None = None,
    upstream_frame_max: int = 131_072,
) -> ServiceFilters:
    """The filters beside a service of a topology, Letrade's own by default."""
    model = topology() if model is None else model
    measures, memory = Measures(), Replay() if replay is None else replay
    filters = build_filters(
        model,
        None if without_keys else keys or keys_of(service, model),
        Given(service, undeclared, declares),
        memory,
        measures,
        Limits(upstream=UpstreamLimits(frame_max_bytes=upstream_frame_max)),
        Chance(Chances().random_bytes, lambda: 0.0),
        sent,
        keeping_up,
    )
    return ServiceFilters(filters, measures, memory)


def envelope(payload: object = None, **changes: Any) -> bytes:
    """A body: an envelope of `strategy` with a trade, but for what is changed; None leaves a member out."""
    members: dict[str, Any] = {
        "message_id": MESSAGE_ID,
        "timestamp": TIMESTAMP,
        "source": "strategy",
        "payload": TRADE if payload is None else payload,
    }
    members.update(changes)
    return json.dumps({name: value for name, value in members.items() if value is not None}).encode()


def header(
    body: bytes = b"",
    table: Sequence[Entry] | None = None,
    *,
    timestamp: int | None = None,
    priority: int | None = None,
    size: int | None = None,
    **short: bytes,
) -> ContentHeader:
    """A content header with these properties and no others."""
    empty = ContentHeader.parse(struct.pack(">HHQH", 60, 0, len(body) if size is None else size, 0))
    encoded = None if table is None else HeaderTable(tuple(table)).encode()
    return ContentHeader.parse(empty.rewrite(encoded, timestamp=timestamp, priority=priority, replace=dict(short)))


def whole(one: Publish, header: ContentHeader, body: bytes) -> Whole:
    """A publish as it stands on the wire."""
    names = b"".join(bytes((len(name),)) + name for name in (one.exchange, one.routing_key))
    bits = bytes((one.mandatory | one.immediate << 1,))
    return struct.pack(">HHH", 60, 40, 0) + names + bits, header.payload, body


def publish(exchange: bytes = COMMANDS, routing_key: bytes = EXECUTE) -> Publish:
    """A basic.publish."""
    return Publish(exchange, routing_key, mandatory=False, immediate=False)


def trade(body: bytes | None = None, table: Sequence[Entry] | None = None) -> tuple[Publish, ContentHeader, bytes]:
    """A trade command, as strategy's client writes it."""
    body = envelope() if body is None else body
    return publish(), header(body, table, content_type=b"application/json"), body


def delivery(
    payload: bytes,
    body: bytes | None = None,
    *,
    queue: str = QUEUE,
    exchange: bytes = COMMANDS,
    routing_key: bytes = EXECUTE,
) -> Delivery:
    """What the broker delivers of a message whose header was sealed."""
    body = envelope() if body is None else body
    return Delivery(queue, exchange, routing_key, False, ContentHeader.parse(payload), body)


def arrived(one: Delivery) -> Arrived:
    """A delivery as it stands on the wire."""
    names = b"".join(bytes((len(name),)) + name for name in (one.exchange, one.routing_key))
    return one.queue, names, one.header.payload, one.body


def signed_trade(body: bytes | None = None, now: float = NOW) -> Delivery:
    """A trade of strategy, sealed by its agent, as it arrives."""
    message = trade(body)
    return delivery(agent().seal(message, now=now)[0], message[2])


def with_entries(arrived: Delivery, *entries: Entry, without: Sequence[bytes] = ()) -> Delivery:
    """The delivery with headers taken away and others added."""
    table = (arrived.header.headers or HeaderTable()).without(lambda name: name in without).with_entries(*entries)
    return arrived._replace(header=ContentHeader.parse(arrived.header.rewrite(table.encode())))


def with_properties(arrived: Delivery, **short: bytes | None) -> Delivery:
    """The delivery with other properties."""
    return arrived._replace(header=ContentHeader.parse(arrived.header.rewrite(replace=short)))


def text_of(arrived: ContentHeader, name: bytes) -> bytes:
    """The long string in a header."""
    table = arrived.headers
    assert table is not None
    (value,) = table.values(name)
    assert value[:1] == b"S"
    return value[5:]


def names_of(payload: bytes) -> list[bytes]:
    """The header names of a content header payload, in their order."""
    table = ContentHeader.parse(payload).headers
    return [] if table is None else list(table)


text_entry, number_entry = long_string_entry, integer_entry
