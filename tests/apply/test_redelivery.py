"""A consumer that gives a message back again and again: the broker holds it back, where it can."""

from __future__ import annotations

import time
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import pytest

from letrade_topo.broker.capabilities import for_version
from tests.brokers import RunningBroker
from tests.management.endpoints import amqp
from tests.tool import Tool
from tests.topologies import orders, write

pytestmark = pytest.mark.broker

DELAY_SECONDS = 0.4
LIMIT_SECONDS = 60.0
TIMES = 3


@pytest.fixture
def tool(broker: RunningBroker, vhost_name: str, tmp_path: Path) -> Iterator[Tool]:
    """The tool in a folder; what it made goes at the end."""
    tool = Tool.at(broker, tmp_path)
    yield tool
    # The broker's count of a queue that is empty again may be seconds old.
    tool.run("destroy", "--yes", "--allow", "delete-messages=queue:clerk.orders").check(0)


def test_a_loop_of_a_consumer_is_slowed_down(tool: Tool, broker: RunningBroker, vhost_name: str) -> None:
    """Longer each time; before 4.3.1 nothing is held back, and `plan` says so. The limit still ends it."""
    limits = {"redelivery_delay": f"{DELAY_SECONDS * 1_000:.0f}ms", "delivery_limit": TIMES}
    write(tool.folder / "topology.yaml", orders(name=vhost_name, vhost=vhost_name, limits=limits))
    told = tool.run("apply", "--yes").check(0).out
    can = for_version(broker.version).delayed_retry
    assert ("`redelivery_delay` is left out" in told) == (not can)
    tool.run("drift").check(0)

    moments = [time.monotonic()]
    with amqp(broker, vhost_name) as channel:
        channel.basic_publish("", "clerk.orders", b"{}")
        while len(moments) <= TIMES + 1:
            method, _, _ = channel.basic_get("clerk.orders")
            if method is not None:
                moments.append(time.monotonic())
                channel.basic_reject(method.delivery_tag, requeue=True)
            assert time.monotonic() < moments[-1] + LIMIT_SECONDS
        _, *gaps = (later - earlier for earlier, later in pairwise(moments))
        assert channel.basic_get("clerk.orders")[0] is None
        deadline = time.monotonic() + LIMIT_SECONDS
        while channel.basic_get("clerk.orders.rejected", auto_ack=True)[0] is None:
            assert time.monotonic() < deadline
    if can:
        assert all(gap >= DELAY_SECONDS * number for number, gap in enumerate(gaps, start=1)), gaps
