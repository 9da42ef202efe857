"""A proxy that rewrites paths is found out before anything else, and no 404 is taken for "empty" or "gone"."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import quote, unquote

import pytest
import requests

from letrade_topo.exit_codes import ExitCode
from letrade_topo.management.client import ManagementClient
from letrade_topo.management.errors import NotFound, PathsRewritten
from letrade_topo.management.reading import read_queue_counts, read_state
from tests.brokers import RunningBroker
from tests.management.endpoints import plain_endpoint
from tests.tool import Tool
from tests.topologies import orders, write

Rewrite = Callable[[str], str | None]


def decoded(path: str) -> str:
    """As nginx does for a `proxy_pass` with a path: decoded, and encoded again but for slashes."""
    return quote(unquote(path), safe="/?&=,~")


def encoded(path: str) -> str:
    """As proxies do that take a path for text that is not encoded yet."""
    return path.replace("%", "%25")


def merged(path: str) -> str:
    """As nginx does by default, with `merge_slashes`."""
    return path.replace("%2F%2F", "%2F")


def refused(path: str) -> str | None:
    """As Apache does by default, with `AllowEncodedSlashes Off`: 404 without asking anybody."""
    return None if "%2F" in path else path


def plus(path: str) -> str:
    """As those do that decode a path as they decode a form."""
    return path.replace("%2B", "%20")


REWRITES: tuple[Rewrite, ...] = (decoded, encoded, merged, refused, plus)


@contextmanager
def proxy(broker: RunningBroker, rewrite: Rewrite) -> Iterator[int]:
    """A reverse proxy before a broker, over plain http on this machine; its port."""
    session = requests.Session()
    session.trust_env = False
    session.verify = str(broker.ca_file)

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def _pass(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            path = rewrite(self.path)
            if path is None:
                return self._answer(404, "text/html", b"<h1>Not Found</h1>")
            headers = {name: self.headers[name] for name in ("Authorization", "Content-Type") if name in self.headers}
            request = requests.Request(self.command, broker.management_url, data=body, headers=headers).prepare()
            request.url = broker.management_url + path  # as it is: requests would write it anew
            answer = session.send(request, timeout=30, allow_redirects=False)
            return self._answer(answer.status_code, answer.headers.get("Content-Type", ""), answer.content)

        def _answer(self, status: int, kind: str, body: bytes) -> None:
            self.send_response(status)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        do_GET = do_PUT = do_POST = do_DELETE = _pass  # noqa: N815  # the names are http.server's

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    try:
        yield server.server_address[1]
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@pytest.fixture
def slashed(broker: RunningBroker, vhost_name: str, tmp_path: Path) -> Iterator[Tool]:
    """The tool with a topology on a vhost with a slash in its name, which is applied."""
    name = f"{vhost_name}/sub"
    write(tmp_path / "topology.yaml", orders(name=vhost_name, vhost=name))
    tool = Tool.at(broker, tmp_path)
    tool.run("apply", "--yes").check(ExitCode.OK)
    yield tool
    broker.api("DELETE", f"/api/vhosts/{quote(name, safe='')}")
    for user in ("shop", "clerk"):
        broker.api("DELETE", f"/api/users/{quote(f'{name}-{user}', safe='')}")
    broker.api("DELETE", f"/api/global-parameters/{quote(f'letrade-topo.{vhost_name}.{name}', safe='')}")


def through(tool: Tool, port: int) -> Tool:
    """The same tool through a proxy."""
    return tool.having(LETRADE_TOPO_MANAGEMENT=f"http://127.0.0.1:{port}", LETRADE_TOPO_INSECURE_LOOPBACK="1")


def vhosts(broker: RunningBroker) -> set[str]:
    """The names of all vhosts."""
    return {one["name"] for one in broker.api("GET", "/api/vhosts?columns=name").json()}


def test_a_proxy_that_rewrites_paths_is_found_out(slashed: Tool, broker: RunningBroker) -> None:
    """69 with what to set, whatever the command; nothing is made. Through one that does not, all is in sync."""
    before = vhosts(broker)
    for rewrite in REWRITES:
        with proxy(broker, rewrite) as port:
            tool = through(slashed, port)
            for command in (("plan",), ("drift",), ("apply", "--yes"), ("destroy", "--yes")):
                said = tool.run(*command).check(ExitCode.UNREACHABLE).err
                assert "AllowEncodedSlashes NoDecode" in said, (rewrite, command)
    assert vhosts(broker) == before
    with proxy(broker, lambda path: path) as port:
        through(slashed, port).run("plan").check(ExitCode.OK)
        through(slashed, port).run("drift").check(ExitCode.OK)


def client_through(broker: RunningBroker, port: int) -> ManagementClient:
    """The administrator's client through a proxy."""
    endpoint = plain_endpoint(port)
    return ManagementClient(type(endpoint)(endpoint.url, broker.username, broker.password, None, True))


def test_whether_paths_arrive_is_asked_once(broker: RunningBroker) -> None:
    """And not by a user who may not log in: that is said first."""
    asked: list[str] = []

    def listened(path: str) -> str:
        asked.append(path)
        return path

    with proxy(broker, listened) as port, client_through(broker, port) as client:
        client.check_paths()
        client.check_paths()
    assert len(asked) == 1

    with proxy(broker, decoded) as port, client_through(broker, port) as client, pytest.raises(PathsRewritten):
        client.check_paths()


@pytest.mark.parametrize("what", ["queues", "bindings", "permissions", "vhosts", "consumers"])
def test_a_404_of_a_vhost_that_is_there_is_an_error(broker: RunningBroker, vhost_name: str, what: str) -> None:
    """Whoever answers so: nothing is taken for empty. A vhost that is not there is, by the list of all."""

    def lost(path: str) -> str:
        return "/api/vhosts/no-such-vhost" if f"/{what}" in path and vhost_name in path else path

    with proxy(broker, lost) as port, client_through(broker, port) as client:
        assert not read_state(client, vhost_name).vhost_exists
        broker.api("PUT", f"/api/vhosts/{vhost_name}", json={})
        with pytest.raises(NotFound):
            (read_queue_counts if what == "consumers" else read_state)(client, vhost_name)
