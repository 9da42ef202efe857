"""The tool beside a broker."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.brokers import RunningBroker
from tests.tool import Tool


@pytest.fixture
def tool(broker: RunningBroker, tmp_path: Path) -> Tool:
    """The tool in a folder of its own."""
    return Tool.at(broker, tmp_path).having(LETRADE_TOPO_AMQP=f"amqps://localhost:{broker.amqps_port}")
