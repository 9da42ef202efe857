"""One world for each version of the broker, until the session ends."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from tests.brokers import RunningBroker, one_for_each_version
from tests.staying.world import StayingWorld, running_world


@pytest.fixture(scope="session")
def _worlds(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[RunningBroker], StayingWorld]]:
    with one_for_each_version(lambda broker: running_world(broker, tmp_path_factory.mktemp("staying-"))) as worlds:
        yield worlds


@pytest.fixture
def world(broker: RunningBroker, _worlds: Callable[[RunningBroker], StayingWorld]) -> StayingWorld:
    """The world on this broker."""
    return _worlds(broker)
