"""A world for each test, in a vhost of its own."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.brokers import RunningBroker
from tests.queues.world import World


@pytest.fixture
def world(broker: RunningBroker, vhost_name: str, tmp_path: Path) -> World:
    """The topology on the shared broker."""
    return World.make(broker, vhost_name, tmp_path)
