"""What is left of a bus that was closed, and what a bus does not listen to."""

from __future__ import annotations

import asyncio

import pytest

from letrade_topo.bus import Message
from tests.bus.samples import SAMPLES
from tests.bus.world import World, healthy, run, until

pytestmark = pytest.mark.one_version


def test_a_close_that_is_cut_short_closes_the_connection(letrade: World) -> None:
    """Whoever waits no longer for a handler is still rid of the connection: nobody else could close it any more."""

    async def scenario() -> None:
        begun, never = asyncio.Event(), asyncio.Event()

        async def handle(topic: str, message: Message) -> None:
            begun.set()
            await never.wait()

        async with letrade.bus("exchange_connector") as connector:
            strategy = await letrade.bus("strategy").connect()
            opened = strategy._opened()
            await strategy.subscribe("events.trade_*", handle, durable=False)
            await connector.publish("letrade.events", "trade_executed", SAMPLES["events.trade_executed"])
            await until(begun.is_set, "the handler runs")
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0.2):
                    await strategy.close()
            assert not opened.is_up
            never.set()
        letrade.purge(*(f"{service}.trade_executed" for service in ("strategy", "core_engine", "capital_manager")))

    run(scenario)


def test_health_does_not_ask_a_proxy(letrade: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """The agent is next door, wherever the environment's proxy is."""
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")

    async def scenario() -> None:
        async with letrade.bus("strategy") as strategy:
            await healthy(strategy, lambda health: health["agent"] is not None, "the agent answers")

    run(scenario)
