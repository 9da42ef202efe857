"""Ways into test brokers, and small servers that answer as a test wants."""

from __future__ import annotations

import ssl
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pika
from pika.adapters.blocking_connection import BlockingChannel

from letrade_topo.management.endpoint import ManagementEndpoint
from tests.brokers import RunningBroker


def endpoint_of(
    broker: RunningBroker,
    *,
    url: str = "",
    username: str = "",
    password: str = "",
    ca_file: Path | None = None,
) -> ManagementEndpoint:
    """The management API of a broker, as its administrator where nothing else is said."""
    return ManagementEndpoint.parse(
        url or broker.management_url,
        username=username or broker.username,
        password=password or broker.password,
        ca_file=ca_file or broker.ca_file,
        insecure_loopback=True,
    )


@contextmanager
def amqp(broker: RunningBroker, vhost: str) -> Iterator[BlockingChannel]:
    """An AMQP channel of the administrator."""
    connection = pika.BlockingConnection(
        pika.ConnectionParameters(
            "127.0.0.1",
            broker.amqps_port,
            vhost,
            pika.PlainCredentials(broker.username, broker.password),
            ssl_options=pika.SSLOptions(ssl.create_default_context(cafile=str(broker.ca_file)), "localhost"),
        )
    )
    try:
        yield connection.channel()
    finally:
        connection.close()


def seconds_until(condition: Callable[[], bool]) -> float:
    """How long it took until the condition held."""
    begin = time.monotonic()
    while not condition():
        assert time.monotonic() - begin < 60, "never"
        time.sleep(0.05)
    return time.monotonic() - begin


class ScriptedServer:
    """An HTTP server that gives its answers one after the other, the last one for ever.

    Args:
        answers: each a status with a content type and a body, or None to hang up without one.
    """

    def __init__(self, answers: Sequence[tuple[int, str, str] | None]) -> None:
        self.requests = 0
        self._answers = list(answers)
        self._lock = threading.Lock()
        script = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:  # the name is http.server's
                script.respond(self)

            def log_message(self, *_: object) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True

    @property
    def port(self) -> int:
        """Where it listens."""
        return self.server.server_address[1]

    def respond(self, handler: BaseHTTPRequestHandler) -> None:
        """Give the next answer."""
        with self._lock:
            answer = self._answers[min(self.requests, len(self._answers) - 1)]
            self.requests += 1
        if answer is None:
            handler.close_connection = True
            return
        status, content_type, body = answer
        handler.send_response(status)
        if status in range(300, 400):
            handler.send_header("Location", body)
        handler.send_header("Content-Type", content_type)
        handler.send_header("Content-Length", str(len(body.encode())))
        handler.end_headers()
        handler.wfile.write(body.encode())


@contextmanager
def serving(*answers: tuple[int, str, str] | None, tls: ssl.SSLContext | None = None) -> Iterator[ScriptedServer]:
    """A scripted server, running until the end of the block."""
    scripted = ScriptedServer(answers)
    if tls is not None:
        scripted.server.socket = tls.wrap_socket(scripted.server.socket, server_side=True)
    thread = threading.Thread(target=scripted.server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    try:
        yield scripted
    finally:
        scripted.server.shutdown()
        thread.join()
        scripted.server.server_close()


def plain_endpoint(port: int) -> ManagementEndpoint:
    """Plain http to a port of this machine."""
    return ManagementEndpoint.parse(
        f"http://127.0.0.1:{port}", username="user", password="sesame-öffne-dich", insecure_loopback=True
    )
