"""The methods that come with every message: the fast readers agree with the slow one."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from letrade_topo.amqp.arguments import decode_arguments, encode_arguments
from letrade_topo.amqp.basic import (
    Settle,
    ack_frame,
    deliver_with_tag,
    encode_return,
    get_ok_with_tag,
    nack_frame,
    parse_deliver,
    parse_get_ok,
    parse_publish,
    parse_return,
    parse_settle,
    reject_frame,
)
from letrade_topo.amqp.faults import AmqpFault, ReplyCode
from letrade_topo.amqp.frames import METHOD, FrameDecoder
from letrade_topo.amqp.methods import BY_NAME

from .strategies import short_texts

_NUMBERS = {"short": 2**16 - 1, "long": 2**32 - 1, "longlong": 2**64 - 1}
_READERS: dict[str, Callable[[bytes], Any]] = {
    "basic.publish": parse_publish,
    "basic.deliver": parse_deliver,
    "basic.get-ok": parse_get_ok,
    "basic.return": parse_return,
}


def _arguments(name: str) -> st.SearchStrategy[tuple[Any, ...]]:
    def value(kind: str) -> st.SearchStrategy[Any]:
        if kind == "bit":
            return st.booleans()
        return short_texts if kind == "shortstr" else st.integers(0, _NUMBERS[kind])

    return st.tuples(*(value(kind) for _, kind in BY_NAME[name].arguments))


@pytest.mark.parametrize("name", _READERS)
@given(data=st.data())
def test_the_fast_reader_agrees_with_the_table(name: str, data: st.DataObject) -> None:
    """Any names, bytes that are no text too (list 2.14)."""
    method = BY_NAME[name]
    payload = encode_arguments(method, data.draw(_arguments(name)))

    read = _READERS[name](payload)

    assert read._asdict() == {
        key: value
        for (key, _), value in zip(method.arguments, decode_arguments(method, payload), strict=True)
        if key != "ticket"
    }


@pytest.mark.parametrize("name", _READERS)
@given(data=st.data())
def test_a_method_cut_short_or_too_long_is_a_syntax_error(name: str, data: st.DataObject) -> None:
    """At every length, and with a byte too many."""
    payload = encode_arguments(BY_NAME[name], data.draw(_arguments(name)))
    length = data.draw(st.integers(4, len(payload) - 1))

    for broken in (payload[:length], payload + b"x"):
        with pytest.raises(AmqpFault) as caught:
            _READERS[name](broken)
        assert caught.value.code is ReplyCode.SYNTAX_ERROR
        assert caught.value.class_id == 60


@given(st.integers(0, 2**64 - 1), st.booleans(), st.booleans(), st.integers(0, 65_535))
def test_settling_frames_are_written_and_read(tag: int, multiple: bool, requeue: bool, channel: int) -> None:
    """Ack, nack and reject as whole frames."""
    data = (
        ack_frame(channel, tag, multiple)
        + nack_frame(channel, tag, multiple=multiple, requeue=requeue)
        + reject_frame(channel, tag, requeue=requeue)
    )

    found = FrameDecoder().feed(data)

    assert [frame[:2] for frame in found] == [(METHOD, channel)] * 3
    payloads = [payload for _, _, payload in found]
    assert payloads == [
        encode_arguments(BY_NAME["basic.ack"], (tag, multiple)),
        encode_arguments(BY_NAME["basic.nack"], (tag, multiple, requeue)),
        encode_arguments(BY_NAME["basic.reject"], (tag, requeue)),
    ]
    assert [parse_settle(payload) for payload in payloads] == [
        Settle(tag, multiple, requeue=False),
        Settle(tag, multiple, requeue),
        Settle(tag, multiple=False, requeue=requeue),
    ]


@pytest.mark.parametrize("name", ["basic.ack", "basic.nack", "basic.reject"])
@pytest.mark.parametrize("length", [0, 8, 10])
def test_a_settling_method_of_another_length_is_a_syntax_error(name: str, length: int) -> None:
    """Tag and one octet of bits, nothing else."""
    with pytest.raises(AmqpFault) as caught:
        parse_settle(BY_NAME[name].index + bytes(length))

    assert caught.value.code is ReplyCode.SYNTAX_ERROR


@given(data=st.data(), tag=st.integers(0, 2**64 - 1))
def test_a_new_delivery_tag_changes_nothing_else(data: st.DataObject, tag: int) -> None:
    """Renumbering a delivery and a get-ok."""
    deliver = encode_arguments(BY_NAME["basic.deliver"], data.draw(_arguments("basic.deliver")))
    get_ok = encode_arguments(BY_NAME["basic.get-ok"], data.draw(_arguments("basic.get-ok")))

    assert parse_deliver(deliver_with_tag(deliver, tag)) == parse_deliver(deliver)._replace(delivery_tag=tag)
    assert parse_get_ok(get_ok_with_tag(get_ok, tag)) == parse_get_ok(get_ok)._replace(delivery_tag=tag)


@given(st.text(), short_texts, short_texts)
def test_a_return_carries_its_reason_shortened(text: str, exchange: bytes, key: bytes) -> None:
    """A long reason is cut, never refused (list 2.14)."""
    read = parse_return(encode_return(312, text, exchange, key))

    assert (read.reply_code, read.exchange, read.routing_key) == (312, exchange, key)
    assert text.encode("utf-8", "replace").startswith(read.reply_text)
