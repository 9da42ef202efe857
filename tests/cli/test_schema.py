"""`letrade-topo schema` as people call it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from letrade_topo.render.topology_schema import topology_schema
from tests.tool import Tool

pytestmark = pytest.mark.one_version


@pytest.mark.wide
def test_it_is_printed_or_written(tmp_path: Path) -> None:
    """The same on stdout and in a file, which everybody may read."""
    tool, path = Tool(folder=tmp_path), tmp_path / "topology.schema.json"

    printed = tool.run("schema").check(0)
    written = tool.run("schema", "--output", path.name).check(0)

    assert json.loads(printed.out) == topology_schema()
    assert path.read_text(encoding="utf-8") == printed.out
    assert (written.out, written.err) == ("", "wrote topology.schema.json\n")
    assert path.stat().st_mode & 0o777 == 0o644
