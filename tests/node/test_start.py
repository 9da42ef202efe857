"""A node on each version: who can log in and how, and what survives what."""

from __future__ import annotations

import socket
import ssl
import time
from pathlib import Path

import pika
import pika.exceptions
import pytest
import requests

from letrade_topo.node.errors import NodeDied, NodeError, NodeNotReady
from letrade_topo.node.settings import TLS_ONLY, Listener, Ports
from tests.brokers import BrokerFactory, RunningBroker, is_of
from tests.ports import node_ports


def tls_context(broker: RunningBroker, client: str | None = None) -> ssl.SSLContext:
    """Trust the broker's authority, and show the certificate of a client when one is named."""
    context = ssl.create_default_context(cafile=str(broker.ca_file))
    if client is not None:
        certificate, key = broker.client_certificate(client)
        context.load_cert_chain(certificate, key)
    return context


def connect(
    broker: RunningBroker,
    credentials: pika.credentials.PlainCredentials | pika.credentials.ExternalCredentials,
    client: str | None = None,
) -> pika.BlockingConnection:
    """Open an AMQP connection over TLS."""
    return pika.BlockingConnection(
        pika.ConnectionParameters(
            "127.0.0.1",
            broker.amqps_port,
            credentials=credentials,
            ssl_options=pika.SSLOptions(tls_context(broker, client), "127.0.0.1"),
        )
    )


def test_the_version_is_the_one_asked_for(broker: RunningBroker, broker_version: str) -> None:
    """The node that runs says that it is the version that its installation promised."""
    overview = broker.api("GET", "/api/overview").json()

    assert overview["rabbitmq_version"] == broker.version
    assert is_of(broker_version, broker.version)


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_the_tls_listener_verifies(broker: RunningBroker, version: ssl.TLSVersion) -> None:
    """Its certificate is good for localhost and 127.0.0.1 under the authority, over TLS 1.2 and 1.3."""
    context = tls_context(broker)
    context.minimum_version = context.maximum_version = version
    for name in ("localhost", "127.0.0.1"):
        with (
            socket.create_connection(("127.0.0.1", broker.amqps_port), timeout=60) as plain,
            context.wrap_socket(plain, server_hostname=name) as tls,
        ):
            assert tls.version() == version.name.replace("v1_", "v1.")


def test_another_authority_is_refused(broker: RunningBroker) -> None:
    """A client that does not trust the authority does not get through the handshake."""
    with (
        socket.create_connection(("127.0.0.1", broker.amqps_port), timeout=60) as plain,
        pytest.raises(ssl.SSLCertVerificationError),
    ):
        ssl.create_default_context().wrap_socket(plain, server_hostname="localhost")


def test_management_over_https_knows_the_administrator(broker: RunningBroker) -> None:
    """Management answers over HTTPS, verified, and the administrator is one."""
    answer = requests.get(
        f"{broker.management_url}/api/whoami",
        auth=(broker.username, broker.password),
        verify=str(broker.ca_file),
        timeout=60,
    )

    assert answer.status_code == 200
    assert answer.json()["tags"] == ["administrator"]


def test_a_password_logs_in(broker: RunningBroker) -> None:
    """PLAIN works without a client certificate, with the password that lies in the file."""
    password = broker.password_file.read_text()

    with connect(broker, pika.PlainCredentials(broker.username, password)) as connection:
        assert connection.is_open


def test_a_wrong_password_does_not(broker: RunningBroker) -> None:
    """PLAIN with another password is refused."""
    with pytest.raises(pika.exceptions.ProbableAuthenticationError):
        connect(broker, pika.PlainCredentials(broker.username, "wrong"))


def test_a_client_certificate_logs_in(broker: RunningBroker, vhost_name: str) -> None:
    """EXTERNAL logs a user without any password in, by the common name of the certificate."""
    name = f"{vhost_name}-service"
    body = {"password_hash": "", "tags": ""}
    assert broker.api("PUT", f"/api/users/{name}", json=body).status_code == 201
    body = {"configure": "", "write": "", "read": ""}
    assert broker.api("PUT", f"/api/permissions/%2F/{name}", json=body).status_code == 201
    try:
        with connect(broker, pika.credentials.ExternalCredentials(), name) as connection:
            assert connection.is_open
            listed = broker.ctl("-q", "list_connections", "user", "auth_mechanism")
        with pytest.raises(pika.exceptions.ProbableAuthenticationError):
            connect(broker, pika.credentials.ExternalCredentials(), "nobody-knows-me")
    finally:
        broker.api("DELETE", f"/api/users/{name}")

    assert [name, "EXTERNAL"] in [line.split() for line in listed.splitlines()]


def test_guest_does_not_exist(broker: RunningBroker) -> None:
    """The administrator is the only user that a fresh node has."""
    users = [each["name"] for each in broker.api("GET", "/api/users").json()]

    assert "guest" not in users
    assert broker.username in users


def test_everything_is_tls_and_on_loopback(broker: RunningBroker) -> None:
    """No plain listener, and nothing that the node listens on can be reached from outside."""
    processes = broker.node.processes
    assert processes is not None
    assert processes.broker is not None
    pids = {processes.epmd.pid, processes.broker.pid}

    listening = [address for pid in pids for address in listening_addresses(pid)]

    ports = broker.node.ports
    expected = {*ports.listeners.values(), ports.epmd, ports.distribution}
    assert {port for _, port in listening} == expected
    assert {host for host, _ in listening} <= {"127.0.0.1", "::1"}
    listeners = broker.api("GET", "/api/overview").json()["listeners"]
    assert {each["protocol"] for each in listeners} == {"amqp/ssl", "https", "clustering"}


def listening_addresses(pid: int) -> list[tuple[str, int]]:
    """On which addresses a process listens (proc(5), net/tcp and fd)."""
    inodes = set()
    for link in Path(f"/proc/{pid}/fd").iterdir():
        try:
            target = str(link.readlink())
        except FileNotFoundError:
            continue  # closed meanwhile: somebody's connection
        if target.startswith("socket:["):
            inodes.add(target.removeprefix("socket:[").removesuffix("]"))
    found = []
    for table, family, size in (("tcp", socket.AF_INET, 4), ("tcp6", socket.AF_INET6, 16)):
        for line in Path(f"/proc/{pid}/net/{table}").read_text().splitlines()[1:]:
            fields = line.split()
            if fields[3] != "0A" or fields[9] not in inodes:  # 0A: listening
                continue
            address, port = fields[1].split(":")
            # Words of 32 bits, each in the machine's (little-endian) order.
            words = bytes.fromhex(address)
            packed = b"".join(words[i : i + 4][::-1] for i in range(0, size, 4))
            host = socket.inet_ntop(family, packed).removeprefix("::ffff:")
            found.append((host, int(port, 16)))
    return found


def test_a_restart_keeps_data_and_ports(start_broker: BrokerFactory, broker_version: str) -> None:
    """After a crash, and after an orderly stop, the same data are there under the same URL."""
    broker = start_broker(broker_version)
    url = broker.management_url
    assert broker.api("PUT", "/api/vhosts/kept").status_code == 201
    queue = "/api/queues/kept/q"
    assert broker.api("PUT", queue, json={"durable": True}).status_code == 201
    broker.sync_metadata()

    broker.node.crash()
    assert not broker.node.is_running
    broker.node.start()

    assert broker.management_url == url
    assert broker.api("GET", queue).status_code == 200
    broker.node.stop()
    assert not broker.node.is_running
    broker.node.start()
    assert broker.api("GET", queue).status_code == 200


@pytest.mark.wide
def test_no_outgoing_connection_takes_the_port_of_a_node_that_is_down() -> None:
    """Linux gives the chosen ports to no connection; a restart could not keep such a port."""
    first, last = map(int, Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split())

    for _ in range(20):
        ports = Ports.free(TLS_ONLY)
        chosen = [*ports.listeners.values(), ports.epmd, ports.distribution, *range(ports.cli, ports.cli + 11)]
        assert not [port for port in chosen if first <= port <= last]


@pytest.mark.one_version
def test_ports_that_are_taken_are_replaced(start_broker: BrokerFactory, broker_version: str) -> None:
    """A node whose port another program has taken meanwhile starts on other ports."""
    broker = start_broker(broker_version, listeners=frozenset({Listener.AMQPS}))
    old = broker.amqps_port
    broker.node.kill()

    with socket.create_server(("127.0.0.1", old)):
        broker.node.start()

        assert broker.amqps_port != old
        assert broker.node.is_running


@pytest.mark.one_version
def test_plain_listeners_and_a_path_prefix_on_request(start_broker: BrokerFactory, broker_version: str) -> None:
    """Tests of other transports get plain AMQP and HTTP, below a path prefix."""
    broker = start_broker(broker_version, listeners=frozenset({Listener.AMQP, Listener.HTTP}), path_prefix="/rabbit")

    plain = pika.PlainCredentials(broker.username, broker.password)
    port = broker.node.ports.listeners[Listener.AMQP]
    with pika.BlockingConnection(pika.ConnectionParameters("127.0.0.1", port, credentials=plain)) as connection:
        assert connection.is_open
    url = broker.node.url(Listener.HTTP)
    assert url.endswith("/rabbit")
    answer = requests.get(f"{url}/api/whoami", auth=(broker.username, broker.password), timeout=60)
    assert answer.status_code == 200


@pytest.mark.one_version
def test_without_the_management_plugin(start_broker: BrokerFactory, broker_version: str) -> None:
    """A node with AMQP alone has no management, over TLS or plain."""
    broker = start_broker(broker_version, listeners=frozenset({Listener.AMQPS}))

    protocols = broker.ctl("-q", "--formatter", "json", "listeners", tool="rabbitmq-diagnostics")

    assert "amqp/ssl" in protocols
    assert "http" not in protocols


@pytest.mark.one_version
def test_a_wrong_configuration_shows_the_brokers_words(start_broker: BrokerFactory, broker_version: str) -> None:
    """A node that dies in its start says why, in RabbitMQ's own words, and leaves no process."""
    with pytest.raises(NodeDied) as caught:
        start_broker(
            broker_version,
            listeners=frozenset({Listener.AMQPS}),
            extra_configuration=("no_such_key = 1",),
        )

    assert "no_such_key" in caught.value.why
    assert "Crash dump" not in caught.value.why
    assert not caught.value.port_was_taken


@pytest.mark.parametrize("listener", list(Listener))
def test_a_port_taken_in_the_last_moment_is_seen(
    start_broker: BrokerFactory, one_broker_version: str, monkeypatch: pytest.MonkeyPatch, listener: Listener
) -> None:
    """A port that is lost between choosing and binding costs one more start, not the start.

    RabbitMQ dies of a plain listener's port, and goes on without a TLS listener.
    """
    listeners = frozenset({Listener.AMQPS, listener})
    monkeypatch.setattr(Ports, "are_free", lambda _self: True)
    taken: list[socket.socket] = []

    def choose_and_lose(listeners: frozenset[Listener]) -> Ports:
        ports = node_ports(listeners)
        if not taken:
            taken.append(socket.create_server(("127.0.0.1", ports.listeners[listener])))
        return ports

    monkeypatch.setattr("tests.brokers.node_ports", choose_and_lose)
    try:
        broker = start_broker(one_broker_version, listeners=listeners)

        assert broker.node.ports.listeners[listener] != taken[0].getsockname()[1]
        deadline = time.monotonic() + 60
        while not broker.node.answers:  # within three seconds, which a busy machine may take
            assert time.monotonic() < deadline
    finally:
        taken[0].close()


def test_ctl_on_a_node_that_was_stopped(start_broker: BrokerFactory, one_broker_version: str) -> None:
    """rabbitmqctl is not even run then: it would start a port mapper, which nobody ends."""
    broker = start_broker(one_broker_version, listeners=frozenset({Listener.AMQPS}))
    broker.node.kill()

    with pytest.raises(NodeError) as caught:
        broker.ctl("list_users")

    assert "is not running" in caught.value.what


def test_a_certificate_that_does_not_fit_its_key_is_no_ready_node(
    start_broker: BrokerFactory, one_broker_version: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A node that listens, and fails every handshake, is not taken for ready, and is ended."""
    broker = start_broker(one_broker_version, listeners=frozenset({Listener.AMQPS}))
    node = broker.node
    node.kill()
    node.certificates.server.key.write_bytes(node.certificates.authority.key.read_bytes())
    monkeypatch.setattr(type(node.certificates), "ensure", lambda *_, **__: None)

    with pytest.raises(NodeNotReady):
        node.start(timeout_seconds=20)

    assert not node.is_running


@pytest.mark.one_version
def test_ctl_fails_in_its_own_words(broker: RunningBroker) -> None:
    """A failing rabbitmqctl gives an error with its words and without the arguments' secrets."""
    with pytest.raises(NodeError) as caught:
        broker.ctl("change_password", "nobody-of-this-name", "s3cret")

    assert "nobody-of-this-name" in caught.value.why
    assert "s3cret" not in str(caught.value)
