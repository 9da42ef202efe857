"""The envelope: the contract's own examples pass, and what is wrong is said in words."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from letrade_topo.messages.envelope import (
    MESSAGE_ID,
    TIMESTAMP,
    Envelope,
    EnvelopeProblem,
    EnvelopeProperties,
    check_envelope,
)

ID = "123e4567-e89b-12d3-a456-426614174000"
SECONDS = 1_743_251_696
DOCUMENT = {
    "message_id": ID,
    "timestamp": "2025-03-29T12:34:56.789Z",
    "source": "strategy",
    "payload": {"symbol": "BTC/USDT"},
}


def check(properties: EnvelopeProperties | None = None, /, **changes: Any) -> Envelope | EnvelopeProblem:
    """Check the example with some members changed; `...` takes one away."""
    document = {name: value for name, value in (DOCUMENT | changes).items() if value is not ...}
    return check_envelope(json.dumps(document).encode(), properties or EnvelopeProperties(), "strategy")


def why(problem: Envelope | EnvelopeProblem) -> str:
    """The words of the problem, which has to be there."""
    assert isinstance(problem, EnvelopeProblem), problem
    return problem.why


def test_good_envelope() -> None:
    """A good envelope is read, and says what the properties have to be."""
    envelope = check()

    assert isinstance(envelope, Envelope)
    assert envelope.payload == {"symbol": "BTC/USDT"}
    assert envelope.properties == EnvelopeProperties(ID.encode(), SECONDS, b"strategy")
    assert isinstance(check(envelope.properties), Envelope)
    assert isinstance(check(encrypted={}, anything=1), Envelope)


@pytest.mark.parametrize("name", ["message_id", "timestamp", "source", "payload"])
def test_missing_member(name: str) -> None:
    """Every member is needed."""
    assert why(check(**{name: ...})) == f"the envelope has no {name}"


def test_several_missing_members() -> None:
    """All that is missing is said at once."""
    assert why(check(message_id=..., source=...)) == "the envelope has no message_id and no source"


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"message_id": "123"}, "message_id '123' is not a UUID"),
        ({"message_id": ID.replace("-", "")}, "is not a UUID"),
        ({"message_id": "{" + ID + "}"}, "is not a UUID"),
        ({"message_id": ID + "\n"}, "is not a UUID"),
        ({"message_id": 5}, "message_id (a number) is not a UUID"),
        ({"timestamp": "yesterday"}, "timestamp 'yesterday' is not RFC 3339, for example 2025-03-29T12:34:56.789Z"),
        ({"timestamp": "2025-03-29T12:34:56"}, "is not RFC 3339"),
        ({"timestamp": 1743251696}, "timestamp (a number) is not RFC 3339"),
        ({"source": "core_engine"}, "source 'core_engine' is not 'strategy', this service"),
        ({"source": None}, "source (null) is not 'strategy', this service"),
        ({"payload": [1]}, "payload is a list, and has to be a JSON object"),
        ({"payload": None}, "payload is null, and has to be a JSON object"),
        ({"payload": True}, "payload is a boolean, and has to be a JSON object"),
        ({"message_id": "x" * 100}, "message_id 'xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx…' is not a UUID"),
        ({"message_id": "a\nb\x1b"}, "message_id 'a\ufffdb\ufffd' is not a UUID"),
    ],
)
def test_wrong_member(changes: dict[str, Any], expected: str) -> None:
    """Which member is wrong, what it is, and what it should be."""
    assert expected in why(check(**changes))


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (b"", "the body is not an envelope: it is not JSON"),
        (b"[]", "the body is a list, and an envelope is a JSON object"),
        (b"null", "the body is null"),
        (b'"x"', "the body is a text"),
        (b'{"source": "a", "source": "b"}', "members 1 and 2 of an object in it have the same name"),
    ],
)
def test_body_that_is_no_envelope(body: bytes, expected: str) -> None:
    """A body that is something else."""
    assert expected in why(check_envelope(body, EnvelopeProperties(), "strategy"))


@pytest.mark.parametrize(
    ("properties", "differing"),
    [
        (EnvelopeProperties(), ()),
        (EnvelopeProperties(ID.encode(), SECONDS, b"strategy"), ()),
        (EnvelopeProperties(message_id=b"other"), (MESSAGE_ID,)),
        (EnvelopeProperties(message_id=b""), (MESSAGE_ID,)),
        (EnvelopeProperties(message_id=ID.upper().encode()), (MESSAGE_ID,)),
        (EnvelopeProperties(message_id=b"\xff"), (MESSAGE_ID,)),
        (EnvelopeProperties(timestamp=SECONDS + 2), (TIMESTAMP,)),
        (EnvelopeProperties(timestamp=SECONDS * 1000), (TIMESTAMP,)),
        (EnvelopeProperties(timestamp=2**64 - 1), (TIMESTAMP,)),
        (EnvelopeProperties(b"other", 0), (MESSAGE_ID, TIMESTAMP)),
    ],
)
def test_ids_and_times_that_differ(properties: EnvelopeProperties, differing: tuple[str, ...]) -> None:
    """They pass, and are named: a library may write its own."""
    checked = check(properties)

    assert isinstance(checked, Envelope)
    assert checked.differing == differing


def test_another_source_as_property() -> None:
    """Who sent it is one and the same thing in both."""
    problem = why(check(EnvelopeProperties(app_id=b"core_engine")))

    assert problem == "source is 'strategy' in the envelope, and the property app_id is 'core_engine'"


def test_rounded_timestamp() -> None:
    """The AMQP timestamp has whole seconds; a client may round either way."""
    for seconds in (SECONDS, SECONDS + 1):
        assert isinstance(check(EnvelopeProperties(timestamp=seconds)), Envelope)


def test_words_for_the_other_side() -> None:
    """On arrival it is the token's issuer that `source` has to be."""
    problem = check_envelope(
        json.dumps(DOCUMENT).encode(), EnvelopeProperties(), "core_engine", sent_by="the token's issuer"
    )

    assert why(problem) == "source 'strategy' is not 'core_engine', the token's issuer"


@given(
    st.binary(max_size=100), st.builds(EnvelopeProperties, st.none() | st.binary(), st.none() | st.integers(0, 2**64))
)
def test_any_body(body: bytes, properties: EnvelopeProperties) -> None:
    """Any bytes are an envelope or a problem."""
    assert isinstance(check_envelope(body, properties, "strategy"), EnvelopeProblem)


@given(st.dictionaries(st.sampled_from(sorted(DOCUMENT)), st.none() | st.text() | st.integers() | st.lists(st.none())))
def test_any_members(changes: dict[str, Any]) -> None:
    """Any values of the members give an envelope or a problem."""
    assert isinstance(check(**changes), (Envelope, EnvelopeProblem))
