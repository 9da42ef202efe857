"""The contract's own snippets: nothing but the import line is changed."""

from __future__ import annotations

import ast
import asyncio
import inspect
from pathlib import Path
from typing import Any

import pytest

from letrade_topo.bus import MessageBus
from tests.bus.samples import SAMPLES
from tests.bus.world import BusWorld, close_forgotten, healthy, run, until

FOLDER = Path(__file__).parents[1] / "fixtures" / "contract"
THEIR_IMPORT = "from src.common.message_bus import MessageBus"
ATTEMPTS = 5
OUR_IMPORT = "from letrade_topo.bus import MessageBus"


def snippet(name: str, changes: dict[str, str] | None = None) -> str:
    """A snippet as the contract has it."""
    text = (FOLDER / f"{name}.python").read_text(encoding="utf-8")
    for old, new in (changes or {}).items():
        assert old in text
        text = text.replace(old, new)
    return text


async def execute(text: str, namespace: dict[str, Any]) -> None:
    """Run a snippet, which may await at its top level."""
    code = compile(text, "contract", "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)
    result = eval(code, namespace)  # noqa: S307  # the contract's own text
    if inspect.isawaitable(result):
        await result


def speak_as(service: str, letrade: BusWorld, monkeypatch: pytest.MonkeyPatch) -> None:
    """`MessageBus()` finds this service in the environment."""
    for name, value in letrade.environment(service).items():
        monkeypatch.setenv(name, value)


def test_publisher_and_subscriber(
    letrade: BusWorld, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The command reaches the connector; what it tells is printed by the subscriber."""

    async def scenario() -> None:
        namespace: dict[str, Any] = {}
        await execute(snippet("publisher", {THEIR_IMPORT: OUR_IMPORT}), namespace)
        await execute(snippet("subscriber"), namespace)
        commands: list[dict[str, Any]] = []
        async with letrade.bus("exchange_connector") as connector:
            await connector.subscribe("commands.execute_trade", lambda topic, message: commands.append(message))
            speak_as("core_engine", letrade, monkeypatch)
            await namespace["subscribe_to_trades"]()
            speak_as("strategy", letrade, monkeypatch)
            await namespace["publish_trade_command"]()
            await until(lambda: commands, "the command arrives")
            assert commands == [{"strategy_id": 123, "symbol": "BTC/USDT", "side": "buy", "amount": 0.01}]
            trade = SAMPLES["events.trade_executed"]
            await connector.publish("letrade.events", "trade_executed", trade)
            printed = f"Trade executed: {trade}"
            await until(lambda: printed in capsys.readouterr().out, "the subscriber prints the trade")
        await close_forgotten()

    run(scenario)


def test_wildcards(letrade: BusWorld) -> None:
    """Each pattern of the contract; `events.trade_*` brings trades and no errors."""

    async def scenario() -> None:
        async with letrade.bus("strategy") as message_bus:
            await execute(snippet("wildcards"), {"message_bus": message_bus})
        received: list[str] = []
        async with letrade.bus("strategy") as strategy, letrade.bus("exchange_connector") as connector:
            letrade.purge("strategy.trade_executed")
            await strategy.subscribe("events.trade_*", lambda topic, message: received.append(topic))
            await strategy.subscribe("events.error", lambda topic, message: received.append(topic))
            await strategy.subscribe("market_data.binance.*", lambda topic, message: received.append(topic))
            await connector.publish("letrade.events", "events.error", SAMPLES["events.error"])
            await connector.publish(
                "letrade.events", "market_data.kraken.btcusdt", SAMPLES["market_data.binance.btcusdt"]
            )
            await connector.publish(
                "letrade.events", "market_data.binance.btcusdt", SAMPLES["market_data.binance.btcusdt"]
            )
            await connector.publish("letrade.events", "events.trade_executed", SAMPLES["events.trade_executed"])
            await until(lambda: len(received) == 3, "three of the four arrive")
            assert sorted(received) == ["events.error", "events.trade_executed", "market_data.binance.btcusdt"]
        letrade.purge("strategy.market_data")

    run(scenario)


def test_message_filtering(letrade: BusWorld) -> None:
    """The handler sees a payload, and what it leaves alone is acknowledged."""

    async def scenario() -> None:
        processed: list[dict[str, Any]] = []
        namespace: dict[str, Any] = {"process_message": processed.append}
        await execute(snippet("filter"), namespace)
        async with letrade.bus("strategy") as strategy, letrade.bus("exchange_connector") as connector:
            await strategy.subscribe("market_data.binance.*", namespace["message_handler"])
            for symbol in ("ETH/USDT", "BTC/USDT"):
                candle = SAMPLES["market_data.binance.btcusdt"] | {"symbol": symbol}
                await connector.publish("letrade.events", "market_data.binance.any", candle)
            await until(lambda: processed, "the one is processed")
            assert [message["symbol"] for message in processed] == ["BTC/USDT"]
        letrade.purge("strategy.market_data")

    run(scenario)


def test_health_check(letrade: BusWorld, capsys: pytest.CaptureFixture[str]) -> None:
    """As printed."""

    async def scenario() -> None:
        letrade.purge("core_engine.trade_executed", "core_engine.error")
        async with letrade.bus("core_engine") as message_bus:
            # first until everybody has answered in time, as on a busy machine not everybody always does
            await healthy(message_bus, lambda health: health["status"] == "ok", "all is well")
            for _ in range(ATTEMPTS):
                await execute(snippet("health_check"), {"message_bus": message_bus})
                if (printed := capsys.readouterr().out.splitlines()) == ["Status: ok", "Queue depth: 0"]:
                    return
        raise AssertionError(printed)

    run(scenario)


def test_every_sample_of_the_contract_travels(letrade: BusWorld) -> None:
    """From the service that publishes it to one that consumes it, unchanged."""
    ways = {
        "commands.execute_trade": ("strategy", "exchange_connector"),
        "commands.cancel_order": ("core_engine", "exchange_connector"),
        "events.trade_executed": ("exchange_connector", "core_engine"),
        "events.error": ("exchange_connector", "core_engine"),
        "market_data.binance.btcusdt": ("exchange_connector", "strategy"),
        "request.capital.allocation": ("strategy", "capital_manager"),
        "response.capital.allocation": ("capital_manager", "strategy"),
        "request.market_data": ("strategy", "exchange_connector"),
        "response.market_data": ("exchange_connector", "strategy"),
    }
    exchanges = {"commands": "commands", "events": "events", "market_data": "events"}

    async def scenario() -> None:
        buses: dict[str, MessageBus] = {service: await letrade.bus(service).connect() for service in letrade.agents}
        try:
            for key, (publisher, consumer) in ways.items():
                exchange = f"letrade.{exchanges.get(key.partition('.')[0], 'requests')}"
                subscription = await buses[consumer].subscribe(key)
                message_id = await buses[publisher].publish(exchange, key, SAMPLES[key])
                async with subscription as messages:
                    async for message in messages:
                        if message.message_id == message_id:
                            break
                assert message == SAMPLES[key]
                assert (message.topic, message.exchange, message.source) == (key, exchange, publisher)
        finally:
            await asyncio.gather(*(bus.close() for bus in buses.values()))
        letrade.purge("strategy.market_data", "strategy.trade_executed", "strategy.error")

    run(scenario)
