"""Tables as raw entries."""

from __future__ import annotations

import struct

import pamqp.decode
import pamqp.encode
import pika.data
import pytest
from hypothesis import given
from hypothesis import strategies as st

from letrade_topo.amqp.faults import AmqpFault, ReplyCode
from letrade_topo.amqp.header_table import (
    EMPTY_ENCODED,
    EMPTY_TABLE,
    HeaderTable,
    append_entries,
    boolean_entry,
    integer_entry,
    long_string_entry,
    raw_entry,
    table_entry,
    table_value,
    take_entries,
)
from letrade_topo.amqp.wire import boolean_value, integer_value, long_string, long_string_value

from .strategies import encoded_tables

_simple_names = st.text("abcdefghij-", min_size=1, max_size=8)
_simple_tables = st.dictionaries(
    _simple_names,
    st.booleans() | st.text(max_size=20) | st.integers(-(2**31), 2**31 - 1) | st.none() | st.lists(st.booleans()),
    max_size=5,
)


@given(encoded_tables)
def test_reading_and_writing_is_the_identity(encoded: bytes) -> None:
    """Order, duplicates, types and bytes that are no text survive (list 2.12)."""
    table = HeaderTable.parse(encoded)

    assert table.encode() == encoded
    assert HeaderTable(table.entries).encode() == encoded


@pytest.mark.parametrize(
    "entries",
    [
        b"\x01dd" + struct.pack(">d", 0.1),
        b"\x01ll" + struct.pack(">q", 5),
        b"\x01TT" + struct.pack(">Q", 1_700_000_000_123),
        b"\x01zV\x01aV",
        b"\x01aV\x01aV",
        b"\x01nS\x00\x00\x00\x02\xff\xfe",
        b"\x00V",
    ],
    ids=["double", "64 bit", "milliseconds", "order", "duplicate", "no UTF-8", "empty name"],
)
def test_what_other_codecs_change_stays(entries: bytes) -> None:
    """The seven losses of decoding and encoding again, none of which happens here."""
    encoded = long_string(entries)
    table = HeaderTable.parse(encoded)

    assert table.encode() == encoded
    assert table.with_entries(integer_entry(b"new", 1)).encode()[4:].startswith(entries)


@given(encoded_tables, st.lists(st.binary(max_size=3), max_size=3))
def test_taking_out_by_prefix(encoded: bytes, prefixes: list[bytes]) -> None:
    """What is taken and what is left are the whole table; neighbours are not touched."""
    table = HeaderTable.parse(encoded)
    taken, rest = take_entries(encoded, tuple(prefixes))

    wanted = [entry for entry in table.entries if entry[0].startswith(tuple(prefixes))]
    assert taken == wanted
    assert rest == HeaderTable(tuple(entry for entry in table.entries if entry not in wanted)).encode()
    assert table.without_prefixes(*prefixes).encode() == rest
    assert table.without(lambda name: name.startswith(tuple(prefixes))).encode() == rest


@given(encoded_tables)
def test_a_table_of_which_nothing_is_taken_is_the_same_object(encoded: bytes) -> None:
    """No copy where nothing changes."""
    table = HeaderTable.parse(encoded)

    assert table.without(lambda name: False) is table
    assert table.without_prefixes() is table
    assert take_entries(encoded, ())[1] is encoded


@given(encoded_tables)
def test_entries_are_appended_behind_the_others(encoded: bytes) -> None:
    """Both ways of appending give the old bytes and then the new ones."""
    new = (long_string_entry(b"token", b"t" * 416), boolean_entry(b"yes", truth=True))
    appended = append_entries(encoded, *new)

    assert appended == HeaderTable.parse(encoded).with_entries(*new).encode()
    assert appended[4:] == encoded[4:] + new[0][1] + new[1][1]


def test_names_are_looked_up_and_duplicates_counted() -> None:
    """A duplicate is visible, so that a rule of exactly one can be kept."""
    table = EMPTY_TABLE.with_entries(
        long_string_entry(b"a", b"1"), integer_entry(b"b", -2), long_string_entry(b"a", b"3")
    )

    assert [long_string_value(value) for value in table.values(b"a")] == [b"1", b"3"]
    assert long_string_value(table.get(b"a") or b"") == b"1"
    assert integer_value(table.get(b"b") or b"") == -2
    assert table.get(b"c") is None
    assert table.values(b"c") == ()
    assert list(table) == [b"a", b"b", b"a"]
    assert b"b" in table
    assert b"c" not in table
    assert len(table) == 3
    assert repr(table) == "HeaderTable(b'a', b'b', b'a')"


def test_tables_are_values() -> None:
    """Equal bytes are equal tables."""
    one = EMPTY_TABLE.with_entries(raw_entry(b"a", b"V"))

    assert one == HeaderTable.parse(one.encode())
    assert hash(one) == hash(HeaderTable.parse(one.encode()))
    assert one != EMPTY_TABLE
    assert one != "a"


def test_a_table_inside_a_table_is_read_when_asked_for() -> None:
    """Capabilities, for one, are such a table."""
    inner = EMPTY_TABLE.with_entries(boolean_entry(b"basic.nack", truth=True))
    table = EMPTY_TABLE.with_entries(table_entry(b"capabilities", inner))

    assert table_value(table.get(b"capabilities") or b"") == inner
    assert table_value(b"V") is None


@pytest.mark.parametrize(
    "encoded",
    [
        b"",
        b"\x00\x00\x00",
        b"\x00\x00\x00\x01",
        b"\x00\x00\x00\x00\x00",
        long_string(b"\x01"),
        long_string(b"\x01a"),
        long_string(b"\x01aS\x00\x00\x00\x05ab"),
        long_string(b"\x01aI\x00\x00"),
        long_string(b"\x01a?"),
        long_string(b"\x01aF\x00\x00\x00\x02\x01a"),
        long_string(b"\xffab"),
    ],
)
def test_a_malformed_table_is_a_syntax_error(encoded: bytes) -> None:
    """Lengths that lie, unknown types, too little data: a fault, never another exception."""
    with pytest.raises(AmqpFault) as caught:
        HeaderTable.parse(encoded)

    assert caught.value.code is ReplyCode.SYNTAX_ERROR


@given(_simple_tables)
def test_pamqp_and_pika_write_what_we_read(values: dict[str, object]) -> None:
    """Names in their order, and the values of simple types."""
    pieces: list[bytes] = []
    pika.data.encode_table(pieces, values)
    for encoded in (pamqp.encode.field_table(values), b"".join(pieces)):  # type: ignore[arg-type]  # dict is invariant
        table = HeaderTable.parse(encoded)

        assert sorted(table) == sorted(name.encode() for name in values)
        for name, value in values.items():
            tagged = table.get(name.encode()) or b""
            match value:
                case bool():
                    assert boolean_value(tagged) == value
                case int():
                    assert integer_value(tagged) == value
                case str():
                    assert long_string_value(tagged) == value.encode()
                case None:
                    assert tagged == b"V"


@given(st.lists(_simple_names, unique=True, max_size=4), st.text(max_size=20), st.integers(-(2**63), 2**63 - 1))
def test_pamqp_and_pika_read_what_we_write(names: list[str], text: str, number: int) -> None:
    """Text, number and truth, appended to an empty table."""
    expected: dict[str, object] = {}
    table = EMPTY_ENCODED
    for name in names:
        expected |= {f"{name}1": text, f"{name}2": number, f"{name}3": True}
        table = append_entries(
            table,
            long_string_entry(f"{name}1".encode(), text.encode()),
            integer_entry(f"{name}2".encode(), number),
            boolean_entry(f"{name}3".encode(), truth=True),
        )

    assert pamqp.decode.field_table(table) == (len(table), expected)
    assert pika.data.decode_table(table, 0) == (expected, len(table))
