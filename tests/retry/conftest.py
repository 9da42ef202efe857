"""One world for each version of the broker, until the session ends."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack

import pytest

from tests.brokers import RunningBroker
from tests.retry.world import World, running_world


@pytest.fixture(scope="session")
def _worlds(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[RunningBroker], World]]:
    made: dict[str, World] = {}
    with ExitStack() as stack:

        def get(broker: RunningBroker) -> World:
            if broker.version not in made:
                made[broker.version] = stack.enter_context(running_world(broker, tmp_path_factory.mktemp("retry-")))
            return made[broker.version]

        yield get


@pytest.fixture
def world(broker: RunningBroker, _worlds: Callable[[RunningBroker], World]) -> World:
    """The world on this broker."""
    return _worlds(broker)
