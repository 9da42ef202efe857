"""`docs/how-to/celery-behind-an-agent.md`, followed; the page's delays are shortened."""

from __future__ import annotations

import shutil
import subprocess
import sys
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.agents import login_of, running_agent
from tests.brokers import BrokerFactory
from tests.docs.follower import HOW_TO, LIMIT_SECONDS, Follower, blocks, until
from tests.ports import free_ports

PAGE = (HOW_TO / "celery-behind-an-agent.md").read_text(encoding="utf-8")


@pytest.mark.one_version
def test_the_page(start_broker: BrokerFactory, one_broker_version: str, tmp_path: Path) -> None:
    """A task is done; one that raises comes again and is dead; one that is refused raises where it was published."""
    broker = start_broker(one_broker_version)
    (topology,) = blocks(PAGE, "yaml")
    (program,) = blocks(PAGE, "python")
    (tmp_path / "topology.yaml").write_text(f"{topology}\nretry: {{max_retries: 1, delay: 300ms}}\n", encoding="utf-8")
    (tmp_path / "tasks.py").write_text(program, encoding="utf-8")
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

        def ask(arguments: str) -> subprocess.CompletedProcess[str]:
            return subprocess.run(
                [sys.executable, "-c", f"from tasks import divide; divide.delay({arguments})"],
                cwd=tmp_path,
                env={"AMQP_URL": web.url, "PATH": "/usr/bin"},
                capture_output=True,
                text=True,
                timeout=LIMIT_SECONDS,
                check=False,
            )

        def said() -> str:
            return next(tmp_path.glob("*1.log")).read_text(encoding="utf-8")

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
