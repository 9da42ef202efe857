"""What hypothesis draws for the AMQP codec: tagged values, tables, content headers, frames."""

from __future__ import annotations

import struct

from hypothesis import strategies as st

from letrade_topo.amqp.frames import Frame
from letrade_topo.amqp.properties import PROPERTIES
from letrade_topo.amqp.wire import FIXED_SIZES, long_string, short_string

short_texts = st.binary(max_size=12) | st.binary(min_size=250, max_size=255)

_fixed_values = st.sampled_from(sorted(FIXED_SIZES)).flatmap(
    lambda tag: st.binary(min_size=FIXED_SIZES[tag], max_size=FIXED_SIZES[tag]).map(lambda data: bytes((tag,)) + data)
)
_strings = st.tuples(st.sampled_from(b"Sx"), st.binary(max_size=40)).map(
    lambda pair: bytes((pair[0],)) + long_string(pair[1])
)


def _entries(values: st.SearchStrategy[bytes]) -> st.SearchStrategy[list[bytes]]:
    return st.lists(st.tuples(short_texts.map(short_string), values).map(b"".join), max_size=4)


tagged_values = st.recursive(
    _fixed_values | _strings,
    lambda inner: (
        _entries(inner).map(lambda entries: b"F" + long_string(b"".join(entries)))
        | st.lists(inner, max_size=4).map(lambda values: b"A" + long_string(b"".join(values)))
    ),
    max_leaves=6,
)
"""Every type of RabbitMQ's, nested, with bytes that are no text."""

encoded_tables = _entries(tagged_values).map(lambda entries: long_string(b"".join(entries)))


@st.composite
def content_headers(draw: st.DrawFn) -> bytes:
    """Payload of a content header with any properties, present and empty ones too."""
    flags = 0
    values = b""
    for position, (_, kind) in enumerate(PROPERTIES):
        if not draw(st.booleans()):
            continue
        flags |= 1 << (15 - position)
        match kind:
            case "shortstr":
                values += short_string(draw(short_texts))
            case "table":
                values += draw(encoded_tables)
            case "octet":
                values += bytes((draw(st.integers(0, 255)),))
            case _:
                values += struct.pack(">Q", draw(st.integers(0, 2**64 - 1)))
    continuation = b""
    if draw(st.integers(0, 9)) == 0:
        flags |= 1
        continuation = draw(st.sampled_from((b"\x80\x00", b"\x00\x01\x40\x00")))
        values += draw(st.binary(max_size=8))
    body_size = draw(st.integers(0, 2**64 - 1))
    return struct.pack(">HHQH", 60, 0, body_size, flags) + continuation + values


frames: st.SearchStrategy[Frame] = st.tuples(
    st.sampled_from((1, 2, 3)), st.integers(0, 65_535), st.binary(max_size=300)
) | st.just((8, 0, b""))


def chunked(data: bytes, sizes: list[int]) -> list[bytes]:
    """The data in pieces of the sizes given, over and over."""
    pieces = []
    position = turn = 0
    while position < len(data):
        size = sizes[turn % len(sizes)]
        pieces.append(data[position : position + size])
        position += size
        turn += 1
    return pieces
