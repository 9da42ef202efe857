"""Fixtures of the suite: a client, a way to the broker, a vhost of one's own, names."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

import pytest

from tests.agents import RunningAgent, administrator_of, make_key_folder, running_agent
from tests.brokers import RunningBroker, one_for_each_version
from tests.interop.bus import Bus, running_bus
from tests.interop.client import Channel, Client, Endpoint, LibraryConnection, patiently
from tests.interop.with_aio_pika import AioPika
from tests.interop.with_amqplib import Amqplib
from tests.interop.with_pika import Pika
from tests.topologies import loaded, orders, write

Connect = Callable[..., LibraryConnection]
OpenChannel = Callable[..., Channel]

_CLIENTS: dict[str, type[Client]] = {"pika": Pika, "aio-pika": AioPika, "amqplib": Amqplib}
ROUTES = ("direct", "agent")


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


@dataclass(frozen=True, slots=True)
class Ways:
    """The ways to one broker: straight, and through an agent that passes what its topology does not know.

    Args:
        straight: the broker's TLS listener, as its administrator, in a vhost of the suite's own.
        agent: the agent beside it.
    """

    straight: Endpoint
    agent: RunningAgent

    def by(self, route: str) -> Endpoint:
        """One of them by name."""
        return self.straight if route == "direct" else Endpoint(self.agent.port, self.agent.vhost)


@pytest.fixture(scope="session")
def _ways(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[RunningBroker], Ways]]:
    """One vhost and one agent for each version."""

    @contextmanager
    def make(broker: RunningBroker) -> Iterator[Ways]:
        folder = tmp_path_factory.mktemp("passing-")
        with _vhost(broker) as vhost, _passing_agent(broker, vhost, folder) as agent:
            straight = Endpoint(broker.amqps_port, vhost, broker.username, broker.password, broker.ca_file)
            yield Ways(straight, agent)

    with one_for_each_version(make) as ways:
        yield ways


@contextmanager
def _vhost(broker: RunningBroker) -> Iterator[str]:
    name = f"interop-{uuid.uuid4().hex[:12]}"
    path = f"/api/vhosts/{quote(name, safe='')}"
    assert broker.api("PUT", path).ok
    everything = {"configure": ".*", "write": ".*", "read": ".*"}
    assert broker.api("PUT", f"/api/permissions/{name}/{broker.username}", json=everything).ok
    yield name
    assert broker.api("DELETE", path).ok


@contextmanager
def _passing_agent(broker: RunningBroker, vhost: str, folder: Path) -> Iterator[RunningAgent]:
    document = orders(vhost=vhost, limits={"message_size": "8MiB"})
    with running_agent(
        folder,
        service="shop",
        topology=write(folder / "topology.yaml", document),
        vhost=vhost,
        upstream=broker.amqps_url,
        ca_file=broker.ca_file,
        login=administrator_of(broker),
        keys=make_key_folder(folder / "keys", loaded(document)),
        options=["--undeclared", "pass"],
    ) as agent:
        yield agent


@pytest.fixture(scope="session")
def _buses(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[RunningBroker], Bus]]:
    with one_for_each_version(lambda broker: running_bus(broker, tmp_path_factory.mktemp("bus-"))) as buses:
        yield buses


@pytest.fixture
def bus(broker: RunningBroker, _buses: Callable[[RunningBroker], Bus]) -> Bus:
    """The bus on this broker, empty."""
    found = _buses(broker)
    found.purge()
    return found


@pytest.fixture
def ways(broker: RunningBroker, _ways: Callable[[RunningBroker], Ways]) -> Ways:
    """The ways to this broker."""
    return _ways(broker)


@pytest.fixture
def straight(ways: Ways) -> Endpoint:
    """The broker's TLS listener."""
    return ways.straight


@pytest.fixture(params=ROUTES)
def endpoint(request: pytest.FixtureRequest, ways: Ways) -> Endpoint:
    """Where clients connect: straight to the broker, or to an agent beside it."""
    return ways.by(request.param)


@pytest.fixture
def connect(client: Client, endpoint: Endpoint) -> Iterator[Connect]:
    """Open a connection: `connect(frame_max=…)`; closed at the end."""
    opened: list[LibraryConnection] = []

    def connect(*, frame_max: int | None = None) -> LibraryConnection:
        opened.append(patiently(lambda: client.connect(endpoint, frame_max=frame_max)))
        return opened[-1]

    yield connect
    for one in opened:
        one.close()


@pytest.fixture
def connection(connect: Connect) -> LibraryConnection:
    """A connection of the client."""
    return connect()


@pytest.fixture
def channel(connection: LibraryConnection) -> Channel:
    """A channel without confirms."""
    return connection.channel()


@pytest.fixture
def confirmed(connection: LibraryConnection) -> Channel:
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
