"""Migrations on real brokers: nothing is lost, order is kept, and the broker is as declared afterwards."""

from __future__ import annotations

import re
from contextlib import ExitStack

import pytest

from tests.brokers import RunningBroker
from tests.migration.queues_in_use import CHANGES, CLASSIC, apply, objects, topology
from tests.migration.traffic import Consumer, Publisher, drained
from tests.tool import Tool
from tests.topologies import write

pytestmark = pytest.mark.broker


def test_under_traffic_nothing_is_lost_and_order_is_kept(tool: Tool, broker: RunningBroker, vhost_name: str) -> None:
    """Six changes in one run; a publisher with confirms and a consumer of each queue go on all the while."""
    apply(tool, topology(vhost_name, {name: before for name, (before, _) in CHANGES.items()}))
    publishers = {name: Publisher(broker, vhost_name, "events", f"{name}.placed") for name in CHANGES}
    consumers = {name: Consumer(broker, vhost_name, name) for name in CHANGES}
    for publisher in publishers.values():
        publisher.publish(1_000)

    with ExitStack() as going:
        for consumer in consumers.values():
            going.enter_context(consumer.going())
        with ExitStack() as publishing:
            for publisher in publishers.values():
                publishing.enter_context(publisher.going(rate=50))
            after = topology(vhost_name, {name: after for name, (_, after) in CHANGES.items()})
            said = apply(tool, after, "--allow", "migrate")
        for name, consumer in consumers.items():
            consumer.until(publishers[name].published)

    for name, consumer in consumers.items():
        publisher = publishers[name]
        print(f"{name}: {consumer.longest_pause:.1f} s, {consumer.overtaken} overtaken, {publisher.slowest:.2f} s")
        assert not publisher.refused
        assert set(consumer.got) == publisher.confirmed, name
        assert consumer.doubles == 0
        assert consumer.cancels <= 1
        told = re.search(rf"migrated queue:{name}: .*?(?:(\d+) of them behind newer ones)?;", said)
        assert told is not None, said
        assert consumer.overtaken <= int(told[1] or 0)
        assert set(consumer.seen) == {(f"{name}.placed", 5)}
    tool.run("drift").check(0)
    assert set(objects(broker, vhost_name)["queues"]) == {*CHANGES, "dead.letters"}


@pytest.mark.one_version
def test_what_nobody_consumes_keeps_its_order(tool: Tool, broker: RunningBroker, vhost_name: str) -> None:
    """It is moved away and back."""
    apply(tool, topology(vhost_name, {"stock": CLASSIC}))
    publisher = Publisher(broker, vhost_name, "events", "stock.placed")
    publisher.publish(3_000)
    before = objects(broker, vhost_name)
    write(tool.folder / "topology.yaml", topology(vhost_name, {"stock": {"type": "quorum", "overflow": "none"}}))

    assert "--allow migrate" in tool.run("apply", "--yes", "--allow", "replace").check(77).err
    tool.run("apply", "--yes", "--allow", "migrate=queue:stock").check(0)

    after = objects(broker, vhost_name)
    assert after["queues"].pop("stock")["x-queue-type"] == "quorum"
    before["queues"].pop("stock")
    assert after == before
    assert drained(broker, vhost_name, "stock") == list(range(3_000))
