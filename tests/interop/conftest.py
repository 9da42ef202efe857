"""Fixtures of the suite: a client, a way to the broker, a vhost of one's own, names."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator
from urllib.parse import quote

import pytest

from tests.brokers import RunningBroker
from tests.interop.client import Channel, Client, Connection, Endpoint
from tests.interop.with_aio_pika import AioPika
from tests.interop.with_amqplib import Amqplib
from tests.interop.with_pika import Pika

Connect = Callable[..., Connection]
OpenChannel = Callable[..., Channel]

_CLIENTS: dict[str, type[Client]] = {"pika": Pika, "aio-pika": AioPika, "amqplib": Amqplib}
ROUTES = ("direct",)


@pytest.fixture(scope="session")
def _clients() -> Iterator[dict[str, Client]]:
    started: dict[str, Client] = {}
    yield started
    for one in started.values():
        one.close()


@pytest.fixture(params=list(_CLIENTS))
def client(request: pytest.FixtureRequest, _clients: dict[str, Client]) -> Client:
    """Each library in turn; the same process or loop all the session long."""
    name: str = request.param
    if name not in _clients:
        _clients[name] = _CLIENTS[name]()
    return _clients[name]


@pytest.fixture(scope="module")
def vhost(broker: RunningBroker) -> Iterator[str]:
    """A vhost that the administrator may use, for one module."""
    name = f"interop-{uuid.uuid4().hex[:12]}"
    path = f"/api/vhosts/{quote(name, safe='')}"
    assert broker.api("PUT", path).ok
    everything = {"configure": ".*", "write": ".*", "read": ".*"}
    assert broker.api("PUT", f"/api/permissions/{name}/{broker.username}", json=everything).ok
    yield name
    assert broker.api("DELETE", path).ok


@pytest.fixture(scope="module")
def straight(broker: RunningBroker, vhost: str) -> Endpoint:
    """The broker's TLS listener."""
    return Endpoint(broker.amqps_port, vhost, broker.username, broker.password, broker.ca_file)


@pytest.fixture(scope="module", params=ROUTES)
def endpoint(request: pytest.FixtureRequest, straight: Endpoint) -> Endpoint:
    """Where clients connect: straight to the broker, or to an agent beside it."""
    return straight


@pytest.fixture
def connect(client: Client, endpoint: Endpoint) -> Iterator[Connect]:
    """Open a connection: `connect(frame_max=…)`; closed at the end."""
    opened: list[Connection] = []

    def connect(*, frame_max: int | None = None) -> Connection:
        opened.append(client.connect(endpoint, frame_max=frame_max))
        return opened[-1]

    yield connect
    for one in opened:
        one.close()


@pytest.fixture
def connection(connect: Connect) -> Connection:
    """A connection of the client."""
    return connect()


@pytest.fixture
def channel(connection: Connection) -> Channel:
    """A channel without confirms."""
    return connection.channel()


@pytest.fixture
def confirmed(connection: Connection) -> Channel:
    """A channel with confirms, of the same connection."""
    return connection.channel(confirms=True)


@pytest.fixture
def name() -> str:
    """A name that nothing else has."""
    return f"test-{uuid.uuid4().hex[:12]}"


@pytest.fixture
def queue(channel: Channel) -> str:
    """A queue named by the broker, exclusive to the connection."""
    return channel.declare_queue(exclusive=True).name
