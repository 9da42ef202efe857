"""Migrations that a broker's disk has no room for are refused with the figures."""

from __future__ import annotations

from pathlib import Path

import pytest

from letrade_topo.broker.objects import Queue
from letrade_topo.broker.order import Stage
from letrade_topo.plan.change import Action, Change, ChangeReason
from letrade_topo.plan.disk_room import NodeDisk, without_disk_room
from tests.brokers import BrokerFactory
from tests.migration.queues_in_use import CLASSIC, apply, topology
from tests.migration.traffic import Publisher
from tests.retry.world import until
from tests.tool import Tool
from tests.topologies import write

MIB = 2**20


def migration(name: str, reason: ChangeReason = ChangeReason.DIFFERS) -> Change:
    """Of a queue."""
    before, after = Queue(name), Queue(name, arguments={"x-queue-type": "quorum"})
    return Change(Action.MIGRATE, before, after, reason, Stage.QUEUES)


def test_the_least_room_decides_and_four_at_once_count() -> None:
    """Two copies of the four largest, on any node; one that says nothing is left out."""
    changes = [migration(f"q{number}") for number in range(6)]
    sizes = {f"q{number}": number * MIB for number in range(6)}
    large, small = NodeDisk("a", 900 * MIB, 50 * MIB), NodeDisk("b", 77 * MIB, 50 * MIB)
    ((address, why),) = without_disk_room(changes, sizes, [large, small])
    assert address == "queue:q5"
    assert "up to 28 MiB for a time, and b has 77 MiB free, of which the broker keeps 50 MiB" in why
    assert not list(without_disk_room(changes, sizes, [large]))
    assert not list(without_disk_room(changes, sizes, []))
    assert not list(without_disk_room(changes[:5], sizes, [small]))


def test_what_is_under_way_is_finished() -> None:
    """It has its room, or waits for it."""
    full = NodeDisk("a", 10, 10)
    assert not list(without_disk_room([migration("q", ChangeReason.UNDER_WAY)], {"q": 1}, [full]))


def test_only_a_running_node_says_how_much_is_free() -> None:
    """Another has no figures, or old ones."""
    item: dict[str, object] = {"name": "a", "running": True, "disk_free": 5, "disk_free_limit": 7}
    disk = NodeDisk.parse(item)
    assert disk is not None
    assert disk.room == 0
    assert NodeDisk.parse(item | {"running": False}) is None
    assert NodeDisk.parse({"name": "a", "running": True, "disk_free": "disk_free_monitoring_disabled"}) is None


@pytest.mark.broker
@pytest.mark.one_version
def test_a_disk_without_room_refuses_it(start_broker: BrokerFactory, broker_version: str, tmp_path: Path) -> None:
    """Of all that is free the broker keeps all but a little; nothing is changed."""
    broker = start_broker(broker_version)
    tool = Tool.at(broker, tmp_path).having(LETRADE_TOPO_AMQP=f"amqps://localhost:{broker.amqps_port}")
    apply(tool, topology("shop", {"stock": CLASSIC}))
    Publisher(broker, "shop", "events", "stock.placed").publish(100)
    write(tool.folder / "topology.yaml", topology("shop", {"stock": {"type": "quorum", "overflow": "none"}}))
    broker.ctl("set_disk_free_limit", "mem_relative", "1000.0")

    def is_refused() -> bool:
        return "make room on that disk" in tool.run("plan", "--allow", "migrate").out

    until(is_refused, "the broker's figures say so", 60)
    assert "make room on that disk" in tool.run("apply", "--yes", "--allow", "migrate").check(77).err
