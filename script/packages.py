"""The packages on docs/explanation/architecture.md: what each imports, and the arrows between them, from the source.

What a package knows is written there by hand. Every import counts: those inside functions, those for types alone.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

ROOT = Path(__file__).resolve().parent.parent
PAGE = ROOT / "docs/explanation/architecture.md"
FOLDERS: Final = {"letrade_topo": ROOT / "letrade_topo", "letrade_agent": ROOT / "agent/letrade_agent"}

_BLOCK = re.compile(r"(<!-- packages of (\w+): written by script/reference -->\n).*?(<!-- /packages -->)", re.DOTALL)
_ROW = re.compile(r"^\| `(\w+)` \| (.*?) \|", re.MULTILINE)


@dataclass(frozen=True, slots=True, order=True)
class Part:
    """A package below one of the two at the top, or a single module that imports one.

    Args:
        top: the package at the top.
        name: below it.
    """

    top: str
    name: str


def page() -> str:
    """The page with the tables and diagrams that the source says."""
    imported = imports()

    def block(match: re.Match[str]) -> str:
        known = dict(_ROW.findall(match[0]))
        return match[1] + _block(match[2], known, imported) + match[3]

    return _BLOCK.sub(block, PAGE.read_text(encoding="utf-8"))


def imports() -> dict[Part, frozenset[Part]]:
    """Which parts each part imports."""
    packages = {Part(top, each.parent.name) for top, folder in FOLDERS.items() for each in folder.glob("*/__init__.py")}
    found: dict[Part, set[Part]] = {package: set() for package in packages}
    for top, folder in FOLDERS.items():
        for source in folder.rglob("*.py"):
            inside = source.relative_to(folder)
            found.setdefault(Part(top, inside.parts[0].removesuffix(".py")), set()).update(_imported(source))
    parts = packages | {part for part, others in found.items() if others & packages and part.name != "__main__"}
    # what `testing` borrows of the agent is no layer: its row says so by hand, and a contract that nobody else does
    borrowed = {part for part in parts if part.top == "letrade_agent"}
    return {
        part: frozenset((found[part] & parts) - {part} - (borrowed if part.top == "letrade_topo" else set()))
        for part in sorted(parts)
    }


def _imported(source: Path) -> Iterator[Part]:
    for node in ast.walk(ast.parse(source.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and not node.level:
            names = [f"{node.module}.{alias.name}" for alias in node.names]
        else:
            continue
        for name in names:
            top, _, rest = name.partition(".")
            if top in FOLDERS and rest:
                yield Part(top, rest.partition(".")[0])


def _block(top: str, known: Mapping[str, str], imported: Mapping[Part, frozenset[Part]]) -> str:
    own = {part: others for part, others in imported.items() if part.top == top}
    arrows = {
        part: sorted(other.name for other in _direct(part, own) if other.top == top) for part in _from_the_top(own)
    }
    lines = ["", "```mermaid", "flowchart TD"]
    lines += [f"    {part.name} --> {' & '.join(others)}" for part, others in arrows.items() if others]
    foreign = any(other.top != top for others in own.values() for other in others)
    titles = ["package", "what it knows", "imports", *(["of letrade_topo"] if foreign else [])]
    lines += ["```", "", f"| {' | '.join(titles)} |", "|---" * len(titles) + "|"]
    for part in reversed(list(_from_the_top(own))):
        if part.name not in known:
            raise SystemExit(f"error: {PAGE.relative_to(ROOT)} has no row for {top}.{part.name}; write what it knows")
        cells = [f"`{part.name}`", known[part.name], _names(own[part], top)]
        cells += (
            [_names(own[part] - {each for each in own[part] if each.top == top}, "letrade_topo")] if foreign else []
        )
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join([*lines, ""])


def _direct(part: Part, imported: Mapping[Part, frozenset[Part]]) -> set[Part]:
    """What a package imports and none of what it imports imports: a diagram of all arrows shows nothing."""
    above = {other: below(other, imported) for other in imported[part]}
    return {each for each in above if not any(each in above[other] and other not in above[each] for other in above)}


def below(part: Part, imported: Mapping[Part, frozenset[Part]]) -> set[Part]:
    """Everything that a package stands on."""
    found: set[Part] = set()
    todo = [part]
    while todo:
        new = imported.get(todo.pop(), frozenset()) - found
        found |= new
        todo += new
    return found


def _from_the_top(imported: Mapping[Part, frozenset[Part]]) -> list[Part]:
    """Whatever imports stands before what it imports."""
    return sorted(imported, key=lambda part: (-len(below(part, imported)), part.name))


def _names(parts: frozenset[Part], top: str) -> str:
    return ", ".join(f"`{part.name}`" for part in sorted(parts) if part.top == top) or "–"
