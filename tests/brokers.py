"""Fixtures that give a test a real RabbitMQ, of each version that the project is tested with.

A conftest uses them by `pytest_plugins = ["tests.brokers"]`. A test that uses one is marked
`broker`, and runs once for each version unless `--broker` chose one. Where the newest cannot be had, the run goes on
without it and says so at its end. Nodes die with pytest, however that ends. Knows nothing of topologies.
"""

from __future__ import annotations

import argparse
import os
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager, suppress
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import quote

import pytest
import requests

from letrade_topo.node.errors import RabbitMQMissing
from letrade_topo.node.installation import Installation, find_installation
from letrade_topo.node.node import Lifetime, Node
from letrade_topo.node.settings import ADMINISTRATOR, Listener, NodeSettings
from tests.ports import node_ports

Made = TypeVar("Made")

NEWEST = "newest"
"""The version that Debian packages for its next release, whatever its number is today."""

SUITES = {"3.10": "bookworm", "4.0": "trixie", NEWEST: "testing"}
"""Which Debian release packages which version, oldest first."""

_SESSION = requests.Session()
"""Connections to management APIs stay open: a TLS handshake costs more than most of what tests ask."""
_SESSION.trust_env = False

_FIXTURES = frozenset({"broker", "broker_version", "one_broker", "one_broker_version", "start_broker", "vhost_name"})


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add `--broker` and `--fast`."""
    group = parser.getgroup("broker")
    group.addoption(
        "--broker",
        action="append",
        type=_version_named,
        help="run against this version of RabbitMQ only: 3.10, 4.0, newest or its number (repeatable; default: all)",
    )
    group.addoption("--every-version", action="store_true", help="on all of them, also what is marked one_version")
    group.addoption("--fast", action="store_true", help="leave out every test that needs a broker")


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Run a test once for each version, when it uses one; on the latest alone, when it does not depend on it."""
    if "broker_version" in metafunc.fixturenames:
        versions = _chosen_versions(metafunc.config)
        is_alike = metafunc.definition.get_closest_marker("one_version") is not None
        if is_alike and not metafunc.config.getoption("--every-version"):
            versions = versions[-1:]
        metafunc.parametrize("broker_version", versions, scope="session")


def _version_named(name: str) -> str:
    """One of SUITES: by its name there, or by the number that the newest has today."""
    if name in SUITES:
        return name
    newest = _newest()
    if isinstance(newest, Installation) and f"{newest.version}.".startswith(f"{name}."):
        return NEWEST
    known = f"{', '.join(SUITES)} (which is {newest.version if isinstance(newest, Installation) else 'not here'})"
    raise argparse.ArgumentTypeError(f"{name!r} is none of {known}")


def _chosen_versions(config: pytest.Config) -> list[str]:
    """Those that were chosen, oldest first, without a newest that is not here.

    Raises:
        UsageError: it is not here, and no other was chosen.
    """
    chosen = config.getoption("--broker") or SUITES
    newest = _newest()
    if isinstance(newest, Installation):
        return [version for version in SUITES if version in chosen]
    versions = [version for version in SUITES if version in chosen and version != NEWEST]
    if not versions:
        raise pytest.UsageError(str(newest))
    return versions


@cache
def _newest() -> Installation | RabbitMQMissing:
    try:
        return installation_of(NEWEST)
    except RabbitMQMissing as missing:
        return missing


def pytest_report_header(config: pytest.Config) -> list[str]:
    """Which versions the names in the tests' ids stand for today."""
    if config.getoption("--fast"):
        return []
    return [f"RabbitMQ: {', '.join(_spelt_out(version) for version in SUITES)}"]


def _spelt_out(version: str) -> str:
    try:
        return f"{version} is {installation_of(version).version}"
    except RabbitMQMissing:
        return f"{version} IS NOT HERE"


@pytest.hookimpl(wrapper=True, tryfirst=True)  # around pytest's own, so after its list of failures
def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> Iterator[None]:
    """Say loudly, at the end, that the newest version was not there."""
    yield
    missing = _newest()
    is_wanted = NEWEST in (config.getoption("--broker") or SUITES) and not config.getoption("--fast")
    if isinstance(missing, RabbitMQMissing) and is_wanted:
        terminalreporter.section("NOT TESTED: the newest RabbitMQ", red=True, bold=True)
        terminalreporter.line(f"{missing}")
        terminalreporter.line("Everything ran on the other versions alone.")


@pytest.hookimpl(tryfirst=True)  # before `-m` chooses by marker
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Mark what needs a broker, and leave it out with `--fast`, as well as what is one of many alike."""
    for item in items:
        if _FIXTURES & set(getattr(item, "fixturenames", ())):
            item.add_marker("broker")
    if config.getoption("--fast"):
        left_out = {item for item in items if item.get_closest_marker("broker") or item.get_closest_marker("wide")}
        config.hook.pytest_deselected(items=list(left_out))
        items[:] = [item for item in items if item not in left_out]


@dataclass(frozen=True, slots=True)
class RunningBroker:
    """A RabbitMQ node as a test sees it; its administrator is `username`.

    Args:
        node: the node itself: `crash()`, `start()` again with its data, `stop()`.
    """

    node: Node

    @property
    def version(self) -> str:
        """Its full version, for example `3.10.8`."""
        return self.node.settings.installation.version

    @property
    def version_numbers(self) -> tuple[int, ...]:
        """The same to be compared, for example `(3, 10, 8)`."""
        return tuple(int(number) for number in self.version.split("."))

    @property
    def management_url(self) -> str:
        """Over HTTPS, without a slash at its end."""
        return self.node.url(Listener.HTTPS)

    @property
    def amqps_url(self) -> str:
        """The URL of the TLS listener, without a vhost."""
        return self.node.url(Listener.AMQPS)

    @property
    def amqps_port(self) -> int:
        """The port of the TLS listener."""
        return self.node.ports.listeners[Listener.AMQPS]

    @property
    def ca_file(self) -> Path:
        """The authority that a client must trust."""
        return self.node.certificates.ca_file

    @property
    def username(self) -> str:
        """The administrator."""
        return ADMINISTRATOR

    @property
    def password(self) -> str:
        """The administrator's password."""
        return self.node.password

    @property
    def password_file(self) -> Path:
        """A file that holds the administrator's password."""
        return self.node.folder.password_file

    def client_certificate(self, name: str) -> tuple[Path, Path]:
        """A certificate whose common name is `name`, and its key."""
        credential = self.node.client_credential(name)
        return credential.certificate, credential.key

    def ctl(self, *arguments: str, tool: str = "rabbitmqctl") -> str:
        """The standard output of rabbitmqctl; raises NodeError with its words when it fails."""
        return self.node.ctl(*arguments, tool=tool, timeout_seconds=240)

    def sync_metadata(self) -> None:
        """Bring every declaration so far to disk.

        RabbitMQ answers a declaration before it is on disk (Mnesia writes its log later): a queue
        that was answered with 201 can be gone when the node is killed within milliseconds. Call
        this before `node.crash()` in a test that needs what it declared. From 4.3 on there is no Mnesia:
        Khepri answers after it is on disk.
        """
        if self.version_numbers < (4, 3):
            self.node.ctl("eval", "mnesia:sync_log().")

    def api(self, method: str, path: str, **options: Any) -> requests.Response:
        """Ask the management API as the administrator; `path` begins with `/api/`. A redirection is its answer."""
        listener = Listener.HTTPS if Listener.HTTPS in self.node.settings.listeners else Listener.HTTP
        ask = partial(
            _SESSION.request,
            method,
            self.node.url(listener) + path,
            auth=(self.username, self.password),
            verify=str(self.ca_file),
            timeout=60,
            allow_redirects=False,
            **options,
        )
        try:
            return ask()
        except requests.ConnectionError:
            # A broker that refuses a request without reading its body (405) may close the connection after it:
            # 3.10 once in 300 times.
            return ask()


def root_folder(version: str) -> Path:
    """Where the root folder of a version lies that this machine's Debian does not package."""
    cache = os.environ.get("LETRADE_TOPO_CACHE") or Path.home() / ".cache" / "letrade-topo"
    return Path(cache) / f"rabbitmq-{SUITES[version]}"


def installation_of(version: str) -> Installation:
    """The installation of a version (of SUITES), on this machine or in its root folder.

    Raises:
        RabbitMQMissing: there is none; says how to make it.
    """
    if version != NEWEST:  # which no Debian release has: its number alone tells nothing
        with suppress(RabbitMQMissing):
            here = find_installation()
            if is_of(version, here.version):
                return here
    root = root_folder(version)
    try:
        return find_installation(root)
    except RabbitMQMissing as missing:
        what = "the newest RabbitMQ" if version == NEWEST else f"RabbitMQ {version}"
        raise RabbitMQMissing(
            f"the tests need {what}, which is {'not' if version == NEWEST else 'neither installed here nor'} in {root}",
            why=missing.why,
            fix=f"script/test makes it, as root; by hand: script/rabbitmq-root {SUITES[version]} {root}",
        ) from missing


def is_of(version: str, number: str) -> bool:
    """Whether a full number (`4.0.5`) is of a version of SUITES; whatever number the newest has is."""
    return version == NEWEST or number.startswith(f"{version}.")


_STATISTICS_SECONDS = 60.0

BrokerFactory = Callable[..., RunningBroker]


def _start(folder: Path, version: str, **options: Any) -> RunningBroker:
    settings = NodeSettings(folder, installation_of(version), **options)
    node = Node(settings, lifetime=Lifetime.CALLER, ports=node_ports(settings.listeners))
    node.start()
    return RunningBroker(node)


@contextmanager
def running_broker(folder: Path, version: str, **options: Any) -> Iterator[RunningBroker]:
    """A node in a folder, for a fixture of a wider scope than `start_broker`; options as of `NodeSettings`."""
    broker = _start(folder, version, **options)
    try:
        yield broker
    finally:
        broker.node.kill()


@pytest.fixture(scope="session")
def _shared_brokers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[BrokerFactory]:
    """One node for each version, started when first asked for, until the session ends.

    Not the parametrised fixture itself: pytest ends such a one as soon as the next test has another
    parameter, and a start takes seconds.
    """
    brokers: dict[str, RunningBroker] = {}

    def get(version: str) -> RunningBroker:
        if version not in brokers:
            brokers[version] = _start(tmp_path_factory.mktemp(f"rabbitmq-{version}-"), version)
            _wait_for_statistics(brokers[version])
        elif not brokers[version].node.is_running:
            brokers[version].node.start()
        return brokers[version]

    yield get
    for each in brokers.values():
        each.node.kill()


def _wait_for_statistics(broker: RunningBroker) -> None:
    """Until it says which plug-ins it has: a plan of its first seconds cannot know."""
    deadline = time.monotonic() + _STATISTICS_SECONDS
    while not all("enabled_plugins" in node for node in broker.api("GET", "/api/nodes").json()):
        assert time.monotonic() < deadline, "the broker has no statistics of itself"
        time.sleep(0.1)


@contextmanager
def one_for_each_version(
    make: Callable[[RunningBroker], AbstractContextManager[Made]],
) -> Iterator[Callable[[RunningBroker], Made]]:
    """What a session's fixture makes for a broker: once for each version, when first asked for, until the session ends.

    Args:
        make: makes it, and takes it away at the end.
    """
    made: dict[str, Made] = {}
    with ExitStack() as stack:

        def get(broker: RunningBroker) -> Made:
            if broker.version not in made:
                made[broker.version] = stack.enter_context(make(broker))
            return made[broker.version]

        yield get


@pytest.fixture(scope="session")
def one_broker_version(pytestconfig: pytest.Config) -> str:
    """One of the chosen versions, for what depends on no version: the latest, which starts quickest."""
    return _chosen_versions(pytestconfig)[-1]


@pytest.fixture(scope="session")
def broker(broker_version: str, _shared_brokers: BrokerFactory) -> RunningBroker:
    """A RabbitMQ that the whole session shares: make vhosts and users of your own on it."""
    return _shared_brokers(broker_version)


@pytest.fixture
def one_broker(one_broker_version: str, _shared_brokers: BrokerFactory) -> RunningBroker:
    """The shared RabbitMQ of one version, for what depends on none; running, whoever stopped it before."""
    return _shared_brokers(one_broker_version)


@pytest.fixture
def start_broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[BrokerFactory]:
    """Start a node of one's own: `start_broker(version, **options)`, options as of NodeSettings.

    For a test that kills it, or needs plain listeners, a path prefix, no management plugin.
    """
    started: list[RunningBroker] = []

    def start(version: str, **options: Any) -> RunningBroker:
        started.append(_start(tmp_path_factory.mktemp("rabbitmq-own-"), version, **options))
        return started[-1]

    yield start
    for each in started:
        each.node.kill()


@pytest.fixture
def vhost_name(broker: RunningBroker) -> Iterator[str]:
    """A name that no vhost of the shared broker has; what is made under it is deleted afterwards."""
    name = f"test-{uuid.uuid4().hex[:12]}"
    yield name
    if not broker.node.is_running:
        broker.node.start()
    answer = broker.api("DELETE", f"/api/vhosts/{quote(name, safe='')}")
    assert answer.status_code in {204, 404}, answer.text
