"""From what was recorded to spans, by OpenTelemetry's conventions for messaging (semantic conventions 1.44).

All spans of a message are in the trace of its creation context and have that as parent: the publisher's own span where
it set a `traceparent`, else the span of the publish that the first agent saw. What came before what, they say by
links, which break nothing where an agent on the way is not traced:

    publish ←link─ deliver ←link─ retry ←link─ deliver (2) ←link─ dead_letter

Of a message a span has its id, its size and where it went; never a body, a token, or a header.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from enum import IntEnum
from functools import lru_cache
from typing import Final, NamedTuple, TypeAlias

from letrade_agent.tracing.contexts import (
    DELIVER,
    PUBLISH,
    RETRY,
    key_of,
    key_of_unsigned,
    span_id,
    trace_of_message,
)
from letrade_agent.tracing.recorder import Batch, HandedOver, Row, Server, Settled, TracedPublish
from letrade_topo.amqp.basic import parse_publish
from letrade_topo.amqp.faults import AmqpFault, readable
from letrade_topo.amqp.header_table import take_entries
from letrade_topo.amqp.properties import ContentHeader
from letrade_topo.amqp.wire import integer_value, long_string_value
from letrade_topo.keys.claims import parse_message_claims
from letrade_topo.keys.headers import ATTEMPT_HEADER, JWS_HEADER, PROOF_HEADER, parse_proof
from letrade_topo.keys.jws import Malformed, parse_compact
from letrade_topo.keys.replay import Identity

Attribute: TypeAlias = tuple[str, str | int]

_KEPT_TOKENS: Final = 1_024
_KEPT_PLACES: Final = 4_096
_NANOSECONDS: Final = 1_000_000_000
_OURS: Final = (JWS_HEADER, PROOF_HEADER, ATTEMPT_HEADER)
_DEFAULT_EXCHANGE: Final = "amq.default"
_GOOD: Final = "ack"


class SpanKind(IntEnum):
    """As OTLP has them."""

    CLIENT = 3
    PRODUCER = 4
    CONSUMER = 5


class Described(NamedTuple):
    """What the topology says of a destination.

    Attributes:
        message_type: the name of the type.
        key: its routing-key template.
    """

    message_type: str
    key: str


Describe: TypeAlias = Callable[[bytes, bytes], Described | None]
"""By exchange and routing key; None: the topology has no such message type."""


@dataclass(frozen=True, eq=False, slots=True)
class Doing:
    """What is done with messages at one place, as all spans of it say.

    Args:
        name: of the spans.
        kind: likewise.
        attributes: likewise.
    """

    name: str
    kind: SpanKind
    attributes: tuple[Attribute, ...]


class MessageSpan(NamedTuple):
    """A span.

    Attributes:
        doing: what is done.
        trace: 16 bytes.
        span: 8 bytes.
        parent: 8 bytes; empty: it has none.
        links: spans of the same trace.
        began, ended: nanoseconds since the epoch.
        attributes: of this message.
        error: the word for what went wrong; empty: nothing did.
    """

    doing: Doing
    trace: bytes
    span: bytes
    parent: bytes
    links: tuple[bytes, ...]
    began: int
    ended: int
    attributes: tuple[Attribute, ...]
    error: str


class _Message(NamedTuple):
    """What a header says of a message."""

    trace: bytes
    parent: bytes
    key: bytes
    attempt: int
    attributes: tuple[Attribute, ...]


class Spans:
    """Makes spans of what one agent recorded.

    Args:
        describe: what the topology says.
        own_queues: declared queues of the service.
    """

    def __init__(self, describe: Describe, own_queues: frozenset[str]) -> None:
        self._describe = describe
        self._own_queues = own_queues
        self._doing = lru_cache(maxsize=_KEPT_PLACES)(self._find_doing)

    def of(self, batch: Batch) -> Iterator[MessageSpan]:
        """The spans of a batch. What has neither a context nor an id is left out: nothing could be linked."""
        for row in batch.rows:
            try:
                span = self._of(row, batch)
            except AmqpFault:
                continue  # the broker's or the client's doing, and told of where it was relayed
            if span is not None:
                yield span

    def _of(self, row: Row, batch: Batch) -> MessageSpan | None:
        match row:
            case TracedPublish():
                return self._published(row, batch)
            case Settled():
                return self._settled(row, batch)
            case HandedOver():
                return self._handed_over(row, batch)

    def _published(self, row: TracedPublish, batch: Batch) -> MessageSpan | None:
        message = _read(row.context, row.header, None)
        if message is None:
            return None
        publish = parse_publish(row.method)
        has_context = bool(row.context)
        doing = self._doing(PUBLISH, publish.exchange, publish.routing_key, "", batch.server, has_context)
        span = span_id(message.key, PUBLISH)
        parent = message.parent if has_context else b""
        times = _times(batch.began, batch.ended)
        attributes = (*message.attributes, ("messaging.message.body.size", row.size))
        return MessageSpan(doing, message.trace, span, parent, (), *times, attributes, row.error)

    def _settled(self, row: Settled, batch: Batch) -> MessageSpan | None:
        opened = row.opened
        message = _read(opened.context, opened.header, opened.identity)
        if message is None:
            return None
        doing = self._doing(DELIVER, opened.exchange, opened.routing_key, opened.queue, batch.server, True)
        attempt, key = message.attempt, message.key
        before = span_id(key, RETRY, opened.queue, attempt) if attempt else span_id(key, PUBLISH)
        # What the broker delivers again is the same delivery, and another span.
        again = b"%b%r" % (key, opened.began) if opened.redelivered or opened.identity is None else key
        attributes = (
            *message.attributes,
            ("messaging.message.body.size", opened.size),
            ("letrade.attempt", attempt),
            ("letrade.outcome", row.outcome),
        )
        return MessageSpan(
            doing,
            message.trace,
            span_id(again, DELIVER, opened.queue, attempt),
            message.parent,
            (before,),
            *_times(opened.began, batch.ended),
            attributes,
            "" if row.outcome == _GOOD else row.outcome,
        )

    def _handed_over(self, row: HandedOver, batch: Batch) -> MessageSpan | None:
        message = _read(row.context, row.header, None)
        if message is None:
            return None
        doing = self._doing(row.role, row.exchange, row.routing_key, row.queue, batch.server, True)
        is_retry = row.role == RETRY
        # A retry says which attempt it is for; a dead letter, which one was the last.
        failed = max(message.attempt - 1, 0) if is_retry else message.attempt
        attributes = (
            *message.attributes,
            ("messaging.message.body.size", row.size),
            ("letrade.attempt", message.attempt),
            ("letrade.reason", row.reason),
        )
        return MessageSpan(
            doing,
            message.trace,
            span_id(message.key, row.role, row.queue, message.attempt),
            message.parent,
            (span_id(message.key, DELIVER, row.queue, failed),),
            *_times(row.began, batch.ended),
            attributes,
            "" if is_retry else row.reason,
        )

    def _find_doing(
        self, role: bytes, exchange: bytes, routing_key: bytes, queue: str, server: Server, has_context: bool
    ) -> Doing:
        described = self._describe(exchange, routing_key)
        at, key = readable(exchange) or _DEFAULT_EXCHANGE, readable(routing_key)
        name, template = f"{at}:{key}", at if described is None else f"{at}:{described.key}"
        match role:
            case b"publish":
                kind, what, called = SpanKind.CLIENT if has_context else SpanKind.PRODUCER, "send", template
            case b"deliver":
                kind, what = SpanKind.CONSUMER, "process"
                called = queue if queue in self._own_queues else template
                name = name if queue == key else f"{name}:{queue}"
                template = f"{template}:{queue}" if queue in self._own_queues else template
            case _:
                kind, what, called = SpanKind.CLIENT, "send", queue
        operation = role.decode()
        attributes: list[Attribute] = [
            ("messaging.system", "rabbitmq"),
            ("messaging.operation.name", operation),
            ("messaging.operation.type", what),
            ("messaging.destination.name", name),
            ("messaging.destination.template", template),
            ("messaging.rabbitmq.destination.routing_key", key),
            ("server.address", server[0]),
            ("server.port", server[1]),
        ]
        if described is not None:
            attributes.append(("letrade.message_type", described.message_type))
        if queue:
            attributes.append(("letrade.queue", queue))
        return Doing(f"{operation} {called}", kind, tuple(attributes))


def _read(context: bytes, payload: bytes, identity: Identity | None) -> _Message | None:
    """What is to be known of a message; `identity`, where the token is not in its header any more.

    Raises:
        AmqpFault: it is malformed.
    """
    header = ContentHeader.parse(payload)
    message_id, attempt = header.message_id or b"", 0
    if context:
        trace = bytes.fromhex(context[:32].decode())
    elif message_id:
        trace = trace_of_message(message_id)
    else:
        return None
    if identity is not None:
        key, attempt = key_of(identity), identity.attempt
    else:
        found = dict(take_entries(header.encoded_headers, _OURS)[0]) if header.encoded_headers else {}
        values = {name: entry[len(name) + 1 :] for name, entry in found.items()}
        key = _key(values) or key_of_unsigned(context, message_id)
        attempt = (integer_value(values[ATTEMPT_HEADER]) or 0) if ATTEMPT_HEADER in values else 0
    parent = bytes.fromhex(context[33:].decode()) if context else span_id(key, PUBLISH)
    attributes: list[Attribute] = []
    if message_id:
        attributes.append(("messaging.message.id", readable(message_id)))
    if header.correlation_id:
        attributes.append(("messaging.message.conversation_id", readable(header.correlation_id)))
    return _Message(trace, parent, key, attempt, tuple(attributes))


def _key(values: dict[bytes, bytes]) -> bytes | None:
    """By its token, as it stands there: what a span is called proves nothing."""
    jws = long_string_value(values.get(JWS_HEADER, b""))
    whose = None if jws is None else _token(jws)
    if whose is None:
        return None
    proof = long_string_value(values.get(PROOF_HEADER, b""))
    placed = None if proof is None else parse_proof(proof)
    if isinstance(placed, Malformed):
        return None
    return key_of(Identity(*whose, 0 if placed is None else placed.leaf_index, 0))


@lru_cache(maxsize=_KEPT_TOKENS)
def _token(jws: bytes) -> tuple[str, bytes] | None:
    """Issuer and identity of a token; a batch has one."""
    compact = parse_compact(jws)
    if isinstance(compact, Malformed):
        return None
    claims = parse_message_claims(compact.payload)
    return None if isinstance(claims, Malformed) else (claims.issuer, claims.jti)


def _times(began: float, ended: float) -> tuple[int, int]:
    """In nanoseconds; a clock that is set back gives no span that ends before it begins."""
    return int(began * _NANOSECONDS), int(max(began, ended) * _NANOSECONDS)
