"""Header tables: every type of value, and the very bytes."""

from __future__ import annotations

import struct
from typing import Any

from tests.interop.client import Channel, Client, Endpoint
from tests.interop.raw import RawClient
from tests.interop.test_consuming import left

BASIC = 60
HAS_HEADERS = 1 << 13
HAS_MESSAGE_ID = 1 << 7

VALUES: dict[str, Any] = {
    "text": "삼성전자 → BTC/USDT",
    "empty": "",
    "small": 7,
    "negative": -70_000,
    "large": 1 << 40,
    "yes": True,
    "no": False,
    "nothing": None,
    "list": [1, "two", [3, []]],
    "table": {"a": {"b": {"c": "deep"}}, "empty": {}},
}
FLOATS: dict[str, Any] = {"float": 0.5, "tables": {"prices": [49_999.5, -1.25]}}  # exact in 32 bits, too


def test_values_of_every_type_arrive(client: Client, confirmed: Channel, channel: Channel, queue: str) -> None:
    """Whatever the library can send."""
    values = VALUES | FLOATS if client.knows_floats else VALUES
    confirmed.publish("", queue, b"", {"headers": values}, mandatory=False)
    message = channel.get(queue, no_ack=True)
    assert message is not None
    assert dict(message.headers) == values


def test_floats_and_nested_tables_of_others_are_read(
    client: Client, channel: Channel, queue: str, straight: Endpoint
) -> None:
    """Published straight to the broker, in types that the library may not send itself."""
    with RawClient(straight) as raw:
        channel.declare_exchange("interop.raw", "fanout")
        channel.bind(queue, "interop.raw", "")
        raw.publish("interop.raw", "", HEADER, b"")
    left(channel, queue, 1)
    message = channel.get(queue, no_ack=True)
    assert message is not None
    headers = message.headers
    assert headers["int16"] == -2
    assert headers["table"]["array"][1:] == ["text", {"inner": 1}]
    floats = (headers["double"], headers["float"], headers["table"]["array"][0])
    assert floats == ((0.1, 1.5, 0.25) if client.knows_floats else (0, 1, 0))
    assert headers["bytes"] in (b"\x00\xff", "\x00\xff")
    channel.delete_exchange("interop.raw")


def test_the_bytes_of_a_header_stay_as_they_are(endpoint: Endpoint, straight: Endpoint, name: str) -> None:
    """Published here, read there, and the other way round: the table's bytes are what was written."""
    with RawClient(straight) as at_broker, RawClient(endpoint) as here:
        at_broker.declare(name)
        here.publish("", name, HEADER, b"")
        assert _properties(at_broker.get(name)) == _properties(HEADER)
        at_broker.publish("", name, HEADER, b"")
        assert _properties(here.get(name)) == _properties(HEADER)
        at_broker.delete(name)


def _properties(header: bytes) -> bytes:
    """Flags and properties, without class, weight and size."""
    return header[12:]


def _short(text: bytes) -> bytes:
    return bytes([len(text)]) + text


def _long(text: bytes) -> bytes:
    return struct.pack(">I", len(text)) + text


def _table(*entries: tuple[bytes, bytes, bytes]) -> bytes:
    return _long(b"".join(_short(name) + kind + value for name, kind, value in entries))


# Names in order, as the broker may sort them. Two names that are no UTF-8 and empty would be legal as well, but
# not every library can read those.
HEADER = (
    struct.pack(">HHQH", BASIC, 0, 0, HAS_HEADERS | HAS_MESSAGE_ID)
    + _table(
        (b"array", b"A", _long(b"I\x00\x00\x00\x01" + b"S" + _long(b"x"))),
        (b"bytes", b"x", _long(b"\x00\xff")),
        (b"double", b"d", struct.pack(">d", 0.1)),
        (b"float", b"f", struct.pack(">f", 1.5)),
        (b"int16", b"s", struct.pack(">h", -2)),
        (b"int64", b"l", struct.pack(">q", -(1 << 60))),
        (b"int8", b"b", struct.pack(">b", -3)),
        (
            b"table",
            b"F",
            _table(
                (
                    b"array",
                    b"A",
                    _long(
                        b"d"
                        + struct.pack(">d", 0.25)
                        + b"S"
                        + _long(b"text")
                        + b"F"
                        + _table((b"inner", b"I", struct.pack(">i", 1)))
                    ),
                ),
            ),
        ),
        (b"time", b"T", struct.pack(">Q", 1_700_000_000)),
        (b"void", b"V", b""),
    )
    + _short(b"550e8400-e29b-41d4-a716-446655440000")
)
