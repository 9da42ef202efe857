"""The content header of an ordinary delivery, read in one pass without an object for any of its parts.

What it is, each flag and type, stands in `letrade_topo.amqp.properties` and `letrade_topo.amqp.header_table`; here it
is written out, because it is done for every message. What has no place in an ordinary delivery is not read but refused.
"""

from __future__ import annotations

import struct
from typing import Final, NamedTuple

from letrade_agent.filters.sealing import ADDED_HEADER, TABLE_ADDED
from letrade_topo.amqp.faults import AmqpFault
from letrade_topo.amqp.wire import FIXED_SIZES, value_end
from letrade_topo.keys.headers import COPY_HEADERS, JWS_HEADER, PROOF_HEADER, TO_HEADER
from letrade_topo.keys.leaf import ABSENT
from letrade_topo.messages.claim import is_stub

_AGENTS: Final = b"letrade-"
_STRING: Final = ord("S")
_JWS, _TO, _PROOF = (bytes((len(name),)) + name + b"S" for name in (JWS_HEADER, TO_HEADER, PROOF_HEADER))
_ADDED: Final = bytes((len(ADDED_HEADER),)) + ADDED_HEADER + b"l"
_LONG = struct.Struct(">I")
unpack_long = _LONG.unpack_from
_FIELD: Final = b"\x00\x00\x00"
"""Before a short string as it stands on the wire it makes a field of a leaf: a length of 32 bits and the text."""


class NotOrdinary(Exception):
    """The header is malformed, or not that of an ordinary delivery."""


class OrdinaryHeader(NamedTuple):
    """What of a content header is needed; short strings as they stand on the wire, empty where absent.

    Args:
        jws: the token.
        to: where the message was published.
        proof: its place in the batch; empty: there is none.
        leaf: the part of its leaf behind the message id and before the body.
        message_id, app_id: the properties.
        payload: of the header for the service, without the agents' headers.
    """

    jws: bytes
    to: bytes
    proof: bytes
    leaf: bytes
    message_id: bytes
    app_id: bytes
    payload: bytes


UNREADABLE: Final = (NotOrdinary, IndexError, struct.error, AmqpFault)
"""What `read_header` raises."""


def read_header(payload: bytes) -> OrdinaryHeader:
    """Read the payload of a content header frame.

    Raises:
        NotOrdinary: or another one of `UNREADABLE`: it takes a closer look.
    """
    flags = payload[12] << 8 | payload[13]
    if flags & 0x2003 != 0x2000:
        raise NotOrdinary
    content_type = content_encoding = correlation_id = message_id = type_ = app_id = b""
    position = 14
    if flags & 0x8000:
        end = position + 1 + payload[position]
        content_type = payload[position:end]
        if is_stub(content_type[1:]):
            raise NotOrdinary
        position = end
    if flags & 0x4000:
        end = position + 1 + payload[position]
        content_encoding = payload[position:end]
        position = end
    table_at = position
    table_end = position + 4 + unpack_long(payload, position)[0]
    if table_end > len(payload):
        raise NotOrdinary
    jws, to, proof, is_added, rest = _read_table(payload, position + 4, table_end)
    position = table_end
    if flags & 0x1000:
        position += 1
    if flags & 0x0800:
        position += 1
    if flags & 0x0400:
        end = position + 1 + payload[position]
        correlation_id = payload[position:end]
        position = end
    if flags & 0x0200:
        position += 1 + payload[position]
    if flags & 0x0100:
        position += 1 + payload[position]
    if flags & 0x0080:
        end = position + 1 + payload[position]
        message_id = payload[position:end]
        position = end
    if flags & 0x0040:
        position += 8
    if flags & 0x0020:
        end = position + 1 + payload[position]
        type_ = payload[position:end]
        position = end
    if flags & 0x0010:
        position += 1 + payload[position]
    if flags & 0x0008:
        end = position + 1 + payload[position]
        app_id = payload[position:end]
        position = end
    if flags & 0x0004:
        position += 1 + payload[position]
    if position != len(payload):
        raise NotOrdinary
    if not rest and is_added:
        head = payload[:12] + bytes((payload[12] & 0xDF, payload[13])) + payload[14:table_at]
    else:
        head = payload[:table_at] + _LONG.pack(len(rest)) + rest
    if correlation_id or content_encoding or type_ or not content_type:
        parts = (correlation_id, content_type, content_encoding, type_)
        leaf = b"".join([_FIELD + part if part else ABSENT for part in parts])
    else:
        leaf = ABSENT + _FIELD + content_type + ABSENT + ABSENT
    return tuple.__new__(OrdinaryHeader, (jws, to, proof, leaf, message_id, app_id, head + payload[table_end:]))


def _read_table(payload: bytes, position: int, end: int) -> tuple[bytes, bytes, bytes, bool, bytes]:
    """Token, destination, proof; whether there was no table before the agent's entries; and all other entries.

    The agent's entries are looked for in the order of their names, in which agents write them and RabbitMQ 4 puts every
    table; in another one it takes a moment longer.
    """
    jws = to = proof = added = b""
    kept: list[bytes] = []
    kept_from = position
    while position < end:
        start = position
        if payload.startswith(_ADDED, position) and not added:
            position += len(_ADDED) + 8
            added = payload[position - 8 : position]
        if payload.startswith(_JWS, position) and not jws:
            at = position + len(_JWS) + 4
            position = at + unpack_long(payload, at - 4)[0]
            jws = payload[at:position]
        if payload.startswith(_PROOF, position) and not proof:
            at = position + len(_PROOF) + 4
            position = at + unpack_long(payload, at - 4)[0]
            proof = payload[at:position]
            if not proof:
                raise NotOrdinary
        if payload.startswith(_TO, position) and not to:
            at = position + len(_TO) + 4
            position = at + unpack_long(payload, at - 4)[0]
            to = payload[at:position]
        if position > start:
            if kept_from < start:
                kept.append(payload[kept_from:start])
            kept_from = position
            continue
        tag_at = position + 1 + payload[position]
        name, tag = payload[position + 1 : tag_at], payload[tag_at]
        if name.startswith(_AGENTS) or name in COPY_HEADERS:
            raise NotOrdinary
        if tag == _STRING:
            position = tag_at + 5 + unpack_long(payload, tag_at + 1)[0]
        elif tag in FIXED_SIZES:
            position = tag_at + 1 + FIXED_SIZES[tag]
        else:
            position = value_end(payload, tag_at)
    if position != end or not jws or not to:
        raise NotOrdinary
    is_added = int.from_bytes(added, "big", signed=True) & TABLE_ADDED != 0
    if not kept:
        return jws, to, proof, is_added, payload[kept_from:end]
    kept.append(payload[kept_from:end])
    return jws, to, proof, is_added, b"".join(kept)
