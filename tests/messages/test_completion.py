"""An envelope completed: the contract's members are there, and nothing else about the bytes has changed."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from letrade_topo.messages.completion import COMPLETED, Completion, Filling, complete, incomplete
from letrade_topo.messages.envelope import Envelope, EnvelopeProperties, check_envelope
from letrade_topo.messages.json_text import Parsed, parse_json

ID = "123e4567-e89b-12d3-a456-426614174000"
NEW_ID = "00000000-0000-4000-8000-000000000001"
FILLING = Filling(None, NEW_ID, 1_743_251_696_789, "strategy")
SPLICED = (
    b'"message_id":"00000000-0000-4000-8000-000000000001","timestamp":"2025-03-29T12:34:56.789Z","source":"strategy"'
)

_SPACES = st.text(" \t\r\n", max_size=3).map(str.encode)
_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=8,
)
_DOCUMENTS = st.dictionaries(st.sampled_from([*COMPLETED, "payload", "routing_key", "é", 'a"b', ""]), _VALUES)
_SOURCES = st.sampled_from(["strategy", 'a"b', "back\\slash", "한국"])


@st.composite
def bodies(draw: st.DrawFn) -> bytes:
    """Objects as clients write them: any spacing, escaped or not."""
    document = draw(_DOCUMENTS)
    indent, escaped = draw(st.sampled_from([None, 0, 2])), draw(st.booleans())
    text = json.dumps(document, indent=indent, ensure_ascii=escaped).encode(errors="surrogatepass")
    return draw(_SPACES) + b"{" + draw(_SPACES) + text[1:] + draw(_SPACES)


@given(bodies(), st.none() | st.sampled_from([ID.encode(), b"7", b"\xff"]), _SOURCES)
def test_what_is_lacking_is_put_in_and_comes_out_again(body: bytes, message_id: bytes | None, source: str) -> None:
    """It parses to the union; behind and before what was put in stands every byte as it came."""
    filling = Filling(message_id, NEW_ID, FILLING.milliseconds, source)

    completed = complete(body, filling)

    own = parse_json(body)
    if not isinstance(own, Parsed):  # half a surrogate pair
        assert completed == Completion(body)
        return
    assert isinstance(own.value, dict)
    values = {
        "message_id": ID if message_id == ID.encode() else NEW_ID,
        "timestamp": "2025-03-29T12:34:56.789Z",
        "source": source,
    }
    assert parse_json(completed.body) == Parsed({**values, **own.value})
    assert completed.members == tuple(name for name in COMPLETED if name not in own.value)
    head = body.index(b"{") + 1
    tail = len(body) - head
    assert completed.body[:head] == body[:head]
    assert completed.body[-tail:] == body[head:]
    assert incomplete(completed.body, completed.members) == body


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (b"{}", b"{" + SPLICED + b"}"),
        (b" { } ", b" {" + SPLICED + b" } "),
        (b'{\n "payload": {}}', b"{" + SPLICED + b',\n "payload": {}}'),
        (b'{"payload": {"source": 1}}', b"{" + SPLICED + b',"payload": {"source": 1}}'),
    ],
)
def test_it_stands_behind_the_opening_brace(body: bytes, expected: bytes) -> None:
    """In the contract's order, without spaces; a comma only where something follows."""
    assert complete(body, FILLING) == (expected, COMPLETED)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"[]",
        b"7",
        b"{",
        b"\xff",
        b"\xef\xbb\xbf{}",
        b'{"a": 1, "a": 2}',
        b'{"payload": {"a": 1, "a": 2}}',
        b'{"message\\u005fid": null, "timestamp": 7, "source": ""}',
    ],
)
def test_what_is_no_object_or_has_all_stays_as_it_is(body: bytes) -> None:
    """Whether it is right is judged elsewhere: a member that is there is never replaced."""
    completed = complete(body, FILLING)

    assert completed.body is body
    assert completed.members == ()


def test_what_is_completed_is_an_envelope() -> None:
    """Its id is the property's where that is a UUID."""
    body = b'{"timestamp":"2025-03-29T12:34:56Z","routing_key":"a.b","payload":{}}'

    completed = complete(body, FILLING._replace(message_id=ID.encode()))

    checked = check_envelope(completed.body, EnvelopeProperties(ID.encode()), "strategy")
    assert isinstance(checked, Envelope)
    assert (checked.message_id, checked.source, checked.differing) == (ID, "strategy", ())


@pytest.mark.parametrize("body", [b"", b"{}", b'{"source":"strategy"}', b'{"message_id":7,"source":"strategy"}'])
def test_what_was_not_completed_so_stays(body: bytes) -> None:
    """A body in which something else stands comes back as it is."""
    assert incomplete(body, ("message_id", "source")) is body
