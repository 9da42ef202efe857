"""Dramatiq cannot be used behind an agent: its declares are answered, its tasks refused, since they leave no exchange.

What it sends, by its source (`brokers/rabbitmq.py` of 2.x): for the queue `default` of an actor, queue.declare of
`default` and `default.DQ`, both with `x-dead-letter-exchange: ""` and `x-dead-letter-routing-key: default.XQ`, and of
`default.XQ`; then basic.publish to the exchange "" with the queue's name as key, and nothing in its place can be set.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Final

import pytest

from tests.brokers import BrokerFactory
from tests.clients.program import LIMIT_SECONDS
from tests.clients.world import ClientWorld, running_client_world, wait_until

_QUEUES: Final = ("default", "default.DQ", "default.XQ")


@pytest.mark.one_version
def test_its_tasks_are_refused(start_broker: BrokerFactory, one_broker_version: str, tmp_path: Path) -> None:
    """It hears of it with confirms alone, which it has not by default: the agent counts both, and gives the reason."""
    broker = start_broker(one_broker_version)
    with running_client_world(broker, tmp_path, list(_QUEUES), {name: name for name in _QUEUES}) as world:
        agent = world.agents["shop"]
        undeclared = _publish(world, "emails")
        assert undeclared.returncode != 0
        assert "configure access to queue 'emails'" in undeclared.stderr
        by_default = _publish(world, "default")
        assert (by_default.returncode, by_default.stderr) == (0, "")
        wait_until(lambda: agent.metric("messages_rejected_total", reason="undeclared") == 1, "it is refused")
        with_confirms = _publish(world, "default", "confirms")
        assert with_confirms.returncode != 0
        assert "dramatiq.errors.ConnectionClosed: 1 message(s) NACKed" in with_confirms.stderr
        assert agent.metric("messages_rejected_total", reason="undeclared") == 1 + 6
        assert "access to exchange 'amq.default'" in (tmp_path / f"agent-shop-{agent.port}.log").read_text("utf-8")
        assert not any(ready + unacknowledged for ready, unacknowledged, _ in world.depths().values())


def _publish(world: ClientWorld, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "tests.clients.programs.dramatiq_actor", *arguments],
        env={**os.environ, "AMQP_URL": world.url("shop")},
        capture_output=True,
        text=True,
        timeout=LIMIT_SECONDS,
        check=False,
    )
