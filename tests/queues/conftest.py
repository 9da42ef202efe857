"""Worlds: one for each version of the broker, emptied before each test; or one of a test's own."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.brokers import RunningBroker
from tests.queues.world import LetterWorld

Worlds = Callable[[RunningBroker], LetterWorld]


@pytest.fixture(scope="session")
def _worlds(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Worlds]:
    made: dict[str, LetterWorld] = {}

    def get(broker: RunningBroker) -> LetterWorld:
        if broker.version not in made:
            made[broker.version] = _make(broker, tmp_path_factory.mktemp("queues-"))
        made[broker.version].empty()
        return made[broker.version]

    yield get
    for world in made.values():
        if world.broker.node.is_running:
            world.destroy()


@pytest.fixture
def world(broker: RunningBroker, _worlds: Worlds) -> LetterWorld:
    """The topology on the shared broker, of each version: for what the broker has a part in."""
    return _worlds(broker)


@pytest.fixture
def one_world(one_broker: RunningBroker, _worlds: Worlds) -> LetterWorld:
    """The same on the broker of one version: for what the tool does by itself."""
    return _worlds(one_broker)


@pytest.fixture
def own_world(one_broker: RunningBroker, tmp_path: Path) -> Iterator[LetterWorld]:
    """One whose queues may be deleted."""
    world = _make(one_broker, tmp_path)
    yield world
    world.destroy()


def _make(broker: RunningBroker, folder: Path) -> LetterWorld:
    return LetterWorld.make(broker, f"queues-{uuid.uuid4().hex[:12]}", folder)
