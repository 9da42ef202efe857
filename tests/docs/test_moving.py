"""`docs/how-to/move-to-the-message-bus.md`, followed: its files, its programs, its commands in their order.

Nothing of the page is changed but the addresses, which are this test's own.
"""

from __future__ import annotations

import json
import shutil
import uuid
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pika

from letrade_topo.load.topology_file import load_topology
from letrade_topo.node.settings import TLS_ONLY, Listener
from tests.agents import login_of, running_agent
from tests.brokers import BrokerFactory, RunningBroker
from tests.docs.follower import HOW_TO, Follower, blocks, until
from tests.ports import free_ports

PAGE = (HOW_TO / "move-to-the-message-bus.md").read_text(encoding="utf-8")
DIFFERENT = {
    "letrade-topo plan": 2,
    "letrade-topo drift": 2,
    "letrade-topo rehearse --agent http://127.0.0.1:9464": 2,
}
"""Exit codes other than 0."""


def test_the_page(start_broker: BrokerFactory, one_broker_version: str, tmp_path: Path) -> None:
    """The service trades before the first step and after every one; in the end nothing unsigned reaches it."""
    broker = start_broker(one_broker_version, listeners=TLS_ONLY | {Listener.AMQP})
    _make_vhost(broker)
    for number, (name, text) in enumerate(_files(PAGE)):
        assert number < 3
        (tmp_path / name).write_text(text, encoding="utf-8")
    shutil.copy(broker.ca_file, tmp_path / "ca.pem")
    for source, suffix in zip(broker.client_certificate("exchange_connector"), ("pem", "key"), strict=True):
        shutil.copy(source, tmp_path / f"exchange_connector.{suffix}")
    with ExitStack() as stack:
        port, admin = free_ports(2)
        plain = broker.node.ports.listeners[Listener.AMQP]
        login = f"{broker.username}:{broker.password}"
        addresses = {
            "amqp://rabbit.example.com/": f"amqp://{login}@127.0.0.1:{plain}/",
            "amqps://rabbit.example.com:5671": broker.amqps_url,
            "amqp://127.0.0.1:5672": f"amqp://127.0.0.1:{port}",
            "http://127.0.0.1:9464": f"http://127.0.0.1:{admin}",
        }
        one = Follower(PAGE, broker, tmp_path, stack, port, admin, addresses, DIFFERENT)
        straight = f"amqp://{login}@127.0.0.1:{plain}/letrade"

        one.follow("# Move a service", "## 1.")
        with _strategy(straight) as strategy:
            strategy.trade()

        one.follow("## 1.", "What is refused")
        one.stop("before.py")
        one.follow("What is refused", "## 2.")

        one.follow("## 2.", "## 3.")
        with _strategy(straight) as strategy:
            strategy.trade()
        assert one.metric("messages_warned_total") == 1  # the order had no signature

        model = load_topology(tmp_path / "topology.yaml").topology
        agent = stack.enter_context(
            running_agent(
                tmp_path,
                service="strategy",
                topology=tmp_path / "topology.yaml",
                vhost="letrade",
                upstream=broker.amqps_url,
                ca_file=broker.ca_file,
                login=login_of(broker, model.services["strategy"].user),
                keys=tmp_path / "keys",
            )
        )
        with _strategy(agent.url) as strategy:
            strategy.trade()
            assert one.metric("messages_warned_total") == 1
            one.follow("## 3.", "## 4.")
            until(lambda: _is_refused(straight, one), "unsigned orders are refused")
            strategy.trade()
            one.stop("before.py")
            one.follow("## 4.")
            strategy.trade()
        one.stop("after.py")


@dataclass
class Strategy:
    """Who orders, and hears of the trade; plain pika."""

    channel: Any

    def trade(self) -> None:
        """Order, and hear that it was executed."""
        symbol = uuid.uuid4().hex
        until(lambda: self._order(symbol), "the order finds a queue")
        heard: list[Any] = []

        def is_executed() -> bool:
            method, _, body = self.channel.basic_get("strategy.trade_executed", auto_ack=True)
            if method is not None:
                heard.append(json.loads(body)["payload"])
            return {"symbol": symbol, "status": "filled"} in heard

        until(is_executed, "the trade is executed")

    def _order(self, symbol: str) -> bool:
        try:
            self.channel.basic_publish(
                "letrade.commands", "commands.execute_trade", _envelope({"symbol": symbol}), mandatory=True
            )
        except pika.exceptions.UnroutableError:
            return False  # its consumer is still starting
        return True


@contextmanager
def _strategy(url: str) -> Iterator[Strategy]:
    connection = pika.BlockingConnection(pika.URLParameters(url))
    try:
        channel = connection.channel()
        channel.confirm_delivery()
        channel.exchange_declare("letrade.commands", "topic", durable=True)
        channel.exchange_declare("letrade.events", "topic", durable=True)
        _declare(connection)
        yield Strategy(channel)
    finally:
        connection.close()


def _declare(connection: Any) -> None:
    """Its queue, as long as nobody else has made it."""
    channel = connection.channel()
    try:
        channel.queue_declare("strategy.trade_executed", passive=True)
    except pika.exceptions.ChannelClosedByBroker:
        channel = connection.channel()
        channel.queue_declare("strategy.trade_executed", durable=True)
        channel.queue_bind("strategy.trade_executed", "letrade.events", "events.trade_executed")


def _is_refused(url: str, one: Follower) -> bool:
    with _strategy(url) as forger:
        forger._order("forged")
    return one.metric("messages_rejected_total") > 0


def _envelope(payload: dict[str, Any]) -> bytes:
    envelope = {
        "message_id": str(uuid.uuid4()),
        "timestamp": datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z"),
        "source": "strategy",
        "payload": payload,
    }
    return json.dumps(envelope).encode()


def _files(page: str) -> Iterator[tuple[str, str]]:
    """What the page has as a whole file."""
    for block in blocks(page, "yaml"):
        yield "topology.yaml", block
    for block in blocks(page, "python"):
        if block.startswith('"""'):
            yield ("after.py" if "MessageBus." in block.partition("\n")[0] else "before.py"), block


def _make_vhost(broker: RunningBroker) -> None:
    assert broker.api("PUT", "/api/vhosts/letrade").ok
    rights = {"configure": ".*", "write": ".*", "read": ".*"}
    assert broker.api("PUT", f"/api/permissions/letrade/{broker.username}", json=rights).ok
