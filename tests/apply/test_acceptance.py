"""What the broker would refuse keeps `apply` from beginning; what a version need not be told is left out, and said."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.brokers import RunningBroker
from tests.tool import Tool
from tests.topologies import orders, write

pytestmark = pytest.mark.broker


@pytest.fixture
def tool(broker: RunningBroker, vhost_name: str, tmp_path: Path) -> Iterator[Tool]:
    """The tool in an empty folder; what it made is gone at the end."""
    yield Tool.at(broker, tmp_path)
    for user in (f"{vhost_name}-shop", f"{vhost_name}-clerk"):
        broker.api("DELETE", f"/api/users/{user}")
    broker.api("DELETE", f"/api/global-parameters/letrade-topo.{vhost_name}.{vhost_name}")


def described(tool: Tool, name: str, **sections: Any) -> None:
    """Write a topology of this name with other sections."""
    write(tool.folder / "topology.yaml", orders(name=name, vhost=name, **sections))


@pytest.mark.parametrize(
    ("definition", "words", "refused_on"),
    [
        ({"ha-mode": "all"}, "ha-mode", {"4.0", "newest"}),
        ({"consumer-timeout": 60_000}, "consumer-timeout", {"3.10"}),
        ({"federation-upstream-set": "all"}, "rabbitmq_federation", {"3.10", "4.0", "newest"}),
    ],
    ids=["gone", "not yet", "plug-in"],
)
def test_a_policy_that_this_broker_refuses_is_refused_before_anything_is_made(
    tool: Tool,
    broker: RunningBroker,
    broker_version: str,
    vhost_name: str,
    definition: Any,
    words: str,
    refused_on: Any,
) -> None:
    """77 with the version or the plug-in; elsewhere it is applied."""
    described(tool, vhost_name, policies={"p": {"pattern": "^nothing$", "definition": definition}})

    tool.run("validate").check(0)
    if broker_version not in refused_on:
        tool.run("apply", "--yes").check(0)
        return
    assert words in tool.run("plan").check(2).out
    assert words in tool.run("apply", "--yes").check(77).err
    assert broker.api("GET", f"/api/vhosts/{vhost_name}").status_code == 404


@pytest.mark.parametrize("everywhere", [True, False], ids=["topology", "one queue"])
def test_no_delivery_limit_on_every_version(
    tool: Tool, broker: RunningBroker, vhost_name: str, everywhere: bool
) -> None:
    """`-1` is applied where it is known; before 4.0 it is left out, which means the same, and said."""
    document = orders(name=vhost_name, vhost=vhost_name)
    (document if everywhere else document["queues"]["clerk.orders"]).update(
        {"limits": {"delivery_limit": -1}} if everywhere else {"delivery_limit": -1}
    )
    document["policies"] = {"own": {"pattern": "^other$", "definition": {"delivery-limit": -1, "max-length": 5}}}
    write(tool.folder / "topology.yaml", document)

    said = tool.run("plan").check(2).out
    tool.run("apply", "--yes").check(0)

    tool.run("drift").check(0)
    assert "Nothing to do" in tool.run("apply", "--yes").check(0).out
    knows = not broker.version.startswith("3.")
    assert ("left out" in said) is not knows
    limits = [
        one["definition"].get("delivery-limit") for one in broker.api("GET", f"/api/policies/{vhost_name}").json()
    ]
    assert (-1 in limits) is knows
