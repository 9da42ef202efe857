"""Whether requirements.lock is of this pyproject.toml, without asking anybody; `script/lock --check`.

The lock says by `# via` which packages the project itself asks for, and for which of its groups. That has to be what
pyproject.toml asks for, within its bounds. Whether what those packages need is there, too, pip sees when it installs:
it takes nothing that has no hash.
"""

from __future__ import annotations

import re
import sys
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).resolve().parents[2]
LOCK = ROOT / "requirements.lock"
PROJECT = ROOT / "pyproject.toml"
_VIA = re.compile(r"letrade-topo \(pyproject\.toml(?::(?P<group>[\w-]+))?\)")


@dataclass(slots=True)
class Pin:
    """One version of a package in the lock; there may be others for other versions of Python.

    Args:
        requirement: with its marker.
        groups: of pyproject.toml, that ask for it; "" stands for dependencies and extras.
        hashes: of its files.
    """

    requirement: Requirement
    groups: set[str] = field(default_factory=set)
    hashes: list[str] = field(default_factory=list)

    @property
    def name(self) -> str:
        """As registries spell it."""
        return canonicalize_name(self.requirement.name)

    @property
    def version(self) -> str:
        """The one that is installed."""
        (only,) = self.requirement.specifier
        return only.version


def pins(lock: str) -> list[Pin]:
    """What a lock holds."""
    found: list[Pin] = []
    for line in lock.splitlines():
        if line.startswith("    --hash="):
            found[-1].hashes.append(line.strip(" \\").removeprefix("--hash="))
        elif line.lstrip().startswith("#"):
            if found and (via := _VIA.search(line)):
                found[-1].groups.add(via["group"] or "")
        elif line:
            found.append(Pin(Requirement(line.rstrip(" \\"))))
    return found


def wanted(project: Mapping[str, Any]) -> Iterator[tuple[str, Requirement]]:
    """What a pyproject.toml asks for, each with its group; "" stands for dependencies and extras."""
    for text in project["project"]["dependencies"]:
        yield "", Requirement(text)
    for extra in project["project"]["optional-dependencies"].values():
        for text in extra:
            yield "", Requirement(text)
    for group, texts in project["dependency-groups"].items():
        for text in texts:
            yield group, Requirement(text)


def disagreements(project: Mapping[str, Any], lock: str) -> list[str]:
    """What one has and the other has not."""
    locked = pins(lock)
    asked = list(wanted(project))
    found = []
    for group, requirement in asked:
        place = f"group {group}" if group else "dependencies or extras"
        name = canonicalize_name(requirement.name)
        of_name = [pin for pin in locked if pin.name == name]
        if not any(group in pin.groups for pin in of_name):
            found.append(f"{name} ({place}) is not in the lock")
        found += [
            f"{name} ({place}): {requirement.specifier} is wanted, {pin.version} is locked"
            for pin in of_name
            if not requirement.specifier.contains(pin.version, prereleases=True)
        ]
    names = {(group, canonicalize_name(requirement.name)) for group, requirement in asked}
    for pin in locked:
        found += [
            f"{pin.name} is in the lock, and {f'group {group}' if group else 'the project'} asks for it no more"
            for group in sorted(pin.groups)
            if (group, pin.name) not in names
        ]
    return found


def main() -> int:
    """Say what does not agree."""
    project = tomllib.loads(PROJECT.read_text(encoding="utf-8"))
    found = disagreements(project, LOCK.read_text(encoding="utf-8"))
    for line in found:
        print(f"error: {line}", file=sys.stderr)
    if found:
        print("  Run script/lock; with the names of packages it renews only those.", file=sys.stderr)
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
