"""Content headers, read in place and changed without touching the rest."""

from __future__ import annotations

import struct

import pamqp.commands
import pamqp.header
import pika.spec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from letrade_topo.amqp.faults import AmqpFault, ReplyCode
from letrade_topo.amqp.header_table import (
    EMPTY_ENCODED,
    HeaderTable,
    append_entries,
    integer_entry,
    long_string_entry,
)
from letrade_topo.amqp.properties import PROPERTIES, ContentHeader

from .strategies import content_headers

_texts = st.text("abcdefghij0123-", min_size=1, max_size=20)
_simple_properties = st.fixed_dictionaries(
    {},
    optional={
        "content_type": _texts,
        "content_encoding": _texts,
        "delivery_mode": st.integers(1, 2),
        "priority": st.integers(1, 255),
        "correlation_id": _texts,
        "reply_to": _texts,
        "expiration": st.integers(1, 10**9).map(str),
        "message_id": _texts,
        "type": _texts,
        "user_id": _texts,
        "app_id": _texts,
    },
)


def _header(flags: int, values: bytes, body_size: int = 5) -> bytes:
    return struct.pack(">HHQH", 60, 0, body_size, flags) + values


@given(content_headers())
def test_reading_and_writing_is_the_identity(payload: bytes) -> None:
    """Present-but-empty properties, unknown ones and a continued flags word included (list 2.12)."""
    header = ContentHeader.parse(payload)

    assert header.payload == payload
    assert header.rewrite() == payload
    assert header.rewrite(header.encoded_headers) == payload


@given(content_headers())
def test_every_property_reads_as_it_was_written(payload: bytes) -> None:
    """Named access and access by name agree; absent is None, empty is empty."""
    header = ContentHeader.parse(payload)

    for position, (name, kind) in enumerate(PROPERTIES):
        raw = header.raw(name)
        assert (raw is not None) == bool(header.flags & 1 << (15 - position))
        if name in ("headers", "cluster_id"):
            continue
        value = getattr(header, name)
        assert value == (raw if kind == "shortstr" or raw is None else int.from_bytes(raw, "big"))
    assert (header.headers is None) == (header.raw("headers") is None)
    assert header.encoded_headers == header.raw("headers")


@given(content_headers())
def test_new_headers_touch_nothing_else(payload: bytes) -> None:
    """All other properties keep their bytes, with and without a table there before."""
    header = ContentHeader.parse(payload)
    table = append_entries(header.encoded_headers or EMPTY_ENCODED, integer_entry(b"new", 1))

    changed = ContentHeader.parse(header.rewrite(table))

    assert changed.encoded_headers == table
    assert changed.body_size == header.body_size
    for name, _ in PROPERTIES:
        if name != "headers":
            assert changed.raw(name) == header.raw(name)
    assert changed.rewrite(header.encoded_headers) == payload


@given(content_headers(), st.binary(max_size=255), st.integers(0, 2**64 - 1))
def test_properties_are_added_only_where_absent(payload: bytes, text: bytes, timestamp: int) -> None:
    """A client's own message id, timestamp or application id is never overwritten (list 2.18)."""
    header = ContentHeader.parse(payload)

    changed = ContentHeader.parse(header.rewrite(message_id=text, timestamp=timestamp, app_id=text))

    assert changed.message_id == (text if header.message_id is None else header.message_id)
    assert changed.timestamp == (timestamp if header.timestamp is None else header.timestamp)
    assert changed.app_id == (text if header.app_id is None else header.app_id)
    added: dict[str, bytes | None] = {
        name: None for name in ("message_id", "timestamp", "app_id") if header.raw(name) is None
    }
    assert changed.rewrite(replace=added) == payload


def test_a_present_but_empty_property_is_not_absent() -> None:
    """An empty message id is the client's own choice (list 2.12)."""
    payload = _header(1 << 7, b"\x00")

    assert ContentHeader.parse(payload).message_id == b""
    assert ContentHeader.parse(payload).rewrite(message_id=b"new") == payload


def test_body_size_and_short_strings_are_replaced() -> None:
    """What encryption and claim check change."""
    header = ContentHeader.parse(_header(1 << 15 | 1 << 12, b"\x01a\x02"))

    changed = ContentHeader.parse(header.rewrite(body_size=9, replace={"content_type": b"b", "type": b"c"}))

    assert (changed.body_size, changed.content_type, changed.type, changed.delivery_mode) == (9, b"b", b"c", 2)


def test_only_short_strings_are_replaced_by_name() -> None:
    """A number in bytes would be a bug of the caller."""
    with pytest.raises(ValueError, match="timestamp is no short string"):
        ContentHeader.parse(_header(0, b"")).rewrite(replace={"timestamp": b"12345678"})


def test_headers_can_be_taken_out_altogether() -> None:
    """A client that sent none gets none back (list 2.18)."""
    header = ContentHeader.parse(_header(0, b""))
    with_table = ContentHeader.parse(header.rewrite(append_entries(EMPTY_ENCODED, integer_entry(b"a", 1))))

    assert with_table.rewrite(headers=None) == header.payload


@pytest.mark.parametrize(
    ("payload", "code"),
    [
        (b"", ReplyCode.SYNTAX_ERROR),
        (b"\x00\x3c\x00\x00", ReplyCode.SYNTAX_ERROR),
        (_header(1 << 15, b""), ReplyCode.SYNTAX_ERROR),
        (_header(1 << 15, b"\x05ab"), ReplyCode.SYNTAX_ERROR),
        (_header(1 << 13, b"\x00\x00\x00\x09"), ReplyCode.SYNTAX_ERROR),
        (_header(1 << 6, b"\x00\x00"), ReplyCode.SYNTAX_ERROR),
        (_header(1, b""), ReplyCode.SYNTAX_ERROR),
        (_header(0, b"x"), ReplyCode.SYNTAX_ERROR),
        (struct.pack(">HHQH", 61, 0, 1, 0), ReplyCode.UNEXPECTED_FRAME),
        (struct.pack(">HHQH", 60, 1, 1, 0), ReplyCode.UNEXPECTED_FRAME),
    ],
)
def test_what_is_no_content_header_is_a_fault(payload: bytes, code: ReplyCode) -> None:
    """Too short, too long, another class, a weight."""
    with pytest.raises(AmqpFault) as caught:
        ContentHeader.parse(payload)

    assert caught.value.code is code


def _as_pamqp(values: dict[str, object]) -> dict[str, object]:
    """As pamqp 4 spells the properties."""
    return {"message_type" if name == "type" else name: value for name, value in values.items()}


@given(_simple_properties, st.integers(0, 2**31), st.dictionaries(_texts, _texts, max_size=3))
def test_pamqp_and_pika_write_what_we_read(values: dict[str, object], size: int, headers: dict[str, str]) -> None:
    """The same properties from two foreign codecs."""
    written = [
        struct.pack(">HxxQ", 60, size) + b"".join(pika.spec.BasicProperties(headers=headers, **values).encode()),
        pamqp.header.ContentHeader(
            body_size=size,
            properties=pamqp.commands.Basic.Properties(headers=headers, **_as_pamqp(values)),  # type: ignore[arg-type]  # drawn
        ).marshal(),
    ]
    for payload in written:
        header = ContentHeader.parse(payload)

        assert header.body_size == size
        for name, kind in PROPERTIES:
            expected = values.get(name)
            if name in ("headers", "timestamp", "cluster_id"):
                continue
            value = getattr(header, name)
            assert value == (expected.encode() if kind == "shortstr" and isinstance(expected, str) else expected)
        table = header.headers
        assert sorted(table or ()) == sorted(name.encode() for name in headers)


@given(_simple_properties, st.dictionaries(_texts, _texts, max_size=3))
def test_pamqp_and_pika_read_what_we_splice(values: dict[str, object], headers: dict[str, str]) -> None:
    """A token appended, properties added: both codecs see the old and the new."""
    original = pika.spec.BasicProperties(headers=headers or None, **values)
    header = ContentHeader.parse(struct.pack(">HxxQ", 60, 7) + b"".join(original.encode()))
    token = long_string_entry(b"letrade-token", b"t" * 416)
    table = append_entries(header.encoded_headers or EMPTY_ENCODED, token)

    payload = header.rewrite(table, message_id=b"added", app_id=b"strategy")

    expected = {"message_id": "added", "app_id": "strategy", **values}
    by_pika = pika.spec.BasicProperties().decode(payload[12:])
    by_pamqp = pamqp.header.ContentHeader()
    by_pamqp.unmarshal(payload)
    for read in (by_pika, by_pamqp.properties):
        assert read.headers == {**headers, "letrade-token": "t" * 416}
        for name in _NAMES:
            spelled = "message_type" if read is by_pamqp.properties and name == "type" else name
            assert getattr(read, spelled) == expected.get(name)
    assert by_pamqp.body_size == 7
    assert isinstance(header.headers, HeaderTable | None)


_NAMES = [name for name, _ in PROPERTIES if name not in ("headers", "timestamp", "cluster_id")]
