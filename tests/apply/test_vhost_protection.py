"""A vhost that is protected from deletion, on real brokers."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from letrade_topo.broker.capabilities import for_version
from tests.brokers import RunningBroker
from tests.tool import Tool
from tests.topologies import orders, write

pytestmark = pytest.mark.broker


@pytest.fixture
def tool(broker: RunningBroker, vhost_name: str, tmp_path: Path) -> Iterator[Tool]:
    """The tool in a folder; whatever is left goes at the end."""
    yield Tool.at(broker, tmp_path)
    broker.api("DELETE", f"/api/vhosts/{vhost_name}/deletion/protection")
    for user in (f"{vhost_name}-shop", f"{vhost_name}-clerk"):
        broker.api("DELETE", f"/api/users/{user}")
    broker.api("DELETE", f"/api/global-parameters/letrade-topo.{vhost_name}.{vhost_name}")


def declare(tool: Tool, vhost: str, *, protected: bool | None) -> None:
    """Write the topology."""
    write(tool.folder / "topology.yaml", orders(name=vhost, vhost=vhost, vhost_protected=protected))


def test_it_stands_until_it_is_taken_back(tool: Tool, broker: RunningBroker, vhost_name: str) -> None:
    """Made with the vhost or later, drift when it is lifted by hand; `destroy` refuses in words on every version."""
    knows = for_version(broker.version).vhost_deletion_protection
    declare(tool, vhost_name, protected=True)
    plan = tool.run("apply", "--yes").check(0).out
    assert ("cannot be protected" in plan) == (not knows)
    tool.run("drift").check(0)
    assert broker.api("POST", f"/api/vhosts/{vhost_name}/deletion/protection").ok == knows
    if knows:
        broker.api("DELETE", f"/api/vhosts/{vhost_name}/deletion/protection").raise_for_status()
        assert "protected" in tool.run("drift").check(2).out
        tool.run("apply", "--yes").check(0)
        assert broker.api("DELETE", f"/api/vhosts/{vhost_name}").status_code == 412

    assert "protected from deletion" in tool.run("destroy", "--yes").check(77).err
    assert broker.api("GET", f"/api/queues/{vhost_name}/clerk.orders").status_code == 200

    declare(tool, vhost_name, protected=False)
    tool.run("apply", "--yes").check(0)
    tool.run("destroy", "--yes").check(0)
    assert broker.api("GET", f"/api/vhosts/{vhost_name}").status_code == 404
