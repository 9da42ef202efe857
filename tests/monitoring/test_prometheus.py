"""A real Prometheus scrapes two agents and the controller: alerts fire, dashboards answer, runbooks' commands run.

One world for the whole file, whose last test stops the broker.
"""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from letrade_topo.node.node import Node
from tests.brokers import running_broker
from tests.monitoring.prometheus import LIMIT_SECONDS
from tests.monitoring.rules import RUNBOOKS, dashboards
from tests.monitoring.world import MonitoredWorld, Traffic, running_world

pytestmark = pytest.mark.broker

UNUSED = "capital_manager.trade_executed"
MOST_AGENT_SERIES = 700
MOST_CONTROLLER_SERIES = 700
_BLOCK = re.compile(r"^```sh\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_QUESTION = re.compile(r"""promtool query instant "\$PROMETHEUS" '([^']+)'""")
_ONLY_WHAT_IS_BAD = re.compile(r" > 0(\)?)$")


@pytest.fixture(scope="module")
def world(one_broker_version: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[MonitoredWorld]:
    """With traffic, until the test that stops the broker."""
    with (
        running_broker(tmp_path_factory.mktemp("rabbitmq-watched-"), one_broker_version) as broker,
        running_world(broker, tmp_path_factory.mktemp("watched-")) as world,
    ):
        traffic = Traffic(world)
        traffic.start()
        yield world
        traffic.finish()


def test_signature_rejects(world: MonitoredWorld) -> None:
    """A message that somebody publishes past the agents: the alert names agent and reason."""
    world.prometheus.until(lambda: len(world.prometheus.query("up == 1")) == 3, "all three are scraped")

    world.forge()

    world.prometheus.until(lambda: world.prometheus.firing("LetradeAgentSignatureRejects"), "the alert fires")
    (alert,) = world.prometheus.firing("LetradeAgentSignatureRejects")
    assert alert["labels"]["reason"] == "token_missing"
    assert alert["labels"]["severity"] == "critical"
    assert alert["labels"]["instance"] == "exchange_connector"
    assert "exchange_connector" in alert["annotations"]["description"]


@pytest.mark.parametrize("name", ["agents.json", "dead-letters.json", "topology.json"])
def test_dashboards_answer(world: MonitoredWorld, name: str) -> None:
    """Every question of every panel has series, where panels that show only what is bad are asked for all."""
    assert name in dashboards()

    def empty() -> list[str]:
        return [
            f"{panel['title']}: {expression}"
            for panel in dashboards()[name]["panels"]
            for expression in _questions(panel)
            if not world.prometheus.query(expression)
        ]

    deadline = time.monotonic() + LIMIT_SECONDS
    while (left := empty()) and time.monotonic() < deadline:
        time.sleep(1)
    assert left == []


def test_drift(world: MonitoredWorld) -> None:
    """A queue deleted by hand: the alert says what is missing, and ends when it is back."""
    world.delete_queue(UNUSED)

    def kinds() -> set[tuple[str, str, str]]:
        firing = world.prometheus.firing("LetradeTopoDriftDetected")
        return {(one["labels"]["kind"], one["labels"]["change"], one["labels"]["severity"]) for one in firing}

    world.prometheus.until(lambda: ("queue", "missing", "critical") in kinds(), "the alert fires")
    world.tool.run("apply", "--yes").check(0)
    world.prometheus.until(lambda: not world.prometheus.firing("LetradeTopoDriftDetected"), "the alert ends")


def test_series_stay_few(world: MonitoredWorld) -> None:
    """A thousand routing keys make no series, at the agent that publishes, at the one that consumes, at the controller.

    What appears anyhow (the first connection of its kind) is not counted: before, there was traffic of every kind.
    """
    strategy = world.agents["strategy"]

    def delivered() -> float:
        return strategy.metric("messages_total", direction="deliver", destination="strategy.market_data")

    before, mark = _series(world), delivered() + 1_000

    keys = [f"market_data.binance.coin{number}" for number in range(1_000)]
    world.publish("exchange_connector", "letrade.events", keys, "market_data.binance.btcusdt", confirms=False)

    world.prometheus.until(lambda: delivered() >= mark, "all are delivered")
    after = _series(world)
    assert after == pytest.approx(before, abs=20)
    assert max(after[service] for service in world.agents) < MOST_AGENT_SERIES
    assert after["controller"] < MOST_CONTROLLER_SERIES


def test_commands_of_runbooks_run(world: MonitoredWorld, tmp_path: Path) -> None:
    """Each as it stands on its page; of promtool's questions one by promtool, the others straight to Prometheus."""
    commands = _commands()
    questions = [found[1] for command in commands if (found := _QUESTION.fullmatch(command))]
    others = [command for command in commands if not _QUESTION.fullmatch(command)]
    assert len(questions) > 20
    assert len(others) > 10

    for question in questions:
        world.prometheus.query(question)

    environment = _operator(world, tmp_path)
    with ThreadPoolExecutor(2) as pool:
        failed = list(filter(None, pool.map(lambda one: _problem(one, environment, world.folder), _one_more(others))))
    assert failed == []


def test_broker_down_and_back(world: MonitoredWorld) -> None:
    """Agents and controller stay; the alert names both agents; when the broker is back, so is everything."""
    prometheus, controller = world.prometheus, world.controller
    world.broker.sync_metadata()

    world.broker.node.crash()

    prometheus.until(lambda: len(prometheus.firing("LetradeAgentBrokerUnreachable")) == 2, "the alert fires for both")
    prometheus.until(lambda: prometheus.firing("LetradeTopoBrokerUnreachable"), "the controller's fires")
    assert controller.metric("drift_checks_total", outcome="error") > 0
    assert controller.metric("leader") == 0 or controller.log("pass_failed")
    assert controller.page("/livez").ok
    assert controller.page("/readyz").ok
    checks = controller.metric("drift_checks_total", outcome="in_sync")

    world.broker.node.start()

    controller.until(lambda: controller.metric("drift_checks_total", outcome="in_sync") > checks, "it compares again")
    controller.until(lambda: controller.metric("broker_up") == 1, "it has the broker")
    controller.until(lambda: controller.log("recovered"), "it says so")
    prometheus.until(lambda: not prometheus.firing("LetradeTopoBrokerUnreachable"), "the controller's alert ends")
    # an agent without clients asks for the broker when its router or a client does
    agents = world.agents.values()
    controller.until(lambda: all(agent.metric("broker_up") == 1 for agent in agents), "the agents are back")
    prometheus.until(lambda: not prometheus.firing("LetradeAgentBrokerUnreachable"), "the agents' alert ends")


def _commands() -> list[str]:
    pages = "".join(page.read_text(encoding="utf-8") for page in sorted(RUNBOOKS.glob("*.md")))
    return list(dict.fromkeys(line for block in _BLOCK.findall(pages) for line in block.splitlines()))


def _one_more(commands: list[str]) -> list[str]:
    return [*commands, "promtool query instant \"$PROMETHEUS\" 'up'"]


def _problem(command: str, environment: dict[str, str], folder: Path) -> str:
    """What went wrong with a command; nothing when it did what it should."""
    answer = subprocess.run(
        ["/bin/bash", "-o", "pipefail", "-c", command],
        env=environment,
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    drifted = 2 if command.startswith(("letrade-topo drift", "letrade-topo plan")) else 0
    if answer.returncode in {0, drifted} and "Traceback" not in answer.stderr:
        return ""
    return f"{command}: {answer.returncode}\n{answer.stdout}{answer.stderr}"


def _questions(panel: dict[str, object]) -> Iterator[str]:
    targets = panel.get("targets", [])
    assert isinstance(targets, list)
    for target in targets:
        expression = target["expr"].replace("$__rate_interval", "30s")
        for variable in ("$namespace", "$instance"):
            expression = expression.replace(variable, ".*")
        yield _ONLY_WHAT_IS_BAD.sub(r"\1", expression)


def _series(world: MonitoredWorld) -> dict[str, int]:
    pages = {service: agent.admin("/metrics").text for service, agent in world.agents.items()}
    pages["controller"] = world.controller.page("/metrics").text
    return {name: sum(not line.startswith("#") for line in page.splitlines()) for name, page in pages.items()}


def _operator(world: MonitoredWorld, folder: Path) -> dict[str, str]:
    """The environment that docs/runbooks/README.md describes, with the broker's tools on the path."""
    for tool in ("rabbitmqctl", "rabbitmq-diagnostics"):
        _write_tool(folder / tool, world.broker.node, tool)
    own = Path(sys.executable).parent
    return {
        **world.tool.environment,
        "PATH": f"{folder}:{own}:{os.environ['PATH']}",
        "HOME": str(folder),
        "PROMETHEUS": world.prometheus.url,
        "AGENT": f"http://127.0.0.1:{world.agents['exchange_connector'].admin_port}",
        "CONTROLLER": f"http://127.0.0.1:{world.controller.port}",
        "KEYS": str(world.folder / "keys"),
        "LETRADE_TOPO_FILE": str(world.folder / "topology.yaml"),
        "LETRADE_TOPO_AMQP": world.broker.amqps_url,
    }


def _write_tool(path: Path, node: Node, tool: str) -> None:
    """A tool of RabbitMQ that speaks to this node, as one on a broker's machine does."""
    argv, environment = node.ctl_command(tool=tool)
    settings = " ".join(f"{name}={shlex.quote(value)}" for name, value in environment.items())
    path.write_text(f'#!/bin/sh\nexec env -i {settings} {" ".join(map(shlex.quote, argv))} "$@"\n', encoding="utf-8")
    path.chmod(0o755)
