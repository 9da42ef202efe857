"""Programs that are built before they run, for Go and for the JVM: once, in the cache of the tests."""

from __future__ import annotations

import os
import shutil
import subprocess
from functools import cache
from hashlib import sha256
from pathlib import Path
from typing import Final

import pytest

_HERE: Final = Path(__file__).resolve().parent
_BUILD_SECONDS: Final = 1_800
"""The first time it fetches what Spring is made of."""


@cache
def go_program(folder: str = "go") -> list[str]:
    """The command of a program for Go, without the role; the test is skipped where there is no Go.

    Args:
        folder: beside this file.
    """
    return [str(_built(folder, "go", ["go", "build", "-o", "program", "."]) / "program")]


def java_program(name: str) -> list[str]:
    """The command of one of the programs for the JVM, without the role; skipped where there is no Maven.

    Args:
        name: of its class, with its package.
    """
    return [*_java(), name]


@cache
def _java() -> list[str]:
    tell = ["dependency:build-classpath", "-Dmdep.outputFile=classpath"]
    folder = _built("java", "mvn", ["mvn", "--quiet", "--batch-mode", "compile", *tell])
    classpath = (folder / "classpath").read_text(encoding="utf-8")
    return ["java", "-XX:TieredStopAtLevel=1", "-cp", f"{folder / 'target' / 'classes'}:{classpath}"]


def _built(name: str, needs: str, command: list[str]) -> Path:
    """A copy of the sources, in which the command was run; another one whenever they change."""
    if shutil.which(needs) is None:
        pytest.skip(f"no {needs} on this machine: its programs are not built")
    sources = sorted(path for path in (_HERE / name).rglob("*") if path.is_file())
    digest = sha256(b"".join(path.read_bytes() for path in sources)).hexdigest()[:16]
    cached = os.environ.get("LETRADE_TOPO_CACHE") or Path.home() / ".cache" / "letrade-topo"
    folder = Path(cached) / "clients" / f"{name}-{digest}"
    if not (folder / "built").is_file():
        shutil.rmtree(folder, ignore_errors=True)
        shutil.copytree(_HERE / name, folder)
        subprocess.run(command, cwd=folder, check=True, timeout=_BUILD_SECONDS)
        (folder / "built").touch()
    return folder
