"""One world with a folder as its store, and one with S3, until the session ends."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager

import pytest

from tests.brokers import RunningBroker, one_for_each_version
from tests.claims.s3 import BUCKET, PREFIX, Cloud, client_of, running_s3
from tests.claims.world import ClaimWorld, running_world


@pytest.fixture(scope="session")
def _folder_worlds(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[RunningBroker], ClaimWorld]]:
    def make(broker: RunningBroker) -> AbstractContextManager[ClaimWorld]:
        return running_world(broker, tmp_path_factory.mktemp("claims-"), {"store": "claims"})

    with one_for_each_version(make) as worlds:
        yield worlds


@pytest.fixture
def world(broker: RunningBroker, _folder_worlds: Callable[[RunningBroker], ClaimWorld]) -> ClaimWorld:
    """The world, with nothing left in it of another test."""
    found = _folder_worlds(broker)
    found.empty()
    return found


@pytest.fixture(scope="session")
def _clouds(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[RunningBroker], Cloud]]:
    @contextmanager
    def make(broker: RunningBroker) -> Iterator[Cloud]:
        folder = tmp_path_factory.mktemp("s3-")
        claim_check = {"store": f"s3://{BUCKET}/{PREFIX}", "retention": "30d"}
        with running_s3(folder) as s3, running_world(broker, folder, claim_check, s3) as world:
            yield Cloud(world, s3, client_of(s3))

    with one_for_each_version(make) as clouds:
        yield clouds


@pytest.fixture
def cloud(broker: RunningBroker, _clouds: Callable[[RunningBroker], Cloud]) -> Cloud:
    """A world whose agents use S3, with nothing left in it of another test."""
    found = _clouds(broker)
    found.world.empty()
    for name in found.objects:
        found.delete(name)
    return found
