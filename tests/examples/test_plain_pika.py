"""`examples/plain-pika` as its page says: each program beside its own agent, on the topology that is shipped."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.agents import RunningAgent, login_of, make_key_folder, running_agent
from tests.brokers import RunningBroker
from tests.tool import Tool
from tests.topologies import SHIPPED, shipped

pytestmark = pytest.mark.one_version

FOLDER = SHIPPED.parent / "examples" / "plain-pika"
SERVICES = ("strategy", "capital_manager", "exchange_connector")
LIMIT_SECONDS = 60.0


@dataclass(frozen=True)
class Letrade:
    """The bus with an agent beside each of the three services."""

    broker: RunningBroker
    agents: dict[str, RunningAgent]

    def start(self, service: str) -> subprocess.Popen[str]:
        """A service's program."""
        return _start(f"{service}.py", {"AMQP_URL": self.agents[service].url})


def _start(program: str, environment: dict[str, str]) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, str(FOLDER / program)],
        env={"PATH": "/usr/bin:/bin"} | environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def _ended(process: subprocess.Popen[str]) -> str:
    out, err = process.communicate(timeout=LIMIT_SECONDS)
    assert process.returncode == 0, f"exit code {process.returncode}\n{out}\n{err}"
    return out


@contextmanager
def _running(process: subprocess.Popen[str]) -> Iterator[list[str]]:
    """A service that runs until SIGTERM; its output is there afterwards."""
    output: list[str] = []
    try:
        yield output
        process.terminate()
        output.extend(_ended(process).splitlines())
    finally:
        if process.poll() is None:
            process.kill()
            process.communicate()


@pytest.fixture(scope="module")
def letrade(broker: RunningBroker, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Letrade]:
    """The shipped topology, applied; three agents with everything enforced."""
    folder = tmp_path_factory.mktemp("plain-pika-")
    (folder / "topology.yaml").write_bytes(SHIPPED.read_bytes())
    tool = Tool.at(broker, folder)
    tool.run("apply", "--yes").check(0)
    keys = make_key_folder(folder / "keys", shipped())
    try:
        with ExitStack() as stack:
            agents = {service: stack.enter_context(_beside(service, broker, folder, keys)) for service in SERVICES}
            yield Letrade(broker, agents)
    finally:
        broker.api("DELETE", "/api/vhosts/letrade")
        tool.run("destroy", "--yes").check(0)


@contextmanager
def _beside(service: str, broker: RunningBroker, folder: Path, keys: Path) -> Iterator[RunningAgent]:
    with running_agent(
        folder,
        service=service,
        topology=folder / "topology.yaml",
        vhost="letrade",
        upstream=broker.amqps_url,
        ca_file=broker.ca_file,
        login=login_of(broker, service),
        keys=keys,
    ) as agent:
        yield agent


def test_the_trade_flow(letrade: Letrade) -> None:
    """Capital is asked for and granted, the trade ordered, executed, and heard of by both; nothing was refused."""
    with (
        _running(letrade.start("capital_manager")) as manager,
        _running(letrade.start("exchange_connector")) as exchange,
    ):
        strategy = _ended(letrade.start("strategy"))
        _wait_until_settled(letrade.agents["capital_manager"], "capital_manager.trade_executed")
    assert "hears: approved, 0.01 BTC" in strategy
    assert "hears: filled, 0.01 at 50100" in strategy
    assert "notes: 501.00 USDT spent on BTC/USDT" in "\n".join(manager)
    assert "buys 0.01 BTC/USDT on binance" in "\n".join(exchange)
    for agent in letrade.agents.values():
        assert agent.metric("messages_total", outcome="forwarded") > 0
        assert agent.metric("messages_rejected_total") == 0
        assert agent.metric("messages_unverified_total") == 0


def test_what_must_not_be_published_is_refused(letrade: Letrade) -> None:
    """`mistakes.py` hears why, with figures."""
    out = _ended(_start("mistakes.py", {"AMQP_URL": letrade.agents["strategy"].url}))
    big, undeclared, wrong, closed = out.splitlines()
    assert "nack; 406 PRECONDITION_FAILED" in big
    assert "131072" in big
    assert "nack; 403 ACCESS_REFUSED" in undeclared
    assert "did you mean" in undeclared
    assert "nack; 406" in wrong
    assert "side" in wrong
    assert "channel closed; 403 ACCESS_REFUSED" in closed


def test_a_forged_message_lies_among_the_dead_letters(letrade: Letrade) -> None:
    """`forgery.py` finds it there with the reason; the connector never saw it."""
    environment = {
        "LETRADE_AGENT_UPSTREAM": letrade.broker.amqps_url,
        "LETRADE_TOPO_USERNAME": letrade.broker.username,
        "LETRADE_TOPO_PASSWORD_FILE": str(letrade.broker.password_file),
        "LETRADE_TOPO_CA_FILE": str(letrade.broker.ca_file),
    }
    with _running(letrade.start("exchange_connector")) as exchange:
        out = _ended(_start("forgery.py", environment))
    assert "in letrade.dlq: commands.execute_trade.dead" in out
    assert "letrade-reason: token_missing" in out
    assert not exchange
    agent = letrade.agents["exchange_connector"]

    def rejected() -> float:
        return agent.metric("messages_rejected_total", direction="deliver", reason="token_missing")

    deadline = time.monotonic() + LIMIT_SECONDS
    while not rejected():
        assert time.monotonic() < deadline, "it is not counted"
        time.sleep(0.02)
    assert rejected() == 1


def _wait_until_settled(agent: RunningAgent, queue: str) -> None:
    """Until the service has acknowledged what it got from a queue."""
    deadline = time.monotonic() + LIMIT_SECONDS
    while not agent.metric("messages_total", destination=queue) or agent.metric("unsettled_deliveries"):
        assert time.monotonic() < deadline, f"nothing from {queue} was settled"
        time.sleep(0.02)
