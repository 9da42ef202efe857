"""What a client may publish, what it is told otherwise, and what is sent of it."""

from __future__ import annotations

import json
from dataclasses import replace
from types import MappingProxyType
from typing import Any

import pytest
from letrade_agent.config import Undeclared
from letrade_agent.filters.decisions import Approved, Refusal

from letrade_topo.amqp.faults import AmqpFault, ReplyCode
from letrade_topo.amqp.header_table import HeaderTable
from letrade_topo.amqp.properties import ContentHeader
from letrade_topo.keys import base64url
from letrade_topo.keys.jwk import Validity
from letrade_topo.keys.keyset import KeySet
from letrade_topo.model.topology import Topology
from tests.agent.filters.world import (
    COMMANDS,
    EXECUTE,
    MESSAGE_ID,
    TIMESTAMP_SECONDS,
    TRADE,
    agent,
    envelope,
    header,
    keys_of,
    names_of,
    number_entry,
    publish,
    text_entry,
    text_of,
    trade,
)
from tests.keys.world import NOW, public_key, signing_key, topology
from tests.topologies import loaded, orders

LIMIT = 131_072


def modes(mode: str) -> Topology:
    """A shop and a clerk; the exchange is judged by this mode, and its payloads need a number."""
    schema = {"type": "object", "required": ["number"]}
    messages = {
        "order.placed": {"exchange": "orders", "lifetime": "60s", "schema": schema},
        "order.seen": {"exchange": "orders", "lifetime": "60s"},
    }
    services = {
        "shop": {"user": "shop", "publishes": ["order.placed"], "consumes": ["order.seen"]},
        "clerk": {"user": "clerk", "publishes": ["order.seen"], "consumes": ["order.placed"]},
    }
    queues = {
        "clerk.orders": {"service": "clerk", "messages": ["order.placed"]},
        "shop.seen": {"service": "shop", "messages": ["order.seen"]},
    }
    return loaded(orders(exchanges={"orders": {"mode": mode}}, messages=messages, services=services, queues=queues))


def test_a_signed_message_has_its_token_and_its_envelope_as_properties() -> None:
    """token.md: the headers; decisions: message_id, timestamp, app_id are added where the client set none."""
    (payload,) = agent().seal(trade())
    sent = ContentHeader.parse(payload)
    assert text_of(sent, b"letrade-jws").count(b".") == 2
    assert text_of(sent, b"letrade-to") == base64url.encode(COMMANDS) + b"." + base64url.encode(EXECUTE)
    assert (sent.message_id, sent.timestamp, sent.app_id) == (MESSAGE_ID.encode(), TIMESTAMP_SECONDS, b"strategy")
    assert sent.content_type == b"application/json"
    assert sent.priority == 5
    assert sent.body_size == len(envelope())
    assert names_of(payload) == [b"letrade-added", b"letrade-jws", b"letrade-to"]


def test_nothing_is_noted_where_nothing_but_headers_was_added() -> None:
    """A client that sets every property and has a headers table pays no further header."""
    body = envelope()
    whole = header(
        body,
        [text_entry(b"a", b"b")],
        timestamp=TIMESTAMP_SECONDS,
        message_id=MESSAGE_ID.encode(),
        app_id=b"strategy",
        priority=5,
    )
    (payload,) = agent().seal((publish(), whole, body))
    assert names_of(payload) == [b"a", b"letrade-jws", b"letrade-to"]


def test_a_clients_own_properties_are_never_rewritten() -> None:
    """Decisions: one that differs from the envelope in spelling that means the same stays as it is."""
    body = envelope()
    own = header(body, timestamp=TIMESTAMP_SECONDS + 1, priority=1)
    sent = ContentHeader.parse(agent().seal((publish(), own, body))[0])
    assert (sent.timestamp, sent.priority) == (TIMESTAMP_SECONDS + 1, 1)


def test_only_urgent_types_have_a_priority() -> None:
    """`priority: high` sets it, for clients that know nothing of it."""
    key = b"request.market_data"
    body = envelope(payload={"symbol": "BTC/USDT", "timeframe": "1m", "limit": 100, "request_id": "req_001"})
    (payload,) = agent().seal((publish(b"letrade.requests", key), header(body), body))
    assert ContentHeader.parse(payload).priority is None


def test_one_signature_covers_a_batch() -> None:
    """Messages that wait together share a token; each has a proof of its place, a single one has none."""
    bodies = [envelope(message_id=f"0b7c1f9e-5b0e-4c57-9d5e-0f0d1c2b3a4{n}") for n in range(5)]
    payloads = agent().seal(*[trade(body) for body in bodies])
    sent = [ContentHeader.parse(payload) for payload in payloads]
    assert len({text_of(one, b"letrade-jws") for one in sent}) == 1
    assert [text_of(one, b"letrade-proof").split(b".")[0] for one in sent] == [b"0", b"1", b"2", b"3", b"4"]
    (single,) = agent().seal(trade())
    assert b"letrade-proof" not in names_of(single)


def test_more_than_1024_messages_take_a_second_signature() -> None:
    """token.md: n is at most 1024."""
    payloads = agent().seal(*[trade() for _ in range(1025)])
    tokens = [text_of(ContentHeader.parse(payload), b"letrade-jws") for payload in payloads]
    assert len(set(tokens[:1024])) == 1
    assert tokens[1024] != tokens[0]
    assert b"letrade-proof" not in names_of(payloads[1024])


def test_signed_and_unsigned_messages_of_one_batch_keep_their_order() -> None:
    """A read may hold both; what is not judged goes as it came, between the others."""
    one = agent(undeclared=Undeclared.PASS)
    foreign = (publish(b"elsewhere", b"k"), header(b"x", [text_entry(b"h", b"v")]), b"x")
    payloads = one.seal(trade(), foreign, trade())
    assert [b"letrade-jws" in names_of(payload) for payload in payloads] == [True, False, True]
    assert payloads[1] == foreign[1].payload
    assert one.measures.unverified == {("publish", "undeclared"): 1}


@pytest.mark.parametrize("size", [LIMIT + 1, 2**40])
def test_size_is_judged_at_the_header(size: int) -> None:
    """C9: the broker's own words, with both sizes, before a byte of the body is there."""
    refusal = agent().outbound.admit(publish(), header(size=size))
    assert refusal == Refusal(
        ReplyCode.PRECONDITION_FAILED,
        "oversize",
        f"message size {size} is larger than configured max size {LIMIT}",
        "letrade.commands",
    )


def test_the_largest_size_is_let_through() -> None:
    """128 KiB are allowed, not less."""
    assert agent().outbound.admit(publish(), header(size=LIMIT)) is None


@pytest.mark.parametrize("mode", ["enforce", "warn", "off"])
def test_the_size_limit_holds_in_every_mode(mode: str) -> None:
    """S3: the mode governs every filter but this one."""
    shop = agent("shop", model=modes(mode))
    refusal = shop.outbound.admit(publish(b"orders", b"order.placed"), header(size=LIMIT + 1))
    assert refusal is not None
    assert refusal.reason == "oversize"


def test_the_size_limit_holds_for_what_is_not_declared() -> None:
    """Adoption step by step does not lift it."""
    one = agent(undeclared=Undeclared.PASS)
    refusal = one.outbound.admit(publish(b"elsewhere", b"k"), header(size=LIMIT + 1))
    assert refusal is not None
    assert refusal.reason == "oversize"


@pytest.mark.parametrize(
    ("exchange", "key", "code", "reason", "words"),
    [
        (b"letrade.commands", b"commands.unheard_of", 403, "undeclared", "no message type has this key"),
        (b"letrade.commands", b"execute_trade", 403, "undeclared", "did you mean 'commands.execute_trade'?"),
        (b"letrade.events", b"events.error", 403, "not_allowed", "strategy does not publish events.error"),
        (b"letrade.dlq", b"commands.execute_trade.dead", 403, "not_allowed", "only agents publish there"),
        (b"letrade.retry", b"strategy.error.rejected", 403, "not_allowed", "only agents publish there"),
        (b"elsewhere", b"k", 404, "undeclared", "no exchange 'elsewhere' in vhost 'letrade'"),
        (b"", b"exchange_connector.execute_trade", 403, "undeclared", "access to exchange 'amq.default'"),
        (b"", b"amq.rabbitmq.reply-to.x", 403, "undeclared", "access to exchange 'amq.default'"),
        (b"\xff\x00", b"\xfe", 404, "undeclared", "no exchange"),
    ],
)
def test_only_what_the_service_may_publish(exchange: bytes, key: bytes, code: int, reason: str, words: str) -> None:
    """S6: the agent signs nothing else; the refusal is RabbitMQ's, with the reason in words."""
    body = envelope()
    refusal = agent().refusal(publish(exchange, key), header(body), body)
    assert (refusal.code, refusal.reason) == (code, reason)
    assert words in refusal.text


@pytest.mark.parametrize("exchange", [b"letrade.dlq", b"letrade.retry"])
def test_exchanges_of_retries_are_the_agents_own_even_in_adoption(exchange: bytes) -> None:
    """`undeclared: pass` opens what the topology does not know; these it knows."""
    refusal = agent(undeclared=Undeclared.PASS).outbound.admit(publish(exchange, b"k.dead"), header())
    assert refusal is not None
    assert refusal.code == ReplyCode.ACCESS_REFUSED


def test_a_long_name_leaves_room_for_the_reason() -> None:
    """A reply text has 255 bytes."""
    refusal = agent().outbound.admit(publish(COMMANDS, b"k" * 255), header())
    assert refusal is not None
    assert "no message type has this key" in AmqpFault(refusal.code, refusal.text).reply_text.decode()


@pytest.mark.parametrize("name", [b"CC", b"BCC"])
def test_copies_are_refused(name: bytes) -> None:
    """token.md: a copy would reach a queue under the original key (row 42)."""
    refusal = agent().refusal(*trade(table=[text_entry(name, b"")]))
    assert (refusal.code, refusal.reason) == (ReplyCode.ACCESS_REFUSED, "copies")


@pytest.mark.parametrize("name", [b"CC", b"BCC"])
def test_copies_of_what_is_not_judged_are_the_clients_affair(name: bytes) -> None:
    """The mode governs this check too, and so does adoption."""
    table = [text_entry(name, b"x")]
    shop = agent("shop", model=modes("off"))
    for one, place in ((shop, publish(b"orders", b"k")), (agent(undeclared=Undeclared.PASS), publish(b"e", b"k"))):
        (payload,) = one.seal((place, header(b"x", table), b"x"))
        assert names_of(payload) == [name]


def test_a_header_that_only_looks_like_a_copy_is_none() -> None:
    """`CC` somewhere in a name or a value means nothing."""
    (payload,) = agent().seal(trade(table=[text_entry(b"xCCx", b"BCC CC")]))
    assert b"xCCx" in names_of(payload)


@pytest.mark.parametrize(
    ("body", "reason", "words"),
    [
        (b"", "envelope", "not JSON"),
        (b"\xff", "envelope", "not UTF-8"),
        (b"[]", "envelope", "a list"),
        (envelope(source="core_engine"), "envelope", "'core_engine' is not 'strategy', this service"),
        (envelope(message_id=None), "envelope", "no message_id"),
        (envelope(message_id="1"), "envelope", "not a UUID"),
        (envelope(timestamp="yesterday"), "envelope", "not RFC 3339"),
        (b'{"message_id": 1, "message_id": 1}', "envelope", "members 1 and 2 of an object in it have the same name"),
        (envelope({**TRADE, "side": "hold"}), "schema", "/side has to be one of 'buy', 'sell', and is 'hold'"),
        (envelope({"strategy_id": 1}), "schema", "has to have 'symbol'"),
    ],
)
def test_a_wrong_body_is_refused_with_what_is_wrong(body: bytes, reason: str, words: str) -> None:
    """A pointer and what was expected, in words."""
    refusal = agent().refusal(*trade(body))
    assert (refusal.code, refusal.reason) == (ReplyCode.PRECONDITION_FAILED, reason)
    assert words in refusal.text


def test_values_of_sensitive_fields_are_in_no_text() -> None:
    """C16: `amount` is sensitive."""
    refusal = agent(model=topology()).refusal(*trade(envelope({**TRADE, "amount": -98765.4321})))
    assert refusal.reason == "schema"
    assert "/amount has to be greater than 0 (its value is sensitive)" in refusal.text
    assert "98765" not in refusal.text


def test_another_app_id_than_the_source_is_refused() -> None:
    """Who sent it is one and the same thing in both."""
    assert agent().refusal(publish(), header(envelope(), app_id=b"core_engine"), envelope()).reason == "envelope"


@pytest.mark.parametrize(
    "impact",
    [
        '{"a1b2": 1, "S3CRET": 1, "S3CRET": 2}',
        '{"S3CRET": {"S3CRET": 1}}',
        '["S3CRET"]',
        '{"position_size_percent": "S3CRET", "S3CRET": 1}',
        '"S3CRET\\ud800"',
        '{"S3CRET": S3CRET}',
    ],
)
def test_names_within_a_sensitive_object_are_in_no_text(impact: str) -> None:
    """Not those that occur twice either, nor those of what is no JSON."""
    start = envelope({"request_id": "1"}, source="capital_manager").removesuffix(b"}}")
    body = start + b', "portfolio_impact": ' + impact.encode() + b"}}"
    place = publish(b"letrade.requests", b"response.capital.allocation")
    refusal = agent("capital_manager", model=topology()).refusal(place, header(body), body)
    assert "S3CRET" not in refusal.text


@pytest.mark.parametrize(
    ("properties", "differing"),
    [
        ({"message_id": b"3e1cd0fe4b1c4f6e8d2a3c4b5d6e7f80"}, {"message_id"}),
        ({"message_id": b""}, {"message_id"}),
        ({"timestamp": TIMESTAMP_SECONDS - 3600}, {"timestamp"}),
        ({"message_id": b"\xff", "timestamp": 0}, {"message_id", "timestamp"}),
    ],
)
def test_ids_and_times_of_a_library_pass_as_they_are(properties: dict[str, Any], differing: set[str]) -> None:
    """aio-pika writes a random id on every message: it is never rewritten, and counted."""
    by = agent()
    own = header(envelope(), **properties)

    (payload,) = by.seal((publish(), own, envelope()))

    sent = ContentHeader.parse(payload)
    assert {name: getattr(sent, name) for name in properties} == properties
    assert by.measures.differing == {("publish", name): 1 for name in differing}
    assert by.outbound.restore(sent, envelope()) == (own.payload, envelope())


def test_reserved_headers_of_a_client_are_stripped_and_others_stay_byte_for_byte() -> None:
    """S4: forged control headers never reach the broker; unusual ones that are the client's do, unchanged."""
    mine = (b"d", b"\x01dd" + b"\x40\x09\x21\xfb\x54\x44\x2d\x18")
    forged = [
        text_entry(b"letrade-jws", b"forged"),
        text_entry(b"letrade-attempt", b"3"),
        number_entry(b"x-delivery-count", 7),
        number_entry(b"x-acquired-count", 7),
        text_entry(b"x-death", b""),
        text_entry(b"x-first-death-queue", b"q"),
        number_entry(b"letrade-added", 15),
    ]
    similar = text_entry(b"x-deathly", b"hallows")
    (payload,) = agent().seal(trade(table=[forged[0], mine, *forged[1:], similar]))
    assert names_of(payload) == [b"d", b"x-deathly", b"letrade-added", b"letrade-jws", b"letrade-to"]
    assert text_of(ContentHeader.parse(payload), b"letrade-jws") != b"forged"
    assert HeaderTable((mine, similar)).encode()[4:] in payload


def test_a_malformed_headers_table_is_the_clients_fault() -> None:
    """The broker would close the connection; the agent does not let it come to that."""
    whole = header(b"", [text_entry(b"a", b"b")])
    assert whole.encoded_headers is not None
    broken = ContentHeader.parse(whole.rewrite(whole.encoded_headers[:-1] + b"!!"[:1]).replace(b"\x01aS", b"\x01a?"))
    with pytest.raises(AmqpFault, match="SYNTAX_ERROR"):
        agent().outbound.approve(publish(), broken, envelope(), NOW)


@pytest.mark.parametrize("keys", [None, "public", "foreign"])
def test_without_a_key_of_its_own_nothing_is_signed(keys: str | None) -> None:
    """Fail closed: no folder, no private key, another service's private key: all the same refusal."""
    given: KeySet | None = None
    if keys is not None:
        given = keys_of(None if keys == "public" else "core_engine")
    one = agent(keys=given, without_keys=keys is None)
    refusal = one.refusal(*trade())
    assert (refusal.code, refusal.reason) == (ReplyCode.PRECONDITION_FAILED, "no_key")


def test_a_header_that_no_longer_fits_a_frame_is_refused() -> None:
    """Facts: the broker enforces frame_max for content headers, and closes the connection."""
    small = agent(upstream_frame_max=4096)
    message = trade(table=[text_entry(b"big", b"x" * 3800)])
    assert small.refusal(*message).reason == "frame_size"
    fitting = trade(table=[text_entry(b"big", b"x" * 3000)])
    (payload,) = small.seal(fitting)
    exact = len(payload) + 8
    assert agent(upstream_frame_max=exact).seal(fitting)
    assert agent(upstream_frame_max=exact - 1).refusal(*fitting).reason == "frame_size"
    assert agent(upstream_frame_max=0).seal(trade(table=[text_entry(b"big", b"x" * 200_000)]))


def test_warn_forwards_and_counts_what_would_have_been_refused() -> None:
    """S3: for migration; what can be signed is."""
    shop = agent("shop", model=modes("warn"))
    orders_placed = publish(b"orders", b"order.placed")
    for body in (b"no envelope", envelope({}, source="shop")):
        (payload,) = shop.seal((orders_placed, header(body), body))
        assert b"letrade-jws" in names_of(payload)
    (bare,) = shop.seal((orders_placed, header(b"x", [text_entry(b"mine", b"")]), b"x"))
    assert names_of(bare) == [b"mine", b"letrade-jws", b"letrade-to"], "nothing is added to what is no envelope"
    for key in (b"order.seen", b"unheard.of"):
        (payload,) = shop.seal((publish(b"orders", key), header(b"x"), b"x"))
        assert payload == header(b"x").payload
    shop.seal((orders_placed, header(envelope({"number": 1}, source="shop"), [text_entry(b"CC", b"")]), b"x"))
    assert shop.measures.warned == {
        ("publish", "envelope"): 3,
        ("publish", "schema"): 1,
        ("publish", "not_allowed"): 1,
        ("publish", "undeclared"): 1,
        ("publish", "copies"): 1,
    }


def test_warn_without_a_key_forwards_unsigned() -> None:
    """The migration begins before keys are there."""
    shop = agent("shop", model=modes("warn"), without_keys=True)
    body = envelope({"number": 1}, source="shop")
    (payload,) = shop.seal((publish(b"orders", b"order.placed"), header(body), body))
    assert payload == header(body).payload
    assert shop.measures.warned == {("publish", "no_key"): 1}


def test_off_forwards_as_it_came_but_for_reserved_headers() -> None:
    """Not judged, not signed; forged control headers are stripped all the same."""
    shop = agent("shop", model=modes("off"))
    (plain, stripped) = shop.seal(
        (publish(b"orders", b"any.key"), header(b"x"), b"x"),
        (publish(b"orders", b"order.placed"), header(b"y", [text_entry(b"letrade-jws", b"")]), b"y"),
    )
    assert plain == header(b"x").payload
    assert names_of(stripped) == []
    assert shop.measures.unverified == {("publish", "off"): 2}


def test_labels_are_the_topologys_names() -> None:
    """A8 of metrics: an exchange that is not declared is `_other`."""
    one = agent(undeclared=Undeclared.PASS)
    declared = one.outbound.approve(*trade(), NOW)
    foreign = one.outbound.approve(publish(b"elsewhere", b"k"), header(b"x"), b"x", NOW)
    assert isinstance(declared, Approved)
    assert isinstance(foreign, Approved)
    assert (declared.destination, foreign.destination) == ("letrade.commands", "_other")


def test_direct_replies_are_for_services_that_opted_in() -> None:
    """Through the default exchange, and no further than what the service may answer."""
    services = {
        "shop": {"user": "shop", "consumes": ["order.placed"]},
        "clerk": {"user": "clerk", "publishes": ["order.placed"], "direct_reply_to": True},
    }
    model = loaded(
        orders(services=services, queues=None, messages={"order.placed": {"exchange": "orders", "lifetime": "1s"}})
    )
    clerk = agent("clerk", model=model)
    admit = clerk.outbound.admit
    assert admit(publish(b"", b"amq.rabbitmq.reply-to.abc"), header()) is None
    assert admit(publish(b"", b"shop.reply.1"), header()) is None
    for key in (b"clerk.orders", b"clerk.reply.1", b"amq.rabbitmq.reply-to", b"shop.sub.1"):
        refusal = admit(publish(b"", key), header())
        assert refusal is not None
        assert refusal.code == ReplyCode.ACCESS_REFUSED


def test_a_rotation_takes_no_new_filters() -> None:
    """Which key signs is a question of time: the successor from its activation on, with an identity never used."""
    old = signing_key("strategy")
    new = replace(signing_key("core_engine"), kid="strategy:2", issuer="strategy")
    public = {**keys_of(None).public, new.kid: public_key(new, validity=Validity(0, active_from=NOW + 100))}
    one = agent(keys=KeySet("strategy", MappingProxyType(public), (new, old)))
    tokens = [
        text_of(ContentHeader.parse(one.seal(trade(), now=NOW + late)[0]), b"letrade-jws") for late in (0, 1, 100)
    ]
    kids = [json.loads(base64url.decode(token.split(b".")[0]) or b"")["kid"] for token in tokens]
    assert kids == ["strategy:1", "strategy:1", "strategy:2"]
    ids = {json.loads(base64url.decode(token.split(b".")[1]) or b"")["jti"] for token in tokens}
    assert len(ids) == 3
    assert one.measures.sign_seconds["ES256"].counts[0] == 3
