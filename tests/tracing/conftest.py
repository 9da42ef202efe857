"""One receiver, and one traced world for each version of the broker, until the session ends."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager

import pytest

from tests.brokers import RunningBroker, one_for_each_version
from tests.tracing.receiver import Receiver, running_receiver
from tests.tracing.world import TracedWorld, traced_world


@pytest.fixture(scope="session")
def receiver() -> Iterator[Receiver]:
    """Where spans go."""
    with running_receiver() as found:
        yield found


@pytest.fixture(scope="session")
def _worlds(
    tmp_path_factory: pytest.TempPathFactory, receiver: Receiver
) -> Iterator[Callable[[RunningBroker], TracedWorld]]:
    environment = {"OTEL_EXPORTER_OTLP_ENDPOINT": receiver.url, "OTEL_EXPORTER_OTLP_HEADERS": "x-tenant=a%20b"}

    def start(broker: RunningBroker) -> AbstractContextManager[TracedWorld]:
        return traced_world(broker, tmp_path_factory.mktemp("traced-"), environment)

    with one_for_each_version(start) as worlds:
        yield worlds


@pytest.fixture
def world(broker: RunningBroker, _worlds: Callable[[RunningBroker], TracedWorld]) -> TracedWorld:
    """Both agents traced, on this broker."""
    return _worlds(broker)
