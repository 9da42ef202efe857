"""Spans as whoever took them reads them, whichever way they came: OTLP in protobuf, or in JSON from a file."""

from __future__ import annotations

import json
from base64 import b64decode
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from google.protobuf.json_format import MessageToDict

KINDS = {2: "server", 3: "client", 4: "producer", 5: "consumer"}


@dataclass(frozen=True, slots=True)
class SeenSpan:
    """A span.

    Args:
        agent: `service.name` of the resource.
        name: of the span.
        kind: in a word.
        trace, span, parent: ids in hexadecimal digits.
        links: span ids.
        began, ended: nanoseconds since the epoch.
        attributes: by name.
        is_error: its status.
        flags: as OTLP has them.
    """

    agent: str
    name: str
    kind: str
    trace: str
    span: str
    parent: str
    links: tuple[str, ...]
    began: int
    ended: int
    attributes: Mapping[str, Any]
    is_error: bool
    flags: int

    @property
    def operation(self) -> str:
        """What was done."""
        return str(self.attributes["messaging.operation.name"])


def spans_of(request: Mapping[str, Any]) -> Iterator[SeenSpan]:
    """The spans of a request in OTLP's JSON, where ids are hexadecimal digits."""
    for resource in request.get("resourceSpans", []):
        about = _attributes(resource["resource"])
        for scope in resource["scopeSpans"]:
            for span in scope["spans"]:
                yield SeenSpan(
                    str(about["service.name"]),
                    span["name"],
                    KINDS[span["kind"]],
                    span["traceId"],
                    span["spanId"],
                    span.get("parentSpanId", ""),
                    tuple(link["spanId"] for link in span.get("links", [])),
                    int(span["startTimeUnixNano"]),
                    int(span["endTimeUnixNano"]),
                    _attributes(span),
                    span.get("status", {}).get("code") == 2,
                    span.get("flags", 0),
                )


def spans_of_protobuf(request: Any) -> Iterator[SeenSpan]:
    """Those of a request as `ExportTraceServiceRequest`."""
    document = MessageToDict(request, use_integers_for_enums=True)
    for resource in document.get("resourceSpans", []):
        for scope in resource["scopeSpans"]:
            for span in scope["spans"]:
                for part in (span, *span.get("links", [])):
                    for name in ("traceId", "spanId", "parentSpanId"):
                        if name in part:
                            part[name] = _hex(part[name])
    yield from spans_of(document)


def spans_of_file(path: Path) -> list[SeenSpan]:
    """Those that a collector's file exporter has written; none while there is no file."""
    if not path.exists():
        return []
    lines = path.read_text(encoding="utf-8").splitlines()
    return [span for line in lines if line.endswith("}") for span in spans_of(json.loads(line))]


def _attributes(part: Mapping[str, Any]) -> dict[str, Any]:
    return {pair["key"]: _value(pair["value"]) for pair in part.get("attributes", [])}


def _value(value: Mapping[str, Any]) -> str | int:
    return int(value["intValue"]) if "intValue" in value else str(value.get("stringValue", ""))


def _hex(text: str) -> str:
    return b64decode(text).hex()
