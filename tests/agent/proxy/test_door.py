"""Who gets in, and what everybody else is told, without a broker: nothing listens where the agent dials."""

from __future__ import annotations

import http.client
import socket
import ssl
import threading
import time
import urllib.request
from collections import deque
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from dataclasses import replace

import pika
import pika.exceptions
import pytest
from letrade_agent.config import Address, UpstreamNode
from letrade_agent.limits import DoorLimits

from letrade_topo.amqp.connection_commands import ConnectionClose, Open, Start, StartOk, Tune, TuneOk
from letrade_topo.amqp.frames import PROTOCOL_HEADER
from letrade_topo.amqp.header_table import EMPTY_TABLE
from tests.agent.proxy.world import LIMIT_SECONDS, PATIENT, ProxyClient, RunningProxy, running, settings_for, wait_until
from tests.ports import LOOPBACK, free_port

pytestmark = pytest.mark.one_version

LOGIN = b"\0any\0thing"


@pytest.fixture
def proxy(request: pytest.FixtureRequest) -> Iterator[RunningProxy]:
    """A proxy whose only node is not there; the parameter is how many may be in their handshake."""
    handshakes: int = getattr(request, "param", PATIENT.door.handshakes)
    limits = replace(PATIENT, door=replace(PATIENT.door, handshakes=handshakes))
    settings = settings_for(UpstreamNode(Address(LOOPBACK, free_port())))
    with running(settings, username="nobody", limits=limits) as running_proxy:
        yield running_proxy


def is_empty(proxy: RunningProxy) -> bool:
    """Whether every client has left."""
    return proxy.measures.clients == 0


@pytest.mark.parametrize(
    ("first_bytes", "said"),
    [
        (b"AMQP\x00\x01\x00\x00", "AMQP 1.0"),
        (b"AMQP\x03\x01\x00\x00", "AMQP 1.0"),
        (b"AMQP\x00\x00\x08\x00", "another version"),
        (b"GET / HTTP/1.1\r\nHost: x\r\n\r\n", "HTTP"),
        (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc", "TLS"),
        (bytes(range(200, 250)) * 100, "does not speak AMQP"),
    ],
)
def test_strangers_are_answered_with_the_protocol_header(proxy: RunningProxy, first_bytes: bytes, said: str) -> None:
    """row 1: AMQP 1.0, HTTP, TLS and garbage get the header of AMQP 0-9-1 and nothing else; one log line says which."""
    with ProxyClient(proxy.port) as client:
        client.send(first_bytes)

        assert client.rest() == PROTOCOL_HEADER

    wait_until("it is told", lambda: proxy.log.of("client_not_let_in"))
    assert said in proxy.log.problem("client_not_let_in")
    assert len(proxy.log.of("client_not_let_in")) == 1
    assert proxy.measures.disconnects == {"protocol_error": 1}


def test_amqp_0_9_is_taken_for_0_9_1(proxy: RunningProxy) -> None:
    """row 1: the header that old libraries send is accepted, as RabbitMQ does."""
    with ProxyClient(proxy.port) as client:
        client.send(b"AMQP\x01\x01\x00\x09")

        assert client.hear(Start).mechanisms == b"PLAIN AMQPLAIN"


def test_a_tls_client_learns_at_once(proxy: RunningProxy) -> None:
    """row 1: a real TLS client fails in its handshake, not in a time-out."""
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    with ProxyClient(proxy.port) as client, pytest.raises(ssl.SSLError):
        context.wrap_socket(client.socket)


def test_an_http_client_learns_at_once(proxy: RunningProxy) -> None:
    """row 1: a browser that was sent to the wrong port gets an answer that is no HTTP."""
    with pytest.raises(http.client.BadStatusLine, match="AMQP"):
        urllib.request.urlopen(f"http://{LOOPBACK}:{proxy.port}/", timeout=LIMIT_SECONDS)  # our own port


def test_a_port_check_is_no_warning(proxy: RunningProxy) -> None:
    """Who connects and closes without a byte, as Kubernetes probes do, makes no line above debug."""
    ProxyClient(proxy.port).socket.close()

    wait_until("it is told", lambda: proxy.log.of("client_not_let_in"))
    assert proxy.measures.disconnects == {"client_closed": 1}
    assert [level for level, event, _ in proxy.log.lines if event == "client_not_let_in"] == ["debug"]


@pytest.mark.parametrize("sent", [b"", b"AM", PROTOCOL_HEADER, PROTOCOL_HEADER + b"\x01\x00\x00\x00\x00\x00\xffabc"])
def test_half_a_frame_then_silence(sent: bytes) -> None:
    """Who does not finish the login is closed when its time is over, and the log says how far it came."""
    limits = replace(PATIENT, door=DoorLimits(handshake_seconds=0.3))
    settings = settings_for(UpstreamNode(Address(LOOPBACK, free_port())))
    with running(settings, username="nobody", limits=limits) as proxy:

        def says_how_far_it_came() -> bool:
            before = len(proxy.log.of("client_not_let_in"))
            with ProxyClient(proxy.port) as client, suppress(ConnectionError):
                client.send(sent)
                client.is_closed() or client.rest()
            wait_until("it is told", lambda: len(proxy.log.of("client_not_let_in")) > before)
            return f"{len(sent)} bytes came" in proxy.log.problem("client_not_let_in")

        # again where the machine stood still for that second, before anything was sent
        wait_until("the log says how far it came", says_how_far_it_came)
        assert set(proxy.measures.disconnects) == {"idle_timeout"}


@pytest.mark.parametrize("proxy", [3], indirect=True)
def test_too_many_at_the_door(proxy: RunningProxy) -> None:
    """Handshakes are bounded: one more gets in, and who has come least far is shown out, the first of them first."""
    with ExitStack() as stack:

        def come() -> ProxyClient:
            at_the_door = proxy.measures.client_connections
            client = stack.enter_context(ProxyClient(proxy.port))
            wait_until("it is at the door", lambda: proxy.measures.client_connections == at_the_door + 1)
            return client

        speaking, first, second = come(), come(), come()
        speaking.header()
        speaking.hear(Start)
        come().header()
        assert first.is_closed()
        come().header()
        assert second.is_closed()
        come()
        assert speaking.is_closed(), "all others were there later, and had said as much"

        assert len(proxy.log.of("too_many_handshakes")) == 1
        assert "had come least far: 0 bytes came" in str(proxy.log.of("client_not_let_in")[0]["problem"])
        assert proxy.measures.disconnects == {"idle_timeout": 3}


GOOD_LOGINS = 21


@pytest.mark.parametrize("proxy", [50], indirect=True)
def test_who_logs_in_gets_in_however_many_only_connect(proxy: RunningProxy) -> None:
    """The door cannot be held shut: every good login comes as far as without the others, and none of these costs the
    broker a connection."""
    stop = threading.Event()

    def crowd(said: bytes, pause_seconds: float) -> None:
        silent: deque[socket.socket] = deque()
        while not stop.is_set():
            silent.append(socket.create_connection((LOOPBACK, proxy.port), timeout=LIMIT_SECONDS))
            with suppress(OSError):
                silent[-1].sendall(said)
            if len(silent) > 100:
                silent.popleft().close()
            stop.wait(pause_seconds)
        for one in silent:
            one.close()

    crowds = [threading.Thread(target=crowd, args=args) for args in ((b"", 0.002), (PROTOCOL_HEADER, 0.05))]
    for thread in crowds:
        thread.start()
    try:
        wait_until("it is crowded", lambda: proxy.log.of("too_many_handshakes"))
        assert not proxy.measures.connect_attempts
        for _ in range(GOOD_LOGINS):
            with ProxyClient(proxy.port) as client:
                assert refused_for_want_of_a_broker(client)
    finally:
        stop.set()
        for thread in crowds:
            thread.join(LIMIT_SECONDS)


def refused_for_want_of_a_broker(client: ProxyClient) -> bool:
    """Whether a client comes through the whole login, to be told that there is no broker."""
    client.header()
    client.hear(Start)
    client.say(StartOk(client_properties=EMPTY_TABLE, mechanism=b"PLAIN", response=LOGIN))
    tune = client.hear(Tune)
    client.say(TuneOk(channel_max=tune.channel_max, frame_max=tune.frame_max, heartbeat=0))
    client.say(Open(virtual_host=b"/"))
    close = client.hear(ConnectionClose)
    return b"no broker node can be reached" in close.reply_text


@pytest.mark.parametrize("password", [None, "right"])
def test_the_broker_is_dialled_when_somebody_has_logged_in(password: str | None) -> None:
    """Not for who only connects, or says half of it, or has the wrong password."""
    settings = settings_for(UpstreamNode(Address(LOOPBACK, free_port())), local_password=password)
    with running(settings, username="nobody") as proxy:
        for sent in (b"", b"AMQP", PROTOCOL_HEADER):
            with ProxyClient(proxy.port) as client:
                client.send(sent)
                if sent == PROTOCOL_HEADER:
                    client.hear(Start)
                    client.say(StartOk(client_properties=EMPTY_TABLE, mechanism=b"PLAIN", response=b"\0any\0wrong"))
                    if password is None:
                        client.hear(Tune)
                    else:
                        client.rest()
        wait_until("they are gone", lambda: is_empty(proxy))
        assert bool(proxy.measures.connect_attempts) == (password is None)


def test_the_broker_is_not_there(proxy: RunningProxy) -> None:
    """rows 2 and 34: the client is told 320 in the place of open-ok, at once, with the reason."""
    began = time.monotonic()
    with ProxyClient(proxy.port) as client:
        client.header()
        client.hear(Start)
        client.say(StartOk(client_properties=EMPTY_TABLE, mechanism=b"PLAIN", response=LOGIN))
        tune = client.hear(Tune)
        client.say(TuneOk(channel_max=tune.channel_max, frame_max=tune.frame_max, heartbeat=0))
        client.say(Open(virtual_host=b"/"))
        close = client.hear(ConnectionClose)

    assert close.reply_code == 320
    assert close.reply_text.startswith(b"CONNECTION_FORCED - letrade-agent: no broker node can be reached")
    assert b"connection refused" in close.reply_text
    assert time.monotonic() - began < 20
    wait_until("it is counted", lambda: proxy.measures.disconnects == {"broker_closed": 1})
    assert proxy.measures.connect_attempts["refused"] == 1


def test_pika_hears_why_there_is_no_broker(proxy: RunningProxy) -> None:
    """row 34: an unmodified client sees the sentence."""
    with pytest.raises(pika.exceptions.AMQPConnectionError) as caught, proxy.pika():
        pass

    assert "no broker node can be reached" in repr(caught.value)


def test_a_name_that_does_not_resolve() -> None:
    """A node whose name is unknown is counted as such and said so."""
    settings = settings_for(UpstreamNode(Address("no-such-host.invalid", 5671)))
    with running(settings, username="nobody") as proxy:
        with pytest.raises(pika.exceptions.AMQPConnectionError) as caught, proxy.pika():
            pass

        assert "cannot be resolved" in repr(caught.value)
        assert proxy.measures.connect_attempts["dns"] >= 1


@pytest.mark.parametrize("host", ["two..dots", "x" * 64 + ".example"])
def test_a_name_that_no_host_can_have(host: str) -> None:
    """It is a name that does not resolve, like others: the client is told, and nothing is left open."""
    with running(settings_for(UpstreamNode(Address(host, 5671))), username="nobody") as proxy:
        with pytest.raises(pika.exceptions.AMQPConnectionError) as caught, proxy.pika():
            pass

        assert "not the name of a host" in repr(caught.value)
        assert proxy.measures.connect_attempts["dns"] >= 1


def test_a_node_that_accepts_and_says_nothing() -> None:
    """row 2: a node that does not greet costs its time-out, and the client is told."""
    limits = replace(PATIENT, upstream=replace(PATIENT.upstream, node_seconds=0.3))
    with socket.create_server((LOOPBACK, 0)) as silent:
        settings = settings_for(UpstreamNode(Address(LOOPBACK, silent.getsockname()[1]), tls=False))
        with running(settings, username="nobody", limits=limits) as proxy:
            with pytest.raises(pika.exceptions.AMQPConnectionError) as caught, proxy.pika():
                pass

            assert "did not answer in time" in repr(caught.value)
            assert proxy.measures.connect_attempts["timeout"] == 1


def test_plain_text_goes_to_loopback_only() -> None:
    """A node without TLS that is elsewhere is never dialled, whatever the settings let through."""
    settings = settings_for(UpstreamNode(Address("192.0.2.1", 5672), tls=False))
    with running(settings, username="nobody") as proxy:
        with pytest.raises(pika.exceptions.AMQPConnectionError) as caught, proxy.pika():
            pass

        assert "loopback only" in repr(caught.value)


@pytest.mark.parametrize("mechanism", [b"EXTERNAL", b"RABBIT-CR-DEMO"])
def test_a_mechanism_that_was_not_offered(proxy: RunningProxy, mechanism: bytes) -> None:
    """row 3: PLAIN and AMQPLAIN are offered; another one is refused with 503."""
    with ProxyClient(proxy.port) as client:
        client.header()
        client.hear(Start)
        client.say(StartOk(client_properties=EMPTY_TABLE, mechanism=mechanism, response=b"x"))

        assert client.hear(ConnectionClose).reply_code == 503


def test_a_broken_login_frame(proxy: RunningProxy) -> None:
    """row 7: a frame with a wrong end during the login is answered with 501."""
    with ProxyClient(proxy.port) as client:
        client.header()
        client.hear(Start)
        client.send(b"\x01\x00\x00\x00\x00\x00\x04\x00\x0a\x00\x0b\xcf")

        assert client.hear(ConnectionClose).reply_code == 501
