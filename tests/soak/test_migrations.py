"""Campaign: every change that makes a queue anew, under traffic, with apply killed at random moments."""

from __future__ import annotations

import random
import time
from pathlib import Path

import pytest

from tests.brokers import RunningBroker
from tests.migration.queues_in_use import CHANGES, apply, topology
from tests.migration.traffic import Consumer, Publisher
from tests.soak.conftest import Summarise
from tests.tool import Tool
from tests.topologies import write

MESSAGES_A_SECOND = 2_500
"""A migration takes about as long as its queue holds messages: within that time apply is killed."""
WINDOW = 1_000
"""Of a mover."""


@pytest.mark.long_form  # the short ones are in tests/migration
@pytest.mark.parametrize("change", CHANGES)
@pytest.mark.parametrize("killed", [False, True], ids=["undisturbed", "killed"])
def test_migrations(
    broker: RunningBroker,
    vhost_name: str,
    tmp_path: Path,
    pytestconfig: pytest.Config,
    moments: random.Random,
    summarise: Summarise,
    change: str,
    killed: bool,
) -> None:
    """Nothing lost; doubles and order as the plan says."""
    count, rate = pytestconfig.getoption("--messages"), pytestconfig.getoption("--rate")
    tool = Tool.at(broker, tmp_path).having(LETRADE_TOPO_AMQP=f"amqps://localhost:{broker.amqps_port}")
    before, after = CHANGES[change]
    apply(tool, topology(vhost_name, {change: before}))
    publisher = Publisher(broker, vhost_name, "events", f"{change}.placed")
    consumer = Consumer(broker, vhost_name, change, prefetch=500)
    publisher.publish(count)
    write(tool.folder / "topology.yaml", topology(vhost_name, {change: after}))
    kills, begin = 0, time.monotonic()
    options = ("apply", "--yes", "--allow", "migrate", "--lock-timeout", "60")
    with consumer.going():
        with publisher.going(rate=rate):
            for _ in range(pytestconfig.getoption("--kills") if killed else 0):
                process = tool.start(*options)
                time.sleep(moments.uniform(0.5, count / MESSAGES_A_SECOND))
                kills += process.poll() is None
                process.kill()
                process.communicate()
            process = tool.start(*options)
            said, problem = process.communicate()
            print(said[-400:], problem)
            assert process.returncode == 0, said + problem
        seconds = time.monotonic() - begin
        consumer.until(publisher.published, 600)
    tool.run("drift").check(0)

    lost = publisher.confirmed - set(consumer.got)
    figures = (
        f"{publisher.published:,} messages, {kills} kills, {seconds:.0f} s: {len(lost)} lost, "
        f"{len(publisher.refused)} refused, {consumer.doubles} twice, {consumer.overtaken} overtaken, "
        f"longest pause of the consumer {consumer.longest_pause:.1f} s, slowest confirm {publisher.slowest:.2f} s"
    )
    summarise(f"migration: {change}", broker.version, figures)
    assert not lost
    assert not publisher.refused
    assert consumer.doubles <= kills * WINDOW
