"""The lock is of this pyproject.toml, whole, and by hashes; and what the code imports is declared."""

from __future__ import annotations

import ast
import json
import re
import sys
import tomllib
from collections.abc import Iterator
from copy import deepcopy
from importlib.metadata import packages_distributions
from pathlib import Path
from typing import Any

import pytest
from packaging.utils import canonicalize_name

from tests.lock.agreement import LOCK, PROJECT, ROOT, disagreements, pins, wanted

pytestmark = pytest.mark.wide

LOCK_TEXT = LOCK.read_text(encoding="utf-8")
CORE = "dependencies"
ANY_EXTRA = frozenset({CORE, "agent", "bus", "claim-check", "otel"})
ALLOWED = {
    "letrade_topo": frozenset({CORE}),
    "letrade_topo/bus": frozenset({CORE, "bus"}),
    "letrade_topo/claims": frozenset({CORE, "claim-check"}),
    "letrade_topo/messages": frozenset({CORE, "agent"}),
    "letrade_topo/testing": frozenset({CORE, "agent", "bus", "testing"}),
    "agent/letrade_agent": frozenset({CORE, "agent"}),
    "agent/letrade_agent/otlp": frozenset({CORE, "agent", "otel"}),
    "examples": ANY_EXTRA | {"examples", "testing"},
    "docs": ANY_EXTRA | {"dev", "docs"},
    "bench": ANY_EXTRA | {"dev", "pictures"},
    "tests": ANY_EXTRA | {"dev"},
}
"""Which requirements each folder may import from; the longest name that fits counts."""
OURS = {"letrade_topo", "letrade_agent", "tests", "bench", "script", "envelope", "running"} | {
    path.stem for path in (ROOT / "examples" / "bus").glob("*.py")
}


@pytest.fixture
def project() -> dict[str, Any]:
    """pyproject.toml."""
    return tomllib.loads(PROJECT.read_text(encoding="utf-8"))


def test_lock_and_project_agree(project: dict[str, Any]) -> None:
    """`script/lock --check`: nothing is missing, too much, or out of its bounds."""
    assert disagreements(project, LOCK_TEXT) == []


def test_disagreement_is_found(project: dict[str, Any]) -> None:
    """A new requirement, one that went, one that moved to a group, and a bound that the lock does not keep."""
    changed = deepcopy(project)
    changed["project"]["dependencies"].append("never-heard-of>=1")
    changed["project"]["dependencies"].remove("PyYAML>=6.0.1")
    changed["dependency-groups"]["docs"].append("PyYAML>=6.0.1")
    changed["dependency-groups"]["docs"].append("requests>=99")

    found = disagreements(changed, LOCK_TEXT)

    version = next(pin.version for pin in pins(LOCK_TEXT) if pin.name == "requests")
    assert sorted(found) == [
        "never-heard-of (dependencies or extras) is not in the lock",
        "pyyaml (group docs) is not in the lock",
        "pyyaml is in the lock, and the project asks for it no more",
        "requests (group docs) is not in the lock",
        f"requests (group docs): >=99 is wanted, {version} is locked",
    ]


def test_lock_is_whole() -> None:
    """Each version is exact and has hashes, of no weak kind; no registry is named: anybody's mirror will do."""
    found = pins(LOCK_TEXT)
    assert {"pip", "hatchling", "uv"} < {pin.name for pin in found}
    for pin in found:
        assert [each.operator for each in pin.requirement.specifier] == ["=="], pin
        assert pin.hashes, pin
        assert all(re.fullmatch("sha256:[0-9a-f]{64}", each) for each in pin.hashes), pin
    assert "://" not in LOCK_TEXT


def test_lock_of_the_client_on_node_is_whole() -> None:
    """Every package has its hash, and what package.json asks for is what was locked."""
    folder = ROOT / "tests/interop/node"
    locked = json.loads((folder / "package-lock.json").read_text(encoding="utf-8"))["packages"]
    package = json.loads((folder / "package.json").read_text(encoding="utf-8"))
    assert locked.pop("")["dependencies"] == package["dependencies"]
    assert {f"node_modules/{name}" for name in package["dependencies"]} <= locked.keys()
    assert all(each["integrity"].startswith("sha512-") for each in locked.values())


@pytest.mark.parametrize("folder", ALLOWED)
def test_imports_are_declared(folder: str, project: dict[str, Any]) -> None:
    """Code imports nothing that is there only because something else needs it today."""
    names = {CORE: set[str](), **{extra: set[str]() for extra in project["project"]["optional-dependencies"]}}
    for extra, texts in project["project"]["optional-dependencies"].items():
        names[extra] = {_name(text) for text in texts}
    names[CORE] = {_name(text) for text in project["project"]["dependencies"]}
    for group, requirement in wanted(project):
        names.setdefault(group, set()).add(canonicalize_name(requirement.name))
    declared = set[str]().union(*(names[allowed] for allowed in ALLOWED[folder]))
    distributions = packages_distributions()

    undeclared = {
        f"{path}: {module}"
        for path in _sources(folder)
        for module in _imports(ROOT / path)
        if module not in OURS
        and not {canonicalize_name(name) for name in distributions.get(module, [module])} & declared
    }

    assert undeclared == set()


def _name(requirement: str) -> str:
    return canonicalize_name(re.split(r"[^\w.-]", requirement, maxsplit=1)[0])


def _sources(folder: str) -> Iterator[Path]:
    closer = [ROOT / other for other in ALLOWED if other.startswith(f"{folder}/")]
    for path in sorted((ROOT / folder).rglob("*.py")):
        if not any(path.is_relative_to(other) for other in closer):
            yield path.relative_to(ROOT)


def _imports(path: Path) -> set[str]:
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
            found.add(node.module.partition(".")[0])
    return found - sys.stdlib_module_names
