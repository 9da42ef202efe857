"""Asking an agent for its status: what is taken for one, what is not, and how much is read."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from letrade_topo import agent_status as module
from letrade_topo.agent_status import AgentUnreachable, InvalidAgentUrl, agent_status

STATUS = {"service": "shop", "version": "1", "state": "running"}

Answering = Callable[[BaseHTTPRequestHandler], None]
Serve = Callable[[Answering], str]


@pytest.fixture
def serve() -> Iterator[Serve]:
    """Start a server whose GET is answered so; its URL."""
    servers: list[tuple[ThreadingHTTPServer, threading.Thread]] = []

    def start(answering: Answering) -> str:
        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                answering(self)

            def log_message(self, *_: object) -> None:
                """Nothing on stderr."""

        server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        servers.append((server, thread))
        return f"http://127.0.0.1:{server.server_address[1]}"

    yield start
    for server, thread in servers:
        server.shutdown()
        thread.join()
        server.server_close()


def answer(status: int, body: bytes, **headers: str) -> Answering:
    """One answer, and the end of the connection."""

    def answering(request: BaseHTTPRequestHandler) -> None:
        request.send_response(status)
        for name, value in headers.items():
            request.send_header(name, value)
        request.end_headers()
        request.wfile.write(body)

    return answering


def test_a_status(serve: Serve) -> None:
    """With or without http:// and a slash at its end; a proxy of the environment is not asked."""
    url = serve(answer(200, json.dumps(STATUS).encode()))

    for written in (url, f"{url}/", url.removeprefix("http://")):
        assert agent_status(written) == STATUS


def test_no_proxy_of_the_environment_is_asked(serve: Serve, monkeypatch: pytest.MonkeyPatch) -> None:
    """The agent is next door."""
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1")
    monkeypatch.delenv("NO_PROXY", raising=False)

    assert agent_status(serve(answer(200, json.dumps(STATUS).encode()))) == STATUS


@pytest.mark.parametrize(
    ("answering", "why"),
    [
        (answer(404, b"nothing\xff here"), "404: nothing"),
        (answer(302, b"", Location="/elsewhere"), "302"),
        (answer(200, b"<html>"), "names no service"),
        (answer(200, b"[" * 100_000), "names no service"),
        (answer(200, b"[]"), "names no service"),
        (answer(200, b'{"service": "shop"}'), "names no service"),
    ],
)
def test_what_is_no_agent(serve: Serve, answering: Answering, why: str) -> None:
    """It is said what came instead."""
    with pytest.raises(AgentUnreachable, match="is no agent") as caught:
        agent_status(serve(answering))

    assert why in (caught.value.why or "")


def test_an_answer_without_an_end(serve: Serve, monkeypatch: pytest.MonkeyPatch) -> None:
    """No more is read than a status can have, and for no longer than was asked."""
    monkeypatch.setattr(module, "LARGEST_ANSWER_BYTES", 2**20)

    def endless(request: BaseHTTPRequestHandler) -> None:
        request.send_response(200)
        request.end_headers()
        try:
            while True:
                request.wfile.write(b" " * 2**16)
        except OSError:
            return

    with pytest.raises(AgentUnreachable, match="does not come to an end"):
        agent_status(serve(endless))


def test_nobody_there() -> None:
    """In the operating system's own words."""
    with pytest.raises(AgentUnreachable, match="no agent answers at") as caught:
        agent_status("http://127.0.0.1:1")

    assert "refused" in (caught.value.why or "")


@pytest.mark.parametrize("url", ["", "ftp://127.0.0.1", "http://", "http://[::1", "http://h:x", "http://h:0"])
def test_what_is_no_url(url: str) -> None:
    """Nobody is asked."""
    with pytest.raises(InvalidAgentUrl, match="no URL of an agent"):
        agent_status(url)


def test_a_login_is_not_shown() -> None:
    """An agent has none; whoever writes one may have taken the broker's URL."""
    with pytest.raises(InvalidAgentUrl) as caught:
        agent_status("http://admin:hunter2@127.0.0.1:9464")

    assert "hunter2" not in str(caught.value) + str(caught.value.fix)
