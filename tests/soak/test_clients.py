"""Clients that are built before they run, by their defaults: Go, Java, Spring. The others: tests/clients."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.brokers import BrokerFactory
from tests.clients.libraries import BUILT
from tests.clients.publishing import publish_good_and_refused
from tests.clients.staying import stay
from tests.clients.world import running_client_world
from tests.soak.conftest import Summarise


@pytest.mark.one_version
@pytest.mark.long_form
def test_clients_that_are_built(
    start_broker: BrokerFactory, one_broker_version: str, tmp_path: Path, summarise: Summarise
) -> None:
    """Each does what its row says."""
    for library in BUILT:
        library.command()
    broker = start_broker(one_broker_version)
    with running_client_world(broker, tmp_path, [library.slug for library in BUILT]) as world:
        for library in BUILT:
            publish_good_and_refused(world, library)
        stay(broker, world, BUILT)
    names = ", ".join(f"{library.name} {library.version()}" for library in BUILT)
    summarise("clients by their defaults", broker.version, names)
