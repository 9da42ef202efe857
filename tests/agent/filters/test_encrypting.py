"""Sensitive fields on their way: encrypted for those who consume, put back, returned, refused, dead-lettered."""

from __future__ import annotations

import json
import logging
from dataclasses import replace
from types import MappingProxyType
from typing import Any

import pytest
from hypothesis import event, given
from hypothesis import strategies as st
from letrade_agent.filters.contents import Contents
from letrade_agent.filters.decisions import Approved, Refusal, Sealable
from letrade_agent.filters.offline import verify_message
from letrade_agent.filters.ordinary import Ordinary
from letrade_agent.filters.verdicts import Delivery, Failed, Shown

from letrade_topo.amqp.faults import ReplyCode
from letrade_topo.amqp.properties import ContentHeader
from letrade_topo.keys.folder import DEAD_LETTER_OWNER
from letrade_topo.keys.keyset import KeySet
from letrade_topo.messages.decryption import FieldDecryption, Opened, reveal
from letrade_topo.messages.encryption import SentKeys
from letrade_topo.messages.envelope import EnvelopeProperties
from letrade_topo.messages.schema import compile_schemas
from letrade_topo.model.messages import Json
from letrade_topo.model.security import Enforcement
from letrade_topo.model.topology import Topology
from letrade_topo.model.units import ByteSize
from tests.agent.filters.test_offline import document_of
from tests.agent.filters.world import COMMANDS, EXECUTE, QUEUE, ServiceFilters, envelope, header, publish, whole
from tests.agent.filters.world import agent as plain_agent
from tests.agent.filters.world import arrived as arrived_as
from tests.agent.filters.world import keys_of as signing_keys_of
from tests.keys.world import NOW, topology
from tests.messages.texts import PAYLOADS, json_texts
from tests.messages.world import encryption_key, public_half
from tests.topologies import loaded, orders

STRATEGY, CONNECTOR = "strategy", "exchange_connector"
AMOUNT, PRICE = "7654321.125", "98123.0625"
BODY = envelope({"strategy_id": 1, "symbol": "BTC/USDT", "side": "buy", "amount": float(AMOUNT), "price": float(PRICE)})


def keys_of(owner: str | None, model: Topology | None = None, *, without: str = "") -> KeySet:
    """Signing and encryption keys of a topology's services; `without` has no encryption key."""
    model = topology() if model is None else model
    signing = signing_keys_of(owner, model)
    private = {each: encryption_key(each, "enc-1") for each in (*model.services, DEAD_LETTER_OWNER) if each != without}
    public = {key.kid: public_half(key) for key in private.values()}
    own = [private[owner]] if owner in private else []
    return KeySet(owner, MappingProxyType({**signing.public, **public}), signing.signing, {key.kid: key for key in own})


def in_mode(mode: Enforcement, model: Topology | None = None) -> Topology:
    """A topology that is enforced otherwise."""
    model = topology() if model is None else model
    return replace(model, security=replace(model.security, jwt=replace(model.security.jwt, mode=mode)))


def with_types(model: Topology, **changes: Any) -> Topology:
    """A topology all of whose message types are changed."""
    return replace(model, messages={name: replace(each, **changes) for name, each in model.messages.items()})


def agent(
    service: str = STRATEGY, model: Topology | None = None, keys: KeySet | None = None, memory: SentKeys | None = None
) -> ServiceFilters:
    """The filters beside a service of Letrade's own topology, in which five fields of a trade are sensitive."""
    model = topology() if model is None else model
    return plain_agent(service, model=model, keys=keys or keys_of(service, model), sent=memory)


def approved(by: ServiceFilters, message: tuple[Any, ContentHeader, bytes], now: float = NOW) -> Approved:
    """The publish as it may go upstream."""
    found = by.outbound.approve(*message, now)
    assert isinstance(found, Approved), found
    return found


def sent(
    body: bytes = BODY, by: ServiceFilters | None = None, now: float = NOW, own: ContentHeader | None = None
) -> Delivery:
    """A trade command as it arrives."""
    by = agent() if by is None else by
    one = approved(by, (publish(), header(body) if own is None else own, body), now)
    (payload,) = by.outbound.seal([one], now)
    assert isinstance(payload, bytes)
    return Delivery(QUEUE, COMMANDS, EXECUTE, False, ContentHeader.parse(payload), one.body)


def in_a_batch(*bodies: bytes, by: ServiceFilters) -> list[Delivery]:
    """Trade commands of one read as they arrive."""
    decided = by.outbound.decide([whole(publish(), header(body), body) for body in bodies], NOW)
    sealable = [one for one in decided if isinstance(one, Sealable)]
    payloads = [payload for payload in by.outbound.seal(sealable, NOW) if isinstance(payload, bytes)]
    return [
        Delivery(QUEUE, COMMANDS, EXECUTE, False, ContentHeader.parse(payload), one.body)
        for payload, one in zip(payloads, sealable, strict=True)
    ]


# There and back


def test_there_and_back() -> None:
    """The wire holds no value and no digit of one; the service gets the bytes that were published."""
    arrived = sent()

    shown = agent(CONNECTOR).shown(arrived)

    for value in (AMOUNT, PRICE, "7654321", "98123"):
        assert value.encode() not in arrived.body + arrived.header.payload
    assert b'"symbol": "BTC/USDT"' in arrived.body
    assert arrived.header.body_size == len(arrived.body) > len(BODY)
    assert shown.body == BODY
    assert ContentHeader.parse(shown.header).body_size == len(BODY)


@given(st.data())
def test_any_formatting(data: st.DataObject) -> None:
    """However the body is written, and whatever else is in it, it arrives byte for byte."""
    document: Json = json.loads(BODY)
    assert isinstance(document, dict)
    document["more"] = data.draw(PAYLOADS)
    body = data.draw(json_texts(document))

    assert READS.shown(sent(body, WRITES)).body == body
    assert READS.shown(in_a_batch(body, by=WRITES)[0]).body == body


WRITES, READS = agent(), agent(CONNECTOR)


def test_properties_are_added_and_taken_off_as_ever() -> None:
    """Encryption changes nothing of the header but the size."""
    arrived = sent(own=header(BODY, content_type=b"application/json", correlation_id=b"c"))
    shown = ContentHeader.parse(agent(CONNECTOR).shown(arrived).header)

    assert arrived.header.message_id == json.loads(BODY)["message_id"].encode()
    assert (shown.content_type, shown.correlation_id, shown.headers) == (b"application/json", b"c", None)


def test_another_message_id_than_the_envelopes() -> None:
    """What is encrypted is bound to the envelope's, so that a library may write its own on the message."""
    arrived = sent(own=header(BODY, message_id=b"a library's own"))

    assert agent(CONNECTOR).shown(arrived).body == BODY
    other = json.loads(BODY)["message_id"].encode()
    moved = arrived.body.replace(other, other[:-1] + b"e")
    assert moved != arrived.body
    contents = Contents(FieldDecryption(keys_of(CONNECTOR)), compile_schemas(topology().messages))
    found = contents.check(moved, EnvelopeProperties(other), "strategy", "commands.execute_trade", NOW)
    assert found.reason == "decrypt"
    assert "bound to another message" in found.why


def test_nothing_to_encrypt() -> None:
    """Without a sensitive field in the payload, and in a type without any, the body is the very object that came."""
    body = envelope({"number": 1}, source="shop")
    model = with_types(loaded(orders()), sensitive=("/note",))
    one = approved(agent("shop", model), (publish(b"orders", b"order.placed"), header(body), body))

    assert one.body is body
    assert one.wire_size is None
    cancel = envelope({"order_id": "1", "symbol": "a", "exchange": "b"})
    assert approved(agent(), (publish(COMMANDS, b"commands.cancel_order"), header(cancel), cancel)).body is cancel


def test_who_can_read() -> None:
    """Services that consume the type, and those with a pattern that has its key; nobody else, the writer neither."""
    recipients = json.loads(sent().body)["encrypted"]["recipients"]

    kids = [recipient["header"]["kid"] for recipient in recipients]
    assert kids == ["exchange_connector:enc-1", "dead-letter:enc-1"]

    response = envelope({"portfolio_impact": {"a": 1}}, source="capital_manager")
    warned = in_mode(Enforcement.WARN)
    key = (publish(b"letrade.requests", b"response.capital.allocation"), header(response), response)
    kids = [
        recipient["header"]["kid"]
        for recipient in json.loads(approved(agent("capital_manager", warned), key).body)["encrypted"]["recipients"]
    ]
    assert kids == ["strategy:enc-1", "dead-letter:enc-1"]


def test_a_pattern_reads_what_it_matches() -> None:
    """A service that consumes by a pattern is a consumer of the keys that it matches, and of no others."""
    document = orders()
    document["messages"]["a.b"] = document["messages"]["a.c"] = {"exchange": "orders", "lifetime": "60s"}
    document["services"]["shop"]["publishes"] += ["a.b", "a.c"]
    document["services"]["clerk"]["consumes"] += ["*.b"]
    document["services"]["auditor"] = {"consumes": ["a.c"]}
    model = with_types(loaded(document), sensitive=("/note",))
    body = envelope({"note": 1}, source="shop")

    for key, readers in ((b"a.b", ["clerk:enc-1"]), (b"a.c", ["auditor:enc-1"])):
        one = approved(agent("shop", model), (publish(b"orders", key), header(body), body))
        kids = [recipient["header"]["kid"] for recipient in json.loads(one.body)["encrypted"]["recipients"]]
        assert kids == [*readers, "dead-letter:enc-1"]


def test_nobody_can_read() -> None:
    """Without a consumer and without a key for dead letters there is nobody to encrypt to."""
    model = topology()
    alone = replace(model, services={STRATEGY: replace(model.services[STRATEGY], consumes=(), patterns=())})
    keys = keys_of(STRATEGY, alone, without=DEAD_LETTER_OWNER)

    refusal = agent(STRATEGY, alone, keys).refusal(publish(), header(BODY), BODY)

    text = "nobody consumes commands.execute_trade, and for dead letters there is no key to encrypt /amount, /price to"
    assert refusal.text.startswith(text)


# What the publisher is told


def test_a_consumer_without_a_key() -> None:
    """What one consumer could not read is refused, with the names of the fields and who has no key."""
    refusal = agent(keys=keys_of(STRATEGY, without=CONNECTOR)).refusal(publish(), header(BODY), BODY)

    assert (refusal.code, refusal.reason) == (ReplyCode.PRECONDITION_FAILED, "encrypt")
    assert refusal.text == (
        "exchange_connector, which consumes commands.execute_trade, has no key to encrypt /amount, /price to: "
        "see `letrade-topo keys show`"
    )
    assert refusal.destination == "letrade.commands"


def test_a_consumer_without_a_key_in_mode_warn() -> None:
    """It is counted, and goes as it came."""
    one = agent(model=in_mode(Enforcement.WARN), keys=keys_of(STRATEGY, without=CONNECTOR))

    assert approved(one, (publish(), header(BODY), BODY)).body is BODY
    assert one.measures.warned == {("publish", "encrypt"): 1}


def test_the_members_name_is_the_agents() -> None:
    """A client's own `encrypted` is refused, so that nobody takes it for what agents write."""
    body = BODY[:-1] + b', "encrypted": 1}'
    refusal = agent().refusal(publish(), header(body), body)

    assert (refusal.code, refusal.reason) == (ReplyCode.PRECONDITION_FAILED, "envelope")
    assert refusal.text == "the envelope has a member `encrypted`, which only agents write"


@pytest.mark.parametrize("over", [0, 1])
def test_size_on_the_wire(over: int) -> None:
    """The limit holds for what goes over the wire; the text has both sizes."""
    size = len(approved(agent(), (publish(), header(BODY), BODY)).body)
    model = topology()
    model = replace(model, limits=replace(model.limits, message_size=ByteSize(size - over)))
    found = agent(model=model).outbound.approve(publish(), header(BODY), BODY, NOW)

    if not over:
        assert isinstance(found, Approved)
        return
    assert isinstance(found, Refusal)
    assert (found.code, found.reason, found.destination) == (406, "oversize", "letrade.commands")
    assert found.text == (
        f"message size {size} ({len(BODY)} before its sensitive fields were encrypted) is larger than configured "
        f"max size {size - 1}"
    )


def test_mode_off_leaves_everything_as_it_is() -> None:
    """Neither encrypted, nor looked into on arrival."""
    model = in_mode(Enforcement.OFF)

    assert approved(agent(model=model), (publish(), header(BODY), BODY)).body is BODY
    arrived = sent()
    assert agent(CONNECTOR, model).shown(arrived).body is None


# What comes back to its publisher


def test_a_returned_message_is_the_publishers_own() -> None:
    """Header and body as they were sent, though the publisher is none of those who can read; later keys or not."""
    by = agent()
    own = header(BODY, content_type=b"application/json")
    one = approved(by, (publish(), own, BODY))
    (payload,) = by.outbound.seal([one], NOW)
    assert isinstance(payload, bytes)
    approved(by, (publish(), own, BODY), NOW + 10_000)

    assert by.outbound.restore(ContentHeader.parse(payload), one.body) == (own.payload, BODY)


def test_a_returned_message_after_a_reload() -> None:
    """New filters restore what the old ones encrypted; without that memory the body is empty, never ciphertext."""
    memory = SentKeys()
    arrived, own = sent(by=agent(memory=memory)), header(BODY)

    assert agent().outbound.restore(arrived.header, arrived.body) == (own.rewrite(body_size=0), b"")
    assert agent(memory=memory).outbound.restore(arrived.header, arrived.body) == (own.payload, BODY)


def test_a_returned_message_that_was_never_encrypted() -> None:
    """What an exchange of mode off returns may look as it likes."""
    body = b'{"encrypted":1,"a":2}'
    assert agent().outbound.restore(header(body), body) == (header(body).payload, body)


# What cannot be read


def _dead(arrived: Delivery, by: ServiceFilters) -> tuple[Failed, bytes]:
    failed = by.failed(arrived)
    letter = by.filters.inbound.dead_letter(arrived, failed, NOW)
    return failed, letter.header + letter.body


def test_without_its_private_key() -> None:
    """The dead letter has the reason and, in the log, the names of the fields; the values are in neither."""
    keys = keys_of(CONNECTOR)
    failed, letter = _dead(sent(), agent(CONNECTOR, keys=replace(keys, decrypting={})))

    assert (failed.reason, failed.issuer, failed.queue_label) == ("decrypt", STRATEGY, QUEUE)
    assert failed.detail == (
        "/amount, /price cannot be decrypted: it is encrypted to exchange_connector:enc-1, dead-letter:enc-1, and "
        "exchange_connector has no key among these"
    )
    assert b"\x0eletrade-reasonS\x00\x00\x00\x07decrypt" in letter
    assert AMOUNT.encode() not in letter


def test_what_was_signed_by_a_publisher_that_moved_it() -> None:
    """A JWE of one message in another, under a valid token: the service does not see it."""
    first = sent()
    arrived = forged(first.body.replace(b"3a49", b"3a50"))

    found = agent(CONNECTOR).failed(arrived)
    assert (found.reason, found.detail) == (
        "decrypt",
        "/amount, /price cannot be decrypted: it is bound to another message",
    )


def forged(body: bytes) -> Delivery:
    """A body that a publisher's agent signs though it should not: in mode warn, with a member `encrypted`."""
    return sent(body, agent(model=in_mode(Enforcement.WARN)))


_WARNS = agent(model=in_mode(Enforcement.WARN))


@given(st.data())
def test_what_is_proven_the_careful_way_opens(data: st.DataObject) -> None:
    """However a publisher that signs them has altered encrypted fields: proven is only what is shown, to the byte."""
    document: Json = json.loads(BODY)
    assert isinstance(document, dict)
    if data.draw(st.booleans()):
        document["more"] = data.draw(PAYLOADS)
    body = sent(data.draw(json_texts(document)), WRITES).body
    match data.draw(st.integers(0, 5)):
        case 0:
            at = data.draw(st.integers(0, len(body) - 1))
            body = body[:at] + bytes((data.draw(st.integers(0, 255)),)) + body[at + 1 :]
        case 1:
            changes = [(b"null", b"1"), (b"amount", b"amounts"), (b"3a49", b"3a50"), (b"message_id", b"amount")]
            body = body.replace(*data.draw(st.sampled_from(changes)))
        case 2:
            body = body.replace(b"{", b'{"encrypted":0,', 1)
        case _:
            pass
    one = sent(body, _WARNS)
    inbound = agent(CONNECTOR).filters.inbound

    (proven,) = inbound.prove([arrived_as(one)], NOW)

    if proven is not None:
        assert inbound.examine(one, NOW) == proven.shown
        event("proven")


def test_most_is_ordinary() -> None:
    """What is encrypted goes the quick way on both sides, alone and in batches, or it would not be worth it."""
    outbound, inbound = agent().outbound, agent(CONNECTOR).filters.inbound
    for some in ([BODY] * 3, [BODY]):
        decided = outbound.decide([whole(publish(), header(body), body) for body in some], NOW)
        assert all(isinstance(one, Ordinary) for one in decided)
        proven = inbound.prove([arrived_as(one) for one in in_a_batch(*some, by=agent())], NOW)
        assert [None if one is None else one.shown.body for one in proven] == some


@pytest.mark.parametrize(
    "body",
    [
        BODY[:-1] + b', "encrypted": {}}',
        b'{ "encrypted":{}, ' + BODY[1:],
        b'{"encrypted":{},' + BODY[1:],
        b'{"encrypted":' + BODY[1:],
    ],
)
def test_the_member_in_another_form(body: bytes) -> None:
    """Whatever has the member and is not what agents write is refused."""
    found = agent(CONNECTOR).failed(forged(body))

    assert found.reason == "decrypt"
    assert found.detail.startswith("what is encrypted in it cannot be decrypted: ")


def test_the_schema_is_checked_behind_it() -> None:
    """Decrypted, then judged; the text has no value, and the dead letter stays encrypted."""
    body = BODY.replace(AMOUNT.encode(), b"-" + AMOUNT.encode())
    arrived = sent(body, agent(model=with_types(topology(), schema=None)))

    failed, letter = _dead(arrived, agent(CONNECTOR))

    assert failed.reason == "schema"
    assert failed.detail.endswith("/amount has to be greater than 0 (its value is sensitive)")
    assert AMOUNT.encode() not in letter
    assert arrived.body in letter


def test_mode_warn_on_arrival() -> None:
    """Counted and shown: decrypted where that is possible."""
    warned, lax = in_mode(Enforcement.WARN), with_types(topology(), schema=None)
    body = BODY.replace(AMOUNT.encode(), b"-" + AMOUNT.encode())
    by = agent(CONNECTOR, warned)

    assert by.shown(sent(body, agent(model=lax))).body == body
    assert by.measures.warned == {("deliver", "schema"): 1}
    keyless = agent(CONNECTOR, warned, replace(keys_of(CONNECTOR), decrypting={}))
    assert keyless.shown(sent()).body is None
    assert keyless.measures.warned == {("deliver", "decrypt"): 1}


def test_a_redelivery_is_read_again() -> None:
    """Held and shown later, or delivered twice: the same body each time."""
    by, arrived = agent(CONNECTOR), sent()

    first = by.examine(arrived)
    assert isinstance(first, Shown)
    by.filters.inbound.given_back(first.remembered, NOW)
    second = by.examine(arrived._replace(redelivered=True))
    assert isinstance(second, Shown)
    assert first.body == second.body == BODY


def test_dead_letters_can_be_read_with_the_key_of_their_role() -> None:
    """What lies among the dead letters is the wire body; `reveal` reads it."""
    by, arrived = agent(CONNECTOR), sent()
    letter = by.filters.inbound.dead_letter(arrived, Failed("schema", "", STRATEGY, QUEUE), NOW)

    assert letter.body == arrived.body
    found = reveal(letter.body, keys_of(DEAD_LETTER_OWNER), NOW)
    assert found == Opened(BODY, ("/amount", "/price"))


# Offline


def test_verify_with_and_without_the_private_key() -> None:
    """With it the schema is checked; without it that is said; with another's it is refused as the agent would."""
    document = document_of(sent())

    found = verify_message(document, topology(), keys_of(CONNECTOR), CONNECTOR, NOW)
    assert (found.verdict, found.why) == (
        "accepted",
        "commands.execute_trade of strategy, signed with the key strategy:1",
    )
    closed = verify_message(document, topology(), keys_of(None), CONNECTOR, NOW)
    assert closed.is_accepted
    assert closed.why.endswith("; what is encrypted in it was not looked into, for want of the service's private key")
    refused = verify_message(document, topology(), keys_of("capital_manager"), CONNECTOR, NOW)
    assert (refused.verdict, refused.issuer) == ("decrypt", STRATEGY)


def test_nothing_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    """No library or code of ours logs what it encrypts, at any level."""
    caplog.set_level(logging.DEBUG)
    agent(CONNECTOR).shown(sent())
    assert AMOUNT not in caplog.text
