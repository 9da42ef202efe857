"""`docs/how-to/move-to-the-message-bus.md`, followed: its files, its programs, its commands in their order.

Nothing of the page is changed but the addresses, which are this test's own.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pika
import pytest
import requests

from letrade_topo.load.topology_file import load_topology
from letrade_topo.node.settings import TLS_ONLY, Listener
from tests.agents import login_of, running_agent
from tests.brokers import BrokerFactory, RunningBroker
from tests.ports import free_ports
from tests.tool import Tool

PAGE = Path(__file__).parents[2] / "docs" / "how-to" / "move-to-the-message-bus.md"
DIFFERENT = {"letrade-topo plan": 2, "letrade-topo drift": 2}
"""Exit codes other than 0."""

LIMIT_SECONDS = 60.0
_BLOCK = re.compile(r"```(console|python|yaml)\n(.*?)```", re.DOTALL)


@dataclass
class Follower:
    """Somebody who does what the page says.

    Args:
        broker: that the service has been using.
        folder: the working folder.
        stack: ends what was started.
        port: of the agent; its admin port.
    """

    broker: RunningBroker
    folder: Path
    stack: ExitStack
    port: int
    admin: int
    started: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)

    def follow(self, first: str, last: str = "") -> None:
        """Run every command between two headings, and see that it shows what the page shows."""
        page = PAGE.read_text(encoding="utf-8")
        part = page[page.index(first) : page.index(last) if last else len(page)]
        for kind, block in _BLOCK.findall(part):
            if kind == "console":
                for command, shown in _commands(block):
                    self._run(command, shown)

    def _run(self, command: str, shown: str) -> None:
        if command.endswith("&"):
            self._start(command.removesuffix("&"))
            return
        done = subprocess.run(
            ["/bin/bash", "-c", self._here(command)],
            env=self._environment(),
            cwd=self.folder,
            capture_output=True,
            text=True,
            check=False,
        )
        said = done.stdout + done.stderr
        assert done.returncode == DIFFERENT.get(command, 0), f"$ {command}\n{said}"
        lines = iter(said.splitlines())
        for line in shown.splitlines():
            assert line == "…" or line in lines, f"$ {command}\n{said}\nhas no line: {line}"

    def _start(self, command: str) -> None:
        name = "agent" if command.startswith("letrade-agent") else command.split()[-1]
        log = self.stack.enter_context((self.folder / f"{name}.log").open("wb"))
        self.started[name] = process = subprocess.Popen(
            ["/bin/bash", "-c", f"exec setpriv --pdeathsig KILL env {self._here(command)}"],
            env=self._environment(),
            cwd=self.folder,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
        )
        self.stack.callback(_end, process)

    def stop(self, name: str) -> None:
        """Stop something that was started; it has to run still."""
        process = self.started.pop(name)
        assert process.poll() is None, (self.folder / f"{name}.log").read_text()
        _end(process)

    def metric(self, name: str) -> float:
        """A metric of the agent, summed."""
        text = requests.get(f"http://127.0.0.1:{self.admin}/metrics", timeout=10).text
        return sum(float(line.split()[-1]) for line in text.splitlines() if line.startswith(f"letrade_agent_{name}{{"))

    def _here(self, command: str) -> str:
        """With this test's addresses."""
        login = f"{self.broker.username}:{self.broker.password}"
        plain = self.broker.node.ports.listeners[Listener.AMQP]
        for shown, own in (
            ("amqp://rabbit.example.com/", f"amqp://{login}@127.0.0.1:{plain}/"),
            ("amqps://rabbit.example.com:5671", self.broker.amqps_url),
            ("amqp://127.0.0.1:5672", f"amqp://127.0.0.1:{self.port}"),
        ):
            command = command.replace(shown, own)
        return command

    def _environment(self) -> dict[str, str]:
        return Tool.at(self.broker, self.folder).environment | {
            "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
            "LETRADE_AGENT_LISTEN": f"127.0.0.1:{self.port}",
            "LETRADE_AGENT_ADMIN": f"127.0.0.1:{self.admin}",
            "LETRADE_URL": f"amqp://127.0.0.1:{self.port}",
            "LETRADE_ADMIN": f"127.0.0.1:{self.admin}",
        }


def test_the_page(start_broker: BrokerFactory, one_broker_version: str, tmp_path: Path) -> None:
    """The service trades before the first step and after every one; in the end nothing unsigned reaches it."""
    broker = start_broker(one_broker_version, listeners=TLS_ONLY | {Listener.AMQP})
    _make_vhost(broker)
    for number, (name, text) in enumerate(_files(PAGE.read_text(encoding="utf-8"))):
        assert number < 3
        (tmp_path / name).write_text(text, encoding="utf-8")
    shutil.copy(broker.ca_file, tmp_path / "ca.pem")
    for source, suffix in zip(broker.client_certificate("exchange_connector"), ("pem", "key"), strict=True):
        shutil.copy(source, tmp_path / f"exchange_connector.{suffix}")
    with ExitStack() as stack:
        port, admin = free_ports(2)
        one = Follower(broker, tmp_path, stack, port, admin)
        plain = broker.node.ports.listeners[Listener.AMQP]
        straight = f"amqp://{broker.username}:{broker.password}@127.0.0.1:{plain}/letrade"

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
            _until(lambda: _is_refused(straight, one), "unsigned orders are refused")
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
        _until(lambda: self._order(symbol), "the order finds a queue")
        heard: list[Any] = []

        def is_executed() -> bool:
            method, _, body = self.channel.basic_get("strategy.trade_executed", auto_ack=True)
            if method is not None:
                heard.append(json.loads(body)["payload"])
            return {"symbol": symbol, "status": "filled"} in heard

        _until(is_executed, "the trade is executed")

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
    for kind, block in _BLOCK.findall(page):
        if kind == "yaml":
            yield "topology.yaml", block
        elif kind == "python" and block.startswith('"""'):
            yield ("after.py" if "MessageBus." in block.partition("\n")[0] else "before.py"), block


def _commands(block: str) -> Iterator[tuple[str, str]]:
    for part in re.split(r"^\$ ", block, flags=re.MULTILINE)[1:]:
        match = re.match(r"((?:[^\n]*\\\n)*[^\n]*)\n(.*)", part, re.DOTALL)
        assert match is not None
        yield match[1], match[2]


def _make_vhost(broker: RunningBroker) -> None:
    assert broker.api("PUT", "/api/vhosts/letrade").ok
    rights = {"configure": ".*", "write": ".*", "read": ".*"}
    assert broker.api("PUT", f"/api/permissions/letrade/{broker.username}", json=rights).ok


def _until(condition: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + LIMIT_SECONDS
    while not condition():
        assert time.monotonic() < deadline, f"not within {LIMIT_SECONDS:g} s: {what}"
        time.sleep(0.05)


def _end(process: subprocess.Popen[bytes]) -> None:
    if process.poll() is None:
        process.send_signal(signal.SIGTERM)
    try:
        process.wait(LIMIT_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
        pytest.fail("it did not end after SIGTERM")
