"""The methods that come with every message: read and written by hand, because they are the way's cost.

Publish, return, deliver, get-ok, ack, nack, reject. A delivery tag is changed in place, the rest of the frame
leaves as it came.
"""

from __future__ import annotations

import struct
from typing import Final, NamedTuple

from .arguments import syntax_fault
from .faults import AmqpFault, shorten
from .frames import FRAME_END, METHOD
from .methods import BY_NAME, method_of
from .wire import short_string

PUBLISH: Final = BY_NAME["basic.publish"].index
RETURN: Final = BY_NAME["basic.return"].index
DELIVER: Final = BY_NAME["basic.deliver"].index
GET_OK: Final = BY_NAME["basic.get-ok"].index
ACK: Final = BY_NAME["basic.ack"].index
NACK: Final = BY_NAME["basic.nack"].index
REJECT: Final = BY_NAME["basic.reject"].index

_TAG_AND_BITS = struct.Struct(">QB")
_TAG = struct.Struct(">Q")
_SHORT = struct.Struct(">H")
_LONG = struct.Struct(">I")
_TAG_FRAME = struct.Struct(">BHI4sQBB")
_SETTLE_SIZE = 13
"""Bytes of a payload with index, delivery tag and one octet of bits: ack, nack, reject."""

_new = tuple.__new__
"""Makes a named tuple at a quarter of the price of calling its class (3.11)."""


class Publish(NamedTuple):
    """The client sends a message."""

    exchange: bytes
    routing_key: bytes
    mandatory: bool
    immediate: bool


class Deliver(NamedTuple):
    """The broker sends a message to a consumer."""

    consumer_tag: bytes
    delivery_tag: int
    redelivered: bool
    exchange: bytes
    routing_key: bytes


class GetOk(NamedTuple):
    """The broker answers basic.get with a message."""

    delivery_tag: int
    redelivered: bool
    exchange: bytes
    routing_key: bytes
    message_count: int


class Return(NamedTuple):
    """The broker gives back a message that it could not route."""

    reply_code: int
    reply_text: bytes
    exchange: bytes
    routing_key: bytes


class Settle(NamedTuple):
    """An ack, a nack or a reject; the bits that the method does not have are False."""

    delivery_tag: int
    multiple: bool
    requeue: bool


def _fault(payload: bytes) -> AmqpFault:
    return syntax_fault(method_of(payload), "its arguments do not fill the frame exactly")


def parse_publish(payload: bytes) -> Publish:
    """Read basic.publish.

    Raises:
        AmqpFault: SYNTAX_ERROR.
    """
    try:
        exchange_end = 7 + payload[6]
        key_end = exchange_end + 1 + payload[exchange_end]
        bits = payload[key_end]
    except IndexError:
        raise _fault(payload) from None
    if key_end + 1 != len(payload):
        raise _fault(payload)
    return _new(Publish, (payload[7:exchange_end], payload[exchange_end + 1 : key_end], bits & 1 != 0, bits & 2 != 0))


def parse_deliver(payload: bytes) -> Deliver:
    """Read basic.deliver.

    Raises:
        AmqpFault: SYNTAX_ERROR.
    """
    try:
        tag_at = 5 + payload[4]
        delivery_tag, redelivered = _TAG_AND_BITS.unpack_from(payload, tag_at)
        exchange_end = tag_at + 10 + payload[tag_at + 9]
        key_end = exchange_end + 1 + payload[exchange_end]
    except (IndexError, struct.error):
        raise _fault(payload) from None
    if key_end != len(payload):
        raise _fault(payload)
    return _new(
        Deliver,
        (
            payload[5:tag_at],
            delivery_tag,
            redelivered & 1 != 0,
            payload[tag_at + 10 : exchange_end],
            payload[exchange_end + 1 :],
        ),
    )


def parse_get_ok(payload: bytes) -> GetOk:
    """Read basic.get-ok.

    Raises:
        AmqpFault: SYNTAX_ERROR.
    """
    try:
        delivery_tag, redelivered = _TAG_AND_BITS.unpack_from(payload, 4)
        exchange_end = 14 + payload[13]
        key_end = exchange_end + 1 + payload[exchange_end]
        message_count = int(_LONG.unpack_from(payload, key_end)[0])
    except (IndexError, struct.error):
        raise _fault(payload) from None
    if key_end + 4 != len(payload):
        raise _fault(payload)
    exchange, routing_key = payload[14:exchange_end], payload[exchange_end + 1 : key_end]
    return GetOk(delivery_tag, redelivered & 1 != 0, exchange, routing_key, message_count)


def parse_return(payload: bytes) -> Return:
    """Read basic.return.

    Raises:
        AmqpFault: SYNTAX_ERROR.
    """
    try:
        reply_code = int(_SHORT.unpack_from(payload, 4)[0])
        text_end = 7 + payload[6]
        exchange_end = text_end + 1 + payload[text_end]
        key_end = exchange_end + 1 + payload[exchange_end]
    except (IndexError, struct.error):
        raise _fault(payload) from None
    if key_end != len(payload):
        raise _fault(payload)
    exchange = payload[text_end + 1 : exchange_end]
    return Return(reply_code, payload[7:text_end], exchange, payload[exchange_end + 1 :])


def parse_settle(payload: bytes) -> Settle:
    """Read basic.ack, basic.nack or basic.reject, from either side.

    Raises:
        AmqpFault: SYNTAX_ERROR.
    """
    if len(payload) != _SETTLE_SIZE:
        raise _fault(payload)
    delivery_tag, bits = _TAG_AND_BITS.unpack_from(payload, 4)
    if payload[:4] == REJECT:
        return _new(Settle, (delivery_tag, False, bits & 1 != 0))
    return _new(Settle, (delivery_tag, bits & 1 != 0, bits & 2 != 0))


def encode_publish(exchange: bytes, routing_key: bytes, *, mandatory: bool) -> bytes:
    """Payload of basic.publish.

    Raises:
        ValueError: a name of more than 255 bytes.
    """
    return PUBLISH + b"\0\0" + short_string(exchange) + short_string(routing_key) + bytes((mandatory,))


def encode_return(reply_code: int, reply_text: str, exchange: bytes, routing_key: bytes) -> bytes:
    """Payload of basic.return; the text is shortened to 255 bytes."""
    text = shorten(reply_text)
    return RETURN + _SHORT.pack(reply_code) + b"".join(map(short_string, (text, exchange, routing_key)))


def deliver_with_tag(payload: bytes, delivery_tag: int) -> bytes:
    """The same basic.deliver under another delivery tag. The payload must have been read with `parse_deliver`."""
    tag_at = 5 + payload[4]
    return payload[:tag_at] + _TAG.pack(delivery_tag) + payload[tag_at + 8 :]


def get_ok_with_tag(payload: bytes, delivery_tag: int) -> bytes:
    """The same basic.get-ok under another delivery tag."""
    return payload[:4] + _TAG.pack(delivery_tag) + payload[12:]


def ack_frame(channel: int, delivery_tag: int, multiple: bool = False) -> bytes:
    """A whole frame with basic.ack."""
    return _TAG_FRAME.pack(METHOD, channel, _SETTLE_SIZE, ACK, delivery_tag, multiple, FRAME_END)


def nack_frame(channel: int, delivery_tag: int, *, multiple: bool = False, requeue: bool = False) -> bytes:
    """A whole frame with basic.nack. Towards a client, where it is a confirm, `requeue` has no meaning."""
    return _TAG_FRAME.pack(METHOD, channel, _SETTLE_SIZE, NACK, delivery_tag, multiple | requeue << 1, FRAME_END)


def reject_frame(channel: int, delivery_tag: int, *, requeue: bool) -> bytes:
    """A whole frame with basic.reject."""
    return _TAG_FRAME.pack(METHOD, channel, _SETTLE_SIZE, REJECT, delivery_tag, requeue, FRAME_END)


def encode_deliver(deliver: Deliver) -> bytes:
    """Payload of basic.deliver, for a delivery that is shown under another exchange or key than it came with."""
    tag_and_bits = _TAG_AND_BITS.pack(deliver.delivery_tag, deliver.redelivered)
    destination = short_string(deliver.exchange) + short_string(deliver.routing_key)
    return DELIVER + short_string(deliver.consumer_tag) + tag_and_bits + destination


def encode_get_ok(got: GetOk) -> bytes:
    """Payload of basic.get-ok."""
    tag_and_bits = _TAG_AND_BITS.pack(got.delivery_tag, got.redelivered)
    destination = short_string(got.exchange) + short_string(got.routing_key)
    return GET_OK + tag_and_bits + destination + _LONG.pack(got.message_count)
