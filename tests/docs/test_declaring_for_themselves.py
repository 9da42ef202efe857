"""`docs/how-to/services-that-declare-for-themselves.md`, followed: a message bus of somebody's own, as it is, enforced.

The page's delays are shortened; otherwise only its addresses are changed.
"""

from __future__ import annotations

import asyncio
import importlib.util
import json
import shutil
import time
from collections.abc import AsyncIterator
from contextlib import ExitStack, asynccontextmanager
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from types import ModuleType
from typing import Any

import aio_pika

from letrade_topo.messages.envelope import Envelope, EnvelopeProperties, check_envelope
from letrade_topo.node.settings import TLS_ONLY, Listener
from tests.agents import AgentLogin, running_agent
from tests.brokers import BrokerFactory, RunningBroker
from tests.docs.follower import HOW_TO, LIMIT_SECONDS, Follower, blocks, until
from tests.ports import free_ports

PAGE = (HOW_TO / "services-that-declare-for-themselves.md").read_text(encoding="utf-8")
DELAYS_SECONDS = (0.3, 0.6, 1.2)
PASSWORDS = {"connector": "secret", "trader": "another"}
DIFFERENT = {"letrade-topo plan letrade.yaml": 2}
"""Exit codes other than 0."""


def test_the_page(start_broker: BrokerFactory, one_broker_version: str, tmp_path: Path) -> None:
    """The services trade before the first step and after every one; what is wrong is refused in the end, and said."""
    broker = start_broker(one_broker_version, listeners=TLS_ONLY | {Listener.AMQP})
    _make_vhost(broker)
    for block in blocks(PAGE, "python"):
        (tmp_path / block.removeprefix('"""').partition(":")[0]).write_text(block, encoding="utf-8")
    (topology,) = blocks(PAGE, "yaml")
    shutil.copy(broker.ca_file, tmp_path / "ca.pem")
    plain = broker.node.ports.listeners[Listener.AMQP]
    with ExitStack() as stack:
        port, admin = free_ports(2)
        addresses = {
            "rabbit.example.com/": f"127.0.0.1:{plain}/",
            "amqps://rabbit.example.com:5671": broker.amqps_url,
            "127.0.0.1:5672": f"127.0.0.1:{port}",
        }
        passwords = {f"{user.upper()}_PASSWORD": password for user, password in PASSWORDS.items()}
        one = Follower(PAGE, broker, tmp_path, stack, port, admin, addresses, DIFFERENT, passwords)
        trader = Trader(_own_bus(tmp_path), f"amqp://trader:another@127.0.0.1:{plain}/letrade")

        one.follow("# Services that declare", "## 1.")
        asyncio.run(trader.trades())

        one.follow("## 1.", "## 2.")
        shortened = topology.replace("delay: 5s", "delay: 300ms")
        assert shortened != topology
        (tmp_path / "letrade.yaml").write_text(shortened, encoding="utf-8")
        one.follow("## 2.", "## 3.")
        one.stop("connector.py")
        one.follow("## 3.", "## 4.")
        beside_trader = stack.enter_context(
            running_agent(
                tmp_path,
                service="trader",
                topology=tmp_path / "letrade.yaml",
                vhost="letrade",
                upstream=broker.amqps_url,
                ca_file=broker.ca_file,
                login=AgentLogin(username="trader", password_file=_password_file(tmp_path)),
                keys=tmp_path / "keys",
            )
        )
        trader.url = beside_trader.url
        asyncio.run(trader.trades())

        one.follow("## 4.", "## 5.")
        until(lambda: b'"source":"connector"' in asyncio.run(trader.trades()), "what the connector says is completed")

        def is_counted() -> bool:
            asyncio.run(trader.says({"no": "symbol"}))
            return beside_trader.metric("messages_warned_total", reason="schema") > 0

        until(is_counted, "a wrong payload is counted")

        one.follow("## 5.")
        until(lambda: asyncio.run(trader.is_refused({"symbol": 7})), "a wrong payload is refused")
        checked = check_envelope(asyncio.run(trader.trades()), EnvelopeProperties(), "connector")
        assert isinstance(checked, Envelope)
        assert checked.document["routing_key"] == "market_data.binance.BTC"
        _check_forgery(broker, trader)
        _check_retries(broker, tmp_path / "connector.py.log", trader)


@dataclass
class Trader:
    """The other service, on the same bus.

    Args:
        own_bus: the module of the page.
        url: where it connects.
    """

    own_bus: Any
    url: str

    async def trades(self) -> bytes:
        """Order, and hear the price; what came, as it came."""
        async with self._connected() as bus:
            heard: asyncio.Queue[bytes] = asyncio.Queue()

            async def hear(message: aio_pika.abc.AbstractIncomingMessage) -> None:
                async with message.process():
                    await heard.put(message.body)

            await bus.queues["market_data"].consume(hear)
            assert await bus.publish("letrade.commands", "commands.execute_trade", {"symbol": "BTC"})
            body = await asyncio.wait_for(heard.get(), LIMIT_SECONDS)
            assert json.loads(body)["payload"] == {"price": 100_000.0}
            return body

    async def says(self, payload: dict[str, Any]) -> None:
        """Publish a command."""
        async with self._connected() as bus:
            assert await bus.publish("letrade.commands", "commands.execute_trade", payload)

    async def is_refused(self, payload: dict[str, Any]) -> bool:
        """Whether publishing a command raises what the page says."""
        try:
            await self.says(payload)
        except aio_pika.exceptions.DeliveryError:
            return True
        return False

    @asynccontextmanager
    async def _connected(self) -> AsyncIterator[Any]:
        bus = self.own_bus.Bus()
        await bus.connect(self.url)
        try:
            yield bus
        finally:
            await bus.close()


def _check_forgery(broker: RunningBroker, trader: Trader) -> None:
    """What nobody signed lies among the dead letters, and the trader hears the next price only."""
    forged = {"routing_key": "market_data.binance.BTC", "payload": "{}", "payload_encoding": "string", "properties": {}}
    assert broker.api("POST", "/api/exchanges/letrade/letrade.events/publish", json=forged).json()["routed"]
    asyncio.run(trader.trades())
    until(lambda: "market_data.binance.BTC.dead" in _dead_letters(broker), "the forgery is among the dead letters")


def _check_retries(broker: RunningBroker, log: Path, trader: Trader) -> None:
    """What the handler raises for comes back three times, each after its delay, and then is dead."""
    asyncio.run(trader.says({"symbol": "DOGE"}))
    times: list[float] = []

    def has_come_again() -> bool:
        times.extend([time.monotonic()] * (log.read_text(encoding="utf-8").count("DOGE\n") - len(times)))
        return len(times) == 1 + len(DELAYS_SECONDS)

    until(has_come_again, "the command has come again")
    for delay, pause in zip(DELAYS_SECONDS, (later - sooner for sooner, later in pairwise(times)), strict=True):
        assert pause > delay - 0.2  # how precisely the test looks
    until(lambda: "commands.execute_trade.dead" in _dead_letters(broker), "the command is among the dead letters")


def _dead_letters(broker: RunningBroker) -> list[str]:
    """The keys of those that are there; they stay."""
    question = {"count": 100, "ackmode": "ack_requeue_true", "encoding": "auto"}
    answer = broker.api("POST", "/api/queues/letrade/letrade.dlq/get", json=question)
    return [one["routing_key"] for one in answer.json()]


def _own_bus(folder: Path) -> ModuleType:
    """The module that the page has."""
    spec = importlib.util.spec_from_file_location("own_bus", folder / "bus.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def _password_file(folder: Path) -> Path:
    file = folder / "trader.password"
    file.touch(mode=0o600)
    file.write_text(PASSWORDS["trader"], encoding="utf-8")
    return file


def _make_vhost(broker: RunningBroker) -> None:
    """With the two users, who may do anything in it, as is usual."""
    assert broker.api("PUT", "/api/vhosts/letrade").ok
    rights = {"configure": ".*", "write": ".*", "read": ".*"}
    for user, password in PASSWORDS.items():
        assert broker.api("PUT", f"/api/users/{user}", json={"password": password, "tags": ""}).ok
        assert broker.api("PUT", f"/api/permissions/letrade/{user}", json=rights).ok
