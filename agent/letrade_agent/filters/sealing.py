"""The content header of what is published: cleaned, completed, signed; and taken back to what the client sent.

What is added is noted in a header of its own, so that a returned message can be given back as it came, and so that
a message to which nothing was added carries nothing more.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from functools import lru_cache
from math import ceil
from typing import Final

from letrade_agent.filters.decisions import Approved
from letrade_agent.filters.ordinary import Ordinary, Pieces, ordinary_header
from letrade_topo.amqp.faults import AmqpFault
from letrade_topo.amqp.header_table import EMPTY_ENCODED, HeaderTable, append_entries, integer_entry, take_entries
from letrade_topo.amqp.properties import POSITIONS, ContentHeader
from letrade_topo.amqp.wire import integer_value, long_string, short_string
from letrade_topo.keys.headers import (
    COPY_HEADERS,
    JWS_HEADER,
    PROOF_HEADER,
    RESERVED_HEADERS,
    RESERVED_PREFIXES,
    TO_HEADER,
    is_reserved,
    write_to,
)
from letrade_topo.keys.leaf import SignableMessage, SignedProperties, leaf_hash
from letrade_topo.keys.signer import Signer
from letrade_topo.messages.completion import COMPLETED
from letrade_topo.messages.envelope import EnvelopeProperties

AGENT_PREFIXES: Final = (b"letrade-",)
"""Headers that are the agents' own, on both sides."""

ADDED_HEADER: Final = b"letrade-added"
"""What the publisher's agent added, as a bit mask; absent when that was nothing but headers beside others."""

_MESSAGE_ID, _TIMESTAMP, _APP_ID, _TABLE, _PRIORITY = 1, 2, 4, 8, 16
_FIRST_COMPLETED: Final = 32
TABLE_ADDED: Final = _TABLE
"""The bit for a message that had no headers table."""

_ADDED_PROPERTIES: Final = (
    (_MESSAGE_ID, "message_id"),
    (_TIMESTAMP, "timestamp"),
    (_APP_ID, "app_id"),
    (_PRIORITY, "priority"),
)
_COMPLETED_MEMBERS: Final = tuple((_FIRST_COMPLETED << place, name) for place, name in enumerate(COMPLETED))
"""Of the body's envelope."""
_FLAGS: Final = ((0x0080, _MESSAGE_ID), (0x0040, _TIMESTAMP), (0x0008, _APP_ID), (0x2000, _TABLE))
_PROPERTY_FLAGS: Final = 0x00C8
_PRIORITY_FLAG: Final = 0x0800
_STRIPPED_PREFIXES: Final = (*RESERVED_PREFIXES, *RESERVED_HEADERS)

_NOTHING_ADDED: Final = EnvelopeProperties()
_SHORT: Final = struct.Struct(">H")
_LONG: Final = struct.Struct(">I")
_JWS_ENTRY, _TO_ENTRY, _PROOF_ENTRY = (
    bytes((len(name),)) + name + b"S" for name in (JWS_HEADER, TO_HEADER, PROOF_HEADER)
)
_ADDED_ENTRIES: Final = [
    integer_entry(ADDED_HEADER, mask)[1] if mask else b"" for mask in range(_FIRST_COMPLETED << len(COMPLETED))
]


def strip_reserved(encoded: bytes) -> bytes:
    """A client's headers table without what only agents and brokers may say; the same object if nothing was there.

    Raises:
        AmqpFault: SYNTAX_ERROR, it is malformed.
    """
    taken, rest = take_entries(encoded, _STRIPPED_PREFIXES)
    if not taken or all(is_reserved(name) for name, _ in taken):
        return rest
    return HeaderTable.parse(encoded).without(is_reserved).encode()  # `x-deathly` begins like `x-death` and stays


def missing_properties(header: ContentHeader) -> bool:
    """Whether the envelope has something to add to the properties."""
    return header.flags & _PROPERTY_FLAGS != _PROPERTY_FLAGS


def plain(approved: Approved) -> bytes:
    """The header of a message that goes unsigned: nothing is added but a note of what was put into its envelope."""
    header = approved.header
    if approved.completed:
        mask = _completed_mask(approved) | (_TABLE if approved.headers is None else 0)
        table = append_entries(approved.headers or EMPTY_ENCODED, (ADDED_HEADER, _ADDED_ENTRIES[mask]))
        return header.rewrite(table, body_size=approved.wire_size)
    if approved.headers is header.encoded_headers or approved.headers == header.encoded_headers:
        return header.payload if approved.wire_size is None else header.rewrite(body_size=approved.wire_size)
    return header.rewrite(approved.headers, body_size=approved.wire_size)


def sign_batch(signer: Signer, batch: Sequence[Approved | Ordinary], issued_at: int, jti: bytes) -> list[bytes]:
    """The headers of messages that are signed together.

    Args:
        signer: with the key in use.
        batch: 1 to 1024 messages with a lifetime.
        issued_at: now, in whole seconds since the epoch.
        jti: 16 random bytes.
    """
    lifetime = ceil(max([one.lifetime_seconds or 0.0 for one in batch]))
    leaves = [one.leaf if isinstance(one, Ordinary) else leaf_hash(_message(one)) for one in batch]
    jws, proofs = signer.sign_leaves(leaves, lifetime_seconds=lifetime, issued_at=issued_at, jti=jti)
    jws_entry = _JWS_ENTRY + long_string(jws)
    pack = _LONG.pack
    headers = []
    for one, proof in zip(batch, proofs, strict=True):
        proof_entry = b"" if proof is None else _PROOF_ENTRY + pack(len(proof)) + proof
        if isinstance(one, Ordinary):
            headers.append(ordinary_header(one, jws_entry, proof_entry))
        else:
            headers.append(_signed(one, jws_entry, proof_entry))
    return headers


def pieces_of(header: ContentHeader, app_id: bytes, to: bytes, priority: int | None) -> Pieces | None:
    """The parts of the header of a message to which everything is added that it lacks.

    Args:
        header: as the client sent it.
        app_id: the service's.
        to: the entry that tells where it is published.
        priority: that the message type asks for; None: none.

    Returns:
        None: it is no header that `ordinary_header` can write.

    Raises:
        AmqpFault: SYNTAX_ERROR, it is malformed.
    """
    flags = header.flags
    if flags & 1:  # flags go on behind the first word
        return None
    table = header.encoded_headers
    own = b"" if table is None else strip_reserved(table)[4:]
    if table is not None and b"CC" in table and any(name in COPY_HEADERS for name in HeaderTable.parse(table)):
        return None
    mask = 0
    for flag, bit in _FLAGS:
        if not flags & flag:
            mask |= bit
    if priority is not None and not flags & _PRIORITY_FLAG:
        mask |= _PRIORITY
        flags |= _PRIORITY_FLAG
    else:
        priority = None
    fields = list(header.fields)
    if priority is not None:
        fields[POSITIONS["priority"]] = bytes((priority,))
    if not flags & 0x0008:
        fields[POSITIONS["app_id"]] = short_string(app_id)
    return Pieces(
        _SHORT.pack(flags | _PROPERTY_FLAGS | 0x2000) + b"".join(fields[: POSITIONS["headers"]]),
        own,
        to,
        _ADDED_ENTRIES[mask],
        b"".join(fields[POSITIONS["headers"] + 1 : POSITIONS["message_id"]]),
        b"".join(fields[POSITIONS["timestamp"] + 1 :]),
    )


@lru_cache(maxsize=4096)
def to_entry(exchange: bytes, routing_key: bytes) -> bytes:
    """The header that tells where a message was published."""
    return _TO_ENTRY + long_string(write_to(exchange, routing_key))


def restored(header: ContentHeader) -> bytes:
    """The header of a returned message as its publisher sent it, but for reserved headers of his, which are gone."""
    table = header.encoded_headers
    if table is None:
        return header.payload
    try:
        taken, rest = take_entries(table, AGENT_PREFIXES)
    except AmqpFault:
        return header.payload  # the broker's doing: the client gets what there is
    if not taken:
        return header.payload
    mask = _mask(taken)
    headers = None if mask & _TABLE and rest == EMPTY_ENCODED else rest
    return header.rewrite(headers, replace={name: None for bit, name in _ADDED_PROPERTIES if mask & bit})


def completed_members(header: ContentHeader) -> tuple[str, ...]:
    """What the publisher's agent put into the envelope of a returned message."""
    table = header.encoded_headers
    if table is None or ADDED_HEADER not in table:
        return ()
    try:
        mask = _mask(take_entries(table, AGENT_PREFIXES)[0])
    except AmqpFault:
        return ()  # the broker's doing: the client gets what there is
    return tuple(name for bit, name in _COMPLETED_MEMBERS if mask & bit)


def is_signed(header: ContentHeader) -> bool:
    """Whether there is a token among its headers.

    Raises:
        AmqpFault: SYNTAX_ERROR, the table is malformed.
    """
    table = header.encoded_headers
    return table is not None and JWS_HEADER in table and JWS_HEADER in HeaderTable.parse(table)


def without_agents_headers(header: ContentHeader, taken: Sequence[tuple[bytes, bytes]], rest: bytes) -> bytes:
    """The header of a delivery for the service.

    Args:
        header: as delivered.
        taken: the agents' headers in it.
        rest: the table without them.
    """
    if not taken:
        return header.payload
    if rest == EMPTY_ENCODED and _mask(taken) & _TABLE:
        return header.rewrite(None)
    return header.rewrite(rest)


def _mask(taken: Sequence[tuple[bytes, bytes]]) -> int:
    for name, entry in taken:
        if name == ADDED_HEADER:
            return integer_value(entry[len(name) + 1 :]) or 0
    return 0


def _completed_mask(approved: Approved) -> int:
    return sum(bit for bit, name in _COMPLETED_MEMBERS if name in approved.completed)


def _message(approved: Approved) -> SignableMessage:
    header, publish = approved.header, approved.publish
    message_id = header.message_id
    if message_id is None and approved.added is not None:
        message_id = approved.added.message_id
    properties = SignedProperties(
        message_id, header.correlation_id, header.content_type, header.content_encoding, header.type
    )
    return SignableMessage(publish.exchange, publish.routing_key, properties, approved.body)


def _signed(approved: Approved, jws_entry: bytes, proof_entry: bytes) -> bytes:
    header, table, publish = approved.header, approved.headers, approved.publish
    added = _NOTHING_ADDED if approved.added is None else approved.added
    mask = 0
    for flag, bit in _FLAGS:
        if not header.flags & flag:
            mask |= bit
    if approved.added is None:
        mask &= _TABLE
    if approved.priority is not None and not header.flags & _PRIORITY_FLAG:
        mask |= _PRIORITY
    mask |= _completed_mask(approved)
    own = b"" if table is None else table[4:]
    to = to_entry(publish.exchange, publish.routing_key)
    content = b"".join((own, _ADDED_ENTRIES[mask], jws_entry, proof_entry, to))
    return header.rewrite(
        _LONG.pack(len(content)) + content,
        message_id=added.message_id,
        timestamp=added.timestamp,
        app_id=added.app_id,
        priority=approved.priority,
        body_size=approved.wire_size,
    )
