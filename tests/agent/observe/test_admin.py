"""The admin port as a socket sees it: health, methods, garbage, bounds; the pages as a person does."""

from __future__ import annotations

import asyncio
import http.client
import json
import re
import socket
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, replace
from html.parser import HTMLParser
from typing import Any

import pytest
from letrade_agent.config import Address
from letrade_agent.limits import DEFAULT_LIMITS, AdminLimits
from letrade_agent.observe.admin import AdminServer, Asked, Page
from letrade_agent.observe.page import render
from letrade_agent.observe.pages import pages_of
from letrade_agent.observe.rates import Second
from letrade_agent.observe.status import status_of
from letrade_agent.observe.style import POLICY
from letrade_agent.state import Phase, ReloadSource

from letrade_topo.http_host import KnownHosts
from tests.agent.observe.world import NOW, ObservedAgent
from tests.loops import end_all

LIMIT_SECONDS = 60.0
HOSTILE = "<script>alert(1)</script>\"'&"


@dataclass
class Served:
    """A running admin port."""

    agent: ObservedAgent
    port: int
    logged: list[tuple[str, str]]
    monotonic: list[float]

    def get(self, path: str, method: str = "GET", **headers: str) -> tuple[int, http.client.HTTPMessage, bytes]:
        """One request on a connection of its own."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=LIMIT_SECONDS)
        try:
            connection.request(method, path, headers=headers)
            answer = connection.getresponse()
            return answer.status, answer.headers, answer.read()
        finally:
            connection.close()

    def raw(self, sent: bytes) -> bytes:
        """Whatever comes back for some bytes, until the port closes."""
        with socket.create_connection(("127.0.0.1", self.port), timeout=LIMIT_SECONDS) as client:
            client.sendall(sent)
            client.shutdown(socket.SHUT_WR)
            return b"".join(iter(lambda: client.recv(65536), b""))


@contextmanager
def _served(agent: ObservedAgent, limits: AdminLimits = DEFAULT_LIMITS.admin) -> Iterator[Served]:
    started, loop = threading.Event(), asyncio.new_event_loop()
    logged: list[tuple[str, str]] = []
    monotonic = [agent.state.ticked_at]
    served = Served(agent, 0, logged, monotonic)

    def fails(_: Asked) -> Page:
        raise RuntimeError("broken")

    async def serve() -> None:
        pages = {**pages_of(agent.observed, lambda: monotonic[0]), "/fails": fails}
        hosts = KnownHosts(["agents.example.com"])
        server = AdminServer(
            Address("127.0.0.1", 0), pages, lambda level, event, _: logged.append((level, event)), hosts, limits
        )
        served.port = (await server.start()).port
        started.set()
        await stop.wait()
        await server.close()
        await end_all()

    stop = asyncio.Event()
    thread = threading.Thread(target=lambda: loop.run_until_complete(serve()))
    thread.start()
    assert started.wait(LIMIT_SECONDS)
    try:
        yield served
    finally:
        loop.call_soon_threadsafe(stop.set)
        thread.join(LIMIT_SECONDS)
        loop.close()


@pytest.fixture
def served() -> Iterator[Served]:
    """The admin port of an agent that is ready."""
    with _served(ObservedAgent()) as one:
        yield one


def test_health(served: Served) -> None:
    """All three are well while the agent is; a draining agent is alive and started, but not ready."""
    for page in ("/livez", "/readyz", "/startup"):
        assert served.get(page)[0] == 200

    served.agent.state.phase = Phase.DRAINING
    assert [served.get(page)[0] for page in ("/livez", "/readyz", "/startup")] == [200, 503, 200]
    assert b"draining" in served.get("/readyz")[2]


def test_broker_that_is_away(served: Served) -> None:
    """Readiness is local: an outage of the broker must not take every service out at once."""
    served.agent.sidelights = served.agent.sidelights._replace(broker_up=False)

    assert served.get("/readyz")[0] == 200
    assert json.loads(served.get("/status")[2])["broker"]["up"] is False


def test_before_the_listener() -> None:
    """Neither started nor ready before clients can connect; alive all the same."""
    agent = ObservedAgent()
    agent.state.listening, agent.state.phase = None, Phase.STARTING
    with _served(agent) as served:
        assert [served.get(page)[0] for page in ("/livez", "/readyz", "/startup")] == [200, 503, 503]


def test_loop_that_does_not_tick(served: Served) -> None:
    """An agent whose own timer is silent is not alive."""
    served.monotonic[0] += DEFAULT_LIMITS.admin.stalled_seconds + 1

    assert served.get("/livez")[0] == 503


def test_unknown_page_and_method(served: Served) -> None:
    """404 names the pages; nothing can be changed here."""
    status, _, body = served.get("/nothing")
    assert status == 404
    assert b"/metrics" in body

    for method in ("POST", "PUT", "DELETE"):
        status, headers, _ = served.get("/livez", method)
        assert (status, headers["Allow"]) == (405, "GET, HEAD")


def test_head_and_query(served: Served) -> None:
    """HEAD has no body; a query changes nothing."""
    status, headers, body = served.get("/metrics?x=1", "HEAD")

    assert (status, body) == (200, b"")
    assert int(headers["Content-Length"]) > 1000


def test_metrics_negotiate(served: Served) -> None:
    """Prometheus gets OpenMetrics when it asks for it."""
    assert served.get("/metrics")[1]["Content-Type"].startswith("text/plain")
    accepts = "application/openmetrics-text;version=1.0.0,text/plain;version=0.0.4;q=0.5"
    assert served.get("/metrics", Accept=accepts)[1]["Content-Type"].startswith("application/openmetrics-text")


def test_page_that_fails(served: Served) -> None:
    """One page's bug is told to the log and hurts no other."""
    assert served.get("/fails")[0] == 500
    assert served.logged == [("error", "an admin page failed")]
    assert served.get("/livez")[0] == 200


@pytest.mark.parametrize(
    "sent",
    [
        b"",
        b"\r\n\r\n",
        b"AMQP\x00\x00\x09\x01",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        b"GET /livez HTTP/1.1\r\nHost: x",
        b"GET /livez HTTP/1.1\r\n" + b"X: " + b"y" * 100_000,
        b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 10000000\r\n\r\n" + b"z" * 200_000,
        b"GET http://[/ HTTP/1.1\r\nHost: x\r\n\r\n",
        bytes(range(256)) * 20,
    ],
)
def test_garbage(served: Served, sent: bytes) -> None:
    """Whatever comes, the connection ends and the next one is served."""
    try:
        answer = served.raw(sent)
    except OSError:
        answer = b""  # closed while we still sent

    assert not answer or re.match(rb"HTTP/1\.1 (4\d\d|200) ", answer), answer[:80]
    assert served.get("/livez")[0] == 200


def test_keep_alive_and_pipelining(served: Served) -> None:
    """Several requests on one connection get their answers in order."""
    one = b"GET %s HTTP/1.1\r\nHost: x\r\n%s\r\n"
    answer = served.raw(
        one % (b"/livez", b"") + one % (b"/readyz", b"") + one % (b"/nothing", b"Connection: close\r\n")
    )

    assert re.findall(rb"HTTP/1\.1 (\d+)", answer) == [b"200", b"200", b"404"]
    assert answer.index(b"alive") < answer.index(b"ready\n") < answer.index(b"no such page")


def test_silent_connections_do_not_keep_probes_out(served: Served) -> None:
    """Whoever opens connections and says nothing loses the oldest; a probe always gets its answer."""
    with ExitStack() as stack:
        silent = [
            stack.enter_context(socket.create_connection(("127.0.0.1", served.port), timeout=LIMIT_SECONDS))
            for _ in range(DEFAULT_LIMITS.admin.connections + 20)
        ]
        assert served.get("/livez")[0] == 200

        with suppress(ConnectionResetError):
            assert silent[0].recv(1) == b"", "the one that was silent for longest is closed"


def test_half_a_request() -> None:
    """A request that is never finished ends after its time."""
    with (
        _served(ObservedAgent(), AdminLimits(request_seconds=0.2)) as served,
        socket.create_connection(("127.0.0.1", served.port), timeout=LIMIT_SECONDS) as client,
    ):
        client.sendall(b"GET /livez HTT")
        assert client.recv(100) == b""


def test_status_document() -> None:
    """Everything a person asks first, as JSON; the counts are those of the metrics."""
    agent = ObservedAgent()
    agent.measures.messages["publish", "letrade.commands", "forwarded"] = 5
    agent.measures.refused["publish", "schema"] = 2
    agent.recent(NOW, "publish_refused", {"reason": "schema", "exchange": "letrade.commands", "text": "bad"})

    status: dict[str, Any] = json.loads(json.dumps(status_of(agent.observed)))

    assert (status["service"], status["ready"], status["state"]) == ("strategy", True, "ready")
    assert status["messages"]["totals"]["publish"] == {"forwarded": 5, "rejected": 0}
    assert status["messages"]["refused"] == [{"direction": "publish", "reason": "schema", "count": 2}]
    assert status["recent_refusals"][0]["reason"] == "schema"
    assert status["broker"]["nodes"][0]["health"] == "up"
    assert status["keys"]["signing_kid"].startswith("strategy:")
    assert {key["state"] for key in status["keys"]["signature_keys"]} == {"current"}
    assert '"d"' not in json.dumps(status)


class _Tags(HTMLParser):
    """Checks that elements are closed in order, and notes what loads or runs."""

    VOID = frozenset({"meta", "rect", "polygon", "polyline"})

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.found: list[tuple[str, dict[str, str | None]]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        if tag not in self.VOID:
            assert self.open.pop() == tag


def test_page_escapes_and_loads_nothing() -> None:
    """Names and texts from outside stay text; no script, no resource, no inline style; elements are well nested."""
    agent = ObservedAgent()
    agent.measures.messages["publish", HOSTILE, "rejected"] = 1
    agent.measures.refused["publish", HOSTILE] = 3
    agent.recent(NOW, HOSTILE, {"reason": HOSTILE, "exchange": HOSTILE, "text": HOSTILE})
    agent.state.reloads[ReloadSource.CONFIG].problem = HOSTILE
    agent.sidelights = agent.sidelights._replace(queue_messages={(HOSTILE, "ready"): 1})
    page = render(status_of(agent.observed), [Second(1, 2, 0)] * 3).decode()

    tags = _Tags()
    tags.feed(page)

    assert tags.open == []
    assert "<script" not in page
    assert page.count("&lt;script&gt;") >= 6
    for tag, attributes in tags.found:
        assert tag not in {"script", "link", "img", "iframe", "object", "form"}
        assert not {"style", "src", "onload", "onclick"} & attributes.keys()
    assert {attributes["href"] for tag, attributes in tags.found if tag == "a"} == {"/status", "/metrics"}


def test_front_page(served: Served) -> None:
    """It comes with a policy that allows its own style sheet and nothing else, and is never cached."""
    status, headers, body = served.get("/")

    assert status == 200
    assert headers["Content-Security-Policy"] == POLICY
    assert "'unsafe-inline'" not in POLICY
    assert headers["Cache-Control"] == "no-store"
    assert b"strategy" in body
    assert b"is-good" in body


def test_front_page_says_what_is_wrong() -> None:
    """A missing key, a failed reload and a broker that is away are seen at once."""
    agent = ObservedAgent(now=NOW + 400 * 86_400)
    agent.state.reloads[ReloadSource.KEYS].problem = "jwks.json is not a valid key file"
    agent.sidelights = agent.sidelights._replace(broker_up=False)
    agent.state.phase = Phase.DRAINING
    agent.measures.waiting_consumers["strategy.error"] = 3

    page = render(status_of(agent.observed), []).decode()

    for sign in (
        "no key to sign with",
        "jwks.json is not a valid key file",
        "down",
        "draining",
        "expired",
        "strategy.error is away",
    ):
        assert sign in page


@pytest.mark.parametrize("page", ["/status", "/metrics", "/", "/livez"])
@pytest.mark.parametrize(
    ("host", "is_taken"),
    [
        ("127.0.0.1:9464", True),
        ("[::1]:9464", True),
        ("10.1.2.3", True),
        ("localhost:9464", True),
        ("agent", True),
        ("agent.trading.svc.cluster.local:9464", True),
        ("Agents.Example.com.:9464", True),
        ("attacker.example:9464", False),
        ("127.0.0.1.attacker.example", False),
        ("localhost.attacker.example:9464", False),
    ],
)
def test_who_asks_under_a_name_that_could_be_led_here_gets_nothing(
    served: Served, page: str, host: str, is_taken: bool
) -> None:
    """DNS rebinding: a browser on this machine shows a page whose name is then led to 127.0.0.1."""
    status, _, body = served.get(page, Host=host)

    assert (status == 200) == is_taken
    if not is_taken:
        assert status == 421
        assert b"--allowed-host" in body
        assert b"strategy" not in body


def test_page_without_keys() -> None:
    """A topology that signs nothing has a page, too."""
    agent = ObservedAgent(keys=None)
    agent.state.in_force = replace(agent.state.in_force, keys=None)

    assert b"No key folder" in render(status_of(agent.observed), [])
