"""An ordinary publish, ready to be signed, and the header that it gets then: values, no decision."""

from __future__ import annotations

import struct
from typing import Final, NamedTuple

from letrade_topo.amqp.properties import BASIC_CLASS

_HEAD: Final = struct.Struct(">HHQ")
_LONG: Final = struct.Struct(">I")
_LONG_LONG: Final = struct.Struct(">Q")


class Pieces(NamedTuple):
    """The parts of a signed header that are known before the message is.

    Attributes:
        flags: and the properties before the headers table.
        table: the client's own entries of the headers table, without its length.
        to: the entry that tells where it is published.
        added: the entry that says what is added.
        before: the properties between the headers table and the message id.
        after: those behind the timestamp.
    """

    flags: bytes
    table: bytes
    to: bytes
    added: bytes
    before: bytes
    after: bytes


class Ordinary(NamedTuple):
    """A publish that only needs to be signed.

    Attributes:
        destination: the label of metrics: the declared exchange.
        body: as it goes over the wire.
        lifetime_seconds: of its message type.
        leaf: its hash.
        pieces: of its header.
        message_id: the property, as a short string.
        timestamp: the property, in seconds.
    """

    destination: str
    body: bytes
    lifetime_seconds: float
    leaf: bytes
    pieces: Pieces
    message_id: bytes
    timestamp: int


def ordinary_header(one: Ordinary, jws_entry: bytes, proof_entry: bytes) -> bytes:
    """The content header payload of a signed message; the agent's entries in the order of their names.

    RabbitMQ 4 puts tables into that order, and so the consumer's agent finds them in one order, whatever the version.

    Args:
        one: the message.
        jws_entry: the entry of its token.
        proof_entry: that of its proof; empty: it has none.
    """
    _, body, _, _, (flags, table, to, added, before, after), message_id, timestamp = one
    size = len(table) + len(jws_entry) + len(to) + len(proof_entry) + len(added)
    return b"".join(
        (
            _HEAD.pack(BASIC_CLASS, 0, len(body)),
            flags,
            _LONG.pack(size),
            table,
            added,
            jws_entry,
            proof_entry,
            to,
            before,
            message_id,
            _LONG_LONG.pack(timestamp),
            after,
        )
    )
