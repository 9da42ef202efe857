"""The shipped topology with an agent beside each of its services."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.brokers import RunningBroker
from tests.bus.world import BusWorld, running_world
from tests.topologies import SHIPPED

SERVICES = ("strategy", "capital_manager", "exchange_connector", "core_engine")


@pytest.fixture(scope="package")
def letrade(broker: RunningBroker, tmp_path_factory: pytest.TempPathFactory) -> Iterator[BusWorld]:
    """Everything that Letrade's contract speaks of, with everything enforced."""
    folder = tmp_path_factory.mktemp("bus-")
    file = folder / "topology.yaml"
    file.write_bytes(SHIPPED.read_bytes())
    with running_world(broker, folder, file, SERVICES) as world:
        yield world
