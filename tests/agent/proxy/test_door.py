"""Who gets in, and what everybody else is told, without a broker: nothing listens where the agent dials."""

from __future__ import annotations

import http.client
import socket
import ssl
import time
import urllib.request
from collections.abc import Iterator
from contextlib import suppress

import pika
import pika.exceptions
import pytest
from letrade_agent.amqp.connection_commands import ConnectionClose, Open, Start, StartOk, Tune, TuneOk
from letrade_agent.amqp.frames import PROTOCOL_HEADER
from letrade_agent.amqp.header_table import EMPTY_TABLE
from letrade_agent.config import Address, UpstreamNode
from letrade_agent.proxy import listener

from tests.agent.proxy.world import LIMIT_SECONDS, RawClient, RunningProxy, running, settings_for, wait_until
from tests.ports import LOOPBACK, free_port

pytestmark = pytest.mark.one_version

LOGIN = b"\0any\0thing"


@pytest.fixture
def proxy() -> Iterator[RunningProxy]:
    """A proxy whose only node is not there."""
    with running(settings_for(UpstreamNode(Address(LOOPBACK, free_port()))), username="nobody") as running_proxy:
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
    with RawClient(proxy.port) as client:
        client.send(first_bytes)

        assert client.rest() == PROTOCOL_HEADER

    wait_until("it is told", lambda: proxy.log.of("client_not_let_in"))
    assert said in proxy.log.problem("client_not_let_in")
    assert len(proxy.log.of("client_not_let_in")) == 1
    assert proxy.measures.disconnects == {"protocol_error": 1}


def test_amqp_0_9_is_taken_for_0_9_1(proxy: RunningProxy) -> None:
    """row 1: the header that old libraries send is accepted, as RabbitMQ does."""
    with RawClient(proxy.port) as client:
        client.send(b"AMQP\x01\x01\x00\x09")

        assert client.hear(Start).mechanisms == b"PLAIN AMQPLAIN"


def test_a_tls_client_learns_at_once(proxy: RunningProxy) -> None:
    """row 1: a real TLS client fails in its handshake, not in a time-out."""
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    with RawClient(proxy.port) as client, pytest.raises(ssl.SSLError):
        context.wrap_socket(client.socket)


def test_an_http_client_learns_at_once(proxy: RunningProxy) -> None:
    """row 1: a browser that was sent to the wrong port gets an answer that is no HTTP."""
    with pytest.raises(http.client.BadStatusLine, match="AMQP"):
        urllib.request.urlopen(f"http://{LOOPBACK}:{proxy.port}/", timeout=LIMIT_SECONDS)  # our own port


def test_a_port_check_is_no_warning(proxy: RunningProxy) -> None:
    """Who connects and closes without a byte, as Kubernetes probes do, makes no line above debug."""
    RawClient(proxy.port).socket.close()

    wait_until("it is told", lambda: proxy.log.of("client_not_let_in"))
    assert proxy.measures.disconnects == {"client_closed": 1}
    assert [level for level, event, _ in proxy.log.lines if event == "client_not_let_in"] == ["debug"]


@pytest.mark.parametrize("sent", [b"", b"AM", PROTOCOL_HEADER, PROTOCOL_HEADER + b"\x01\x00\x00\x00\x00\x00\xffabc"])
def test_half_a_frame_then_silence(monkeypatch: pytest.MonkeyPatch, sent: bytes) -> None:
    """Who does not finish the login is closed when its time is over, and the log says how far it came."""
    monkeypatch.setattr(listener, "HANDSHAKE_SECONDS", 0.3)
    settings = settings_for(UpstreamNode(Address(LOOPBACK, free_port())))
    with running(settings, username="nobody") as proxy:

        def says_how_far_it_came() -> bool:
            before = len(proxy.log.of("client_not_let_in"))
            with RawClient(proxy.port) as client, suppress(ConnectionError):
                client.send(sent)
                client.is_closed() or client.rest()
            wait_until("it is told", lambda: len(proxy.log.of("client_not_let_in")) > before)
            return f"{len(sent)} bytes came" in proxy.log.problem("client_not_let_in")

        # again where the machine stood still for that second, before anything was sent
        wait_until("the log says how far it came", says_how_far_it_came)
        assert set(proxy.measures.disconnects) == {"idle_timeout"}


def test_too_many_at_the_door(monkeypatch: pytest.MonkeyPatch, proxy: RunningProxy) -> None:
    """Handshakes are bounded: one more is closed at once, and when there is room again clients get in again."""
    monkeypatch.setattr(listener, "AT_THE_DOOR", 3)
    waiting = [RawClient(proxy.port) for _ in range(3)]
    wait_until("they are at the door", lambda: proxy.measures.clients == 3)

    with RawClient(proxy.port) as fourth:
        assert fourth.is_closed()

    assert len(proxy.log.of("too_many_handshakes")) == 1
    for client in waiting:
        client.socket.close()
    wait_until("they are gone", lambda: is_empty(proxy))
    with RawClient(proxy.port) as client:
        client.header()
        client.hear(Start)


def test_the_broker_is_not_there(proxy: RunningProxy) -> None:
    """rows 2 and 34: the client is told 320 in the place of open-ok, at once, with the reason."""
    began = time.monotonic()
    with RawClient(proxy.port) as client:
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


def test_a_node_that_accepts_and_says_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """row 2: a node that does not greet costs its time-out, and the client is told."""
    monkeypatch.setattr("letrade_agent.proxy.upstream.NODE_SECONDS", 0.3)
    with socket.create_server((LOOPBACK, 0)) as silent:
        settings = settings_for(UpstreamNode(Address(LOOPBACK, silent.getsockname()[1]), tls=False))
        with running(settings, username="nobody") as proxy:
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
    with RawClient(proxy.port) as client:
        client.header()
        client.hear(Start)
        client.say(StartOk(client_properties=EMPTY_TABLE, mechanism=mechanism, response=b"x"))

        assert client.hear(ConnectionClose).reply_code == 503


def test_a_broken_login_frame(proxy: RunningProxy) -> None:
    """row 7: a frame with a wrong end during the login is answered with 501."""
    with RawClient(proxy.port) as client:
        client.header()
        client.hear(Start)
        client.send(b"\x01\x00\x00\x00\x00\x00\x04\x00\x0a\x00\x0b\xcf")

        assert client.hear(ConnectionClose).reply_code == 501
