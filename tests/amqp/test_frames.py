"""Cutting bytes into frames and putting them together."""

from __future__ import annotations

import pamqp.body
import pamqp.frame
import pamqp.heartbeat
import pika.frame
import pytest
from hypothesis import given
from hypothesis import strategies as st

from letrade_topo.amqp.faults import AmqpFault, ReplyCode
from letrade_topo.amqp.frames import (
    BODY,
    HEADER,
    HEARTBEAT,
    HEARTBEAT_FRAME,
    METHOD,
    Frame,
    FrameDecoder,
    encode_content,
    encode_frame,
    encode_frames,
    encode_method,
    fits,
)

from .strategies import chunked, frames


def decode(pieces: list[bytes], frame_max: int = 4096) -> tuple[list[Frame], AmqpFault | None]:
    """All frames, and the fault that ended them."""
    decoder = FrameDecoder(frame_max)
    found: list[Frame] = []
    for piece in pieces:
        found += decoder.feed(piece)
        if decoder.fault is not None:
            break
    return found, decoder.fault


@given(st.lists(frames, max_size=8), st.lists(st.integers(1, 70), min_size=1, max_size=4))
def test_any_chunking_gives_the_same_frames(sent: list[Frame], sizes: list[int]) -> None:
    """Frames in, the same frames out, and the same bytes again."""
    data = encode_frames(sent)

    assert decode([data]) == (sent, None)
    assert decode(chunked(data, sizes)) == (sent, None)
    assert decode(chunked(data, [1])) == (sent, None)


@given(st.lists(frames, max_size=12), st.integers(1, 4), st.binary(max_size=6))
def test_so_many_frames_at_a_time(sent: list[Frame], most: int, begun: bytes) -> None:
    """What is not wanted yet comes with the next calls, in order, and what has only begun is still there."""
    decoder = FrameDecoder(4096)
    found = [decoder.feed(encode_frames(sent) + HEARTBEAT_FRAME[: len(begun)], most)]
    while decoder.has_more:
        found.append(decoder.feed(b"", most))
    rest = decoder.feed(HEARTBEAT_FRAME[len(begun) :])

    assert [frame for turn in found for frame in turn] + rest == [*sent, (HEARTBEAT, 0, b"")]
    assert all(len(turn) <= most for turn in found)
    assert decoder.pending_bytes == 0


@pytest.mark.parametrize("kind", [bytes, bytearray, memoryview])
def test_any_kind_of_buffer_may_be_fed(kind: type) -> None:
    """The pump may read into a buffer of its own and use it again."""
    decoder = FrameDecoder()
    data = bytearray(encode_frame(METHOD, 1, b"abcd") + b"\x01")

    first = decoder.feed(kind(data))
    data[:] = b"#" * len(data)

    assert first == [(METHOD, 1, b"abcd")]
    assert decoder.pending_bytes == 1


@given(st.lists(frames, max_size=3), st.binary(min_size=1, max_size=30), st.lists(st.integers(1, 9), min_size=1))
def test_a_fault_is_the_same_for_any_chunking(sent: list[Frame], garbage: bytes, sizes: list[int]) -> None:
    """Frames before the fault are given however the bytes came."""
    data = encode_frames(sent) + garbage

    whole, whole_fault = decode([data])
    pieces, pieces_fault = decode(chunked(data, sizes))

    assert whole == pieces
    assert whole[: len(sent)] == sent
    assert str(whole_fault) == str(pieces_fault)


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"\x01\x00\x01\x00\x00\x00\x01x\xcf", "ends in 0xcf, not in 0xce"),
        (b"\x00\x00\x01\x00\x00\x00\x00\xce", "unknown frame type 0"),
        (b"\x04\x00\x01\x00\x00\x00\x00\xce", "unknown frame type 4"),
        (b"GET / HTTP/1.1\r\n", "unknown frame type 71"),
        (b"\x08\x00\x01\x00\x00\x00\x00\xce", "heartbeat with 0 bytes on channel 1"),
        (b"\x08\x00\x00\x00\x00\x00\x01x\xce", "heartbeat with 1 bytes on channel 0"),
        (b"\x03\x00\x01\x00\x00\x10\x01", "has 4097 bytes, more than the 4096 agreed"),
        (b"\x08\x00\x00\xff\xff\xff\xff", "more than the 4096 agreed"),
    ],
)
def test_what_is_no_frame_is_a_frame_error(data: bytes, words: str) -> None:
    """Wrong end marker, unknown type, wrong heartbeat, too large: 501 and closed for good (list 2.7)."""
    decoder = FrameDecoder(4096)

    assert decoder.feed(data) == []

    assert decoder.fault is not None
    assert decoder.fault.code is ReplyCode.FRAME_ERROR
    assert words in str(decoder.fault)
    with pytest.raises(AmqpFault):
        decoder.feed(HEARTBEAT_FRAME)


def test_a_frame_of_eight_bytes_more_than_agreed_is_let_through() -> None:
    """RabbitMQ is lenient by the overhead of a frame, so clients may rely on it; never sent (list 2.7)."""
    assert decode([encode_frame(BODY, 1, b"x" * 4096)])[1] is None
    assert decode([encode_frame(BODY, 1, b"x" * 4097)])[1] is not None


def test_too_large_a_frame_is_refused_before_it_is_held() -> None:
    """The announced size decides; nothing of it is buffered (list 2.45)."""
    decoder = FrameDecoder(4096)

    decoder.feed(b"\x03\x00\x01\x7f\xff\xff\xff")

    assert decoder.fault is not None
    assert decoder.pending_bytes == 0


def test_no_more_than_one_unfinished_frame_is_held() -> None:
    """Byte after byte of a frame that never ends."""
    decoder = FrameDecoder(4096)
    data = encode_frame(BODY, 1, b"x" * 4096)[:-1]

    for byte in data:
        assert decoder.feed(bytes((byte,))) == []

    assert decoder.pending_bytes == len(data)
    assert decoder.feed(b"\xce") == [(BODY, 1, b"x" * 4096)]
    assert decoder.pending_bytes == 0


def test_a_changed_limit_holds_from_the_next_feed() -> None:
    """After the tuning larger frames are taken."""
    decoder = FrameDecoder()
    decoder.frame_max = 131_072

    assert decoder.feed(encode_frame(BODY, 1, b"x" * 100_000)) == [(BODY, 1, b"x" * 100_000)]


@given(st.binary(max_size=60), st.integers(4096, 4200), st.integers(0, 3))
def test_a_content_is_cut_to_the_frames_of_the_other_side(seed: bytes, frame_max: int, whole_frames: int) -> None:
    """No frame is larger than agreed, all but the last are full, the body is whole (list 2.8); one piece (2.10)."""
    body = b"b" * (whole_frames * (frame_max - 8)) + seed
    encoded = encode_content(7, b"meth", b"header", body, frame_max)
    found, fault = decode([encoded], frame_max)

    assert fault is None
    assert found[:2] == [(METHOD, 7, b"meth"), (HEADER, 7, b"header")]
    assert b"".join(payload for _, _, payload in found[2:]) == body
    assert {frame[:2] for frame in found[2:]} <= {(BODY, 7)}
    sizes = [len(encode_frame(*frame)) for frame in found[2:]]
    assert all(size == frame_max for size in sizes[:-1])
    assert all(8 < size <= frame_max for size in sizes[-1:])


def test_an_empty_body_has_no_frame() -> None:
    """List 2.9."""
    encoded = encode_content(1, b"meth", b"header", b"", 4096)

    assert encoded == encode_frames([(METHOD, 1, b"meth"), (HEADER, 1, b"header")])


def test_a_method_or_header_that_does_not_fit_is_never_sent() -> None:
    """Neither can be split; the broker would close the connection (list 2.11)."""
    assert fits(b"x" * 4088, 4096)
    assert not fits(b"x" * 4089, 4096)
    with pytest.raises(ValueError, match="a header of 4089 bytes"):
        encode_content(1, b"meth", b"x" * 4089, b"", 4096)


@given(st.integers(0, 65_535), st.binary(min_size=1, max_size=200))  # pamqp takes no empty frame; none is written
def test_pamqp_and_pika_read_what_we_write(channel: int, payload: bytes) -> None:
    """Body frames and heartbeats."""
    encoded = encode_frame(BODY, channel, payload)

    consumed, read_channel, frame = pamqp.frame.unmarshal(encoded)
    assert (consumed, read_channel, frame.value) == (len(encoded), channel, payload)  # type: ignore[union-attr]  # a body
    consumed, read = pika.frame.decode_frame(encoded)
    assert (consumed, read.channel_number, read.fragment) == (len(encoded), channel, payload)
    assert isinstance(pamqp.frame.unmarshal(HEARTBEAT_FRAME)[2], pamqp.heartbeat.Heartbeat)
    assert isinstance(pika.frame.decode_frame(HEARTBEAT_FRAME)[1], pika.frame.Heartbeat)


@given(st.integers(0, 65_535), st.binary(max_size=200))
def test_we_read_what_pamqp_and_pika_write(channel: int, payload: bytes) -> None:
    """Body frames and heartbeats."""
    by_pamqp = pamqp.frame.marshal(pamqp.body.ContentBody(payload), channel)
    by_pika = pika.frame.Body(channel, payload).marshal()

    assert decode([by_pamqp + by_pika]) == ([(BODY, channel, payload)] * 2, None)
    assert decode([pika.frame.Heartbeat().marshal()]) == ([(HEARTBEAT, 0, b"")], None)
    assert encode_method(channel, payload) == encode_frame(METHOD, channel, payload)
