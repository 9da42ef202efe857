"""A receiver of OTLP over HTTP for the form of requests alone; what a collector makes of them, `script/soak` tests."""

from __future__ import annotations

import gzip
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)

from tests.tracing.seen import SeenSpan, spans_of_protobuf


@dataclass(slots=True)
class Receiver:
    """What came, and what is answered.

    Args:
        url: for `OTEL_EXPORTER_OTLP_ENDPOINT`.
        answers: status codes of the next requests; then 200.
        headers: of every request.
        paths: likewise.
        spans: of every request that was answered by 200.
        refuses: how many spans of a request an answer of 200 says are refused.
    """

    url: str = ""
    answers: list[int] = field(default_factory=list)
    headers: list[dict[str, str]] = field(default_factory=list)
    paths: list[str] = field(default_factory=list)
    spans: list[SeenSpan] = field(default_factory=list)
    refuses: int = 0

    def of(self, trace: str) -> list[SeenSpan]:
        """The spans of a trace, by their beginning."""
        return sorted((span for span in self.spans if span.trace == trace), key=lambda span: span.began)


@contextmanager
def running_receiver() -> Iterator[Receiver]:
    """One on a free port."""
    receiver = Receiver()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            receiver.headers.append({name.lower(): value for name, value in self.headers.items()})
            receiver.paths.append(self.path)
            status = receiver.answers.pop(0) if receiver.answers else 200
            answer = b""
            if status == 200:
                body = gzip.decompress(body) if self.headers["Content-Encoding"] == "gzip" else body
                receiver.spans += spans_of_protobuf(ExportTraceServiceRequest.FromString(body))
                response = ExportTraceServiceResponse()
                response.partial_success.rejected_spans = receiver.refuses
                answer = response.SerializeToString()
            self.send_response(status)
            self.send_header("Content-Length", str(len(answer)))
            if status == 503:
                self.send_header("Retry-After", "0")
            self.end_headers()
            self.wfile.write(answer)

        def log_message(self, *_: Any) -> None:
            """Nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    receiver.url = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield receiver
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
