"""The controller's pages: /, /metrics, /livez, /readyz, on threads of their own, so that a long pass hides nothing."""

from __future__ import annotations

import socketserver
import threading
from collections.abc import Callable, Iterable, Mapping
from http import HTTPStatus
from typing import Any, Final, TypeAlias
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer
from wsgiref.types import StartResponse, WSGIEnvironment

from prometheus_client import CollectorRegistry, make_wsgi_app

from letrade_topo.draw.page import POLICY
from letrade_topo.errors import TopoError
from letrade_topo.http_host import KnownHosts, misdirected

REQUEST_SECONDS: Final = 10.0
Check: TypeAlias = Callable[[], str]
"""Says what is wrong; nothing when nothing is."""
Draw: TypeAlias = Callable[[], str]
"""Gives a page as HTML."""

_PAGE_HEADERS: Final = (
    ("Content-Type", "text/html; charset=utf-8"),
    ("Content-Security-Policy", f"{POLICY}; frame-ancestors 'none'"),
    ("X-Content-Type-Options", "nosniff"),
    ("Referrer-Policy", "no-referrer"),
    ("Cache-Control", "no-store"),
)


class CannotListen(TopoError):
    """The address cannot be used."""


class Pages:
    """Serves the pages from the start to `close`.

    Args:
        host, port: where; port 0 lets the system choose.
        registry: of the metrics.
        checks: by path.
        hosts: under which names it may be asked.
        draw: the page for people, at `/`.

    Attributes:
        port: where it listens.

    Raises:
        CannotListen: the address cannot be used.
    """

    def __init__(
        self,
        host: str,
        port: int,
        registry: CollectorRegistry,
        checks: Mapping[str, Check],
        hosts: KnownHosts,
        draw: Draw,
    ) -> None:
        try:
            self._server = _server_class(host)((host, port), _Handler)
        except OSError as error:
            raise CannotListen(
                f"cannot listen on {host}:{port}", why=error.strerror or str(error), fix="give another with --listen"
            ) from None
        self._server.set_app(_application(registry, checks, hosts, draw))
        self.port: int = self._server.server_address[1]
        self._thread = threading.Thread(target=self._server.serve_forever, name="pages", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Stop."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


def _application(
    registry: CollectorRegistry, checks: Mapping[str, Check], hosts: KnownHosts, draw: Draw
) -> Callable[[WSGIEnvironment, StartResponse], Iterable[bytes]]:
    metrics: Any = make_wsgi_app(registry)

    def application(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        path = environ.get("PATH_INFO", "")
        if environ["REQUEST_METHOD"] not in {"GET", "HEAD"}:
            return _text(start_response, HTTPStatus.METHOD_NOT_ALLOWED, "only GET and HEAD")
        host = environ.get("HTTP_HOST")
        if host not in hosts:
            return _text(start_response, HTTPStatus.MISDIRECTED_REQUEST, misdirected(host or ""))
        if path == "/metrics":
            found: Iterable[bytes] = metrics(environ, start_response)
            return found
        if path == "/":
            return _page(start_response, draw())
        check = checks.get(path)
        if check is None:
            known = "\n".join(sorted({"/", "/metrics", *checks}))
            return _text(start_response, HTTPStatus.NOT_FOUND, f"no such page; there are\n{known}")
        problem = check()
        status = HTTPStatus.SERVICE_UNAVAILABLE if problem else HTTPStatus.OK
        return _text(start_response, status, problem or "ok")

    return application


def _page(start_response: StartResponse, text: str) -> Iterable[bytes]:
    body = text.encode()
    start_response("200 OK", [*_PAGE_HEADERS, ("Content-Length", str(len(body)))])
    return [body]


def _text(start_response: StartResponse, status: HTTPStatus, text: str) -> Iterable[bytes]:
    body = f"{text}\n".encode()
    headers = [("Content-Type", "text/plain; charset=utf-8"), ("Content-Length", str(len(body)))]
    start_response(f"{status.value} {status.phrase}", headers)
    return [body]


class _Server(socketserver.ThreadingMixIn, WSGIServer):
    daemon_threads = True

    def server_bind(self) -> None:
        """Not HTTPServer's, which asks the name service who we are, and may wait for it."""
        socketserver.TCPServer.server_bind(self)
        host, port = self.server_address[:2]
        self.server_name, self.server_port = str(host), int(port)
        self.setup_environ()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Nothing: whoever asked went away."""


class _Handler(WSGIRequestHandler):
    timeout = REQUEST_SECONDS

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002  # the base class calls it so
        """Nothing: probes and scrapes are no events."""


def _server_class(host: str) -> type[_Server]:
    import socket

    if ":" not in host:
        return _Server
    return type("_Server6", (_Server,), {"address_family": socket.AF_INET6})
