"""Whatever arrives, the answer is a verdict: never an exception, and good only for what was signed."""

from __future__ import annotations

from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from letrade_topo.keys import base64url
from letrade_topo.keys.claims import MESSAGE_TYP
from letrade_topo.keys.headers import TokenHeaders
from letrade_topo.keys.jws import write_compact, write_header
from letrade_topo.keys.leaf import SignableMessage, SignedProperties
from letrade_topo.keys.reasons import Refused
from letrade_topo.keys.token import Accepted, Arrival, Origin
from tests.examples_per_property import ordinary_examples
from tests.keys.world import COMMAND, NOW, arrival_of, headers_of, hop_arrival, signing_key, verifier

CHECKS = verifier()
BATCH = headers_of(*[COMMAND] * 3)
GOOD = [arrival_of(COMMAND, headers_of(COMMAND)[0]), arrival_of(COMMAND, BATCH[1]), hop_arrival()]

SHORT = st.binary(max_size=255)
TEXT = st.binary(max_size=120)
DOTTED = st.lists(st.binary(max_size=60).map(base64url.encode) | TEXT, max_size=4).map(b".".join)
KNOWN = st.sampled_from(
    [value for arrival in GOOD for header in arrival.headers[:4] for value in header if value is not None]
)
VALUES = st.lists(st.none() | TEXT | DOTTED | KNOWN, max_size=2).map(tuple)
HEADERS = st.builds(TokenHeaders, VALUES, VALUES, VALUES, VALUES, st.booleans())
PROPERTIES = st.builds(SignedProperties, *[st.none() | SHORT] * 5)
ARRIVALS = st.builds(Arrival, st.text(max_size=40), SHORT, SHORT, HEADERS, PROPERTIES, st.binary(max_size=200))
MOMENTS = st.floats(min_value=0, max_value=1e12)


@given(ARRIVALS, MOMENTS)
def test_any_bytes_give_a_verdict(arrival: Arrival, now: float) -> None:
    """Any bytes in any field of a delivery are refused, in words."""
    verdict = CHECKS.verify(arrival, now)

    assert isinstance(verdict, Refused)
    assert verdict.detail
    assert isinstance(CHECKS.authenticate(arrival.headers, arrival.properties, arrival.body, now), (Refused, Origin))


@given(st.data())
def test_any_field_replaced_in_a_good_delivery(data: st.DataObject) -> None:
    """A good delivery of which any field is replaced by any bytes is refused, unless the field is the same."""
    good = data.draw(st.sampled_from(GOOD))
    other = data.draw(ARRIVALS)
    field = data.draw(st.sampled_from([*Arrival._fields, *TokenHeaders._fields, *SignedProperties._fields]))
    changed: Arrival
    if field in Arrival._fields:
        changed = good._replace(**{field: getattr(other, field)})
    elif field in TokenHeaders._fields:
        changed = good._replace(headers=good.headers._replace(**{field: getattr(other.headers, field)}))
    else:
        changed = good._replace(properties=good.properties._replace(**{field: getattr(other.properties, field)}))

    verdict = CHECKS.verify(changed, NOW + 10)

    if changed == good:
        assert isinstance(verdict, Accepted)
    elif field == "hop" and good is GOOD[2] and changed.headers.hop == ():
        assert isinstance(verdict, Refused)
    elif isinstance(verdict, Accepted):
        # a hop may be there where none is needed, and with a hop it matters no more where a message arrives
        assert field in ("hop", "exchange", "routing_key")


@given(
    TEXT | st.recursive(st.none() | st.integers() | st.text(), lambda below: st.lists(below)).map(repr).map(str.encode)
)
@settings(max_examples=ordinary_examples())
def test_any_signed_payload_gives_a_verdict(payload: bytes) -> None:
    """Even what a key of ours has signed may be anything."""
    key = signing_key("strategy")
    token = write_compact(key, write_header(key.algorithm, key.kid, MESSAGE_TYP), payload)
    headers = GOOD[0].headers._replace(jws=(token,))

    assert isinstance(CHECKS.verify(GOOD[0]._replace(headers=headers), NOW), Refused)


MESSAGES = st.builds(SignableMessage, SHORT, SHORT, PROPERTIES, st.binary(max_size=100))


@given(st.lists(MESSAGES, min_size=1, max_size=20), st.data())
def test_every_message_of_any_batch_is_authentic(batch: list[SignableMessage], data: st.DataObject) -> None:
    """Whatever is signed is found authentic, each message by its own headers."""
    headers = headers_of(*batch)
    index = data.draw(st.integers(0, len(batch) - 1))
    message = batch[index]

    origin: Any = CHECKS.authenticate(headers[index], message.properties, message.body, NOW)

    assert isinstance(origin, Origin)
    assert origin.destination == (message.exchange, message.routing_key)
    assert origin.leaf_index == index
