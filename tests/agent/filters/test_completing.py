"""`envelope: complete`: what a body lacks is put in before it is judged, and taken out of what comes back."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest
from letrade_agent.filters.decisions import Approved, Refusal, Sealable, ToStore
from letrade_agent.filters.ordinary import Ordinary

from letrade_topo.amqp.properties import ContentHeader
from letrade_topo.messages.completion import incomplete
from letrade_topo.messages.encrypted import is_encrypted
from letrade_topo.model.claim_check import ClaimCheck
from letrade_topo.model.messages import EnvelopeMode
from letrade_topo.model.security import Enforcement
from letrade_topo.model.topology import Topology, TopologyLimits
from letrade_topo.model.units import ByteSize, Duration
from tests.agent.filters.test_encrypting import agent as encrypting_agent
from tests.agent.filters.test_encrypting import in_mode
from tests.agent.filters.world import (
    COMMANDS,
    EXECUTE,
    MESSAGE_ID,
    TIMESTAMP,
    TIMESTAMP_SECONDS,
    TRADE,
    ServiceFilters,
    agent,
    delivery,
    envelope,
    header,
    names_of,
    publish,
    topology,
    whole,
)
from tests.keys import world as key_world
from tests.keys.world import NOW

OWN = json.dumps({"timestamp": TIMESTAMP, "routing_key": EXECUTE.decode(), "payload": TRADE}).encode()
"""An envelope as a service's own message-bus code writes it."""

NEW_ID = "00000000-0000-4000-8000-000000000001"
COMPLETED = b'{"message_id":"' + NEW_ID.encode() + b'","source":"strategy",' + OWN[1:]


def completing(
    model: Topology | None = None,
    *,
    exchange: EnvelopeMode = EnvelopeMode.COMPLETE,
    service: EnvelopeMode | None = None,
) -> Topology:
    """Letrade's, in which this is said of the exchange of commands and of `strategy`."""
    model = topology() if model is None else model
    name, strategy = COMMANDS.decode(), model.services["strategy"]
    return replace(
        model,
        exchanges={**model.exchanges, name: replace(model.exchanges[name], envelope=exchange)},
        services={**model.services, "strategy": replace(strategy, envelope=service)},
    )


def sealed(by: ServiceFilters, body: bytes = OWN, **properties: Any) -> tuple[ContentHeader, bytes]:
    """A trade as it goes upstream, which it has to."""
    (one,) = by.outbound.decide([whole(publish(), header(body, **properties), body)], NOW)
    assert isinstance(one, Sealable), one
    (payload,) = by.outbound.seal([one], NOW)
    assert isinstance(payload, bytes)
    return ContentHeader.parse(payload), one.body


def test_a_services_own_envelope_is_completed_signed_and_shown() -> None:
    """Before the schema and the token; the properties are added from what was put in."""
    sent, body = sealed(agent(model=completing()), content_type=b"application/json")

    assert body == COMPLETED
    assert sent.body_size == len(COMPLETED)
    assert (sent.message_id, sent.timestamp, sent.app_id) == (NEW_ID.encode(), TIMESTAMP_SECONDS, b"strategy")
    assert names_of(sent.payload) == [b"letrade-added", b"letrade-jws", b"letrade-to"]
    shown = agent("exchange_connector").shown(delivery(sent.payload, body))
    assert shown.body is None, "as it arrived"
    assert names_of(shown.header) == []


def test_the_id_is_the_propertys_where_that_is_a_uuid() -> None:
    """Else a new one, and that they differ is counted as it is for every library that writes ids of its own."""
    by = agent(model=completing())

    _, body = sealed(by, message_id=MESSAGE_ID.encode())
    assert json.loads(body)["message_id"] == MESSAGE_ID
    assert by.measures.differing == {}

    sent, body = sealed(by, message_id=b"3e1cd0fe4b1c4f6e8d2a3c4b5d6e7f80")
    assert json.loads(body)["message_id"] != MESSAGE_ID
    assert sent.message_id == b"3e1cd0fe4b1c4f6e8d2a3c4b5d6e7f80"
    assert by.measures.differing == {("publish", "message_id"): 1}


def test_the_time_is_the_agents_where_there_is_none() -> None:
    """With the moment of the publish."""
    sent, body = sealed(agent(model=completing()), json.dumps({"payload": TRADE}).encode())

    assert json.loads(body)["timestamp"].startswith("20")
    assert sent.timestamp == NOW


@pytest.mark.parametrize(
    ("exchange", "service", "is_completed"),
    [
        (EnvelopeMode.REQUIRE, None, False),
        (EnvelopeMode.COMPLETE, None, True),
        (EnvelopeMode.REQUIRE, EnvelopeMode.COMPLETE, True),
        (EnvelopeMode.COMPLETE, EnvelopeMode.REQUIRE, False),
    ],
)
def test_a_services_word_goes_before_the_exchanges(
    exchange: EnvelopeMode, service: EnvelopeMode | None, is_completed: bool
) -> None:
    """And by default a body has to have everything."""
    by = agent(model=completing(exchange=exchange, service=service))
    if is_completed:
        assert sealed(by)[1] == COMPLETED
    else:
        assert by.refusal(publish(), header(OWN), OWN).text == "the envelope has no message_id and no source"


def test_what_lacks_nothing_is_ordinary() -> None:
    """It costs what it costs elsewhere, and its bytes stay."""
    body = envelope(routing_key="commands.execute_trade")

    (one,) = agent(model=completing()).outbound.decide([whole(publish(), header(body), body)], NOW)

    assert isinstance(one, Ordinary)
    assert one.body is body


@pytest.mark.parametrize(
    ("body", "reason", "words"),
    [
        (b"", "envelope", "not JSON"),
        (b"[]", "envelope", "a list"),
        (b"{}", "envelope", "the envelope has no payload"),
        (b'{"payload": []}', "envelope", "payload is a list"),
        (b'{"payload": {}, "timestamp": "yesterday"}', "envelope", "timestamp 'yesterday' is not RFC 3339"),
        (b'{"payload": {}, "timestamp": "2025-06-15T15:06:40.250000"}', "envelope", "is not RFC 3339"),
        (b'{"payload": {}, "source": "core_engine"}', "envelope", "'core_engine' is not 'strategy', this service"),
        (b'{"payload": {}, "message_id": null}', "envelope", "message_id (null) is not a UUID"),
        (b'{"payload": {"a": 1, "a": 2}}', "envelope", "members 1 and 2 of an object in it have the same name"),
        (b'{"payload": {}, "encrypted": {}}', "envelope", "a member `encrypted`, which only agents write"),
        (b'{"payload": {"strategy_id": 1}}', "schema", "has to have 'symbol'"),
    ],
)
def test_what_is_wrong_is_refused_as_ever(body: bytes, reason: str, words: str) -> None:
    """A member that is there is judged, not replaced."""
    refusal = agent(model=completing()).refusal(publish(), header(body), body)

    assert refusal.reason == reason
    assert words in refusal.text


def test_another_app_id_than_this_service_is_refused() -> None:
    """What is put in is no way past that check."""
    own = header(OWN, app_id=b"core_engine")
    assert agent(model=completing()).refusal(publish(), own, OWN).reason == "envelope"


def test_warn_completes_what_that_makes_right_and_leaves_the_rest() -> None:
    """What cannot become an envelope goes as it came, and both are signed."""
    by = agent(model=in_mode(Enforcement.WARN, completing()))
    assert sealed(by)[1] == COMPLETED
    assert by.measures.warned == {}

    wrong = json.dumps({"payload": {"strategy_id": 1}}).encode()
    sent, body = sealed(by, wrong)
    assert body.endswith(wrong[1:])
    assert len(body) > len(wrong)
    assert b"letrade-jws" in names_of(sent.payload)

    for nothing in (b"{}", b"no envelope"):
        sent, body = sealed(by, nothing)
        assert body is nothing
        assert sent.message_id is None
    assert by.measures.warned == {("publish", "schema"): 1, ("publish", "envelope"): 2}


def test_off_looks_into_nothing() -> None:
    """It passes as it came."""
    sent, body = sealed(agent(model=in_mode(Enforcement.OFF, completing())))

    assert body is OWN
    assert sent.payload == header(OWN).payload


@pytest.mark.parametrize("signed", [True, False])
@pytest.mark.parametrize("body", [OWN, json.dumps({"payload": TRADE}, indent=1).encode(), b'{"payload":{"x":1}}'])
def test_what_is_returned_is_what_was_published(body: bytes, signed: bool) -> None:
    """Header and body to the byte, whatever was put in; also where warn let it go unsigned."""
    by = agent(model=in_mode(Enforcement.WARN, completing()), without_keys=not signed)
    own = header(body, content_type=b"application/json")

    sent, completed = sealed(by, body, content_type=b"application/json")

    assert completed != body
    assert (b"letrade-jws" in names_of(sent.payload)) is signed
    assert by.outbound.restore(sent, completed) == (own.payload, body)


def test_sensitive_fields_are_encrypted_in_what_was_completed() -> None:
    """Bound to the id that was put in; who consumes gets the completed body, who published its own."""
    model = completing(key_world.topology())
    by = encrypting_agent(model=model)

    sent, wire = sealed(by)

    assert is_encrypted(wire)
    shown = encrypting_agent("exchange_connector", model).shown(delivery(sent.payload, wire))
    assert shown.body == COMPLETED
    assert by.outbound.restore(sent, wire) == (header(OWN).payload, OWN)


def limited(size: int, claim_check: ClaimCheck | None = None) -> ServiceFilters:
    """Beside a topology with a limit."""
    limits = TopologyLimits(message_size=ByteSize(size))
    return agent(model=replace(completing(), limits=limits, claim_check=claim_check))


def test_the_limit_is_for_what_was_completed() -> None:
    """It may grow up to the limit and no further."""
    assert sealed(limited(len(COMPLETED)))[1] == COMPLETED
    for size in (len(COMPLETED) - 1, len(OWN)):
        refusal = limited(size).refusal(publish(), header(OWN), OWN)
        assert refusal.reason == "oversize"
        assert f"message size {len(COMPLETED)} ({len(OWN)} before its envelope was completed)" in refusal.text


def test_what_outgrows_the_wire_goes_to_the_store() -> None:
    """Completed, like any other body of that size; beyond the claim check's own limit it is refused."""

    def decided(most: int) -> object:
        check = ClaimCheck("claims", ByteSize(most), Duration(86_400_000))
        by = limited(len(OWN), check)
        (one,) = by.outbound.decide([whole(publish(), header(OWN), OWN)], NOW)
        if isinstance(one, ToStore):
            stub = by.outbound.stub(one, "0" * 64)
            (payload,) = by.outbound.seal([stub], NOW)
            assert isinstance(payload, bytes)
            assert by.outbound.restore(ContentHeader.parse(payload), stub.body)[1] == b""
        return one

    stored = decided(len(COMPLETED))
    assert isinstance(stored, ToStore)
    assert isinstance(stored.approved, Approved)
    assert stored.approved.body == COMPLETED
    assert incomplete(stored.approved.body, stored.approved.completed) == OWN
    refused = decided(len(COMPLETED) - 1)
    assert isinstance(refused, Refusal)
    assert refused.reason == "oversize"
