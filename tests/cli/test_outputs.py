"""Commands that write a file: a link, pipe or device that stands where they write stays what it is."""

from __future__ import annotations

import os
import stat
import threading
from pathlib import Path

import pytest

from tests.tool import Tool
from tests.topologies import orders, write

COMMANDS = {
    "schema": ("schema", "--output"),
    "graph": ("graph", "topology.yaml", "--format", "dot", "--output"),
}


@pytest.fixture(params=COMMANDS)
def command(request: pytest.FixtureRequest) -> tuple[str, ...]:
    """All but the last word, which is the path."""
    return COMMANDS[request.param]


@pytest.fixture
def tool(tmp_path: Path) -> Tool:
    """The tool beside a topology."""
    write(tmp_path / "topology.yaml", orders())
    return Tool(folder=tmp_path)


@pytest.fixture
def expected(tool: Tool, command: tuple[str, ...]) -> bytes:
    """What it writes to a regular file."""
    tool.run(*command, "regular").check(0)
    return (tool.folder / "regular").read_bytes()


def test_a_link(tool: Tool, command: tuple[str, ...], expected: bytes) -> None:
    """What it leads to is written."""
    (tool.folder / "link").symlink_to("kept")

    tool.run(*command, "link").check(0)

    assert (tool.folder / "link").is_symlink()
    assert (tool.folder / "kept").read_bytes() == expected


def test_a_pipe(tool: Tool, command: tuple[str, ...], expected: bytes) -> None:
    """Who reads it gets all."""
    path, got = tool.folder / "pipe", []
    os.mkfifo(path)
    reader = threading.Thread(target=lambda: got.append(path.read_bytes()), daemon=True)
    reader.start()

    tool.run(*command, "pipe").check(0)

    reader.join(60)
    assert got == [expected]
    assert stat.S_ISFIFO(path.stat().st_mode)


def test_a_device(tool: Tool, command: tuple[str, ...], expected: bytes) -> None:
    """`/dev/null` stays, also for root; `/dev/stdout` is stdout."""
    tool.run(*command, "/dev/null").check(0)
    assert stat.S_ISCHR(Path("/dev/null").stat().st_mode)

    assert tool.run(*command, "/dev/stdout").check(0).out.encode() == expected
