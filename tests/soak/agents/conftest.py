"""The world that campaigns of agents share."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.brokers import RunningBroker
from tests.soak.agents.world import CampaignWorld, running_world


@pytest.fixture
def world(one_broker: RunningBroker, tmp_path: Path) -> Iterator[CampaignWorld]:
    """A world on the broker of one version: what these campaigns show depends on none."""
    with running_world(one_broker, tmp_path) as made:
        yield made
