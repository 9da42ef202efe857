"""What is left of a bus that was closed, and what a bus does not listen to."""

from __future__ import annotations

import asyncio
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from letrade_topo.bus import Message
from tests.bus.samples import SAMPLES
from tests.bus.world import BusWorld, healthy, run, until

pytestmark = pytest.mark.one_version


def test_a_close_that_is_cut_short_closes_the_connection(letrade: BusWorld) -> None:
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


def test_health_does_not_ask_a_proxy(letrade: BusWorld, monkeypatch: pytest.MonkeyPatch) -> None:
    """The agent is next door, wherever the environment's proxy is."""
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")

    async def scenario() -> None:
        async with letrade.bus("strategy") as strategy:
            await healthy(strategy, lambda health: health["agent"] is not None, "the agent answers")

    run(scenario)


FORKS = """
import asyncio, os, sys
from letrade_topo.bus import ConfigurationError, MessageBus
from tests.bus.samples import SAMPLES

TRADE = ("letrade.events", "trade_executed", SAMPLES["events.trade_executed"])

async def told(bus):
    try:
        await asyncio.wait_for(bus.publish(*TRADE), 20)
    except ConfigurationError as error:
        return error.what
    return "published"

async def anew(bus):
    print("child:", await told(bus))
    print("child:", *(await bus.health_check())["problems"])
    await bus.connect()
    print("child:", await told(bus))
    await bus.close()

bus = MessageBus()
first = asyncio.new_event_loop()
first.run_until_complete(bus.connect())
print("another loop:", asyncio.run(told(bus)))
sys.stdout.flush()
child = os.fork()
if not child:
    asyncio.events._set_running_loop(None)
    asyncio.run(anew(bus))
    sys.stdout.flush()
    os._exit(0)
os.waitpid(child, 0)
print("parent:", first.run_until_complete(told(bus)))
first.run_until_complete(bus.close())
"""


def test_a_bus_says_where_it_was_connected(letrade: BusWorld) -> None:
    """In a process that was forked, and in another event loop; a fork may connect anew, and its parent goes on."""
    environment = {**os.environ, **letrade.environment("exchange_connector"), "PYTHONWARNINGS": "ignore"}
    folder = Path(__file__).parents[2]
    program = subprocess.run(
        [sys.executable, "-c", FORKS], env=environment, cwd=folder, capture_output=True, text=True, timeout=120
    )
    letrade.purge(*(f"{service}.trade_executed" for service in ("strategy", "core_engine", "capital_manager")))

    lines = program.stdout.splitlines()
    assert lines[0] == "another loop: this bus was connected in another event loop than the one that runs now"
    assert re.fullmatch(r"child: this bus was connected by process (\d+), and this is process (\d+)", lines[1])
    assert lines[2] == lines[1]
    assert lines[3:] == ["child: published", "parent: published"], program.stderr
