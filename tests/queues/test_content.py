"""Properties as bytes: read, cut and put together again without changing what is not cut. No broker."""

from __future__ import annotations

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pika.spec import BasicProperties

from letrade_topo.amqp.faults import AmqpFault
from letrade_topo.amqp.properties import POSITIONS
from letrade_topo.model.messages import MessageType
from letrade_topo.model.routing import KeyTemplate
from letrade_topo.model.units import Duration
from letrade_topo.queues.body import HIDDEN, readable
from letrade_topo.queues.content import Properties
from letrade_topo.queues.values import decoded

_NAMES = st.binary(max_size=20)
_VALUES = st.one_of(
    st.binary(max_size=20).map(lambda text: b"S" + struct.pack(">I", len(text)) + text),
    st.floats(allow_nan=False).map(lambda number: b"d" + struct.pack(">d", number)),
    st.integers(-128, 127).map(lambda number: b"b" + struct.pack(">b", number)),
    st.integers(0, 2**63).map(lambda number: b"T" + struct.pack(">Q", number)),
    st.just(b"V"),
    st.just(b"F\x00\x00\x00\x04\x01at\x01"),
)
_HEADERS = st.lists(st.tuples(_NAMES, _VALUES), max_size=6)
_TEXTS = st.binary(max_size=30)


def _raw(headers: list[tuple[bytes, bytes]], texts: dict[str, bytes]) -> bytes:
    content = b"".join(bytes((len(name),)) + name + value for name, value in headers)
    fields = {"headers": struct.pack(">I", len(content)) + content}
    fields |= {name: bytes((len(text),)) + text for name, text in texts.items()}
    flags = sum(1 << (15 - POSITIONS[name]) for name in fields)
    return struct.pack(">H", flags) + b"".join(fields[name] for name in sorted(fields, key=POSITIONS.__getitem__))


@given(_HEADERS, st.dictionaries(st.sampled_from(["content_type", "message_id", "reply_to", "app_id"]), _TEXTS))
def test_nothing_changes_that_is_not_touched(headers: list[tuple[bytes, bytes]], texts: dict[str, bytes]) -> None:
    """Any headers, twice the same name, empty properties: reading and writing is the identity."""
    raw = _raw(headers, texts)
    properties = Properties.parse(raw)
    assert properties.encode() == raw
    assert list(properties.headers) == headers
    assert properties.rewritten(is_dropped=lambda _: False, added=(), without=()).encode() == raw
    for name, text in texts.items():
        assert properties.text(name) == text


@given(_HEADERS)
def test_cutting_and_adding(headers: list[tuple[bytes, bytes]]) -> None:
    """What is dropped is gone, what is added stands behind the rest, in its order."""
    properties = Properties.parse(_raw(headers, {"user_id": b"somebody", "expiration": b"5"}))
    rewritten = properties.rewritten(
        is_dropped=lambda name: len(name) > 5, added=[(b"letrade-attempt", 3)], without=("user_id", "expiration")
    )
    again = Properties.parse(rewritten.encode())
    kept = [entry for entry in headers if len(entry[0]) <= 5]
    assert list(again.headers) == [*kept, (b"letrade-attempt", b"l" + struct.pack(">q", 3))]
    assert again.text("user_id") is again.text("expiration") is None


@given(st.binary(max_size=60))
def test_any_bytes(raw: bytes) -> None:
    """Whatever it is: properties, or a fault."""
    try:
        properties = Properties.parse(raw)
    except AmqpFault:
        return
    assert properties.encode() == raw


def test_as_another_library_writes_them() -> None:
    """pika's own encoding is read."""
    made = BasicProperties(content_type="a/b", headers={"n": 5, "l": [1, "x"]}, delivery_mode=2, timestamp=7)
    properties = Properties.parse(b"".join(made.encode()))
    assert (properties.text("content_type"), properties.number("delivery_mode")) == (b"a/b", 2)
    assert (properties.number("timestamp"), properties.header(b"n"), properties.header(b"l")) == (7, 5, [1, "x"])


@pytest.mark.parametrize("value", [b"", b"?", b"S\x00", b"d\x00", b"T\xff\xff\xff\xff\xff\xff\xff\xff"])
def test_looking_at_a_value_never_fails(value: bytes) -> None:
    """What cannot be decoded is shown as it is."""
    assert decoded(value) == value


def _type(*sensitive: str) -> MessageType:
    return MessageType("a.b", "x", KeyTemplate.parse("a.b"), Duration(1000), sensitive=sensitive)


@pytest.mark.parametrize(
    "body",
    [
        b'{"payload": {"amount": 7777}}',
        b'{"payload": {"Amount": 7777}}',
        b'{"amount": 7777}',
        b'[{"deep": {"amount": {"x": 7777}}}]',
        b'{"payload": {"amount": 7777}',
    ],
)
def test_what_is_sensitive_is_hidden_wherever_it_stands(body: bytes) -> None:
    """Misplaced, misspelt in case, or in what is no JSON at all: not shown unless somebody says so."""
    assert "7777" not in readable(body, _type("/amount"), reveal=False)
    assert "7777" in readable(body, _type("/amount"), reveal=True)


def test_of_an_unknown_type_nothing_is_shown() -> None:
    """Where it is not known what is sensitive, everything is."""
    assert "7777" not in readable(b'{"x": 7777}', None, reveal=False)


def test_a_long_body_is_cut() -> None:
    """The text is bounded, and says how much is missing."""
    text = readable(b'{"x": "' + b"y" * 100_000 + b'"}', _type(), reveal=False)
    assert len(text) < 20_000
    assert "more characters; --raw FILE saves all" in text


def test_hidden_says_so() -> None:
    """The name stays, the value is replaced."""
    assert f'"amount": "{HIDDEN}"' in readable(b'{"payload": {"amount": 1}}', _type("/amount"), reveal=False)
