"""Trace contexts: which trace a message is in, whether that is recorded, and how its spans are called.

Nothing is written into a message and nothing is remembered between agents: what a span is called follows from the
trace, from which message it is, and from what is done with it. So the agent of a consumer can link to the span of the
publisher's agent, and the router to both, without having heard of them.

A trace context comes from the publisher (the header `traceparent`, W3C Trace Context, 3.2) and is not authenticated: a
token does not cover it. It decides what is recorded, and nothing else.
"""

from __future__ import annotations

import re
from hashlib import blake2b, sha256
from typing import Final

from letrade_agent.config import SamplerKind, TraceSettings
from letrade_topo.amqp.faults import AmqpFault
from letrade_topo.amqp.properties import ContentHeader
from letrade_topo.keys.replay import Identity

_NAME: Final = b"\x0btraceparent"
"""As the name of an entry of a headers table."""
_VALUE: Final = re.compile(
    rb"[Sx]\x00\x00\x007(?!ff)[0-9a-f]{2}-((?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16})-[0-9a-f]([0-9a-f])(?![0-9a-f])"
)
"""The value behind it: a string of 55 (`7`) bytes. Groups: trace and span; the last digit of the flags."""
_SAMPLED: Final = frozenset((b"1", b"3", b"5", b"7", b"9", b"b", b"d", b"f"))
"""The last digit of flags with the bit `sampled`."""
_SPAN_ID_SIZE: Final = 8
_DIGITS: Final = 32
_HEXADECIMAL: Final = b"0123456789abcdefABCDEF"
_WHOLE: Final = 1 << 8 * _SPAN_ID_SIZE

PUBLISH: Final = b"publish"
DELIVER: Final = b"deliver"
RETRY: Final = b"retry"
DEAD_LETTER: Final = b"dead_letter"
"""What is done with a message."""

NO_CONTEXT: Final = b""
"""Of a message whose publisher set none: the publish that the agent saw begins the trace."""


class Sampler:
    """Decides what is recorded (OpenTelemetry, `OTEL_TRACES_SAMPLER`).

    Args:
        settings: which sampler.
    """

    def __init__(self, settings: TraceSettings) -> None:
        self._follows = settings.follows_parent
        self._kind = settings.sampler
        self._below = int(settings.ratio * _WHOLE)

    def context(self, header: bytes) -> bytes | None:
        """The context of a message: `<trace>-<span>` in hexadecimal digits, `NO_CONTEXT`, or None: it is not recorded.

        The bytes of a `traceparent` are looked for in the whole header. Where they stand in another value of the
        publisher's own, that decides instead; it is theirs as well.

        Args:
            header: content header payload.
        """
        at = header.find(_NAME)
        if at >= 0:
            found = _VALUE.match(header, at + 12)
            if found is not None:
                if self._follows:
                    return found[1] if found[2] in _SAMPLED else None
                return found[1] if self._takes(found[1][:32]) else None
        if self._kind is SamplerKind.RATIO:
            trace = trace_of(NO_CONTEXT, header)
            return NO_CONTEXT if trace is not None and self._takes(trace.hex().encode()) else None
        return NO_CONTEXT if self._kind is SamplerKind.ON else None

    def _takes(self, trace: bytes) -> bool:
        """Every agent decides the same. Hashed, because the digits of a trace may be a message id, and not random."""
        if self._kind is not SamplerKind.RATIO:
            return self._kind is SamplerKind.ON
        return int.from_bytes(blake2b(trace, digest_size=_SPAN_ID_SIZE).digest(), "big") < self._below


def trace_of(context: bytes, header: bytes) -> bytes | None:
    """The id of the trace, 16 bytes.

    Without a context it is the message id: who has that finds the trace. None: there is none either.

    Args:
        context: as of `Sampler.context`.
        header: content header payload.
    """
    if context:
        return bytes.fromhex(context[:32].decode())
    try:
        message_id = ContentHeader.parse(header).message_id
    except AmqpFault:
        return None
    return None if not message_id else trace_of_message(message_id)


def trace_of_message(message_id: bytes) -> bytes:
    """The id of the trace that begins with a message: its own where that is a UUID, else the hash of it."""
    digits = message_id.replace(b"-", b"")
    if len(digits) == _DIGITS and not digits.translate(None, _HEXADECIMAL):
        found = bytes.fromhex(digits.decode())
        if any(found):
            return found
    return sha256(message_id).digest()[:16]


def key_of(identity: Identity) -> bytes:
    """Which message it is, by its token: the same for every agent that sees it, however often it comes back."""
    return b"%b\0%b%d" % (identity.issuer.encode(), identity.jti, identity.leaf_index)


def key_of_unsigned(context: bytes, message_id: bytes) -> bytes:
    """Likewise, of a message without a token."""
    return b"\0%b\0%b" % (context, message_id)


def span_id(key: bytes, role: bytes, queue: str = "", attempt: int = 0) -> bytes:
    """What a span is called, 8 bytes.

    Args:
        key: which message.
        role: what is done with it.
        queue: the consumer queue that it is done for.
        attempt: how often the message has come back.
    """
    about = b"\0".join((role, queue.encode(), b"%d" % attempt, key))
    return blake2b(about, digest_size=_SPAN_ID_SIZE, person=b"letrade").digest()
