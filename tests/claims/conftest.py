"""One world with a folder as its store, and one with S3, until the session ends."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack

import pytest

from tests.brokers import RunningBroker
from tests.claims.s3 import BUCKET, PREFIX, Cloud, client_of, running_s3
from tests.claims.world import World, running_world


@pytest.fixture(scope="session")
def _folder_worlds(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[RunningBroker], World]]:
    made: dict[str, World] = {}
    with ExitStack() as stack:

        def get(broker: RunningBroker) -> World:
            if broker.version not in made:
                folder = tmp_path_factory.mktemp("claims-")
                made[broker.version] = stack.enter_context(running_world(broker, folder, {"store": "claims"}))
            return made[broker.version]

        yield get


@pytest.fixture
def world(broker: RunningBroker, _folder_worlds: Callable[[RunningBroker], World]) -> World:
    """The world, with nothing left in it of another test."""
    found = _folder_worlds(broker)
    found.empty()
    return found


@pytest.fixture(scope="session")
def _clouds(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[RunningBroker], Cloud]]:
    made: dict[str, Cloud] = {}
    with ExitStack() as stack:

        def get(broker: RunningBroker) -> Cloud:
            if broker.version not in made:
                folder = tmp_path_factory.mktemp("s3-")
                s3 = stack.enter_context(running_s3(folder))
                claim_check = {"store": f"s3://{BUCKET}/{PREFIX}", "retention": "30d"}
                world = stack.enter_context(running_world(broker, folder, claim_check, s3))
                made[broker.version] = Cloud(world, s3, client_of(s3))
            return made[broker.version]

        yield get


@pytest.fixture
def cloud(broker: RunningBroker, _clouds: Callable[[RunningBroker], Cloud]) -> Cloud:
    """A world whose agents use S3, with nothing left in it of another test."""
    found = _clouds(broker)
    found.world.empty()
    for name in found.objects:
        found.delete(name)
    return found
