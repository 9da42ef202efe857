"""Bindings that some versions take and others do not: made where they can be made, and refused beforehand elsewhere."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from letrade_topo.broker.capabilities import for_version
from tests.brokers import RunningBroker
from tests.tool import Tool
from tests.topologies import Document, orders, write

pytestmark = pytest.mark.broker


@pytest.fixture
def tool(broker: RunningBroker, vhost_name: str, tmp_path: Path) -> Iterator[Tool]:
    """The tool in a folder; what it made goes at the end."""
    tool = Tool.at(broker, tmp_path)
    yield tool
    tool.run("destroy", "--yes").check(0)


def with_binding(vhost: str, **binding: object) -> Document:
    """A topology with one binding more, of a headers or a topic exchange."""
    document = orders(name=vhost, vhost=vhost)
    document["exchanges"]["by_header"] = {"type": "headers"}
    document["bindings"] = [{"queue": "clerk.orders", **binding}]
    return document


def test_a_binding_with_long_arguments_is_made_on_every_version(tool: Tool, vhost_name: str) -> None:
    """From 4.0.4 a call about one binding is limited to 5,000 bytes; an import of definitions is not."""
    arguments = {f"header-{number}": "x" * 200 for number in range(40)}
    document = with_binding(vhost_name, source="by_header", arguments={"x-match": "any"})
    write(tool.folder / "topology.yaml", document)
    tool.run("apply", "--yes").check(0)
    document["bindings"][0]["arguments"] |= arguments
    write(tool.folder / "topology.yaml", document)
    tool.run("apply", "--yes").check(0)
    tool.run("drift").check(0)


def test_more_wildcards_than_a_version_takes_are_refused_before_anything_is_made(
    tool: Tool, broker: RunningBroker, vhost_name: str
) -> None:
    """From 4.3.5 two `#` in a binding key at most; before, any number."""
    write(tool.folder / "topology.yaml", with_binding(vhost_name, source="orders", routing_key="#.a.#.b.#"))
    most = for_version(broker.version).max_multi_wildcards
    if most is None:
        tool.run("apply", "--yes").check(0)
    else:
        assert f"takes {most} `#` in a binding key at most" in tool.run("plan").check(2).out
        assert "several bindings" in tool.run("apply", "--yes").check(77).err
        assert broker.api("GET", f"/api/vhosts/{vhost_name}").status_code == 404
    write(tool.folder / "topology.yaml", with_binding(vhost_name, source="orders", routing_key="#.a.#"))
    tool.run("apply", "--yes").check(0)
