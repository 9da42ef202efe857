"""The leaf: one hash over everything of a message that its publisher answers for.

Left out is what brokers change and what belongs to the transport: other headers, timestamp, expiration,
reply-to, delivery mode, priority, user id, traceparent.
"""

from __future__ import annotations

from functools import lru_cache
from hashlib import sha256
from typing import NamedTuple

LEAF_PREFIX = b"\x00"
"""Keeps a leaf from passing for a node of the tree (RFC 6962, 2.1)."""

ABSENT = b"\xff\xff\xff\xff"
"""Instead of a length; an empty field has the length 0."""

_SHORT_LENGTHS = tuple(length.to_bytes(4, "big") for length in range(256))
"""Every field is an AMQP short string, so nearly every length is here."""


class SignedProperties(NamedTuple):
    """The AMQP properties that a leaf covers, as on the wire; None where the message has none.

    A named tuple, as one is made for each message.
    """

    message_id: bytes | None = None
    correlation_id: bytes | None = None
    content_type: bytes | None = None
    content_encoding: bytes | None = None
    type: bytes | None = None


class SignableMessage(NamedTuple):
    """What is signed.

    Args:
        exchange: of the publish.
        routing_key: of the publish.
        properties: of the message.
        body: the bytes on the wire, after encryption and claim check.
    """

    exchange: bytes
    routing_key: bytes
    properties: SignedProperties
    body: bytes | bytearray | memoryview


def leaf_hash(message: SignableMessage) -> bytes:
    """The leaf of a message: SHA-256, 32 bytes."""
    exchange, routing_key, properties, body = message
    return leaf_at(place(exchange, routing_key), properties, body)


@lru_cache(maxsize=4096)
def place(exchange: bytes, routing_key: bytes) -> bytes:
    """The begin of every leaf of that exchange and routing key. Cached: there are few of them."""
    return LEAF_PREFIX + _field(exchange) + _field(routing_key)


def leaf_at(begin: bytes, properties: SignedProperties, body: bytes | bytearray | memoryview) -> bytes:
    """The leaf of a message whose `place` is known."""
    return sha256(_covered(begin, properties, body)).digest()


def leaf_bytes(message: SignableMessage) -> bytes:
    """What is hashed behind the prefix."""
    exchange, routing_key, properties, body = message
    return _covered(place(exchange, routing_key), properties, body)[len(LEAF_PREFIX) :]


def _covered(begin: bytes, properties: SignedProperties, body: bytes | bytearray | memoryview) -> bytes:
    message_id, correlation_id, content_type, content_encoding, type_ = properties
    size = body.nbytes if isinstance(body, memoryview) else len(body)
    return b"".join(
        (
            begin,
            ABSENT if message_id is None else _field(message_id),
            ABSENT if correlation_id is None else _field(correlation_id),
            ABSENT if content_type is None else _field(content_type),
            ABSENT if content_encoding is None else _field(content_encoding),
            ABSENT if type_ is None else _field(type_),
            size.to_bytes(8, "big"),
            sha256(body).digest(),
        )
    )


def _field(text: bytes) -> bytes:
    length = len(text)
    return (_SHORT_LENGTHS[length] if length < 256 else length.to_bytes(4, "big")) + text
