"""A Dockerfile as its instructions, and the files that its context has."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from fnmatch import fnmatch
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Instruction:
    """One instruction, with its continued lines joined."""

    name: str
    text: str


def stages(path: Path) -> list[list[Instruction]]:
    """The instructions of each stage; the first one of each is FROM. Without what stands before all of them."""
    found: list[list[Instruction]] = []
    for instruction in _instructions(path.read_text(encoding="utf-8")):
        if instruction.name == "FROM":
            found.append([])
        if found:
            found[-1].append(instruction)
    return found


def in_context(root: Path) -> list[Path]:
    """Files that .dockerignore lets into the build, relative to the root: the last pattern that matches decides."""
    patterns = [
        line.strip()
        for line in (root / ".dockerignore").read_text(encoding="utf-8").splitlines()
        if line.strip() and not line.startswith("#")
    ]
    files = []
    tops = (path for path in root.iterdir() if path.name not in {".venv", ".git", "build"})  # no pattern lets them in
    for path in sorted(inner for top in tops for inner in (top, *top.rglob("*")) if inner.is_file()):
        relative = path.relative_to(root)
        excluded = False
        for pattern in patterns:
            bare = pattern.removeprefix("!")
            if any(_matches(bare, str(part)) for part in (relative, *relative.parents[:-1])):
                excluded = not pattern.startswith("!")
        if not excluded:
            files.append(relative)
    return files


def _matches(pattern: str, path: str) -> bool:
    if pattern.startswith("**/"):
        return fnmatch(path, pattern.removeprefix("**/")) or fnmatch(path, f"*/{pattern.removeprefix('**/')}")
    return fnmatch(path, pattern) and pattern.count("/") == path.count("/")


def _instructions(text: str) -> Iterator[Instruction]:
    lines = [line for line in text.splitlines() if line.strip() and not line.lstrip().startswith("#")]
    for joined in re.sub(r"\\\n\s*", "", "\n".join(lines)).splitlines():
        name, _, rest = joined.partition(" ")
        yield Instruction(name, rest.strip())
