"""What a vhost says of itself, on real brokers."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.brokers import RunningBroker
from tests.tool import Tool
from tests.topologies import write

pytestmark = pytest.mark.broker

SETTINGS = {"description": "of the shop", "tags": ["prod", "eu"], "default_queue_type": "quorum", "tracing": True}


class VhostOnBroker:
    """A topology of nothing but its vhost."""

    def __init__(self, broker: RunningBroker, folder: Path, name: str) -> None:
        self.broker, self.folder, self.name = broker, folder, name
        self.tool = Tool.at(broker, folder)

    def declare(self, vhost: Any, **sections: Any) -> None:
        """Write the topology."""
        document = {"topology": 1, "name": self.name, "vhost": vhost, "security": {"tls": {"required": False}}}
        write(self.folder / "topology.yaml", document | sections)

    def found(self) -> dict[str, Any]:
        """What the vhost says, the tags in order."""
        item = self.broker.api("GET", f"/api/vhosts/{self.name}").json()
        return {name: sorted(item[name]) if name == "tags" else item[name] for name in SETTINGS}


@pytest.fixture
def world(broker: RunningBroker, vhost_name: str, tmp_path: Path) -> Iterator[VhostOnBroker]:
    """Nothing on the broker yet; nothing at the end."""
    yield VhostOnBroker(broker, tmp_path, vhost_name)
    broker.api("DELETE", f"/api/global-parameters/letrade-topo.{vhost_name}.{vhost_name}")


def test_made_and_changed_as_said(world: VhostOnBroker) -> None:
    """With the vhost; what changes by hand is drift; tracing that was asked for is none."""
    world.declare({"name": world.name, **SETTINGS})
    world.tool.run("apply", "--yes").check(0)
    assert world.found() == SETTINGS | {"tags": ["eu", "prod"]}
    world.tool.run("drift").check(0)

    body = {"description": "by hand", "tags": "eu", "tracing": False}
    world.broker.api("PUT", f"/api/vhosts/{world.name}", json=body).raise_for_status()
    drift = world.tool.run("drift").check(2).out
    assert '"by hand" → "of the shop"' in drift or "of the shop" in drift
    world.tool.run("apply", "--yes").check(0)
    assert world.found() == SETTINGS | {"tags": ["eu", "prod"]}
    world.tool.run("destroy", "--yes").check(0)


def test_what_is_not_said_stays(world: VhostOnBroker) -> None:
    """Also while another setting is written, which the broker takes as a whole."""
    made = {**SETTINGS, "tracing": False, "defaultqueuetype": "quorum"}
    world.broker.api("PUT", f"/api/vhosts/{world.name}", json=made).raise_for_status()
    before = world.found()
    world.declare(world.name)
    world.tool.run("plan").check(0)
    world.declare({"name": world.name, "description": "another"})
    assert "adopt" in world.tool.run("apply", "--yes").check(77).out

    world.tool.run("apply", "--yes", "--allow", "adopt").check(0)

    assert world.found() == before | {"description": "another"}
    world.tool.run("drift").check(0)
