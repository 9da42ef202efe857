"""Ordinary messages: the quick way lets through only what the careful way lets through, with the same bytes."""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from hypothesis import event, given
from hypothesis import strategies as st
from letrade_agent.filters.decisions import Approved, Decision, Refusal, Sealable, ToStore, Whole
from letrade_agent.filters.ordinary import Ordinary
from letrade_agent.filters.outbound import OutboundFilter
from letrade_agent.filters.verdicts import Delivery, Repeated, Shown

from letrade_topo.amqp.faults import AmqpFault
from letrade_topo.amqp.header_table import (
    EMPTY_ENCODED,
    Entry,
    append_entries,
    integer_entry,
    long_string_entry,
    take_entries,
)
from letrade_topo.amqp.properties import ContentHeader
from letrade_topo.model.messages import EnvelopeMode, Priority
from letrade_topo.model.topology import Topology
from tests.agent.filters.world import (
    COMMANDS,
    EXECUTE,
    MESSAGE_ID,
    TIMESTAMP,
    TIMESTAMP_SECONDS,
    TRADE,
    ServiceFilters,
    agent,
    arrived,
    delivery,
    envelope,
    header,
    publish,
    text_entry,
    topology,
    trade,
    whole,
    with_entries,
    with_properties,
)
from tests.keys.world import NOW

_ENTRIES: st.SearchStrategy[Entry] = st.sampled_from(
    [
        long_string_entry(b"mine", b"value"),
        integer_entry(b"count", 7),
        long_string_entry(b"letrade-jws", b"forged"),
        integer_entry(b"x-delivery-count", 3),
        integer_entry(b"x-deathly", 1),
        long_string_entry(b"CC", b"elsewhere"),
        (b"broken", b"\x06broken?"),
    ]
)
_TEXTS = st.sampled_from([b"", b"x", b"application/json", b"application/vnd.letrade.claim+json"])


@st.composite
def headers(draw: st.DrawFn, body: bytes) -> ContentHeader:
    """Properties as clients send them, right and wrong ones."""
    short: dict[str, Any] = {}
    for name in ("content_type", "content_encoding", "correlation_id", "reply_to", "expiration", "type"):
        if draw(st.integers(0, 3)) == 0:
            short[name] = draw(_TEXTS)
    if draw(st.booleans()):
        short["message_id"] = draw(st.sampled_from([MESSAGE_ID.encode()] * 3 + [b"", b"another"]))
    if draw(st.booleans()):
        short["app_id"] = draw(st.sampled_from([b"strategy", b"strategy", b"core_engine"]))
    timestamp = draw(st.sampled_from([None, TIMESTAMP_SECONDS, TIMESTAMP_SECONDS + 1, TIMESTAMP_SECONDS - 5]))
    table = draw(st.none() | st.lists(_ENTRIES, max_size=3))
    return header(body, table, timestamp=timestamp, priority=draw(st.sampled_from([None, 0, 7])), **short)


_CHANGES: st.SearchStrategy[dict[str, Any]] = st.sampled_from(
    [
        {},
        {},
        {},
        {"source": "core_engine"},
        {"source": 1},
        {"message_id": "no uuid"},
        {"message_id": MESSAGE_ID.upper()},
        {"timestamp": "2025-06-15 15:06:40z"},
        {"timestamp": "yesterday"},
        {"timestamp": 7},
        {"encrypted": {}},
        {"more": 1},
        {"payload": TRADE | {"side": "hold"}},
        {"payload": TRADE | {"amount": 10**400}},
        {"payload": []},
        {"message_id": None},
        {"source": None},
        {"message_id": None, "source": None, "timestamp": None},
        {"payload": TRADE | {"deep": json.loads("[" * 70 + "]" * 70)}},
    ]
)
_BODIES = st.one_of(
    _CHANGES.map(lambda changes: envelope(**changes)),
    st.sampled_from([b"", b"[]", b"{}", b"\xff", b'{"a": 1, "a": 2}', b'{"n": 1e999}', b'{"x": "\\ud800"}']),
    _CHANGES.map(lambda changes: envelope(**changes).replace(b"0.01", b"1e999")),
)


@st.composite
def publishes(draw: st.DrawFn) -> Whole:
    """A publish, mostly right."""
    body = draw(_BODIES)
    own = draw(headers(body))
    exchange, key = draw(
        st.sampled_from([(COMMANDS, EXECUTE)] * 4 + [(COMMANDS, b"commands.cancel_order"), (b"elsewhere", b"k")])
    )
    return whole(publish(exchange, key), own, body)


def urgent() -> Topology:
    """Letrade's own, once with a priority and once without."""
    shipped = topology()
    name = "commands.cancel_order"
    return replace(
        shipped, messages={**shipped.messages, name: replace(shipped.messages[name], priority=Priority.NORMAL)}
    )


def _carefully(outbound: OutboundFilter, one: Whole) -> Decision:
    return outbound._carefully(one, NOW)


def _sealed(by: ServiceFilters, decision: Decision) -> tuple[bytes, bytes, str]:
    assert isinstance(decision, Sealable), decision
    (payload,) = agent(model=urgent()).outbound.seal([decision], NOW)  # a fresh one: the same token id
    assert isinstance(payload, bytes)
    return payload, decision.body, decision.destination


def _of_one_id(mode: EnvelopeMode) -> ServiceFilters:
    """Beside a service of which this is said; every new message id is the same."""
    model = urgent()
    service = replace(model.services["strategy"], envelope=mode)
    by = agent(model=replace(model, services={**model.services, "strategy": service}))
    by.outbound._signing = replace(by.outbound._signing, random_bytes=bytes)
    return by


@given(st.sampled_from(EnvelopeMode), st.lists(publishes(), min_size=1, max_size=6))
def test_quick_and_careful_are_one(mode: EnvelopeMode, batch: list[Whole]) -> None:
    """Whatever is decided in a batch is decided as by itself the careful way, to the byte."""
    by, alone = _of_one_id(mode), _of_one_id(mode)

    decided = by.outbound.decide(batch, NOW)

    for one, decision in zip(batch, decided, strict=True):
        expected = _carefully(alone.outbound, one)
        match decision:
            case Ordinary() | Approved():
                assert _sealed_claims(by, decision) == _sealed_claims(by, expected)
            case AmqpFault():
                assert isinstance(expected, AmqpFault)
                assert str(decision) == str(expected)
            case Refusal() | ToStore():
                assert decision == expected
    assert by.measures.warned == alone.measures.warned
    assert by.measures.unverified == alone.measures.unverified
    assert by.measures.differing == alone.measures.differing


def _sealed_claims(by: ServiceFilters, decision: Decision) -> tuple[bytes, bytes, str]:
    """The header with its token cut out: ES256 signs the same twice with different bytes."""
    payload, body, destination = _sealed(by, decision)
    start = payload.find(b"letrade-jws")
    if start < 0:
        return payload, body, destination
    size = int.from_bytes(payload[start + 12 : start + 16], "big")
    jws = payload[start + 16 : start + 16 + size]
    signed = jws.rpartition(b".")[0]
    return payload[:start] + signed + payload[start + 16 + size :], body, destination


def test_most_is_ordinary() -> None:
    """What clients usually send goes the quick way, or the two would not be worth it."""
    outbound = agent().outbound
    usual = [
        whole(*trade()),
        whole(*trade(table=[long_string_entry(b"traceparent", b"00-1-2-3")])),
        whole(publish(), header(envelope(), message_id=MESSAGE_ID.encode(), timestamp=TIMESTAMP_SECONDS), envelope()),
        whole(publish(), header(envelope(), app_id=b"strategy", priority=3), envelope()),
        whole(publish(), header(envelope(), message_id=b"a library's own", timestamp=0), envelope()),
    ]

    assert TIMESTAMP.encode() in usual[0][2]
    for _ in range(2):  # from what is kept, too
        assert all(isinstance(one, Ordinary) for one in outbound.decide(usual, NOW))


# Deliveries


_Order = Callable[[list[Entry]], list[Entry]]
_ORDERS: tuple[_Order, ...] = (list, sorted, lambda entries: entries[::-1])


def _in_order(one: Delivery, order: _Order) -> Delivery:
    """With the entries of its headers table in another order."""
    table = one.header.encoded_headers
    assert table is not None
    entries, _ = take_entries(table, (b"",))
    rewritten = one.header.rewrite(append_entries(EMPTY_ENCODED, *order(entries)))
    return one._replace(header=ContentHeader.parse(rewritten))


def _changed(draw: Callable[..., Any], one: Delivery) -> Delivery:
    """A delivery that something has happened to on its way, or nothing."""
    match draw(st.integers(0, 14)):
        case 0:
            at = draw(st.integers(0, len(one.header.payload) - 1))
            payload = bytearray(one.header.payload)
            payload[at] ^= draw(st.integers(1, 255))
            try:
                return one._replace(header=ContentHeader.parse(bytes(payload)))
            except AmqpFault:
                return one
        case 1:
            at = draw(st.integers(0, len(one.body) - 1))
            return one._replace(body=one.body[:at] + b"x" + one.body[at + 1 :])
        case 2:
            return one._replace(routing_key=b"commands.cancel_order")
        case 3:
            return one._replace(
                queue=draw(st.sampled_from(["capital_manager.trade_executed", "exchange_connector.reply.1"]))
            )
        case 4:
            return with_entries(one, draw(_ENTRIES))
        case 5:
            name = draw(st.sampled_from([b"letrade-jws", b"letrade-proof", b"letrade-to", b"letrade-added"]))
            return with_entries(one, without=[name])
        case 6:
            return with_entries(one, text_entry(b"letrade-proof", b"0."), without=[b"letrade-proof"])
        case 7:
            name = draw(st.sampled_from(["message_id", "app_id", "type", "correlation_id", "content_type"]))
            return with_properties(one, **{name: draw(st.sampled_from([None, b"", b"other", b"strategy"]))})
        case 8:
            return with_entries(one, text_entry(b"letrade-hop", b"a.b.c"))
        case 9:
            return _in_order(one, lambda entries: draw(st.permutations(entries)))
        case _:
            return one


@given(st.data(), st.sampled_from([NOW, NOW + 61, NOW - 30]))
def test_what_is_proven_the_careful_way_shows(data: st.DataObject, now: int) -> None:
    """Any deliveries of any batches, altered anyhow: proven are only those that are shown, to the same bytes."""
    sent = [
        (publish(), data.draw(headers(body)), body)
        for body in data.draw(st.lists(st.just(envelope()), min_size=1, max_size=6))
    ]
    sent = [message for message in sent if isinstance(agent().outbound._carefully(whole(*message), NOW), Approved)]
    payloads = agent().seal(*sent) if sent else []
    deliveries = [
        _changed(data.draw, delivery(payload, body)) for payload, (_, _, body) in zip(payloads, sent, strict=True)
    ]
    quick, careful = agent("exchange_connector"), agent("exchange_connector")

    proofs = quick.filters.inbound.prove([arrived(one) for one in deliveries], now)

    for one, proven in zip(deliveries, proofs, strict=True):
        if proven is not None:
            verdict = careful.filters.inbound.examine(one, now)
            assert verdict == proven.shown or isinstance(verdict, Repeated)
            event("proven")


def test_most_deliveries_are_ordinary() -> None:
    """What agents send goes the quick way, alone and in batches, with and without headers of the client's own.

    In whichever order a broker has put the headers: RabbitMQ 4 sorts them.
    """
    sent = [
        trade(),
        trade(table=[long_string_entry(b"traceparent", b"00-1-2-3"), long_string_entry(b"a", b"before")]),
        trade(envelope(TRADE | {"n": 1})),
    ]
    for batch, order in itertools.product((sent, sent[:1]), _ORDERS):
        by = agent("exchange_connector")
        deliveries = [
            _in_order(delivery(payload, one[2]), order)
            for payload, one in zip(agent().seal(*batch), batch, strict=True)
        ]
        proofs = by.filters.inbound.prove([arrived(one) for one in deliveries], NOW)
        for one, proven in zip(deliveries, proofs, strict=True):
            assert proven is not None
            assert by.filters.inbound.accept(proven, NOW) == proven.shown
            assert by.filters.inbound.accept(proven, NOW) is None, "a repeat is examined"
            assert isinstance(agent("exchange_connector").examine(one), Shown)
