"""The leaf: one hash over everything of a message that its publisher answers for.

Left out is what brokers change and what belongs to the transport: other headers, timestamp, expiration,
reply-to, delivery mode, priority, user id, traceparent.
"""

from __future__ import annotations

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


class Message(NamedTuple):
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


def leaf_hash(message: Message) -> bytes:
    """The leaf of a message: SHA-256, 32 bytes."""
    return sha256(LEAF_PREFIX + leaf_bytes(message)).digest()


def leaf_bytes(message: Message) -> bytes:
    """What is hashed behind the prefix."""
    exchange, routing_key, properties, body = message
    parts = []
    for text in (exchange, routing_key, *properties):
        if text is None:
            parts.append(ABSENT)
        else:
            length = len(text)
            parts.append(_SHORT_LENGTHS[length] if length < 256 else length.to_bytes(4, "big"))
            parts.append(text)
    size = body.nbytes if isinstance(body, memoryview) else len(body)
    parts.append(size.to_bytes(8, "big"))
    parts.append(sha256(body).digest())
    return b"".join(parts)
