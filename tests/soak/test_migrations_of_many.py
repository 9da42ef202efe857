"""Campaign: a hundred queues in one apply, and brokers that are killed in the middle."""

from __future__ import annotations

import random
import re
import time
from pathlib import Path

import pytest

from tests.brokers import BrokerFactory, RunningBroker
from tests.migration.queues_in_use import CLASSIC, apply, objects, topology
from tests.migration.traffic import Publisher, drained
from tests.soak.conftest import Summarise
from tests.tool import Tool
from tests.topologies import write

QUORUM = {"type": "quorum", "overflow": "none"}
WINDOW = 1_000
EACH = 100


@pytest.mark.long_form  # the short ones are in tests/migration
def test_a_hundred_queues_migrate_at_once(
    broker: RunningBroker, vhost_name: str, tmp_path: Path, pytestconfig: pytest.Config, summarise: Summarise
) -> None:
    """How long it takes, beside what each takes."""
    names = [f"q{number:03}" for number in range(pytestconfig.getoption("--objects") // 10)]
    tool = Tool.at(broker, tmp_path).having(LETRADE_TOPO_AMQP=f"amqps://localhost:{broker.amqps_port}")
    apply(tool, topology(vhost_name, dict.fromkeys(names, CLASSIC)))
    for name in names:
        Publisher(broker, vhost_name, "events", f"{name}.placed").publish(EACH)
    write(tool.folder / "topology.yaml", topology(vhost_name, dict.fromkeys(names, QUORUM)))
    begin = time.monotonic()
    process = tool.start("apply", "--yes", "--allow", "migrate")
    said, problem = process.communicate()
    seconds = time.monotonic() - begin
    assert process.returncode == 0, said + problem
    each = [float(found) for found in re.findall(r"; ([0-9.]+) s, [0-9.]+ s of them", said)]
    assert len(each) == len(names)
    summarise(
        "migration of many",
        broker.version,
        f"{len(names)} queues of {EACH} messages: {seconds:.0f} s; the sum of all is {sum(each):.0f} s, "
        f"the longest {max(each):.1f} s",
    )
    for name in names:
        assert drained(broker, vhost_name, name) == list(range(EACH))


@pytest.mark.long_form
def test_the_broker_is_killed(
    start_broker: BrokerFactory,
    broker_version: str,
    tmp_path: Path,
    pytestconfig: pytest.Config,
    moments: random.Random,
    summarise: Summarise,
) -> None:
    """A single node, again and again; what it had confirmed is in the queue in the end."""
    broker = start_broker(broker_version)
    tool = Tool.at(broker, tmp_path).having(LETRADE_TOPO_AMQP=f"amqps://localhost:{broker.amqps_port}")
    apply(tool, topology("shop", {"stock": CLASSIC}))
    publisher = Publisher(broker, "shop", "events", "stock.placed")
    publisher.publish(pytestconfig.getoption("--messages") // 10)
    broker.sync_metadata()
    kills = 0
    for round_ in range(pytestconfig.getoption("--kills")):
        wanted = QUORUM if round_ % 2 == 0 else CLASSIC
        write(tool.folder / "topology.yaml", topology("shop", {"stock": wanted}))
        process = tool.start("apply", "--yes", "--allow", "migrate", "--lock-timeout", "60")
        time.sleep(moments.uniform(1, 12))
        kills += process.poll() is None
        broker.node.crash()
        process.communicate()
        broker.node.start()
        tool.run("apply", "--yes", "--allow", "migrate", "--lock-timeout", "60").check(0)
        assert set(objects(broker, "shop")["queues"]) == {"stock", "dead.letters"}
    got = drained(broker, "shop", "stock")
    lost, doubles = publisher.confirmed - set(got), len(got) - len(set(got))
    summarise(
        "migration, broker killed",
        broker.version,
        f"{len(publisher.confirmed):,} messages, {kills} kills in the middle: {len(lost)} lost, {doubles} twice",
    )
    assert not lost
    assert doubles <= kills * WINDOW
