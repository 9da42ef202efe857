"""No usable answer: each cause has its own error, which says what to do and gives no secret away."""

from __future__ import annotations

import base64
import datetime
import socket
import ssl
import traceback
from pathlib import Path

import pytest

from letrade_topo.broker_errors import BrokerError, BrokerUnreachable, InvalidEndpoint, LoginRefused, TlsRefused
from letrade_topo.management.client import ManagementClient
from letrade_topo.management.endpoint import ManagementEndpoint
from letrade_topo.management.errors import BrokerRefused, NoManagementApi
from letrade_topo.management.reading import read_state
from letrade_topo.management.transport import ATTEMPTS
from letrade_topo.node.certificates import CertificateFolder
from letrade_topo.node.settings import LOOPBACK, Listener
from tests.brokers import BrokerFactory, RunningBroker
from tests.management.endpoints import endpoint_of, plain_endpoint, serving

JSON = "application/json"
WHO = (200, JSON, '{"name":"user","tags":["administrator"]}')


def ask(endpoint: ManagementEndpoint, *, timeout_seconds: float = 30.0) -> tuple[BrokerError, int]:
    """Ask who is logged in, which must fail; the error and how often it was asked."""
    with ManagementClient(endpoint, timeout_seconds=timeout_seconds) as client:
        with pytest.raises(BrokerError) as caught:
            client.whoami()
        text = "".join(traceback.format_exception(caught.value))
        login = base64.b64encode(f"{endpoint.username}:{endpoint.password}".encode()).decode()
        assert endpoint.password not in text
        assert login not in text
        return caught.value, client.calls


def test_a_wrong_password(broker: RunningBroker) -> None:
    """It is said to be a matter of user or password, and is not tried again."""
    error, calls = ask(endpoint_of(broker, password="not-the-password"))

    assert isinstance(error, LoginRefused)
    assert "--password-file" in error.fix
    assert calls == 1


def test_an_unknown_user(broker: RunningBroker) -> None:
    """The broker does not tell it from a wrong password, so neither do we."""
    error, _ = ask(endpoint_of(broker, username="nobody-of-this-name"))

    assert isinstance(error, LoginRefused)
    assert "nobody-of-this-name" in error.what


@pytest.mark.one_version
def test_an_untrusted_certificate(broker: RunningBroker, tmp_path: Path) -> None:
    """An authority other than the broker's is named, and the flag that gives the right one; one try."""
    folder = CertificateFolder(tmp_path)
    folder.ensure([], now=datetime.datetime.now(datetime.UTC))
    error, calls = ask(endpoint_of(broker, ca_file=folder.ca_file))

    assert isinstance(error, TlsRefused)
    assert "not trusted" in error.what
    assert str(folder.ca_file) in error.why
    assert "--ca-file" in error.fix
    assert calls == 1


def test_without_a_ca_file_the_systems_authorities_count(
    broker: RunningBroker, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Those that OpenSSL knows here (SSL_CERT_FILE is its own variable), not those that the HTTP library brings along;
    its REQUESTS_CA_BUNDLE does not change whom we trust.
    """
    endpoint = ManagementEndpoint.parse(broker.management_url, username="u", password="secret-password")
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(broker.ca_file))
    untrusted, _ = ask(endpoint)
    monkeypatch.setenv("SSL_CERT_FILE", str(broker.ca_file))
    trusted, _ = ask(endpoint)

    assert isinstance(untrusted, TlsRefused)
    assert "this system's authorities" in untrusted.why
    assert isinstance(trusted, LoginRefused)


def test_another_host_name(broker: RunningBroker) -> None:
    """A certificate for another name is told apart from an untrusted one: a CA file would not help."""
    port = broker.node.ports.listeners[Listener.HTTPS]
    error, _ = ask(endpoint_of(broker, url=f"https://127.1:{port}"))  # the same address, spelled as no certificate does

    assert isinstance(error, TlsRefused)
    assert "not for this host name" in error.what
    assert "subjectAltName" in error.fix


def test_an_expired_certificate(tmp_path: Path) -> None:
    """A certificate out of its time is told apart too, and the clock is named as a cause."""
    folder = CertificateFolder(tmp_path)
    folder.ensure([], now=datetime.datetime.now(datetime.UTC) - datetime.timedelta(days=400))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder.server.certificate, folder.server.key)
    with serving(WHO, tls=context) as server:
        url = f"https://localhost:{server.port}"
        error, _ = ask(ManagementEndpoint.parse(url, username="user", password="a-password", ca_file=folder.ca_file))

    assert isinstance(error, TlsRefused)
    assert "not valid at this time" in error.what
    assert "clock" in error.fix


@pytest.mark.one_version
def test_http_to_a_tls_port(broker: RunningBroker) -> None:
    """Plain http to the TLS port says to use https, after one try."""
    port = broker.node.ports.listeners[Listener.HTTPS]
    error, calls = ask(endpoint_of(broker, url=f"http://{LOOPBACK}:{port}"))

    assert isinstance(error, TlsRefused)
    assert f"use https://{LOOPBACK}:{port}" in error.fix
    assert calls == 1


def test_https_to_a_plain_port() -> None:
    """https to a port that speaks plain http says so, after one try."""
    with serving(WHO) as server:
        url = f"https://localhost:{server.port}"
        error, calls = ask(ManagementEndpoint.parse(url, username="user", password="a-password"))

    assert isinstance(error, TlsRefused)
    assert "does not speak TLS" in error.what
    assert calls == 1


@pytest.mark.one_version
def test_the_amqp_port(broker: RunningBroker) -> None:
    """The TLS port of AMQP trusts and understands us up to HTTP: it is named as the wrong port."""
    error, _ = ask(endpoint_of(broker, url=f"https://localhost:{broker.amqps_port}"), timeout_seconds=20)

    assert isinstance(error, NoManagementApi)
    assert "15671" in error.fix


def test_nothing_listens() -> None:
    """A refused connection names host and port, and how often it was tried."""
    with socket.socket() as reserved:
        reserved.bind((LOOPBACK, 0))
        port = reserved.getsockname()[1]
        error, calls = ask(plain_endpoint(port))

    assert isinstance(error, BrokerUnreachable)
    assert f"{LOOPBACK}:{port}" in error.what
    assert "refused" in error.why
    assert calls == ATTEMPTS


def test_an_unknown_host() -> None:
    """A name that nobody knows is said to be that."""
    error, _ = ask(ManagementEndpoint.parse("https://nobody.invalid", username="user", password="a-password"))

    assert isinstance(error, BrokerUnreachable)
    assert "DNS" in error.fix


def test_no_answer_in_time() -> None:
    """A time-out is not repeated: the limit is long already."""
    with socket.create_server((LOOPBACK, 0)) as silent:
        error, calls = ask(plain_endpoint(silent.getsockname()[1]), timeout_seconds=0.2)

    assert isinstance(error, BrokerUnreachable)
    assert "in time" in error.why
    assert calls == 1


def test_a_ca_file_that_is_none(broker: RunningBroker, tmp_path: Path) -> None:
    """A missing file and one without a certificate are named before anything is sent."""
    empty = tmp_path / "empty.pem"
    empty.write_text("no certificate")
    missing = tmp_path / "missing.pem"
    for path, reason in ((empty, "PEM"), (missing, "there is no file"), (tmp_path, "directory|folder")):
        with pytest.raises(InvalidEndpoint, match=reason) as caught:
            ManagementClient(endpoint_of(broker, ca_file=path))

        assert str(path) in caught.value.what


@pytest.mark.parametrize(
    "answer",
    [
        (200, "text/html", "<html>Welcome to nginx!</html>"),
        (404, "text/html; charset=utf-8", "<html>not found</html>"),
        (200, JSON, '["a list"]'),
        (200, JSON, "{cut off"),
        (302, "text/html", "https://login.example/"),
        (404, JSON, '{"error":"Object Not Found","reason":"Not Found"}'),
    ],
)
def test_another_product_answers(answer: tuple[int, str, str]) -> None:
    """A web page, a redirect, other JSON: it is said not to be the management API, and nobody is followed."""
    with serving(answer) as server:
        error, calls = ask(plain_endpoint(server.port))

    assert isinstance(error, NoManagementApi)
    assert calls == 1


def test_a_passing_fault_is_not_seen() -> None:
    """503 and a connection that breaks before the answer are tried again, and the third try counts."""
    with (
        serving((503, "text/html", "busy"), None, WHO) as server,
        ManagementClient(plain_endpoint(server.port)) as client,
    ):
        assert client.whoami().name == "user"
        assert client.calls == 3


def test_a_lasting_fault_is_the_brokers() -> None:
    """A 500 is given up after three tries, with whatever the broker said."""
    with serving((500, "text/html", "<h1>Internal</h1> error")) as server:
        error, calls = ask(plain_endpoint(server.port))

    assert isinstance(error, BrokerRefused)
    assert error.reason == "Internal error"
    assert calls == ATTEMPTS


@pytest.mark.one_version
def test_a_prefix_and_both_schemes(broker_version: str, start_broker: BrokerFactory) -> None:
    """`management.path_prefix` is part of the URL; without it the broker is no management API. Kept-alive
    connections that the broker closes meanwhile are never seen."""
    started = start_broker(
        broker_version,
        listeners=frozenset({Listener.AMQPS, Listener.HTTPS, Listener.HTTP}),
        path_prefix="/rabbit/mq",
        extra_configuration=("management.ssl.request_timeout = 1000", "management.tcp.request_timeout = 1000"),
    )
    ports = started.node.ports.listeners
    https, http = f"https://localhost:{ports[Listener.HTTPS]}", f"http://localhost:{ports[Listener.HTTP]}"
    for url in (https, http):
        error, _ = ask(endpoint_of(started, url=url))
        assert isinstance(error, NoManagementApi)
        with ManagementClient(endpoint_of(started, url=f"{url}/rabbit/mq/api/")) as client:
            assert read_state(client, "/").vhost_exists
            with socket.create_connection((LOOPBACK, ports[Listener.HTTP]), timeout=20) as other:
                assert other.recv(1) == b""  # closed as idle, and so are ours, which are older
            assert read_state(client, "/").vhost_exists


@pytest.mark.one_version
def test_a_broker_that_stops(broker_version: str, start_broker: BrokerFactory) -> None:
    """A client whose broker dies says that it is unreachable, and works again when it is back."""
    started = start_broker(broker_version)
    with ManagementClient(endpoint_of(started)) as client:
        read_state(client, "/")
        started.node.crash()
        with pytest.raises(BrokerUnreachable):
            read_state(client, "/")
        started.node.start()
        assert read_state(client, "/").broker.version == started.version


@pytest.mark.one_version
def test_a_broker_without_the_plugin(broker_version: str, start_broker: BrokerFactory) -> None:
    """Where the management plugin is off, its port refuses and the message says how to enable it."""
    started = start_broker(broker_version, listeners=frozenset({Listener.AMQPS}))
    error, _ = ask(endpoint_of(started, url=f"https://localhost:{started.amqps_port}"), timeout_seconds=20)
    assert isinstance(error, NoManagementApi)

    with socket.socket() as reserved:
        reserved.bind((LOOPBACK, 0))
        error, _ = ask(endpoint_of(started, url=f"https://localhost:{reserved.getsockname()[1]}"))
    assert isinstance(error, BrokerUnreachable)
    assert "rabbitmq-plugins enable rabbitmq_management" in error.fix
