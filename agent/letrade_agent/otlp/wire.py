"""OTLP 1.x: spans as the body of a request (opentelemetry-proto, `collector/trace/v1`)."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, Final

from google.protobuf.message import DecodeError
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)
from opentelemetry.proto.common.v1.common_pb2 import KeyValue
from opentelemetry.proto.trace.v1.trace_pb2 import Span, Status

from letrade_agent.tracing.spans import Attribute, Doing, MessageSpan

_KEPT: Final = 4_096
_FLAGS: Final = 0x301
"""Of a span and of a link (`Span.flags`): sampled; it is known whether its parent is remote; it is."""


class Wire:
    """Writes requests.

    Args:
        resource: attributes of the agent.
        scope: name and version of what makes the spans.
    """

    def __init__(self, resource: Iterable[Attribute], scope: tuple[str, str]) -> None:
        self._resource = tuple(resource)
        self._scope = scope
        self._prototypes: dict[Doing, Span] = {}

    def request(self, spans: Sequence[MessageSpan]) -> bytes:
        """The body of a request."""
        request = ExportTraceServiceRequest()
        of_resource = request.resource_spans.add()
        for attribute in self._resource:
            _put(of_resource.resource.attributes.add(), attribute)
        of_scope = of_resource.scope_spans.add()
        of_scope.scope.name, of_scope.scope.version = self._scope
        for one in spans:
            self._write(of_scope.spans.add(), one)
        return bytes(request.SerializeToString())

    def _write(self, span: Span, one: MessageSpan) -> None:
        span.CopyFrom(self._prototype(one.doing))
        span.trace_id, span.span_id = one.trace, one.span
        if one.parent:
            span.parent_span_id = one.parent
        span.start_time_unix_nano, span.end_time_unix_nano = one.began, one.ended
        for linked in one.links:
            link = span.links.add()
            link.trace_id, link.span_id, link.flags = one.trace, linked, _FLAGS
        for attribute in one.attributes:
            _put(span.attributes.add(), attribute)
        if one.error:
            _put(span.attributes.add(), ("error.type", one.error))
            span.status.code = Status.STATUS_CODE_ERROR

    def _prototype(self, doing: Doing) -> Span:
        found = self._prototypes.get(doing)
        if found is None:
            if len(self._prototypes) >= _KEPT:
                self._prototypes.clear()
            fixed: dict[str, Any] = {"name": doing.name, "kind": int(doing.kind), "flags": _FLAGS}
            found = self._prototypes[doing] = Span(**fixed)
            for attribute in doing.attributes:
                _put(found.attributes.add(), attribute)
        return found


def rejected(body: bytes) -> int:
    """How many spans of a request the collector did not take, by its answer; 0 where that says nothing."""
    try:
        return int(ExportTraceServiceResponse.FromString(body).partial_success.rejected_spans)
    except DecodeError:
        return 0


def _put(pair: KeyValue, attribute: Attribute) -> None:
    pair.key, value = attribute
    if isinstance(value, str):
        pair.value.string_value = value
    else:
        pair.value.int_value = value
