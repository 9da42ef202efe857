"""The leaf of a message: what it covers, and that nothing can be moved from one field to another."""

from __future__ import annotations

from hashlib import sha256

import pytest
from hypothesis import given
from hypothesis import strategies as st

from letrade_topo.keys.leaf import SignableMessage, SignedProperties, leaf_bytes, leaf_hash

SHORT = st.binary(max_size=255)
MESSAGES = st.builds(
    SignableMessage, SHORT, SHORT, st.builds(SignedProperties, *[st.none() | SHORT] * 5), st.binary(max_size=300)
)


def test_bytes_of_a_leaf() -> None:
    """The bytes are exactly those of the format."""
    message = SignableMessage(b"ex", b"key", SignedProperties(b"id", None, b"", None, b"t"), b"body")

    expected = (
        b"\x00\x00\x00\x02ex"
        b"\x00\x00\x00\x03key"
        b"\x00\x00\x00\x02id"
        b"\xff\xff\xff\xff"
        b"\x00\x00\x00\x00"
        b"\xff\xff\xff\xff"
        b"\x00\x00\x00\x01t"
        b"\x00\x00\x00\x00\x00\x00\x00\x04" + sha256(b"body").digest()
    )
    assert leaf_bytes(message) == expected
    assert leaf_hash(message) == sha256(b"\x00" + expected).digest()


@pytest.mark.parametrize("place", range(5))
def test_absent_differs_from_empty(place: int) -> None:
    """A property that is not there is something else than an empty one."""
    absent = SignedProperties()
    empty = absent._replace(**{SignedProperties._fields[place]: b""})

    assert leaf_hash(SignableMessage(b"", b"", absent, b"")) != leaf_hash(SignableMessage(b"", b"", empty, b""))


@given(MESSAGES, MESSAGES)
def test_different_messages_have_different_leaves(one: SignableMessage, other: SignableMessage) -> None:
    """Two messages have the same bytes only if they are the same."""
    assert (leaf_bytes(one) == leaf_bytes(other)) == (one == other)


@given(MESSAGES)
def test_kind_of_buffer_does_not_matter(message: SignableMessage) -> None:
    """A body in any kind of buffer has the same leaf."""
    assert leaf_hash(message._replace(body=memoryview(bytearray(message.body)))) == leaf_hash(message)


def test_field_longer_than_a_short_string() -> None:
    """A field that no AMQP message can have is hashed all the same: the length has 32 bits."""
    message = SignableMessage(b"x" * 300, b"", SignedProperties(), b"")

    assert leaf_bytes(message).startswith(b"\x00\x00\x01\x2c" + b"x" * 300)
