"""Which trace a message is in, whether it is recorded, how its spans are called."""

from __future__ import annotations

import secrets
import uuid

import pytest
from hypothesis import given
from hypothesis import strategies as st
from letrade_agent.config import SamplerKind, TraceSettings
from letrade_agent.tracing.contexts import NO_CONTEXT, Sampler, trace_of, trace_of_message

from letrade_topo.amqp.header_table import HeaderTable, long_string_entry
from letrade_topo.amqp.properties import ContentHeader

TRACE, SPAN = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
GOOD = f"00-{TRACE}-{SPAN}-01"
CONTEXT = f"{TRACE}-{SPAN}".encode()
_EMPTY = ContentHeader.parse((60).to_bytes(2, "big") + bytes(12))


def header(traceparent: str | None = None, message_id: str | None = None) -> bytes:
    """A content header with such a `traceparent`, among others."""
    entries = [long_string_entry(b"before", b"x"), long_string_entry(b"after", b"y")]
    if traceparent is not None:
        entries.insert(1, long_string_entry(b"traceparent", traceparent.encode()))
    return _EMPTY.rewrite(HeaderTable(tuple(entries)).encode(), message_id=message_id.encode() if message_id else None)


def sampler(kind: SamplerKind = SamplerKind.ON, ratio: float = 1.0, *, follows: bool = True) -> Sampler:
    """One of a kind."""
    return Sampler(TraceSettings("http://127.0.0.1", sampler=kind, ratio=ratio, follows_parent=follows))


@pytest.mark.parametrize("flags", ["01", "03", "0b", "ff", "0f"])
def test_sampled(flags: str) -> None:
    """The bit of the flags that says so, whatever the others are."""
    for kind in SamplerKind:
        assert sampler(kind, 0.0).context(header(f"00-{TRACE}-{SPAN}-{flags}")) == CONTEXT


@pytest.mark.parametrize("flags", ["00", "02", "0a", "fe", "0c"])
def test_not_sampled(flags: str) -> None:
    """A publisher that does not record its trace does not get spans of it."""
    assert sampler().context(header(f"00-{TRACE}-{SPAN}-{flags}")) is None


@pytest.mark.parametrize(
    "text",
    [
        f"ff-{TRACE}-{SPAN}-01",
        f"00-{'0' * 32}-{SPAN}-01",
        f"00-{TRACE}-{'0' * 16}-01",
        f"00-{TRACE.upper()}-{SPAN}-01",
        f"00-{TRACE}-{SPAN}-1",
        f"00-{TRACE}-{SPAN}",
        f"{GOOD}-more",
        "",
    ],
)
def test_no_context(text: str) -> None:
    """What is none (W3C Trace Context, 3.2) is as if it were not there, as the standard wants it."""
    assert sampler().context(header(text)) == NO_CONTEXT


def test_a_later_version() -> None:
    """Of a version to come the first four fields are those of this one."""
    assert sampler().context(header(f"01-{TRACE}-{SPAN}-01")) == CONTEXT


def test_without_a_context_the_sampler_decides() -> None:
    """The bit of nobody."""
    message = header(message_id=str(uuid.uuid4()))
    assert sampler(SamplerKind.ON).context(message) == NO_CONTEXT
    assert sampler(SamplerKind.OFF).context(message) is None
    assert sampler(SamplerKind.RATIO, 0.0).context(message) is None
    assert sampler(SamplerKind.RATIO, 1.0).context(message) == NO_CONTEXT


def test_a_sampler_that_follows_nobody() -> None:
    """It decides by the trace alone."""
    unsampled = header(f"00-{TRACE}-{SPAN}-00")
    assert sampler(SamplerKind.ON, follows=False).context(unsampled) == CONTEXT
    assert sampler(SamplerKind.OFF, follows=False).context(header(GOOD)) is None


@pytest.mark.parametrize("version", [1, 4])
def test_a_ratio_is_one(version: int) -> None:
    """Of traces called after message ids as well, although those are not random in all their digits."""
    make = uuid.uuid1 if version == 1 else uuid.uuid4
    messages = [header(message_id=str(make())) for _ in range(4_000)]
    taken = sum(sampler(SamplerKind.RATIO, 0.25).context(message) is not None for message in messages)
    assert 800 < taken < 1_200
    contexts = [header(f"00-{secrets.token_hex(16)}-{SPAN}-00") for _ in range(4_000)]
    taken = sum(sampler(SamplerKind.RATIO, 0.25, follows=False).context(one) is not None for one in contexts)
    assert 800 < taken < 1_200


def test_a_trace_is_called_after_its_message() -> None:
    """So that who has the id finds the trace."""
    message_id = uuid.uuid4()
    assert trace_of(NO_CONTEXT, header(message_id=str(message_id))) == message_id.bytes
    assert trace_of(CONTEXT, header(message_id=str(message_id))) == bytes.fromhex(TRACE)
    assert trace_of(NO_CONTEXT, header()) is None


@given(st.binary(min_size=1, max_size=255))
def test_any_message_id(text: bytes) -> None:
    """It makes a trace that is none of those that are not allowed."""
    trace = trace_of_message(text)
    assert len(trace) == 16
    assert any(trace)


@given(st.binary(max_size=300))
def test_any_bytes(data: bytes) -> None:
    """Nothing that a client may write is too much for it."""
    for text in (data, b"\x0btraceparent" + data, b"\x0btraceparentS\x00\x00\x007" + data):
        assert sampler(SamplerKind.RATIO, 0.5).context(text) in (None, NO_CONTEXT, CONTEXT)
