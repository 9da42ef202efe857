"""`docs/how-to/celery-behind-an-agent.md`, followed; the page's delays are shortened."""

from __future__ import annotations

import shutil
import signal
import subprocess
import sys
from contextlib import ExitStack
from pathlib import Path

import pytest
import requests

from tests.agents import login_of, running_agent
from tests.brokers import BrokerFactory, RunningBroker
from tests.docs.follower import HOW_TO, LIMIT_SECONDS, Follower, blocks, until
from tests.ports import free_ports

PAGE = (HOW_TO / "celery-behind-an-agent.md").read_text(encoding="utf-8")
_MORE_TASKS = """

@app.task
def hold(until):
    import time
    from pathlib import Path

    print("holds")
    while not Path(until).exists():
        time.sleep(0.05)
    print("held")


@app.task(bind=True)
def again(self):
    raise self.retry(countdown=0)
"""
_AGENT, _WORKER = "agent", "1"
"""What the follower calls them, by the page's commands."""


@pytest.mark.one_version
def test_the_page(start_broker: BrokerFactory, one_broker_version: str, tmp_path: Path) -> None:
    """A task is done; one that raises comes again and is dead; one that is refused raises where it was published.

    While the agent drains, the task in hand is done and acknowledged, and the worker goes on; then it connects again.
    """
    broker = start_broker(one_broker_version)
    (topology,) = blocks(PAGE, "yaml")
    (program,) = blocks(PAGE, "python")
    (tmp_path / "topology.yaml").write_text(f"{topology}\nretry: {{max_retries: 1, delay: 300ms}}\n", encoding="utf-8")
    (tmp_path / "tasks.py").write_text(program + _MORE_TASKS, encoding="utf-8")
    shutil.copy(broker.ca_file, tmp_path / "ca.pem")
    certificate, key = broker.client_certificate("worker")
    shutil.copy(certificate, tmp_path / "worker.pem")
    shutil.copy(key, tmp_path / "worker.key")
    with ExitStack() as stack:
        port, admin = free_ports(2)
        url = f"amqp://127.0.0.1:{port}"
        addresses = {"amqps://rabbit.example.com:5671": broker.amqps_url}
        one = Follower(PAGE, broker, tmp_path, stack, port, admin, addresses, {}, {"AMQP_URL": url})
        one.follow("# Celery", "## What")
        web = stack.enter_context(
            running_agent(
                tmp_path,
                service="web",
                topology=tmp_path / "topology.yaml",
                vhost="tasks",
                upstream=broker.amqps_url,
                ca_file=broker.ca_file,
                login=login_of(broker, "web"),
                keys=tmp_path / "keys",
            )
        )

        def run(*command: str) -> subprocess.CompletedProcess[str]:
            return subprocess.run(
                [sys.executable, *command],
                cwd=tmp_path,
                env={"AMQP_URL": web.url, "PATH": "/usr/bin"},
                capture_output=True,
                text=True,
                timeout=LIMIT_SECONDS,
                check=False,
            )

        def ask(arguments: str, task: str = "divide", how: str = "delay") -> subprocess.CompletedProcess[str]:
            return run("-c", f"from tasks import {task}; {task}.{how}({arguments})")

        def said() -> str:
            return (tmp_path / f"{_WORKER}.log").read_text(encoding="utf-8")

        done = ask("7, 2")
        assert done.returncode == 0, done.stderr
        until(lambda: "7 by 2" in said(), "it is done")
        assert ask("7, 0").returncode == 0
        until(lambda: said().count("7 by 0") == 2, "it has come again")
        question = {"count": 10, "ackmode": "ack_requeue_true", "encoding": "auto"}
        dead = "/api/queues/tasks/letrade.dlq/get"
        until(lambda: bool(broker.api("POST", dead, json=question).json()), "it is dead")
        refused = ask("'x' * 140_000, 1")
        assert refused.returncode != 0
        assert "MessageNacked" in refused.stderr

        assert ask("(6, 3), countdown=1", how="apply_async").returncode == 0
        until(lambda: "6 by 3" in said(), "it is done later")
        assert ask("", "again").returncode == 0
        until(lambda: "MessageNacked" in said(), "a worker may not publish its own task")
        inspected = run("-m", "celery", "-A", "tasks", "inspect", "ping", "--timeout", "2")
        assert "configure access to exchange 'reply.celery.pidbox'" in inspected.stderr, inspected.stderr

        may_go = tmp_path / "go"
        assert ask(repr(str(may_go)), "hold").returncode == 0
        until(lambda: "holds" in said(), "it is in hand")
        agent = one.started[_AGENT]
        agent.send_signal(signal.SIGTERM)
        until(lambda: requests.get(f"http://127.0.0.1:{admin}/readyz", timeout=10).status_code == 503, "it drains")
        assert ask("9, 3").returncode == 0
        may_go.touch()
        until(lambda: "held" in said() and "9 by 3" in said(), "what is in hand is done, and the next")
        until(lambda: _unacknowledged(broker) == 0, "it is acknowledged")
        one.stop(_AGENT)
        assert ask("8, 4").returncode == 0
        one.start_again(_AGENT)
        until(lambda: "8 by 4" in said(), "it has connected again")
        assert said().count("holds") == 1
        one.stop(_WORKER)  # before its agent, which would wait for it


def _unacknowledged(broker: RunningBroker) -> int:
    """Of the queue, by the broker's word."""
    out = broker.ctl("list_queues", "-q", "-p", "tasks", "name", "messages_unacknowledged")
    (count,) = (line.split("\t")[1] for line in out.splitlines() if line.startswith("celery\t"))
    return int(count)
