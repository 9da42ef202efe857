"""Operator policies, runtime and global parameters on real brokers: made, changed, in force, gone, and never shown."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.brokers import BrokerFactory, RunningBroker
from tests.tool import Tool
from tests.topologies import Document, write

pytestmark = pytest.mark.broker

SECRET = "s3cr3t-of-the-east"
EAST = f"amqp://east:{SECRET}@127.0.0.1:1/east"
PLUGINS = ("rabbitmq_shovel", "rabbitmq_federation")


def document(name: str, **sections: Any) -> Document:
    """A topology of two queues."""
    return {
        "topology": 1,
        "name": name,
        "vhost": name,
        "security": {"tls": {"required": False}},
        "queues": {"orders": {}, "moved": {}},
        **sections,
    }


@pytest.fixture
def tool(broker: RunningBroker, vhost_name: str, tmp_path: Path) -> Iterator[Tool]:
    """The tool beside a broker on which its objects are not there yet, and are gone at the end."""
    yield Tool.at(broker, tmp_path)
    for name in (f"letrade-topo.{vhost_name}.{vhost_name}", f"{vhost_name}-ours"):
        broker.api("DELETE", f"/api/global-parameters/{name}")


def test_operator_policies(tool: Tool, broker: RunningBroker, vhost_name: str) -> None:
    """In force and no drift; a change is an update; `destroy` takes them along, and not those of somebody else."""
    policy = {"pattern": "^orders$", "apply_to": "queues", "definition": {"max-length": 9}, "priority": 3}
    write(tool.folder / "topology.yaml", document(vhost_name, operator_policies={"cap": policy}))
    tool.run("apply", "--yes").check(0)
    (listed,) = broker.api("GET", f"/api/operator-policies/{vhost_name}").json()
    assert (listed["definition"], listed["priority"], listed["apply-to"]) == ({"max-length": 9}, 3, "queues")
    tool.run("drift").check(0)

    changed = {"pattern": "^orders$", "apply-to": "queues", "definition": {"max-length": 5}}
    broker.api("PUT", f"/api/operator-policies/{vhost_name}/cap", json=changed).raise_for_status()
    broker.api("PUT", f"/api/operator-policies/{vhost_name}/theirs", json=changed | {"pattern": "^x"})
    assert "max-length: 5 → 9" in tool.run("drift").check(2).out
    tool.run("apply", "--yes").check(0)
    tool.run("drift").check(0)
    tool.run("destroy", "--yes").check(0)
    assert [one["name"] for one in broker.api("GET", f"/api/operator-policies/{vhost_name}").json()] == ["theirs"]


def test_global_parameters(tool: Tool, broker: RunningBroker, vhost_name: str) -> None:
    """Any value; those of others are let alone; what is no longer declared goes."""
    name = f"{vhost_name}-ours"
    write(tool.folder / "topology.yaml", document(vhost_name, global_parameters={name: {"a": [1, "b"]}}))
    tool.run("apply", "--yes").check(0)
    assert broker.api("GET", f"/api/global-parameters/{name}").json()["value"] == {"a": [1, "b"]}
    tool.run("drift").check(0)

    broker.api("PUT", f"/api/global-parameters/{name}", json={"value": {"a": [2]}}).raise_for_status()
    assert f"global-parameter:{name}  differs" in tool.run("drift").check(2).out
    before = {one["name"] for one in broker.api("GET", "/api/global-parameters").json()}
    write(tool.folder / "topology.yaml", document(vhost_name))
    tool.run("apply", "--yes", "--allow", "delete-many").check(0)
    assert before - {one["name"] for one in broker.api("GET", "/api/global-parameters").json()} == {name}


def test_shovels_and_upstreams(start_broker: BrokerFactory, broker_version: str, tmp_path: Path) -> None:
    """Their addresses come from where references say, a changed one is drift, and none is shown or saved anywhere."""
    broker = start_broker(broker_version, plugins=PLUGINS)
    tool = Tool.at(broker, tmp_path).having(EAST=EAST)
    (tmp_path / "west").write_text("amqp://west:pw@127.0.0.1:1\n")
    (tmp_path / "west").chmod(0o600)
    parameters = {
        "shovel": {
            "move": {
                "src-protocol": "amqp091",
                "src-uri": "amqp://",
                "src-queue": "orders",
                "dest-protocol": "amqp091",
                "dest-uri": [{"env": "EAST"}, {"file": "west"}],
                "dest-queue": "moved",
            }
        },
        "federation-upstream": {"east": {"uri": {"env": "EAST"}, "expires": 3_600_000}},
        "federation-upstream-set": {"all-east": [{"upstream": "east"}]},
    }
    write(tmp_path / "topology.yaml", document("moving", parameters=parameters))
    said = tool.run("plan", "-o", "saved.plan").check(2).out + (tmp_path / "saved.plan").read_text()
    said += tool.run("apply", "--yes", "saved.plan").check(0).out
    listed = {one["name"]: one["value"] for one in broker.api("GET", "/api/parameters").json()}
    assert listed["move"]["dest-uri"] == [EAST, "amqp://west:pw@127.0.0.1:1"]
    assert listed["east"] == {"uri": EAST, "expires": 3_600_000}
    assert listed["all-east"] == [{"upstream": "east"}]
    said += tool.run("drift").check(0).out

    answer = tool.having(EAST=EAST.replace("east:", "other:")).run("drift", "--format", "json").check(2)
    assert "env:EAST" in answer.out
    changed = {"value": {"uri": EAST, "expires": 1}}
    broker.api("PUT", "/api/parameters/federation-upstream/moving/east", json=changed).raise_for_status()
    drift = tool.run("drift").check(2)
    assert "value.expires: 1 → 3600000" in drift.out
    assert "value.uri" not in drift.out
    said += answer.out + answer.err + drift.out + drift.err
    tool.run("apply", "--yes").check(0)
    tool.run("destroy", "--yes").check(0)

    assert SECRET not in said
    assert broker.api("GET", "/api/vhosts/moving").status_code == 404


def test_without_the_plugin_the_plan_says_so(tool: Tool, vhost_name: str) -> None:
    """By its name, before anything is written."""
    shovel = {"move": {"src-uri": "amqp://", "src-queue": "orders", "dest-uri": "amqp://", "dest-queue": "moved"}}
    write(tool.folder / "topology.yaml", document(vhost_name, parameters={"shovel": shovel}))
    assert "rabbitmq-plugins enable rabbitmq_shovel" in tool.run("apply", "--yes").check(77).out
