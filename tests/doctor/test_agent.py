"""`doctor --agent` beside a real agent: right, with another topology, without its queue, with keys of somebody else."""

from __future__ import annotations

import json
import time
import uuid
from pathlib import Path

import pytest

from letrade_topo.keys.making import make_keys
from letrade_topo.model.security import JwtAlgorithm
from tests.agents import AgentFactory, AgentLogin
from tests.brokers import RunningBroker
from tests.ports import free_ports
from tests.tool import Tool
from tests.topologies import orders, write

LIMIT_SECONDS = 60.0


@pytest.mark.wide
def test_an_agent_is_looked_at(one_broker: RunningBroker, tmp_path: Path, start_agent: AgentFactory) -> None:
    """Each thing that is wrong is the one in the first line, and is put right."""
    name = f"doctor-{uuid.uuid4().hex[:8]}"
    tool, file, keys = Tool.at(one_broker, tmp_path), tmp_path / "topology.yaml", tmp_path / "keys"
    write(file, orders(name, name))
    tool.run("apply", "--yes").check(0)
    tool.run("keys", "init", "keys").check(0)
    certificate, key = one_broker.client_certificate(f"{name}-clerk")
    agent = start_agent(
        one_broker, service="clerk", topology=file, vhost=name, login=AgentLogin(certificate, key), keys=keys
    )
    admin = f"http://127.0.0.1:{agent.admin_port}"

    def first_line(*more: str, code: int) -> str:
        return tool.run("doctor", "--agent", admin, *more).check(code).out.splitlines()[0]

    assert first_line("--keys", "keys", code=0).startswith("nothing is wrong: ")

    gone = free_ports(1)[0]
    answer = tool.run("doctor", "--agent", f"http://127.0.0.1:{gone}").check(69).out
    assert answer.startswith(f"agent: no agent answers at http://127.0.0.1:{gone}")

    other = tmp_path / "other.yaml"
    write(other, orders(name, name, limits={"delivery_limit": 31}))
    stale = tool.run("doctor", "other.yaml", "--agent", admin).check(1).out
    assert stale.startswith("agent topology: the agent has another topology than this file")

    one_broker.ctl("delete_queue", "-p", name, "clerk.orders")
    # From 4.3.1 on an agent cannot tell at once whether its queue is migrated: for seconds it says that it is there.
    limit = time.monotonic() + LIMIT_SECONDS
    while (looked := tool.run("doctor", "--agent", admin)).code == 0 and time.monotonic() < limit:
        pass
    missing = "agent view: 'clerk' does not find what it needs: queue 'clerk.orders'"
    assert looked.check(1).out.startswith(missing)
    tool.run("apply", "--yes").check(0)

    assert first_line(code=0).startswith("nothing is wrong: ")
    agent.stop()
    tool.run("destroy", "--yes", "--allow", "delete-many").check(0)


@pytest.mark.wide
def test_what_is_signed_is_verified_without_being_sent(
    one_broker: RunningBroker, tmp_path: Path, start_agent: AgentFactory
) -> None:
    """The publisher's key, the consumer's rules; keys that ended are told."""
    name = f"doctor-{uuid.uuid4().hex[:8]}"
    tool, file = Tool.at(one_broker, tmp_path), tmp_path / "topology.yaml"
    write(file, orders(name, name))
    tool.run("apply", "--yes").check(0)
    tool.run("keys", "init", "keys").check(0)
    make_keys(tmp_path / "old", ["shop", "clerk"], (), algorithm=JwtAlgorithm.ES256, now=1, valid_for_seconds=60)
    certificate, key = one_broker.client_certificate(f"{name}-shop")
    login = AgentLogin(certificate, key)
    agent = start_agent(one_broker, service="shop", topology=file, vhost=name, login=login, keys=tmp_path / "keys")

    def probe(folder: str, code: int) -> dict[str, str]:
        asked = ("doctor", "--agent", f"http://127.0.0.1:{agent.admin_port}", "--keys", folder, "--format", "json")
        checks = json.loads(tool.run(*asked).check(code).out)["checks"]
        found: dict[str, str] = next(one for one in checks if one["name"] == "agent probe")
        return found

    assert "is accepted by 'clerk'" in probe("keys", 0)["seen"]
    assert probe("old", 65)["verdict"] == "failed"
    agent.stop()
    tool.run("destroy", "--yes", "--allow", "delete-many").check(0)
