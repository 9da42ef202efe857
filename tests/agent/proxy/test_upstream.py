"""Connections to a real broker: logins, TLS, refusals, several nodes."""

from __future__ import annotations

import datetime
import socket
import threading
import uuid
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pika
import pika.exceptions
import pytest
from letrade_agent.config import Address, UpstreamNode

from letrade_topo.amqp.connection_commands import ConnectionClose, Open, OpenOk, Start, StartOk, Tune, TuneOk
from letrade_topo.amqp.frames import PROTOCOL_HEADER, FrameDecoder, encode_method
from letrade_topo.amqp.header_table import EMPTY_TABLE, HeaderTable, boolean_entry, long_string_entry, table_entry
from letrade_topo.amqp.wire import long_string
from letrade_topo.node.certificates import CertificateFolder
from tests.agent.proxy.world import (
    LIMIT_SECONDS,
    ProxyClient,
    RunningProxy,
    broker_settings,
    running,
    settings_for,
    wait_until,
    with_node,
)
from tests.brokers import RunningBroker
from tests.ports import LOOPBACK, free_port

PLAIN = b"\0any\0thing"


def log_in(client: ProxyClient, properties: HeaderTable = EMPTY_TABLE, *, response: bytes = PLAIN) -> Tune:
    """Up to connection.tune."""
    client.header()
    client.hear(Start)
    client.say(StartOk(client_properties=properties, mechanism=b"PLAIN", response=response))
    tune = client.hear(Tune)
    assert isinstance(tune, Tune)
    return tune


def open_vhost(client: ProxyClient, tune: Tune, vhost: bytes = b"/", frame_max: int = 131072) -> None:
    """Settle on limits, and ask for a vhost."""
    client.say(TuneOk(channel_max=tune.channel_max, frame_max=frame_max, heartbeat=0))
    client.say(Open(virtual_host=vhost))


def connections_named(broker: RunningBroker, name: str) -> list[dict[str, Any]]:
    """Connections of the broker whose client-provided name contains a text."""
    answer = broker.api("GET", "/api/connections").json()
    return [each for each in answer if name in each.get("client_properties", {}).get("connection_name", "")]


@contextmanager
def user(broker: RunningBroker, vhost: str, **body: str) -> Iterator[str]:
    """A user that may do everything in one vhost."""
    name = f"service-{uuid.uuid4().hex[:8]}"
    assert broker.api("PUT", f"/api/users/{name}", json={"tags": "", **body}).status_code == 201
    path = f"/api/permissions/{vhost.replace('/', '%2F')}/{name}"
    assert broker.api("PUT", path, json={"configure": ".*", "write": ".*", "read": ".*"}).status_code == 201
    try:
        yield name
    finally:
        broker.api("DELETE", f"/api/users/{name}")


def refusal(proxy: RunningProxy, **options: Any) -> str:
    """What pika says that it was told."""
    with pytest.raises(pika.exceptions.AMQPConnectionError) as caught, proxy.pika(**options):
        pass
    return repr(caught.value)


def test_plain_upstream_whatever_the_client_says(broker: RunningBroker) -> None:
    """row 3: the client's own login is not forwarded; the agent's goes up by PLAIN over TLS; messages flow."""
    with (
        running(broker_settings(broker), username=broker.username) as proxy,
        proxy.pika(credentials=pika.PlainCredentials("who", "cares")) as connection,
    ):
        channel = connection.channel()
        queue = channel.queue_declare("", exclusive=True).method.queue
        channel.basic_publish("", queue, b"hello")
        _, _, body = channel.basic_get(queue, auto_ack=True)

        assert body == b"hello"
        assert proxy.measures.upstreams == 1
        assert proxy.measures.connect_attempts == {"ok": 1}
        assert proxy.proxy.nodes[0].connections == 1


def test_external_upstream(broker: RunningBroker, tmp_path: Path) -> None:
    """row 3: with a client certificate and no password the login upstream is EXTERNAL, by the certificate's name."""
    with user(broker, "/", password_hash="") as name:
        certificate, key = broker.client_certificate(name)
        settings = broker_settings(broker, password=None, cert_file=certificate, key_file=key)
        with running(settings, username=name) as proxy, proxy.pika() as connection:
            channel = connection.channel()
            queue = channel.queue_declare("", exclusive=True).method.queue
            # The broker lets only the logged-in user be named as a message's sender.
            channel.basic_publish("", queue, b"me", pika.BasicProperties(user_id=name))
            assert channel.basic_get(queue, auto_ack=True)[2] == b"me"


def test_amqplain_from_the_client(broker: RunningBroker) -> None:
    """row 3: AMQPLAIN is accepted, which some clients need."""
    table = HeaderTable((long_string_entry(b"LOGIN", b"any"), long_string_entry(b"PASSWORD", b"secret")))
    settings = broker_settings(broker, local_password="secret")
    with running(settings, username=broker.username) as proxy, ProxyClient(proxy.port) as client:
        client.header()
        client.hear(Start)
        client.say(StartOk(client_properties=EMPTY_TABLE, mechanism=b"AMQPLAIN", response=table.encode()[4:]))
        open_vhost(client, client.hear(Tune))

        client.hear(OpenOk)


def test_a_local_password(broker: RunningBroker) -> None:
    """row 47: with a local password only who knows it gets in; nothing of it is in the log."""
    settings = broker_settings(broker, local_password="sesame")
    with running(settings, username=broker.username) as proxy:
        with proxy.pika(credentials=pika.PlainCredentials("any", "sesame")) as connection:
            assert connection.is_open
        assert "403" in refusal(proxy, credentials=pika.PlainCredentials("any", "wrong-guess"))
        wait_until("it is counted", lambda: proxy.measures.disconnects["auth_failed"] == 1)
        assert "sesame" not in str(proxy.log.lines)
        assert "wrong-guess" not in str(proxy.log.lines)


def test_a_client_that_cannot_be_told_of_a_failed_login(broker: RunningBroker) -> None:
    """row 4: without the capability authentication_failure_close the socket just closes, as RabbitMQ does."""
    able = HeaderTable((boolean_entry(b"authentication_failure_close", truth=True),))
    properties = HeaderTable((table_entry(b"capabilities", able),))
    settings = broker_settings(broker, local_password="sesame")
    with running(settings, username=broker.username) as proxy:
        for client_properties in (EMPTY_TABLE, properties):
            with ProxyClient(proxy.port) as client:
                client.header()
                client.hear(Start)
                client.say(StartOk(client_properties=client_properties, mechanism=b"PLAIN", response=PLAIN))
                if client_properties is EMPTY_TABLE:
                    assert client.is_closed()
                else:
                    assert client.hear(ConnectionClose).reply_code == 403


def test_a_wrong_upstream_password(broker: RunningBroker) -> None:
    """rows 2 and 4: the broker's 403 reaches the client in the broker's words; nobody's password is in the log."""
    settings = broker_settings(broker, password="not-the-password")
    with running(settings, username=broker.username) as proxy:
        said = refusal(proxy)

        assert "403" in said
        assert "ACCESS_REFUSED - Login was refused" in said
        assert proxy.measures.connect_attempts == {"auth": 1}
        assert "not-the-password" not in str(proxy.log.lines)


def test_a_vhost_that_is_not_there(broker: RunningBroker) -> None:
    """rows 2 and 49: the broker's 530 reaches the client in the broker's words."""
    with running(broker_settings(broker), username=broker.username, vhost="nowhere") as proxy:
        said = refusal(proxy)

        assert "530" in said
        assert "nowhere" in said
        assert proxy.measures.connect_attempts == {"vhost": 1}


def test_a_limit_of_connections(broker: RunningBroker, vhost_name: str) -> None:
    """row 49: a vhost that is full is told in the broker's words, and the node is not held to be down."""
    assert broker.api("PUT", f"/api/vhosts/{vhost_name}").status_code == 201
    limit = f"/api/vhost-limits/{vhost_name}/max-connections"
    assert broker.api("PUT", limit, json={"value": 0}).status_code == 204
    with (
        user(broker, vhost_name, password="secret") as name,
        running(broker_settings(broker, password="secret"), username=name, vhost=vhost_name) as proxy,
    ):
        said = refusal(proxy)

        assert "530" in said
        assert "limit" in said
        assert proxy.proxy.nodes[0].failures == 0


@pytest.mark.parametrize(("vhost", "welcome"), [(b"/", True), (b"topo", True), (b"other", False), (b"", False)])
def test_which_vhost_a_client_may_ask_for(broker: RunningBroker, vhost_name: str, vhost: bytes, welcome: bool) -> None:
    """The topology's vhost goes upstream, whether the client asks for it or for "/"; any other is refused with 530."""
    assert broker.api("PUT", f"/api/vhosts/{vhost_name}").status_code == 201
    asked = vhost_name.encode() if vhost == b"topo" else vhost
    with (
        user(broker, vhost_name, password="secret") as name,
        running(broker_settings(broker, password="secret"), username=name, vhost=vhost_name) as proxy,
        ProxyClient(proxy.port) as client,
    ):
        open_vhost(client, log_in(client), asked)
        if welcome:
            client.hear(OpenOk)
        else:
            close = client.hear(ConnectionClose)
            assert close.reply_code == 530
            assert vhost_name.encode() in close.reply_text


def test_the_clients_properties_go_up(broker: RunningBroker) -> None:
    """row 5: the broker sees the client's properties, the name says whose connection it is, by which agent."""
    name = f"pricing-{uuid.uuid4().hex[:8]}"
    properties = {"connection_name": name, "product": "ours", "deploy": "blue"}
    with running(broker_settings(broker), username=broker.username) as proxy, ExitStack() as stack:
        proxy.call(proxy.proxy.hear_greeting())
        connection = stack.enter_context(proxy.pika(client_properties=properties))
        found: list[dict[str, Any]] = []

        def is_listed() -> bool:
            found.extend(connections_named(broker, name))
            return bool(found)

        wait_until("the broker lists it", is_listed)
        seen = found[0]["client_properties"]

        assert seen["connection_name"] == f"{name} via letrade-agent/strategy"
        assert (seen["product"], seen["deploy"]) == ("ours", "blue")
        assert seen["capabilities"]["authentication_failure_close"] is True
        assert connection._impl.server_properties["product"] == "RabbitMQ"
        assert connection._impl.server_properties["version"] == broker.version
        assert connection._impl.server_capabilities["publisher_confirms"] is True


def test_limits_are_the_brokers(broker: RunningBroker) -> None:
    """row 6: the client is offered the broker's limits, may take less, and is refused more."""
    with running(broker_settings(broker), username=broker.username) as proxy:
        with ProxyClient(proxy.port) as client:
            tune = log_in(client)
            assert (tune.channel_max, tune.frame_max, tune.heartbeat) == (2047, 131072, 60)
            open_vhost(client, tune, frame_max=4096)
            client.hear(OpenOk)
        for frame_max in (131073, 4095, 0):
            with ProxyClient(proxy.port) as client:
                open_vhost(client, log_in(client), frame_max=frame_max)
                close = client.hear(ConnectionClose)
                assert close.reply_code == 530
                assert b"frame_max" in close.reply_text


def test_a_client_with_small_frames(broker: RunningBroker) -> None:
    """rows 6 and 8: frames of 4,096 bytes, which a broker since 4.1 refuses, work through the agent."""
    with (
        running(broker_settings(broker), username=broker.username) as proxy,
        proxy.pika(frame_max=4096) as connection,
    ):
        channel = connection.channel()
        queue = channel.queue_declare("", exclusive=True).method.queue
        body = bytes(range(256)) * 1000
        channel.basic_publish("", queue, body)

        assert channel.basic_get(queue, auto_ack=True)[2] == body


def test_a_broker_of_another_authority(broker: RunningBroker, tmp_path: Path) -> None:
    """A certificate of an authority that is not ours ends the dial: nothing is sent, the client is told 320."""
    other = CertificateFolder(tmp_path / "other")
    other.ensure((), now=datetime.datetime.now(datetime.UTC))
    with running(broker_settings(broker, ca_file=other.ca_file), username=broker.username) as proxy:
        assert "certificate is not trusted" in refusal(proxy)
        assert proxy.measures.connect_attempts == {"tls": 1}


def test_a_broker_under_another_name(broker: RunningBroker, monkeypatch: pytest.MonkeyPatch) -> None:
    """A certificate of another host ends the dial, although the authority is ours."""
    really = socket.getaddrinfo

    def resolve(host: str, *arguments: Any, **options: Any) -> Any:
        return really(LOOPBACK if host == "broker.example" else host, *arguments, **options)

    monkeypatch.setattr(socket, "getaddrinfo", resolve)
    node = UpstreamNode(Address("broker.example", broker.amqps_port))
    with running(with_node(broker_settings(broker), node), username=broker.username) as proxy:
        assert "certificate is not trusted" in refusal(proxy)
        assert proxy.measures.connect_attempts == {"tls": 1}


def test_plain_text_where_tls_is(broker: RunningBroker) -> None:
    """A node that is said to speak plain text and speaks TLS: an error, not a time-out."""
    node = UpstreamNode(Address(LOOPBACK, broker.amqps_port), tls=False)
    with running(with_node(broker_settings(broker), node), username=broker.username) as proxy:
        refusal(proxy)
        assert proxy.measures.connect_attempts["protocol"] == 1


def test_one_of_several_nodes_is_dead(broker: RunningBroker) -> None:
    """row 34: with a dead node among them every client gets in, and the dead one is known as down."""
    dead = UpstreamNode(Address(LOOPBACK, free_port()))
    settings = broker_settings(broker)
    with running(with_node(settings, dead, *settings.upstream), username=broker.username) as proxy:
        for _ in range(8):
            with proxy.pika() as connection:
                assert connection.is_open
        wait_until("the dead one was tried", lambda: proxy.measures.connect_attempts["refused"] or _again(proxy))
        health = {state.node.address.port: state.health.value for state in proxy.proxy.nodes}

        assert health == {dead.address.port: "down", broker.amqps_port: "up"}


def _again(proxy: RunningProxy) -> bool:
    with proxy.pika():
        return False


def test_the_check_of_the_broker(broker: RunningBroker) -> None:
    """The agent can log in on its own account and leave, and says what is wrong when it cannot."""
    with running(broker_settings(broker), username=broker.username) as proxy:
        proxy.call(proxy.proxy.check_upstream())
        assert proxy.measures.connect_attempts == {"ok": 1}
    with (
        running(broker_settings(broker, password="wrong"), username=broker.username) as proxy,
        pytest.raises(Exception, match="ACCESS_REFUSED"),
    ):
        proxy.call(proxy.proxy.check_upstream())


class ScriptedBroker:
    """A listener that says what the test wants, to ask the agent what a broker rarely asks."""

    def __init__(self, script: Any) -> None:
        self._server = socket.create_server((LOOPBACK, 0))
        self.port = self._server.getsockname()[1]
        self.heard: list[bytes] = []
        self._thread = threading.Thread(target=self._run, args=(script,), daemon=True)
        self._thread.start()

    def _run(self, script: Any) -> None:
        connection, _ = self._server.accept()
        with connection:
            connection.settimeout(LIMIT_SECONDS)
            decoder = FrameDecoder()
            assert connection.recv(8) == PROTOCOL_HEADER
            for answer in script:
                connection.sendall(answer)
                frames: list[Any] = []
                while not frames:
                    data = connection.recv(65536)
                    if not data:
                        return
                    frames = decoder.feed(data)
                self.heard += [payload for _, _, payload in frames]

    def close(self) -> None:
        """End it."""
        self._server.close()
        self._thread.join(LIMIT_SECONDS)


def test_a_challenge_at_the_login() -> None:
    """row 3: connection.secure is answered with the response of the mechanism."""
    start = Start(server_properties=EMPTY_TABLE, mechanisms=b"PLAIN")
    refused = ConnectionClose(reply_code=403, reply_text=b"ACCESS_REFUSED - enough")
    secure = b"\x00\x0a\x00\x14" + long_string(b"again?")
    script = [encode_method(0, start.encode()), encode_method(0, secure), encode_method(0, refused.encode())]
    broker = ScriptedBroker(script)
    settings = settings_for(UpstreamNode(Address(LOOPBACK, broker.port), tls=False), password="pass")
    with running(settings, username="name") as proxy:
        assert "enough" in refusal(proxy)
    broker.close()

    assert broker.heard[1] == b"\x00\x0a\x00\x15" + long_string(b"\0name\0pass")


def test_a_broker_without_our_mechanism() -> None:
    """A broker that does not offer the mechanism is an authentication problem, said in words."""
    start = Start(server_properties=EMPTY_TABLE, mechanisms=b"PLAIN AMQPLAIN")
    broker = ScriptedBroker([encode_method(0, start.encode())])
    settings = settings_for(UpstreamNode(Address(LOOPBACK, broker.port), tls=False), password=None)
    with running(settings, username="name") as proxy:
        assert "offers PLAIN AMQPLAIN and not EXTERNAL" in refusal(proxy)
        assert proxy.measures.connect_attempts == {"auth": 1}
    broker.close()


def test_a_broker_that_talks_garbage() -> None:
    """Whatever a node says instead of AMQP is counted as a protocol failure, and the client is told."""
    broker = ScriptedBroker([b"HTTP/1.1 400 Bad Request\r\n\r\n" * 4])
    settings = settings_for(UpstreamNode(Address(LOOPBACK, broker.port), tls=False), password="pass")
    with running(replace(settings), username="name") as proxy:
        refusal(proxy)
        assert proxy.measures.connect_attempts == {"protocol": 1}
    broker.close()


def test_certificate_files_that_are_not_there(broker: RunningBroker, tmp_path: Path) -> None:
    """An authority's file that is missing is said so, with its path, and does not look like a broker that is down."""
    missing = tmp_path / "ca.crt"
    with running(broker_settings(broker, ca_file=missing), username=broker.username) as proxy:
        said = refusal(proxy)

        assert "certificate files cannot be used" in said
        assert proxy.measures.connect_attempts == {"tls": 1}


def test_certificate_files_that_are_exchanged(broker: RunningBroker, tmp_path: Path) -> None:
    """A changed authority is used from the next connection on; a broken one leaves the former in use, and is logged."""
    file = tmp_path / "ca.crt"
    file.write_bytes(broker.ca_file.read_bytes())
    other = CertificateFolder(tmp_path / "other")
    other.ensure((), now=datetime.datetime.now(datetime.UTC))
    with running(broker_settings(broker, ca_file=file), username=broker.username) as proxy:
        with proxy.pika():
            pass
        _replace(file, b"no certificate at all")
        with proxy.pika():
            pass
        assert len(proxy.log.of("certificates_unusable")) == 1
        _replace(file, other.ca_file.read_bytes())
        assert "not trusted" in refusal(proxy)


def _replace(file: Path, content: bytes) -> None:
    new = file.with_suffix(".new")
    new.write_bytes(content)
    new.replace(file)
