"""What the page on the architecture says of packages is so, and so are the rules of imports in pyproject.toml."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator, Mapping

import pytest

from script.packages import PAGE, ROOT, Part, below, imports

Imports = Mapping[Part, frozenset[Part]]

TEXT = PAGE.read_text(encoding="utf-8")
CONTRACTS = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["importlinter"]["contracts"]

_SECTION = re.compile(r"<!-- packages of (\w+):.*?-->(.*?)<!-- /packages -->", re.DOTALL)
_ROW = re.compile(r"^\| `(\w+)` \|.*?\|(.*)\|$", re.MULTILINE)
_ARROWS = re.compile(r"^ +(\w+(?: & \w+)*) --> (.+)$", re.MULTILINE)


def untrue(text: str, imported: Imports) -> list[str]:
    """What a page says that is not so, or leaves out; in words."""
    found: list[str] = []
    rows: set[Part] = set()
    for top, section in _SECTION.findall(text):
        for name, cells in _ROW.findall(section):
            part = Part(top, name)
            rows.add(part)
            said = {Part(*each) for each in _named(top, cells)}
            found += [f"{name} does not import {each.name}" for each in sorted(said - imported.get(part, frozenset()))]
            found += [f"{name} imports {each.name}" for each in sorted(imported.get(part, frozenset()) - said)]
        for sources, targets in _ARROWS.findall(section):
            for source in sources.split(" & "):
                for target in targets.split(" & "):
                    if Part(top, target) not in imported.get(Part(top, source), frozenset()):
                        found.append(f"no arrow from {source} to {target}")
    found += [f"no row for {part.top}.{part.name}" for part in sorted(imported.keys() - rows)]
    return found + [f"there is no {part.top}.{part.name}" for part in sorted(rows - imported.keys())]


def _named(top: str, cells: str) -> Iterator[tuple[str, str]]:
    for column, cell in zip((top, "letrade_topo"), cells.split("|"), strict=False):
        yield from ((column, name) for name in re.findall(r"`(\w+)`", cell))


@pytest.fixture(name="imported", scope="module")
def _imported() -> Imports:
    return imports()


def test_the_page_is_true(imported: Imports) -> None:
    """Every package has a row, its imports are exactly the real ones, and no arrow is made up."""
    assert untrue(TEXT, imported) == []


@pytest.mark.parametrize(
    ("there", "instead", "problem"),
    [
        ("    apply --> plan", "    apply --> plan & node", "no arrow from apply to node"),
        ("| `broker`, `model` |", "| `model` |", "migration imports broker"),
        ("| `keys`, `load`, `messages`, `model` |", "| `amqp`, `keys`, `load`, `messages`, `model` |", "bus does not"),
        ("| `node` | a private", "| `knot` | a private", "no row for letrade_topo.node"),
        ("| `node` | a private", "| `knot` | a private", "there is no letrade_topo.knot"),
    ],
)
def test_a_lie_is_found(imported: Imports, there: str, instead: str, problem: str) -> None:
    """An arrow, an import, a package: too much or too little."""
    assert there in TEXT
    assert any(each.startswith(problem) for each in untrue(TEXT.replace(there, instead, 1), imported))


@pytest.mark.parametrize(
    "contract",
    [each for each in CONTRACTS if any(name.startswith("letrade_topo.") for name in each.get("forbidden_modules", ()))],
    ids=lambda contract: str(contract["name"]),
)
def test_what_is_not_used_is_forbidden(imported: Imports, contract: dict[str, list[str]]) -> None:
    """Where something may stand on some packages only, all others are named: also one that is new."""
    used: set[Part] = set()
    for source in contract["source_modules"]:
        top, _, name = source.partition(".")
        for part in [Part(top, name)] if name else [part for part in imported if part.top == top]:
            used |= {part} | below(part, imported)

    others = {f"{part.top}.{part.name}" for part in imported.keys() - used if part.top == "letrade_topo"}

    assert others - set(contract["forbidden_modules"]) == set()
