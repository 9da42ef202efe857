"""The version stands in many places and comes from one; a release moves the changelog's section, and no more."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from letrade_topo.version import VERSION
from script.versions import (
    CHANGELOG,
    PLACES,
    ROOT,
    NotReleasable,
    current,
    disagreeing,
    main,
    notes,
    places,
    released,
    set_version,
)

LOG = """# Changelog

## [Unreleased]

### Added

- A thing.

## [0.1.0] - 2026-01-01

- The first.
"""


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """The files that have a version, and the changelog."""
    for path in {place.path for place in places(ROOT)} | {ROOT / CHANGELOG}:
        copy = tmp_path / path.relative_to(ROOT)
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(path, copy)
    return tmp_path


def test_all_places_agree() -> None:
    """As `script/versions.py --check` says."""
    assert disagreeing(ROOT) == []
    assert current(ROOT) == VERSION


def test_one_that_differs_is_found(tree: Path) -> None:
    """By its file."""
    file = tree / "letrade_topo" / "version.py"
    file.write_text(file.read_text(encoding="utf-8").replace(VERSION, "9.9.9"), encoding="utf-8")
    assert disagreeing(tree) == [f"letrade_topo/version.py says 9.9.9, pyproject.toml says {VERSION}"]


def test_a_place_that_moved_is_found(tree: Path) -> None:
    """Else it would keep its version for ever."""
    (tree / "agent" / "Dockerfile").write_text("FROM scratch\n", encoding="utf-8")
    with pytest.raises(NotReleasable, match="agent/Dockerfile"):
        disagreeing(tree)


def test_a_new_version_is_everywhere(tree: Path) -> None:
    """One of another length; nothing else in a file changes."""
    before = {path: path.read_text(encoding="utf-8") for path in {place.path for place in places(tree)}}
    changed = set_version(tree, "10.20.30rc1")
    assert set(changed) == set(before)
    assert {place.version for place in places(tree)} == {"10.20.30rc1"}
    set_version(tree, VERSION)
    assert {path: path.read_text(encoding="utf-8") for path in before} == before


def test_no_place_is_forgotten() -> None:
    """No other file of charts, recipes, image and packages has today's version."""
    if VERSION == "0.1.0":
        pytest.skip("the first version is named in texts about what it did")
    known = {place.path for place in places(ROOT)}
    listed = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True).stdout  # noqa: S607
    for name in listed.splitlines():
        path = ROOT / name
        if path.suffix in {".py", ".yaml", ".yml", ".toml", ".md"} and path not in known and name != CHANGELOG:
            assert VERSION not in path.read_text(encoding="utf-8"), name


def test_changelog() -> None:
    """What is unreleased gets the heading of the version, under an empty section; older ones stay."""
    after = released(LOG, "0.2.0", "2026-12-01")
    assert after == LOG.replace("## [Unreleased]\n", "## [Unreleased]\n\n## [0.2.0] - 2026-12-01\n", 1)
    assert notes(after, "0.2.0") == "### Added\n\n- A thing.\n"
    assert notes(after, "0.1.0") == "- The first.\n"


@pytest.mark.parametrize(
    ("log", "version", "problem"),
    [
        (LOG, "0.1.0", "has a section of 0.1.0"),
        (LOG.replace("- A thing.\n", ""), "0.2.0", "nothing unreleased"),
        (LOG.replace("[Unreleased]", "Soon"), "0.2.0", "no line"),
    ],
)
def test_what_cannot_be_released(log: str, version: str, problem: str) -> None:
    """Nothing new, or the same again."""
    with pytest.raises(NotReleasable, match=problem):
        released(log, version, "2026-12-01")


def test_command_line(tree: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A wrong date or version changes no file; a right one names what it changed."""
    text = (tree / CHANGELOG).read_text(encoding="utf-8")
    assert main(["1.2", "2026-12-01", str(tree)]) == 64
    assert main(["1.2.3", "tomorrow", str(tree)]) == 1
    assert (tree / CHANGELOG).read_text(encoding="utf-8") == text
    assert main(["1.2.3", "2026-12-01", str(tree)]) == 0
    assert CHANGELOG in capsys.readouterr().out.splitlines()
    assert main(["1.2.3", "2026-12-01", str(tree)]) == 1
    assert len(PLACES) > 10
