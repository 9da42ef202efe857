"""Topic permissions that vanish with their exchange (Khepri): they are in the plan, and nobody gets in meanwhile."""

from __future__ import annotations

import logging
import ssl
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pika
import pytest
from pika.adapters.blocking_connection import BlockingChannel
from pika.exceptions import ChannelClosedByBroker

from tests.brokers import RunningBroker
from tests.tool import Tool
from tests.topologies import Document, orders, write

pytestmark = pytest.mark.broker

ALLOWED, FORBIDDEN = "order.placed", "order.forbidden"
PASSWORD = "geheim-1"
EXCHANGES = ("orders", "other")
ACCEPTED, REFUSED, MISSING = 0, 403, 404
LIMIT_SECONDS = 60.0


def topology(vhost: str, **attributes: Any) -> Document:
    """Two exchanges with some attributes, and a user who may use all of them, but of the keys one only."""
    document = orders(name=vhost, vhost=vhost, exchanges=dict.fromkeys(EXCHANGES, attributes))
    document["users"] = {
        f"{vhost}-eve": {
            "password": {"env": "EVE"},
            "permissions": {"configure": "^eve", "write": ".*", "read": ".*"},
            "topic_permissions": [{"exchange": name, "write": f"^{ALLOWED}$", "read": "^$"} for name in EXCHANGES],
        }
    }
    return document


@pytest.fixture
def tool(broker: RunningBroker, vhost_name: str, tmp_path: Path) -> Iterator[Tool]:
    """The tool, with the topology applied; its users go at the end."""
    write(tmp_path / "topology.yaml", topology(vhost_name))
    tool = Tool.at(broker, tmp_path).having(EVE=PASSWORD)
    tool.run("apply", "--yes").check(0)
    yield tool
    for user in ("shop", "clerk", "eve"):
        broker.api("DELETE", f"/api/users/{vhost_name}-{user}")
    broker.api("DELETE", f"/api/global-parameters/letrade-topo.{vhost_name}.{vhost_name}")


@contextmanager
def hammering(broker: RunningBroker, vhost: str) -> Iterator[Counter[tuple[str, str, int]]]:
    """Who may not publishes and binds all the time, on each exchange; the counter says what came of it.

    The block begins when everything was refused once.
    """
    seen: Counter[tuple[str, str, int]] = Counter()
    stop = threading.Event()
    wanted = [(what, exchange, REFUSED) for what in ("publish", "bind") for exchange in EXCHANGES]
    works = [threading.Thread(target=_hammer, args=(broker, vhost, *one[:2], seen, stop)) for one in wanted]
    for work in works:
        work.start()
    try:
        deadline = time.monotonic() + LIMIT_SECONDS
        while not all(seen[one] for one in wanted):
            assert time.monotonic() < deadline, seen
            time.sleep(0.05)
        yield seen
    finally:
        stop.set()
        for work in works:
            work.join(LIMIT_SECONDS)


def _hammer(
    broker: RunningBroker, vhost: str, what: str, exchange: str, seen: Counter[Any], stop: threading.Event
) -> None:
    context = ssl.create_default_context(cafile=str(broker.ca_file))
    parameters = pika.ConnectionParameters(
        "127.0.0.1",
        broker.amqps_port,
        vhost,
        pika.PlainCredentials(f"{vhost}-eve", PASSWORD),
        ssl_options=pika.SSLOptions(context, "127.0.0.1"),
    )
    with pika.BlockingConnection(parameters) as connection:
        queue = f"eve-{what}-{exchange}"
        connection.channel().queue_declare(queue, exclusive=True)
        while not stop.is_set():
            channel = connection.channel()
            try:
                _try(channel, what, exchange, queue)
            except ChannelClosedByBroker as closed:
                seen[what, exchange, closed.reply_code] += 1
            else:
                seen[what, exchange, ACCEPTED] += 1
                channel.close()


def _try(channel: BlockingChannel, what: str, exchange: str, queue: str) -> None:
    if what == "bind":
        channel.queue_bind(queue, exchange, "#")
    else:
        channel.confirm_delivery()
        channel.basic_publish(exchange, FORBIDDEN, b"{}")


def topic_permissions(broker: RunningBroker, vhost: str) -> set[tuple[str, ...]]:
    """All of the vhost."""
    listed = broker.api("GET", f"/api/vhosts/{vhost}/topic-permissions").json()
    return {(one["user"], one["exchange"], one["write"], one["read"]) for one in listed}


@pytest.mark.parametrize("how", ["replaced", "deleted by hand"])
def test_an_exchange_that_is_made_again_is_never_open(
    tool: Tool, broker: RunningBroker, vhost_name: str, caplog: pytest.LogCaptureFixture, how: str
) -> None:
    """One run is enough, the topic permissions are as before, and no forbidden key was let in at any moment."""
    caplog.set_level(logging.CRITICAL, "pika")  # it tells of every refusal
    by_hand = {"exchange": "other", "write": "^by-hand$", "read": ""}
    path = f"/api/topic-permissions/{vhost_name}/{vhost_name}-shop"
    if how == "replaced":
        broker.api("PUT", path, json=by_hand).raise_for_status()
    before = topic_permissions(broker, vhost_name)
    with hammering(broker, vhost_name) as seen:
        if how == "replaced":
            write(tool.folder / "topology.yaml", topology(vhost_name, alternate_exchange="amq.fanout"))
            assert "may not use them" in tool.run("plan", "--allow", "replace").check(2).out
        else:
            for exchange in EXCHANGES:
                broker.api("DELETE", f"/api/exchanges/{vhost_name}/{exchange}").raise_for_status()
            # With Khepri the topic permissions may go a moment before their exchange: that door is the broker's.
            deadline = time.monotonic() + LIMIT_SECONDS
            while not all(seen[what, exchange, MISSING] for what in ("publish", "bind") for exchange in EXCHANGES):
                assert time.monotonic() < deadline, seen
                time.sleep(0.05)
            for key in [key for key in seen if key[2] == ACCEPTED]:
                del seen[key]
        tool.run("apply", "--yes", "--allow", "replace").check(0)
    assert topic_permissions(broker, vhost_name) == before
    assert not {key: count for key, count in seen.items() if key[2] == ACCEPTED}
    broker.api("DELETE", f"{path}/other").raise_for_status()
    tool.run("drift").check(0)
