"""Migrations that are killed, or go back: nothing is lost, and what is on the broker is as before or as declared."""

from __future__ import annotations

import random
import re
import signal
import time
from pathlib import Path

import pytest

from tests.brokers import RunningBroker
from tests.migration.queues_in_use import CLASSIC, apply, objects, topology
from tests.migration.traffic import Publisher, connected, drained
from tests.tool import Tool, ended
from tests.topologies import write

pytestmark = pytest.mark.broker

QUORUM = {"type": "quorum", "overflow": "none"}
WINDOW = 1_000
"""Of a mover: as many messages may be there twice for each time that it is killed."""


def killed_after(tool: Tool, seconds: float, *options: str) -> bool:
    """Start an apply and kill it; whether it was still running."""
    process = tool.start("apply", "--yes", "--lock-timeout", "60", *options)
    time.sleep(seconds)
    was_running = process.poll() is None
    process.kill()
    process.communicate()
    return was_running


@pytest.mark.one_version
def test_killed_again_and_again_the_next_apply_finishes(
    tool: Tool, broker: RunningBroker, vhost_name: str, tmp_path: Path, pytestconfig: pytest.Config
) -> None:
    """While a publisher goes on; nobody consumes, so everything is moved away and back."""
    moments = random.Random(pytestconfig.getoption("--seed"))  # noqa: S311  # moments, no secrets
    apply(tool, topology(vhost_name, {"stock": CLASSIC}))
    publisher = Publisher(broker, vhost_name, "events", "stock.placed")
    publisher.publish(2_000)
    write(tool.folder / "topology.yaml", topology(vhost_name, {"stock": QUORUM}))
    kills = 0
    with publisher.going(rate=100):
        for _ in range(pytestconfig.getoption("--kills") // 2):
            kills += killed_after(tool, moments.uniform(1, 9), "--allow", "migrate")
        tool.run("apply", "--yes", "--allow", "migrate", "--lock-timeout", "60").check(0)
    tool.run("drift").check(0)
    assert set(objects(broker, vhost_name)["queues"]) == {"stock", "dead.letters"}

    got = drained(broker, vhost_name, "stock")

    assert not publisher.refused
    assert publisher.confirmed <= set(got)
    doubles = len(got) - len(set(got))
    assert doubles <= kills * 2 * WINDOW


@pytest.mark.one_version
def test_going_back_leaves_the_broker_as_it_was(tool: Tool, broker: RunningBroker, vhost_name: str) -> None:
    """Killed at a step before the deletion, object by object."""
    apply(tool, topology(vhost_name, {"stock": CLASSIC}))
    publisher = Publisher(broker, vhost_name, "events", "stock.placed")
    publisher.publish(2_000)
    before = objects(broker, vhost_name)
    write(tool.folder / "topology.yaml", topology(vhost_name, {"stock": QUORUM}))
    process = tool.start("apply", "--yes", "--allow", "migrate")
    assert process.stderr is not None
    for line in process.stderr:
        if "without consumers move" in line:
            break
    process.kill()
    ended(process)
    publisher.publish(500)

    found = tool.run("drift").check(2).out
    assert "a migration of it has begun" in found
    assert re.search("at the step", tool.run("destroy", "--yes").check(77).err)
    tool.run("apply", "--yes", "--abort-migration", "queue:stock", "--lock-timeout", "60").check(0)

    assert objects(broker, vhost_name) == before
    apply(tool, topology(vhost_name, {"stock": CLASSIC}))
    tool.run("drift").check(0)
    got = drained(broker, vhost_name, "stock")
    assert sorted(set(got)) == list(range(2_500))
    tool.run("apply", "--yes", "--abort-migration", "queue:stock").check(77)


@pytest.mark.one_version
def test_ctrl_c_ends_it_soon_and_a_consumer_that_settles_nothing_holds_it_up(
    tool: Tool, broker: RunningBroker, vhost_name: str
) -> None:
    """What it holds is not deleted; what arrives waits; the next apply goes on when the consumer is gone."""
    apply(tool, topology(vhost_name, {"stock": CLASSIC}))
    publisher = Publisher(broker, vhost_name, "events", "stock.placed")
    publisher.publish(50)
    write(tool.folder / "topology.yaml", topology(vhost_name, {"stock": QUORUM}))
    holding = connected(broker, vhost_name)
    channel = holding.channel()
    channel.basic_consume("stock", lambda *_: None)
    process = tool.start("apply", "--yes", "--allow", "migrate")
    assert process.stderr is not None
    for line in process.stderr:
        if "without consumers move" in line:
            break
    holding.process_data_events(3)
    publisher.publish(50)
    assert process.poll() is None
    process.send_signal(signal.SIGINT)
    ended(process).check(130)
    holding.close()

    tool.run("apply", "--yes", "--allow", "migrate").check(0)

    assert drained(broker, vhost_name, "stock") == list(range(100))
