"""Taking over what somebody else made: what does the same is ours without a question, and what is found may stay."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.brokers import RunningBroker
from tests.tool import Tool
from tests.topologies import orders, write

pytestmark = pytest.mark.broker

EXISTING: dict[str, dict[str, Any]] = {
    "plain": {},
    "dropping": {"x-queue-type": "classic", "x-overflow": "drop-head"},
    "quorum": {"x-queue-type": "quorum"},
    "limited": {"x-queue-type": "quorum", "x-max-length": 5, "x-expires": 60_000, "x-overflow": "reject-publish"},
    "urgent": {"x-queue-type": "classic", "x-max-priority": 5, "x-message-ttl": 1_000},
}


@pytest.fixture
def tool(broker: RunningBroker, vhost_name: str, tmp_path: Path) -> Iterator[Tool]:
    """The tool beside a vhost in which somebody has made queues; what it made is gone at the end."""
    broker.api("PUT", f"/api/vhosts/{vhost_name}", json={})
    for name, arguments in EXISTING.items():
        body = {"durable": True, "arguments": arguments}
        assert broker.api("PUT", f"/api/queues/{vhost_name}/{name}", json=body).status_code == 201
    queue: dict[str, Any] = {"messages": ["order.placed"], "dead_letter": "none"}
    document = orders(name=vhost_name, vhost=vhost_name)
    document["queues"] |= {
        "plain": queue | {"type": "classic"},
        "dropping": queue | {"type": "classic"},
        "quorum": queue,
        "limited": queue | {"arguments": {"x-max-length": 5, "x-expires": 60_000}},
        "urgent": queue | {"type": "classic", "as_found": True},
    }
    write(tmp_path / "topology.yaml", document)
    yield Tool.at(broker, tmp_path)
    for user in (f"{vhost_name}-shop", f"{vhost_name}-clerk"):
        broker.api("DELETE", f"/api/users/{user}")
    broker.api("DELETE", f"/api/global-parameters/letrade-topo.{vhost_name}.{vhost_name}")


def test_what_does_the_same_is_taken_over(tool: Tool, broker: RunningBroker, vhost_name: str) -> None:
    """No queue is made again and nothing has to be allowed; afterwards all is in sync, and the queues are the same."""
    said = tool.run("plan").check(2).out
    assert "replace" not in said
    assert "arguments.x-max-priority is 5" in said

    tool.run("apply", "--yes").check(0)
    tool.run("drift").check(0)

    for name, arguments in EXISTING.items():
        found = broker.api("GET", f"/api/queues/{vhost_name}/{name}").json()["arguments"]
        assert found == arguments | ({"x-queue-type": found["x-queue-type"]} if "x-queue-type" in found else {})
    tool.run("destroy", "--yes").check(0)
