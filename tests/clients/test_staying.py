"""Programs as the libraries' documentation writes them, while agents and broker are restarted."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.brokers import BrokerFactory
from tests.clients.libraries import INSTALLED
from tests.clients.staying import stay
from tests.clients.world import running_client_world


@pytest.mark.one_version
@pytest.mark.timeout(900)
def test_consume_give_back_drain_and_come_back(
    start_broker: BrokerFactory, one_broker_version: str, tmp_path: Path
) -> None:
    """Each does what its row says; whoever comes back, comes back by itself."""
    broker = start_broker(one_broker_version)
    with running_client_world(broker, tmp_path, [library.slug for library in INSTALLED]) as world:
        stay(broker, world, INSTALLED)
