"""The core stays a core."""

from __future__ import annotations

import ast
import sys
from pathlib import Path

import letrade_agent.amqp
import pytest

_FOLDER = Path(letrade_agent.amqp.__file__).parent
_OUTSIDE_WORLD = {"asyncio", "datetime", "logging", "os", "random", "secrets", "select", "socket", "ssl", "time"}


@pytest.mark.parametrize("source", sorted(_FOLDER.glob("*.py")), ids=lambda path: path.name)
def test_imports_are_of_the_standard_library_and_without_a_world(source: Path) -> None:
    """No module knows other packages, ours or foreign, nor sockets, clocks, environment or randomness."""
    absolute = set()
    for node in ast.walk(ast.parse(source.read_text())):
        if isinstance(node, ast.Import):
            absolute |= {name.name.split(".")[0] for name in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level in (0, 1), "an import from above the package"
            if node.level == 0:
                absolute.add(str(node.module).split(".")[0])

    assert absolute <= sys.stdlib_module_names
    assert not absolute & _OUTSIDE_WORLD


@pytest.mark.parametrize("source", sorted(_FOLDER.glob("*.py")), ids=lambda path: path.name)
def test_no_module_is_longer_than_300_lines(source: Path) -> None:
    """One sitting, one idea."""
    assert len(source.read_text().splitlines()) <= 300
