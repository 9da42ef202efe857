"""Queues of services whose messages are signed: agents take what was moved, once, with the keys that topology names."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.agents import make_key_folder
from tests.brokers import RunningBroker
from tests.retry.world import RetryWorld, Seen, always, until
from tests.tool import Tool
from tests.topologies import Document, loaded, orders, write

pytestmark = [pytest.mark.broker, pytest.mark.one_version]

QUEUE = "clerk.orders"


def document(vhost: str, *, single: bool) -> Document:
    """The queue, before and after."""
    found = orders(name=vhost, vhost=vhost)
    found["messages"] = {key: {"exchange": "orders", "lifetime": "10m"} for key in found["messages"]}
    found["queues"][QUEUE]["single_active_consumer"] = single
    return found


@pytest.fixture
def world(broker: RunningBroker, vhost_name: str, tmp_path: Path) -> Iterator[RetryWorld]:
    """A shop and a clerk, each with its agent."""
    before = document(vhost_name, single=False)
    write(tmp_path / "topology.yaml", before)
    Tool.at(broker, tmp_path).run("apply", "--yes").check(0)
    make_key_folder(tmp_path / "keys", loaded(before))
    world = RetryWorld(broker, tmp_path, vhost_name)
    with ExitStack() as agents:
        for service in ("shop", "clerk"):
            world.agents[service] = agents.enter_context(world.agent(service))
        yield world
    for user in (f"{vhost_name}-shop", f"{vhost_name}-clerk"):
        broker.api("DELETE", f"/api/users/{user}")


def tool(world: RetryWorld) -> Tool:
    """With the AMQP port of the broker."""
    return world.tool.having(LETRADE_TOPO_AMQP=f"amqps://localhost:{world.broker.amqps_port}")


def test_what_is_moved_retried_or_published_meanwhile_comes_once(world: RetryWorld) -> None:
    """Some wait to be retried, some for a consumer, some are published all the while: each reaches the service once."""
    refused: list[str] = []

    def second_time(seen: Seen) -> bool:
        is_taken = seen.message_id in refused
        if not is_taken:
            refused.append(seen.message_id)
        return is_taken

    with world.consuming(QUEUE, second_time):
        retried = world.publish_all([("order.placed", number) for number in range(20)])
        until(lambda: len(refused) == len(retried), "all are refused")
    published = world.publish_all([("order.placed", number) for number in range(100)])
    write(world.folder / "topology.yaml", document(world.vhost, single=True))
    assert "a mover's key" in tool(world).run("apply", "--yes", "--allow", "migrate").check(1).err
    stop = threading.Event()

    def go_on() -> None:
        while not stop.is_set():
            published.extend(world.publish_all([("order.placed", number) for number in range(10)]))
            time.sleep(0.1)

    publisher = threading.Thread(target=go_on)
    publisher.start()
    tool(world).run("apply", "--yes", "--allow", "migrate", "--keys", "keys").check(0)
    stop.set()
    publisher.join()
    with world.consuming(QUEUE, always) as clerk:
        # What came due while the queue was away, the broker tries again within three minutes.
        until(lambda: set(clerk.accepted) >= {*published, *retried}, "all have come", 240)

    assert sorted(clerk.accepted) == sorted([*published, *retried])
    assert {(seen.exchange, seen.routing_key) for seen in clerk.seen} == {("orders", "order.placed")}
    assert {seen.attempt for seen in clerk.seen if seen.message_id in retried} == {1}
    assert {seen.attempt for seen in clerk.seen if seen.message_id in published} == {0}
    assert world.look() == {}
    tool(world).run("drift").check(0)
