"""Claim checks as filters decide them: what is stored, what a stub says, which stubs are redeemed."""

from __future__ import annotations

import json
from dataclasses import replace
from hashlib import sha256

import pytest
from letrade_agent.filters.decisions import ToStore
from letrade_agent.filters.offline import verify_message
from letrade_agent.filters.verdicts import Delivery, Failed, Fetched, Held, Shown, ToFetch
from letrade_agent.limits import DEFAULT_LIMITS

from letrade_topo.amqp.faults import ReplyCode
from letrade_topo.amqp.properties import ContentHeader
from letrade_topo.messages.claim import CONTENT_TYPE, Claim, parse_claim
from letrade_topo.model.claim_check import ClaimCheck
from letrade_topo.model.security import Enforcement
from letrade_topo.model.topology import Topology, TopologyLimits
from letrade_topo.model.units import ByteSize, Duration
from tests.agent.filters.test_encrypting import AMOUNT, BODY, CONNECTOR, STRATEGY, agent, in_mode, keys_of
from tests.agent.filters.test_offline import document_of
from tests.agent.filters.world import COMMANDS, EXECUTE, QUEUE, ServiceFilters, envelope, header, publish
from tests.keys.world import NOW, topology

SMALL = envelope({"strategy_id": 1, "symbol": "BTC/USDT", "side": "buy", "amount": 1.0})
PREFIX = "development/letrade/strategy/2025-06-15/"


def checked(model: Topology | None = None, *, most: int = 1_000_000) -> Topology:
    """Letrade's, in which BODY is too large for the wire."""
    model = topology() if model is None else model
    return replace(
        model,
        limits=TopologyLimits(message_size=ByteSize(500)),
        claim_check=ClaimCheck("claims", ByteSize(most), Duration(86_400_000)),
    )


def to_store(by: ServiceFilters, own: ContentHeader | None = None, body: bytes = BODY) -> ToStore:
    """The publish, which has to go to the store."""
    own = header(body, content_type=b"application/json") if own is None else own
    assert by.outbound.admit(publish(), own) is None
    found = by.outbound.approve(publish(), own, body, NOW)
    assert isinstance(found, ToStore), found
    return found


def digest_of(body: bytes) -> str:
    """As a stub says it."""
    return sha256(body).hexdigest()


def stub(by: ServiceFilters | None = None, own: ContentHeader | None = None) -> tuple[Delivery, bytes]:
    """A trade's stub as it arrives, and what lies in the store."""
    by = agent(model=checked()) if by is None else by
    stored = to_store(by, own)
    body = stored.approved.body
    approved = by.outbound.stub(stored, digest_of(body))
    (payload,) = by.outbound.seal([approved], NOW)
    assert isinstance(payload, bytes)
    return Delivery(QUEUE, COMMANDS, EXECUTE, False, ContentHeader.parse(payload), approved.body, 1), body


def consumer(model: Topology | None = None) -> ServiceFilters:
    """The filters of who consumes it."""
    return agent(CONNECTOR, checked() if model is None else model)


def test_there_and_back() -> None:
    """Stored is the encrypted body under a name of the agent's; shown is what was published."""
    own = header(BODY, content_type=b"application/json")
    arrived, object_ = stub(own=own)
    claim = parse_claim(arrived.body)
    assert isinstance(claim, Claim)
    assert claim.object.startswith(PREFIX)
    assert (claim.size, claim.sha256, claim.content_type) == (len(object_), digest_of(object_), b"application/json")
    assert claim.expires == NOW + 86_400
    assert arrived.header.content_type == CONTENT_TYPE
    assert AMOUNT.encode() not in object_

    by = consumer()
    first = by.examine(arrived)
    assert isinstance(first, ToFetch)
    assert first.claim == claim
    shown = by.filters.inbound.examine(arrived, NOW, Fetched(object_))
    assert isinstance(shown, Shown)
    assert shown.body == BODY
    seen = ContentHeader.parse(shown.header)
    assert (seen.content_type, seen.body_size) == (b"application/json", len(BODY))


@pytest.mark.parametrize("content_type", [None, b"", b"\xff\xfe", "한국어".encode()])
def test_any_content_type_comes_back(content_type: bytes | None) -> None:
    """Its bytes, or that there is none."""
    own = header(BODY) if content_type is None else header(BODY, content_type=content_type)
    arrived, object_ = stub(own=own)
    shown = consumer().filters.inbound.examine(arrived, NOW, Fetched(object_))
    assert isinstance(shown, Shown)
    assert ContentHeader.parse(shown.header).content_type == content_type


def test_what_is_small_enough_is_not_stored() -> None:
    """The limit is that of the wire: encryption counts, and a byte decides."""
    model = checked()
    by = agent(model=model)
    wire = to_store(by).approved.body
    fits = replace(model, limits=TopologyLimits(message_size=ByteSize(len(wire))))
    assert not isinstance(agent(model=fits).outbound.approve(publish(), header(BODY), BODY, NOW), ToStore)
    too_small = replace(model, limits=TopologyLimits(message_size=ByteSize(len(wire) - 1)))
    assert isinstance(agent(model=too_small).outbound.approve(publish(), header(BODY), BODY, NOW), ToStore)


def test_the_largest() -> None:
    """At the header by the announced size; after encryption by that on the wire, with both figures."""
    body_size = len(BODY)
    refusal = agent(model=checked(most=body_size - 1)).refusal(publish(), header(BODY), BODY)
    assert refusal.text == f"message size {body_size} is larger than configured max size {body_size - 1}"
    refusal = agent(model=checked(most=body_size)).refusal(publish(), header(BODY), BODY)
    assert f"({body_size} before its sensitive fields were encrypted)" in refusal.text
    assert refusal.text.endswith(f"is larger than configured max size {body_size}")


def test_without_a_key_nothing_is_stored() -> None:
    """In no mode: nobody would fetch it."""
    for mode in (Enforcement.ENFORCE, Enforcement.WARN):
        model = checked(in_mode(mode))
        keys = replace(keys_of(STRATEGY, model), signing=())
        refusal = agent(model=model, keys=keys).refusal(publish(), header(BODY), BODY)
        assert (refusal.reason, refusal.destination) == ("no_key", "letrade.commands")


def test_unjudged_exchanges_have_no_claim_check() -> None:
    """What is not signed cannot be redeemed; the wire limit holds."""
    model = replace(checked(in_mode(Enforcement.OFF)), limits=TopologyLimits(message_size=ByteSize(200)))
    refusal = agent(model=model).refusal(publish(), header(BODY), BODY)
    assert refusal.text == f"message size {len(BODY)} is larger than configured max size 200"


@pytest.mark.parametrize("mode", list(Enforcement))
def test_a_clients_own_stub_is_refused(mode: Enforcement) -> None:
    """In every mode, however it is spelt, with or without a claim check."""
    for model in (in_mode(mode), checked(in_mode(mode))):
        for spelt in (CONTENT_TYPE, CONTENT_TYPE.upper() + b"; charset=utf-8", b" " + CONTENT_TYPE):
            refusal = agent(model=model).refusal(publish(), header(SMALL, content_type=spelt), SMALL)
            assert (refusal.code, refusal.reason) == (ReplyCode.PRECONDITION_FAILED, "claim_stub")
    other = header(SMALL, content_type=CONTENT_TYPE[:-1])
    assert agent(model=in_mode(mode)).outbound.admit(publish(), other) is None


def test_a_returned_stub() -> None:
    """Comes back to its publisher without its body, and as no stub."""
    arrived, _ = stub()
    payload, body = agent(model=checked()).outbound.restore(arrived.header, arrived.body)
    returned = ContentHeader.parse(payload)
    assert (returned.content_type, returned.body_size, body) == (b"application/json", 0, b"")
    assert returned.headers is None


# On arrival


def refetched(arrived: Delivery, fetched: Fetched, model: Topology | None = None) -> Failed:
    """Why it fails with what the store answered."""
    verdict = consumer(model).filters.inbound.examine(arrived, NOW, fetched)
    assert isinstance(verdict, Failed), verdict
    return verdict


@pytest.mark.parametrize("mode", [Enforcement.ENFORCE, Enforcement.WARN])
def test_what_the_store_does_not_have(mode: Enforcement) -> None:
    """Fails with the store's reason; in mode `warn` too, as a stub says nothing to a service."""
    arrived, _ = stub()
    failed = refetched(arrived, Fetched(reason="claim_missing", why="gone"), checked(in_mode(mode)))
    assert (failed.reason, failed.detail, failed.issuer) == ("claim_missing", "gone", STRATEGY)


@pytest.mark.parametrize("mode", list(Enforcement))
def test_no_stub_is_redeemed_unproven(mode: Enforcement) -> None:
    """And none is shown: not one without a token, in no mode."""
    arrived, _ = stub()
    bare = arrived._replace(header=ContentHeader.parse(arrived.header.rewrite(None)))
    failed = consumer(checked(in_mode(mode))).failed(bare)
    assert failed.reason == "token_missing"
    altered = arrived._replace(
        body=arrived.body.replace(PREFIX.encode(), b"development/letrade/core_engine/2025-06-15/")
    )
    assert consumer(checked(in_mode(mode))).failed(altered).reason == "content"


def test_an_object_of_somebody_else() -> None:
    """A service's stubs refer to its own objects, even where it signs them itself."""
    by = agent(model=checked())
    stored = to_store(by)._replace(object=f"development/letrade/core_engine/2025-06-15/{'0' * 32}")
    approved = by.outbound.stub(stored, "0" * 64)
    (payload,) = by.outbound.seal([approved], NOW)
    assert isinstance(payload, bytes)
    arrived = Delivery(QUEUE, COMMANDS, EXECUTE, False, ContentHeader.parse(payload), approved.body)
    failed = consumer().failed(arrived)
    assert (failed.reason, failed.detail) == ("claim_altered", "the stub: its object is not one of strategy")


def test_an_object_that_is_too_large_here() -> None:
    """The consumer's topology decides what its agent takes."""
    arrived, object_ = stub()
    failed = consumer(checked(most=len(object_) - 1)).failed(arrived)
    assert failed.reason == "claim_altered"
    assert f"claim_check.max_size is {len(object_) - 1}" in failed.detail


def test_a_topology_without_a_claim_check() -> None:
    """A roll-out may be under way: it is held, and then as if it was missing."""
    arrived, _ = stub()
    verdict = consumer(topology()).examine(arrived)
    assert isinstance(verdict, Held)
    assert isinstance(verdict.over, Failed)
    assert (verdict.over.reason, verdict.until_over) == ("claim_missing", DEFAULT_LIMITS.relay.hold_seconds)


def test_what_lies_behind_it_is_checked() -> None:
    """A body that is another's: the envelope, as ever; mode `warn` shows it, as a body."""
    arrived, _ = stub()
    other = envelope({"strategy_id": 1}, source="core_engine")
    assert refetched(arrived, Fetched(other)).reason == "envelope"
    shown = consumer(checked(in_mode(Enforcement.WARN))).filters.inbound.examine(arrived, NOW, Fetched(other))
    assert isinstance(shown, Shown)
    assert shown.body == other


def test_a_repeat_is_not_fetched() -> None:
    """What was settled meanwhile, on another connection, is not shown when its object comes."""
    arrived, object_ = stub()
    by = consumer()
    assert isinstance(by.examine(arrived), ToFetch)
    shown = by.filters.inbound.examine(arrived, NOW, Fetched(object_))
    assert isinstance(shown, Shown)
    by.filters.inbound.settled(shown.remembered, NOW)
    assert type(by.examine(arrived)).__name__ == "Repeated"
    assert type(by.filters.inbound.examine(arrived, NOW, Fetched(object_))).__name__ == "Repeated"


def test_a_dead_letter_holds_the_stub() -> None:
    """As it was delivered, so that it can be replayed."""
    arrived, _ = stub()
    by = consumer()
    failed = refetched(arrived, Fetched(reason="claim_missing", why="gone"))
    letter = by.filters.inbound.dead_letter(arrived, failed, NOW)
    assert letter.body == arrived.body
    assert ContentHeader.parse(letter.header).content_type == CONTENT_TYPE


def test_verify_says_what_it_did_not_see() -> None:
    """`letrade-agent verify` has no store."""
    arrived, _ = stub()
    judged = verify_message(document_of(arrived), checked(), keys_of(CONNECTOR), CONNECTOR, NOW)
    assert judged.is_accepted
    assert judged.why.endswith("its body lies in the claim check's store and was not looked into")
    assert json.loads(arrived.body)["size"] > 500
