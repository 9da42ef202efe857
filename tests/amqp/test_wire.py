"""Strings, bits and tagged values."""

from __future__ import annotations

import struct

import pytest
from hypothesis import given

from letrade_topo.amqp.faults import AmqpFault, ReplyCode
from letrade_topo.amqp.wire import (
    FIXED_SIZES,
    MAX_DEPTH,
    array_values,
    boolean_value,
    integer_value,
    long_string,
    long_string_value,
    pack_bits,
    short_string,
    value_end,
)

from .strategies import tagged_values


@given(tagged_values)
def test_a_value_ends_where_it_ends(value: bytes) -> None:
    """Every type of RabbitMQ's is skipped exactly, whatever follows (list 2.13)."""
    assert value_end(b"##" + value + b"tail", 2) == 2 + len(value)


@pytest.mark.parametrize("tag", sorted(set(range(256)) - set(FIXED_SIZES) - set(b"SxFA")))
def test_an_unknown_type_is_a_syntax_error(tag: int) -> None:
    """A type nobody knows cannot be skipped (row 13)."""
    with pytest.raises(AmqpFault) as caught:
        value_end(bytes((tag, 0, 0, 0, 0)), 0)

    assert caught.value.code is ReplyCode.SYNTAX_ERROR


def _nested(levels: int) -> bytes:
    value = b"V"
    for level in range(levels):
        value = b"A" + long_string(value) if level % 2 else b"F" + long_string(b"\x01n" + value)
    return value


def test_nesting_has_a_limit() -> None:
    """As deep as the limit is read; one more is a fault, not an overflow of the stack."""
    deepest = _nested(MAX_DEPTH)
    assert value_end(deepest, 0) == len(deepest)

    with pytest.raises(AmqpFault) as caught:
        value_end(_nested(MAX_DEPTH + 1), 0)
    assert caught.value.code is ReplyCode.SYNTAX_ERROR


@pytest.mark.parametrize(
    "value",
    [
        b"A" + long_string(b"I\x00\x00\x00"),
        b"F" + long_string(b"\x05ab"),
        b"F" + long_string(b"\x01aS\x00\x00\x00\xff"),
        b"A" + struct.pack(">I", 2**31),
        b"S\x00\x00",
        b"A",
    ],
)
def test_content_that_overruns_its_container_is_never_read(value: bytes) -> None:
    """A length that lies gives a fault, an end behind the data, or one of the two errors that readers catch."""
    try:
        end = value_end(value, 0)
    except (AmqpFault, IndexError, struct.error):
        return
    assert end > len(value)


def test_bits_share_an_octet_the_first_one_lowest() -> None:
    """AMQP 0-9-1, 4.2.5.2."""
    assert pack_bits((True, False, True)) == b"\x05"


def test_a_short_string_holds_255_bytes() -> None:
    """Bytes, not characters, zero bytes and invalid UTF-8 included (list 2.14)."""
    assert short_string(b"\x00\xff" * 127 + b"x") == b"\xff" + b"\x00\xff" * 127 + b"x"
    with pytest.raises(ValueError, match="at most 255 bytes"):
        short_string(b"x" * 256)


@pytest.mark.parametrize(
    ("value", "number"),
    [
        (b"b\xff", -1),
        (b"B\xff", 255),
        (b"s\xff\xfe", -2),
        (b"u\xff\xfe", 65_534),
        (b"I\xff\xff\xff\xff", -1),
        (b"i\xff\xff\xff\xff", 2**32 - 1),
        (b"l" + b"\xff" * 8, -1),
        (b"L" + b"\xff" * 8, -1),
        (b"S\x00\x00\x00\x00", None),
        (b"t\x01", None),
    ],
)
def test_integers_have_the_signs_of_rabbitmqs_types(value: bytes, number: int | None) -> None:
    """Not those of the printed specification: `s` is a number, `l` and `L` both have a sign (row 13)."""
    assert integer_value(value) == number


def test_texts_truths_and_arrays_are_read_by_their_tag() -> None:
    """A text may come as a byte array after a stream; other types are None, not a guess."""
    assert long_string_value(b"S\x00\x00\x00\x02ab") == b"ab"
    assert long_string_value(b"x\x00\x00\x00\x02ab") == b"ab"
    assert long_string_value(b"t\x01") is None
    assert boolean_value(b"t\x01") is True
    assert boolean_value(b"t\x00") is False
    assert boolean_value(b"V") is None
    assert array_values(b"A\x00\x00\x00\x03t\x01V") == (b"t\x01", b"V")
    assert array_values(b"V") is None
