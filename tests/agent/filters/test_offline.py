"""One message, written as JSON, judged without a broker."""

from __future__ import annotations

import json
from base64 import b64encode
from pathlib import Path
from typing import Any

import pytest
from letrade_agent.filters.offline import Judgement, NotAMessage, verify_message
from letrade_agent.filters.verdicts import Delivery

from letrade_topo.keys.jwk import parse_public
from letrade_topo.keys.keyset import KeySet
from letrade_topo.model.messages import Json
from tests.agent.filters.test_inbound import CONNECTOR, TAMPERINGS, connector, loaded_letrade
from tests.agent.filters.world import (
    EXECUTE,
    TRADE,
    agent,
    delivery,
    envelope,
    keys_of,
    signed_trade,
    trade,
)
from tests.keys.world import NOW, topology

VECTORS = json.loads((Path(__file__).parents[3] / "docs/reference/token-vectors.json").read_text(encoding="utf-8"))


def document_of(arrived: Delivery) -> dict[str, Any]:
    """A delivery as a person would write it down."""
    own = arrived.header
    texts = ("message_id", "correlation_id", "content_type", "content_encoding", "type", "app_id")
    table = own.headers
    return {
        "exchange": arrived.exchange.decode(),
        "routing_key": arrived.routing_key.decode(),
        "queue": arrived.queue,
        "properties": {name: value.decode() for name in texts if (value := getattr(own, name)) is not None},
        "headers": [
            [name.decode(), entry[len(name) + 6 :].decode() if entry[len(name) + 1 :][:1] == b"S" else 1]
            for name, entry in (() if table is None else table.entries)
        ],
        "body": arrived.body.decode(),
    }


def judged(document: dict[str, Any], now: float = NOW) -> Judgement:
    """The judgement beside the connector."""
    return verify_message(document, topology(), keys_of(None), CONNECTOR, now)


def test_an_honest_message_is_accepted_with_what_is_known_about_it() -> None:
    """Whose, of which type, with which key, when."""
    found = judged(document_of(signed_trade()))
    assert found.is_accepted
    assert (found.issuer, found.kid, found.message_type) == ("strategy", "strategy:1", EXECUTE.decode())
    assert (found.issued_at, found.attempt) == (NOW, 0)
    assert found.why == "commands.execute_trade of strategy, signed with the key strategy:1"


@pytest.mark.parametrize(
    ("arrived", "reason"),
    [case[1:] for case in TAMPERINGS if case[0] != "malformed table"],
    ids=[case[0] for case in TAMPERINGS if case[0] != "malformed table"],
)
def test_it_says_what_the_agent_says(arrived: Any, reason: str) -> None:
    """The same words, in the same order of checks, as beside a running service."""
    delivered = arrived()
    found, failed = judged(document_of(delivered)), connector().failed(delivered)
    assert (found.verdict, found.why, found.issuer) == (reason, failed.detail, failed.issuer)
    assert not found.is_accepted
    assert found.held == (reason == "key_unknown")


NOT_LATE = [vector for vector in VECTORS["deliveries"] if "kept_up_until" not in vector]
"""Offline nobody knows how long a queue was kept up with."""


@pytest.mark.parametrize("vector", NOT_LATE, ids=lambda vector: vector["name"])
def test_the_vectors_of_the_docs_are_messages(vector: dict[str, Json]) -> None:
    """What the reference publishes can be fed as it is."""
    keys = {key.kid: key for key in map(parse_public, VECTORS["public_keys"]["keys"])}
    now = vector["now"]
    assert isinstance(now, int | float)
    found = verify_message(vector, topology(), KeySet(None, keys), CONNECTOR, now)
    # the vectors are about tokens: behind an accepted one there may be a body that is no envelope
    expected = {"accepted", "envelope", "schema"} if vector["verdict"] == "accepted" else {vector["verdict"]}
    assert found.verdict in expected
    assert found.held == vector["held"]


@pytest.mark.parametrize(
    ("body", "verdict"), [(envelope({**TRADE, "side": "hold"}), "schema"), (envelope(source="core_engine"), "envelope")]
)
def test_envelope_and_schema_are_judged_too(body: bytes, verdict: str) -> None:
    """Signed by an agent that checks less."""
    (payload,) = agent(model=loaded_letrade("warn")).seal(trade(body))
    assert judged(document_of(delivery(payload, body))).verdict == verdict


def test_what_the_management_api_prints_is_understood() -> None:
    """`payload`, `payload_encoding`, headers within the properties; the queue is to be added."""
    plain = document_of(signed_trade())
    headers = dict(plain.pop("headers"))
    body = plain.pop("body")
    plain["properties"]["headers"] = headers
    plain["properties"]["timestamp"] = 1
    texts = plain | {"payload": body, "payload_encoding": "string"}
    coded = plain | {"payload": b64encode(body.encode()).decode(), "payload_encoding": "base64"}
    ours = plain | {"body_base64": b64encode(body.encode()).decode()}
    assert [judged(one).verdict for one in (texts, coded, ours)] == ["accepted"] * 3


@pytest.mark.parametrize(
    ("changes", "name"),
    [
        ({"queue": None}, "`queue` is missing"),
        ({"exchange": 1}, "`exchange` is not a text"),
        ({"routing_key": "k" * 256}, "`routing_key` has 256 bytes"),
        ({"properties": []}, "`properties`"),
        ({"properties": {"message_id": 1}}, "`properties.message_id` is not a text"),
        ({"headers": "x"}, "`headers` is neither"),
        ({"headers": [["a"]]}, "`headers` has an item"),
        ({"body": None}, "`body` is missing"),
        ({"body_base64": "!"}, "`body_base64` is not base64"),
    ],
)
def test_a_document_that_is_no_message_is_told_apart(changes: dict[str, Any], name: str) -> None:
    """Neither accepted nor refused: an error of the file, with what to do."""
    with pytest.raises(NotAMessage) as caught:
        judged(document_of(signed_trade()) | changes)
    assert name in str(caught.value)


def test_a_text_that_is_no_utf_8_is_judged_and_not_thrown() -> None:
    """JSON can hold half a surrogate pair."""
    document = document_of(signed_trade()) | {"body": "\ud800", "headers": {"letrade-jws": "\udfff", "letrade-to": "."}}
    assert judged(document).verdict == "token_malformed"
    assert judged(document_of(signed_trade()) | {"body": "\ud800"}).verdict == "content"
