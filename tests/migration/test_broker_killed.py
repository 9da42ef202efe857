"""A broker that is killed right after a migration has made a queue: the next apply finishes all the same."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import pytest

from tests.brokers import BrokerFactory, RunningBroker
from tests.migration.queues_in_use import CLASSIC, apply, objects, topology
from tests.migration.traffic import Publisher, connected, drained
from tests.tool import Tool
from tests.topologies import write

pytestmark = [pytest.mark.broker, pytest.mark.wide]

QUORUM = {"type": "quorum", "overflow": "none"}
LIMITED = QUORUM | {"arguments": {"x-max-length": 1_000_000}}
UNWRITTEN_SECONDS = 0.4
"""Mnesia has written that there is a queue; Ra has not yet written who its member is."""


def put(broker: RunningBroker, path: str, **body: object) -> None:
    """Make something."""
    answer = broker.api("POST" if path.startswith("bindings") else "PUT", f"/api/{path}", json=body)
    assert answer.ok, answer.text


def test_a_queue_without_a_leader_is_made_once_more(
    start_broker: BrokerFactory, broker_version: str, tmp_path: Path
) -> None:
    """Killed so early, RabbitMQ before 4.3 starts with a queue that elects nobody, ever. The side queue of `first` is
    one, and `second` itself, which had been made anew."""
    broker = start_broker(broker_version)
    tool = Tool.at(broker, tmp_path).having(LETRADE_TOPO_AMQP=f"amqps://localhost:{broker.amqps_port}")
    names = ("first", "second")
    apply(tool, topology("shop", dict.fromkeys(names, CLASSIC)))
    for name in names:
        Publisher(broker, "shop", "events", f"{name}.placed").publish(20)
    write(tool.folder / "topology.yaml", topology("shop", dict.fromkeys(names, QUORUM)))
    _stand_at_empty(tool, broker, names)
    _as_before_the_switch(broker, "first")
    _as_after_the_deletion(broker, "second")
    for made in ("first.migrating", "second"):
        put(broker, f"queues/shop/{made}", durable=True, arguments={"x-queue-type": "quorum"})
    time.sleep(UNWRITTEN_SECONDS)  # the moment that the test is about
    broker.node.crash()
    broker.node.start()

    tool.run("apply", "--yes", "--allow", "migrate", "--lock-timeout", "60").check(0)

    assert set(objects(broker, "shop")["queues"]) == {*names, "dead.letters"}
    tool.run("drift").check(0)
    assert drained(broker, "shop", "first") == list(range(20))
    Publisher(broker, "shop", "events", "second.placed").publish(20)
    assert drained(broker, "shop", "second") == list(range(20))


def test_going_back_is_not_held_up_by_a_queue_without_a_leader(
    start_broker: BrokerFactory, broker_version: str, tmp_path: Path
) -> None:
    """Nothing had led to the side queue yet, so what it held need not be known."""
    broker = start_broker(broker_version)
    tool = Tool.at(broker, tmp_path).having(LETRADE_TOPO_AMQP=f"amqps://localhost:{broker.amqps_port}")
    apply(tool, topology("shop", {"stock": CLASSIC}))
    before = objects(broker, "shop")
    Publisher(broker, "shop", "events", "stock.placed").publish(20)
    write(tool.folder / "topology.yaml", topology("shop", {"stock": QUORUM}))
    _stand_at_empty(tool, broker, ("stock",))
    for path in (
        "exchanges/shop/stock.migrating.side",
        "exchanges/shop/stock.migrating.kept",
        "queues/shop/stock.migrating.kept",
    ):
        broker.api("DELETE", f"/api/{path}")
    _as_before_the_switch(broker, "stock")
    put(broker, "queues/shop/stock.migrating", durable=True, arguments={"x-queue-type": "quorum"})
    time.sleep(UNWRITTEN_SECONDS)  # the moment that the test is about
    broker.node.crash()
    broker.node.start()

    tool.run("apply", "--yes", "--abort-migration", "queue:stock", "--lock-timeout", "60").check(0)

    assert objects(broker, "shop") == before
    assert drained(broker, "shop", "stock") == list(range(20))


@pytest.mark.parametrize("goal", ["--allow=migrate", "--abort-migration=queue:first"])
def test_a_queue_that_was_half_deleted_is_deleted_once_more(
    start_broker: BrokerFactory, broker_version: str, tmp_path: Path, goal: str
) -> None:
    """The node that was to delete it died when its members had gone and its name had not. Going back after a start,
    which makes a new member of it, which elects nobody."""
    broker, tool, before = _stood_at_empty(start_broker(broker_version), tmp_path)
    Publisher(broker, "shop", "events", "first.placed").publish(20)
    _half_delete(broker, "first", "first")
    is_going_back = goal.startswith("--abort")
    if is_going_back:
        broker.node.crash()
        broker.node.start()

    said = tool.run("apply", "--yes", goal, "--lock-timeout", "60").check(0).err

    is_alive = is_going_back and broker.version_numbers >= (4, 3)  # its new member elects itself
    assert ("half deleted" in said) is not is_alive
    after = objects(broker, "shop")
    assert after["queues"].pop("first").pop("x-max-length", None) == (None if is_going_back else 1_000_000)
    before["queues"].pop("first")
    assert after == before
    assert drained(broker, "shop", "first") == list(range(20))


def test_a_side_queue_that_was_half_deleted_is_deleted_once_more(
    start_broker: BrokerFactory, broker_version: str, tmp_path: Path
) -> None:
    """At the very end of the migration, when all that it held is in the new queue."""
    broker, tool, _ = _stood_at_empty(start_broker(broker_version), tmp_path)
    _as_after_the_deletion(broker, "first")
    put(broker, "queues/shop/first", durable=True, arguments={"x-queue-type": "quorum", "x-max-length": 1_000_000})
    for key in ("first.#", "*.first"):
        put(broker, "bindings/shop/e/events/q/first", routing_key=key)
    for name in ("first.migrating", "first.migrating.side"):
        assert broker.api("DELETE", f"/api/exchanges/shop/{name}").ok
    Publisher(broker, "shop", "events", "first.placed").publish(20)
    _half_delete(broker, "first", "first.migrating")

    said = tool.run("apply", "--yes", "--allow", "migrate", "--lock-timeout", "60").check(0).err

    assert "half deleted" in said
    assert set(objects(broker, "shop")["queues"]) == {"first", "dead.letters"}
    tool.run("drift").check(0)
    assert drained(broker, "shop", "first") == list(range(20))


def test_a_marked_queue_that_lives_keeps_what_it_holds(
    start_broker: BrokerFactory, broker_version: str, tmp_path: Path
) -> None:
    """The run was killed between the mark and the deletion; then somebody published to the queue by its name."""
    broker, tool, _ = _stood_at_empty(start_broker(broker_version), tmp_path)
    _mark(broker, "first", "first")
    Publisher(broker, "shop", "", "first").publish(20)

    said = tool.run("apply", "--yes", "--allow", "migrate", "--lock-timeout", "60").check(0).err

    assert "half deleted" not in said
    assert drained(broker, "shop", "first") == list(range(20))


def _stood_at_empty(broker: RunningBroker, folder: Path) -> tuple[RunningBroker, Tool, dict[str, Any]]:
    """A run that was killed before it deleted the quorum queue `first`; and what was on the broker before it."""
    tool = Tool.at(broker, folder).having(LETRADE_TOPO_AMQP=f"amqps://localhost:{broker.amqps_port}")
    apply(tool, topology("shop", {"first": QUORUM}))
    before = objects(broker, "shop")
    write(tool.folder / "topology.yaml", topology("shop", {"first": LIMITED}))
    _stand_at_empty(tool, broker, ("first",))
    return broker, tool, before


def _stand_at_empty(tool: Tool, broker: RunningBroker, names: tuple[str, ...]) -> None:
    """Begin migrations that consumers hold up, and kill the run."""
    holding = connected(broker, "shop")
    channel = holding.channel()
    for name in names:
        channel.basic_consume(name, lambda *_: None)
    process = tool.start("apply", "--yes", "--allow", "migrate")
    assert process.stderr is not None
    emptied = 0
    for line in process.stderr:
        emptied += "without consumers move" in line
        if emptied == len(names):
            break
    process.kill()
    process.communicate()
    holding.close()


def _as_before_the_switch(broker: RunningBroker, name: str) -> None:
    """No junction, and no side queue yet."""
    for path in (f"exchanges/shop/{name}.migrating", f"queues/shop/{name}.migrating"):
        assert broker.api("DELETE", f"/api/{path}").ok
    for key in (f"{name}.#", f"*.{name}"):
        put(broker, f"bindings/shop/e/events/q/{name}", routing_key=key)


def _as_after_the_deletion(broker: RunningBroker, name: str) -> None:
    """The queue is gone, and was not made again."""
    assert broker.api("DELETE", f"/api/queues/shop/{name}").ok  # with what it held: here it is not about that


def _mark(broker: RunningBroker, migrated: str, queue: str) -> None:
    """As a migration marks a queue that it has found empty."""
    put(broker, f"exchanges/shop/{migrated}.migrating.empty", type="fanout", durable=True, internal=True)
    put(broker, f"bindings/shop/e/{migrated}.migrating.empty/q/{queue}")


def _half_delete(broker: RunningBroker, migrated: str, queue: str) -> None:
    """The first half of what the broker does to delete a quorum queue that is marked as empty."""
    _mark(broker, migrated, queue)
    assert "ok" in broker.ctl("eval", f"ra:delete_cluster([{{'shop_{queue}', node()}}]).")
