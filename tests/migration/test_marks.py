"""Whatever holds messages is marked as empty on the broker before a migration deletes it."""

from __future__ import annotations

from typing import Any

import pytest

from letrade_topo.apply import moves
from letrade_topo.broker.objects import Queue
from letrade_topo.cli.main import main
from letrade_topo.exit_codes import ExitCode
from letrade_topo.management.perform import delete
from tests.brokers import RunningBroker
from tests.migration.queues_in_use import apply, objects, topology
from tests.migration.traffic import Publisher, drained
from tests.tool import Tool
from tests.topologies import write

pytestmark = pytest.mark.broker

QUORUM = {"type": "quorum", "overflow": "none"}
LIMITED = QUORUM | {"arguments": {"x-max-length": 1_000_000}}


@pytest.mark.one_version
def test_quorum_queues_are_marked_before_they_are_deleted(
    tool: Tool, broker: RunningBroker, vhost_name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The old queue, the kept one and the side queue; looked at on the broker when each deletion begins."""
    apply(tool, topology(vhost_name, {"stock": QUORUM}))
    Publisher(broker, vhost_name, "events", "stock.placed").publish(20)
    write(tool.folder / "topology.yaml", topology(vhost_name, {"stock": LIMITED}))
    marked: dict[str, bool] = {}

    def looked_at(client: Any, vhost: str, thing: Queue, **options: Any) -> None:
        found = {source for source, queue, _ in objects(broker, vhost)["bindings"] if queue == thing.name}
        marked[thing.name] = "stock.migrating.empty" in found
        delete(client, vhost, thing, **options)

    monkeypatch.setattr(moves, "delete", looked_at)
    monkeypatch.chdir(tool.folder)
    for name, value in tool.environment.items():
        monkeypatch.setenv(name, value)

    assert main(["apply", "--yes", "--allow", "migrate"]) == ExitCode.OK

    assert marked == {"stock": True, "stock.migrating.kept": True, "stock.migrating": True}
    assert drained(broker, vhost_name, "stock") == list(range(20))
