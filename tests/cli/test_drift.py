"""`drift --only` on a real broker: two calls tell a script which of the two there is."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from letrade_topo.exit_codes import ExitCode
from tests.brokers import RunningBroker
from tests.tool import Tool
from tests.topologies import orders, write

pytestmark = [pytest.mark.broker, pytest.mark.one_version]

PAGE = Path(__file__).parents[2] / "docs" / "how-to" / "reconcile-from-ci.md"
DIFFERS, UNDECLARED = ("--only", "differs"), ("--only", "undeclared")


@pytest.fixture
def tool(broker: RunningBroker, vhost_name: str, tmp_path: Path) -> Iterator[Tool]:
    """The tool with a small topology that is applied; its users and its record go at the end."""
    write(tmp_path / "topology.yaml", orders(name=vhost_name, vhost=vhost_name))
    tool = Tool.at(broker, tmp_path)
    tool.run("apply", "--yes").check(ExitCode.OK)
    yield tool
    tool.run("destroy", "--yes").check(ExitCode.OK)


def exit_codes(tool: Tool) -> tuple[int, int, int]:
    """Of all drift, of what differs, of what nobody declared."""
    everything, differs, undeclared = (tool.run("drift", *only) for only in ((), DIFFERS, UNDECLARED))
    return everything.code, differs.code, undeclared.code


def script(tool: Tool) -> int:
    """The exit code of what the page gives to scripts, as a pipeline runs it."""
    text = PAGE.read_text(encoding="utf-8").partition("```sh\n")[2].partition("```")[0]
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    settings = {"PATH": path, **tool.environment}
    done = subprocess.run(["/bin/bash", "-eo", "pipefail", "-c", text], env=settings, cwd=tool.folder, check=False)
    return done.returncode


def test_each_alone_and_both(broker: RunningBroker, tool: Tool, vhost_name: str) -> None:
    """A queue by hand and an operator policy at work are undeclared, a limit on a user differs; 2 stays 2."""
    assert exit_codes(tool) == (0, 0, 0)
    cap = {"pattern": "^clerk", "definition": {"max-length": 7}, "apply-to": "queues"}
    assert broker.api("PUT", f"/api/queues/{vhost_name}/stranger", json={"durable": True}).ok
    assert broker.api("PUT", f"/api/operator-policies/{vhost_name}/cap", json=cap).ok
    assert exit_codes(tool) == (2, 0, 2)
    assert script(tool) == 0

    assert broker.api("PUT", f"/api/user-limits/{vhost_name}-shop/max-channels", json={"value": 3}).ok
    assert exit_codes(tool) == (2, 2, 2)
    assert script(tool) == 2
    differs = tool.run("drift", *DIFFERS, "--format", "json").check(2)
    report = json.loads(differs.out)
    assert (report["unmanaged"], report["findings"]) == ([], [])
    assert (report["summary"]["differs"], report["summary"]["undeclared"]) == (1, 2)
    assert differs.err == "Drift: 1 differs, 2 undeclared (not shown).\n"

    assert broker.api("DELETE", f"/api/queues/{vhost_name}/stranger").ok
    assert broker.api("DELETE", f"/api/operator-policies/{vhost_name}/cap").ok
    assert exit_codes(tool) == (2, 2, 0)
    by_variable = tool.having(LETRADE_TOPO_DRIFT_ONLY="undeclared").run("drift").check(0)
    assert by_variable.err == "Drift: 1 differs (not shown), 0 undeclared.\n"
