"""`examples/bus` as its page says: each program beside its own agent, on the topology that is shipped."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.brokers import RunningBroker
from tests.bus.world import BusWorld, running_world
from tests.topologies import SHIPPED

pytestmark = pytest.mark.one_version

FOLDER = SHIPPED.parent / "examples" / "bus"
SERVICES = ("strategy", "capital_manager", "exchange_connector", "core_engine")
LIMIT_SECONDS = 60.0


@pytest.fixture(scope="module")
def letrade(broker: RunningBroker, tmp_path_factory: pytest.TempPathFactory) -> Iterator[BusWorld]:
    """The shipped topology, applied; four agents with everything enforced."""
    folder = tmp_path_factory.mktemp("bus-examples-")
    (folder / "topology.yaml").write_bytes(SHIPPED.read_bytes())
    with running_world(broker, folder, folder / "topology.yaml", SERVICES) as world:
        yield world


def _start(letrade: BusWorld, program: str, service: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, str(FOLDER / f"{program}.py")],
        env={"PATH": "/usr/bin:/bin", "PYTHONPATH": str(SHIPPED.parent)} | letrade.environment(service),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def _ended(process: subprocess.Popen[str]) -> str:
    out, err = process.communicate(timeout=LIMIT_SECONDS)
    assert process.returncode == 0, f"exit code {process.returncode}\n{out}\n{err}"
    assert not err, err
    return out


@contextmanager
def _running(letrade: BusWorld, program: str, service: str) -> Iterator[list[str]]:
    """A program that says when it is ready and runs until SIGTERM; its output is there afterwards."""
    process = _start(letrade, program, service)
    assert process.stdout is not None
    output: list[str] = []
    try:
        ready = process.stdout.readline()
        assert ready.endswith("is ready\n"), ready + (process.communicate()[1] if not ready else "")
        yield output
        process.terminate()
        output.extend(_ended(process).splitlines())
    finally:
        if process.poll() is None:
            process.kill()
            process.communicate()


def test_the_trade_flow(letrade: BusWorld) -> None:
    """Capital is asked for and granted, the trade ordered, executed, and heard of; nothing was refused."""
    with (
        _running(letrade, "capital_manager", "capital_manager") as manager,
        _running(letrade, "exchange_connector", "exchange_connector") as connector,
    ):
        strategy = _ended(_start(letrade, "strategy", "strategy"))
    assert "hears: approved, 0.01 BTC" in strategy
    assert "hears: filled, 0.01 at 50100" in strategy
    assert "grants 500 USDT" in "\n".join(manager)
    assert "buys 0.01 BTC/USDT on binance" in "\n".join(connector)
    for agent in letrade.agents.values():
        assert agent.metric("messages_rejected_total") == 0


def test_publisher_and_subscriber(letrade: BusWorld) -> None:
    """The publisher's command is executed, and the subscriber prints the trade."""
    letrade.purge("core_engine.trade_executed")
    with (
        _running(letrade, "exchange_connector", "exchange_connector") as connector,
        _running(letrade, "subscriber", "core_engine") as subscriber,
    ):
        assert "ordered: message" in _ended(_start(letrade, "publisher", "strategy"))
        _wait_for(letrade, "core_engine.trade_executed")
    assert "buys 0.01 BTC/USDT" in "\n".join(connector)
    assert "Trade executed: {'strategy_id': 123" in "\n".join(subscriber)


def test_the_real_time_data_flow(letrade: BusWorld) -> None:
    """Every candle is published; those of one symbol are followed."""
    watch = _start(letrade, "market_watch", "strategy")
    try:
        assert watch.stdout is not None
        assert watch.stdout.readline().endswith("is ready\n")
        assert "published 40 candles" in _ended(_start(letrade, "market_feed", "exchange_connector"))
        lines = _ended(watch).splitlines()
    finally:
        watch.kill()
        watch.communicate()
    assert len(lines) == 10
    assert all("BTC/USDT at" in line for line in lines)


def test_the_snippet_of_the_readmes(letrade: BusWorld, tmp_path: Path) -> None:
    """Both show the same program but for its comments, and it prints what it says."""
    english, korean = (
        re.findall(r"```python\n(.*?)```", (SHIPPED.parent / name).read_text(encoding="utf-8"), re.DOTALL)
        for name in ("README.md", "README.ko.md")
    )
    assert [ast.dump(ast.parse(text)) for text in english] == [ast.dump(ast.parse(text)) for text in korean]
    letrade.purge("strategy.trade_executed")
    (program,) = english
    (tmp_path / "example.py").write_text(program, encoding="utf-8")
    with _running(letrade, "exchange_connector", "exchange_connector"):
        printed = _ended(_start(letrade, str(tmp_path / "example"), "strategy"))
    assert printed == "BTC/USDT: filled\n"


def _wait_for(letrade: BusWorld, queue: str) -> None:
    """Until the service has settled something from a queue."""
    agent = letrade.agents["core_engine"]
    deadline = time.monotonic() + LIMIT_SECONDS
    while not agent.metric("messages_total", destination=queue) or agent.metric("unsettled_deliveries"):
        assert time.monotonic() < deadline, f"nothing from {queue} was settled"
        time.sleep(0.02)
