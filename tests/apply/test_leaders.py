"""Nothing is written while a queue of the topology has no leader, where the broker can tell."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from letrade_topo.broker.capabilities import for_version
from tests.agent.proxy.world import wait_until
from tests.brokers import RunningBroker
from tests.controllers import running_controller
from tests.tool import Tool
from tests.topologies import orders, write

pytestmark = pytest.mark.broker


@pytest.fixture
def tool(broker: RunningBroker, vhost_name: str, tmp_path: Path) -> Iterator[Tool]:
    """The tool, with a small topology that is applied; its users go at the end."""
    write(tmp_path / "topology.yaml", orders(name=vhost_name, vhost=vhost_name))
    tool = Tool.at(broker, tmp_path)
    tool.run("apply", "--yes").check(0)
    yield tool
    for user in (f"{vhost_name}-shop", f"{vhost_name}-clerk"):
        broker.api("DELETE", f"/api/users/{user}")
    broker.api("DELETE", f"/api/global-parameters/letrade-topo.{vhost_name}.{vhost_name}")


def test_a_queue_without_a_leader_stands_against_a_run(tool: Tool, broker: RunningBroker, vhost_name: str) -> None:
    """Before 4.1 nobody can tell. Nothing to do stays so; `watch --mode repair` is not held up."""
    member = f"{{'{vhost_name}_clerk.orders', node()}}"
    broker.ctl("eval", f"ra:stop_server(quorum_queues, {member}).")
    tool.run("plan").check(0)
    document = orders(name=vhost_name, vhost=vhost_name)
    document["exchanges"]["more"] = {}
    write(tool.folder / "topology.yaml", document)
    if not for_version(broker.version).leaders_checked:
        tool.run("apply", "--yes").check(0)
        return

    refused = tool.run("apply", "--yes").check(77).err
    assert "queue:clerk.orders: it has no elected leader" in refused
    assert "--allow leaderless" in refused
    assert broker.api("GET", f"/api/exchanges/{vhost_name}/more").status_code == 404
    with running_controller(broker, tool.folder / "topology.yaml", mode="repair") as controller:
        made = f"/api/exchanges/{vhost_name}/more"
        controller.until(lambda: broker.api("GET", made).status_code == 200, "what is missing is made")

    document["exchanges"]["again"] = {}
    write(tool.folder / "topology.yaml", document)
    tool.run("apply", "--yes", "--allow", "leaderless=queue:clerk.orders").check(0)
    document["exchanges"]["at_last"] = {}
    write(tool.folder / "topology.yaml", document)
    broker.ctl("eval", f"ra:restart_server(quorum_queues, {member}).")
    path = f"/api/health/checks/quorum-queues-without-elected-leaders/vhost/{vhost_name}"
    wait_until("it has a leader again", lambda: broker.api("GET", path).status_code == 200)
    tool.run("apply", "--yes").check(0)
