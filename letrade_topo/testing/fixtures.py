"""What pytest gives a contract test: `topology`, `contract`, `bus`; and a real broker to who wants one, `broker`.

The topology is the file of the ini option `letrade_topology`, else LETRADE_TOPOLOGY, else the nearest `topology.yaml`
at or above pytest's root folder; the service is `letrade_service` or LETRADE_SERVICE, or what a test's own fixture
`letrade_service` returns.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from functools import lru_cache
from pathlib import Path

import pytest

from letrade_topo.bus.errors import ConfigurationError
from letrade_topo.load.environment import topology_variables
from letrade_topo.load.source_text import read_source
from letrade_topo.load.topology_file import load_sources
from letrade_topo.model.topology import Topology
from letrade_topo.node.errors import RabbitMQMissing
from letrade_topo.node.installation import find_installation
from letrade_topo.testing.contract import Contract
from letrade_topo.testing.memory_bus import MemoryBus
from letrade_topo.testing.started_broker import StartedBroker, started_broker

_FILE = "topology.yaml"


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the two ini options."""
    parser.addini("letrade_topology", "the topology file of contract tests, from the root folder of pytest")
    parser.addini("letrade_service", "the service that contract tests are of, as the topology names it")


@pytest.fixture(scope="session")
def letrade_topology(pytestconfig: pytest.Config) -> Path:
    """Where the topology file is; override it to say otherwise."""
    root = pytestconfig.rootpath
    if given := pytestconfig.getini("letrade_topology") or os.environ.get("LETRADE_TOPOLOGY", ""):
        return root / given
    for folder in (root, *root.parents):
        if (folder / _FILE).is_file():
            return folder / _FILE
    raise ConfigurationError(
        f"there is no {_FILE} in {root} or above it",
        fix="set letrade_topology in pytest's ini file, or LETRADE_TOPOLOGY",
    )


@pytest.fixture(scope="session")
def topology(letrade_topology: Path) -> Topology:
    """The topology, with its overlays and variables as everywhere."""
    overlays = [Path(one) for one in os.environ.get("LETRADE_TOPO_OVERLAY", "").split(os.pathsep) if one]
    sources = [read_source(path) for path in (letrade_topology, *overlays)]
    return load_sources(sources, environment=topology_variables(os.environ)).topology


@pytest.fixture
def letrade_service(pytestconfig: pytest.Config) -> str:
    """The service that is tested; override it to say otherwise."""
    found = str(pytestconfig.getini("letrade_service") or os.environ.get("LETRADE_SERVICE", ""))
    if not found:
        raise ConfigurationError(
            "contract tests do not know of which service they are",
            fix="set letrade_service in pytest's ini file, or LETRADE_SERVICE, or write a fixture letrade_service",
        )
    return found


@pytest.fixture(scope="session")
def contract(topology: Topology) -> Callable[[str], Contract]:
    """`contract("strategy")`: what the topology says about a service."""
    return lru_cache(maxsize=None)(lambda service: Contract(topology, service))


@pytest.fixture
def bus(topology: Topology, letrade_service: str) -> MemoryBus:
    """The message bus of the service, in memory."""
    return MemoryBus(topology, letrade_service)


@pytest.fixture(scope="session")
def broker(letrade_topology: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[StartedBroker]:
    """A private RabbitMQ with the topology applied, for all tests of the session; skips them where none is installed.

    It is this machine's, or that of the root folder LETRADE_TOPO_BROKER_ROOT, as for `letrade-topo broker start`.
    """
    root = os.environ.get("LETRADE_TOPO_BROKER_ROOT")
    try:
        installation = find_installation(Path(root) if root else None)
    except RabbitMQMissing as missing:
        pytest.skip(str(missing))
    with started_broker(tmp_path_factory.mktemp("broker-"), installation) as started:
        started.apply(letrade_topology)
        yield started
