"""The codec stays a codec, and what the agent builds on it stays without a world, too."""

from __future__ import annotations

import ast
import sys
from pathlib import Path

import letrade_agent.amqp
import pytest

import letrade_topo.amqp

_CODEC = Path(letrade_topo.amqp.__file__).parent
_SOURCES = sorted([*_CODEC.glob("*.py"), *Path(letrade_agent.amqp.__file__).parent.glob("*.py")])
_OUTSIDE_WORLD = {"asyncio", "datetime", "logging", "os", "random", "secrets", "select", "socket", "ssl", "time"}

each_source = pytest.mark.parametrize("source", _SOURCES, ids=lambda path: "/".join(path.parts[-3:]))


@each_source
def test_imports_are_of_the_codec_and_the_standard_library_without_a_world(source: Path) -> None:
    """No module knows other packages, ours or foreign, nor sockets, clocks, environment or randomness."""
    absolute = set()
    for node in ast.walk(ast.parse(source.read_text())):
        if isinstance(node, ast.Import):
            absolute |= {name.name for name in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level in (0, 1), "an import from above the package"
            if node.level == 0:
                absolute.add(str(node.module))
    foreign = {name.split(".")[0] for name in absolute if not name.startswith("letrade_topo.amqp.")}

    assert foreign <= sys.stdlib_module_names
    assert not foreign & _OUTSIDE_WORLD
    assert source.parent != _CODEC or foreign == {name.split(".")[0] for name in absolute}


@each_source
def test_no_module_is_longer_than_300_lines(source: Path) -> None:
    """One sitting, one idea."""
    assert len(source.read_text().splitlines()) <= 300
