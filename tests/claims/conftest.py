"""One world with a folder as its store, until the session ends."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.brokers import BrokerFactory
from tests.claims.world import World, running_world


@pytest.fixture(scope="session")
def _folder_world(
    one_broker_version: str, _shared_brokers: BrokerFactory, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[World]:
    folder = tmp_path_factory.mktemp("claims-")
    with running_world(_shared_brokers(one_broker_version), folder, {"store": "claims"}) as world:
        yield world


@pytest.fixture
def world(_folder_world: World) -> World:
    """The world, with nothing left in it of another test."""
    _folder_world.empty()
    return _folder_world
