#!/usr/bin/env python3
"""The version of the project: pyproject.toml has it, every other place follows; and the changelog at a release.

  script/versions.py --check              every place says what pyproject.toml says
  script/versions.py VERSION DATE [ROOT]  write a new one everywhere, and make the changelog's section its own

Changes files and nothing else; commits and tags are for people. script/release calls it.
"""

from __future__ import annotations

import datetime
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Final, NamedTuple

ROOT: Final = Path(__file__).resolve().parent.parent
PROJECT: Final = "pyproject.toml"
CHANGELOG: Final = "CHANGELOG.md"
_VERSION: Final = r"(?P<version>[0-9]+\.[0-9]+\.[0-9]+(?:(?:a|b|rc)[0-9]+)?)"
_UNRELEASED: Final = "## [Unreleased]\n"

PLACES: Final = (
    (PROJECT, rf'^version = "{_VERSION}"$'),
    ("letrade_topo/version.py", rf'^VERSION: Final = "{_VERSION}"$'),
    ("agent/Dockerfile", rf"^ARG VERSION={_VERSION}$"),
    ("helm/*/Chart.yaml", rf"^(?:version|appVersion): {_VERSION}$"),
    ("helm/letrade-agent/values.yaml", rf"^  tag: {_VERSION}$"),
    ("letrade_topo/k8s/values.yaml", rf"^  tag: {_VERSION}$"),
    ("letrade_topo/scaffold/templates/*.yaml", rf"LETRADE_TOPO_VERSION: {_VERSION}$"),
    ("ci/git*/*.yml", rf"LETRADE_TOPO_VERSION: {_VERSION}$"),
    ("ci/argo-cd/application.yaml", rf"targetRevision: {_VERSION}$"),
    ("ci/flux/helm-release.yaml", rf"tag: {_VERSION}\}}"),
    ("docs/how-to/reconcile-from-ci.md", rf"rev: v{_VERSION}$"),
    ("docs/how-to/run-the-agent-in-kubernetes.md", rf"letrade-topo:{_VERSION}\b|^    version: {_VERSION}$"),
    ("docs/reference/chart-values.md", rf"^\| `image\.tag` \| string \| `\"{_VERSION}\"`"),
    ("tests/helm/charts/*/Chart.yaml", rf"^    version: {_VERSION}$"),
    ("tests/helm/sidecars.py", rf'"tag": "{_VERSION}"'),
    ("tests/helm/test_release.py", rf"name: letrade-topo, version: {_VERSION},"),
)
"""Files by pattern, and where in them the version stands. A place that is not found is an error: it has moved."""


class NotReleasable(Exception):
    """The files are not such that they could become this version."""


class Place(NamedTuple):
    """A version that is written somewhere.

    Attributes:
        path: of the file.
        span: of its text.
        version: what stands there.
    """

    path: Path
    span: tuple[int, int]
    version: str


def places(root: Path) -> Iterator[Place]:
    """Every place, in the order of PLACES.

    Raises:
        NotReleasable: one of them has none.
    """
    for pattern, expression in PLACES:
        named = re.sub(r"\(\?P<version>", "(", expression)  # a name may stand once only
        compiled = re.compile(named, re.MULTILINE)
        files = sorted(root.glob(pattern))
        found = 0
        for path in files:
            for match in compiled.finditer(path.read_text(encoding="utf-8")):
                group = next(index for index, text in enumerate(match.groups(), 1) if text is not None)
                yield Place(path, match.span(group), match[group])
                found += 1
        if not found:
            raise NotReleasable(f"{pattern} has no version where script/versions.py looks for it: {expression}")


def current(root: Path) -> str:
    """The version in pyproject.toml."""
    return next(places(root)).version


def disagreeing(root: Path) -> list[str]:
    """Places that say something else, in words."""
    wanted = current(root)
    return [
        f"{place.path.relative_to(root)} says {place.version}, {PROJECT} says {wanted}"
        for place in places(root)
        if place.version != wanted
    ]


def set_version(root: Path, version: str) -> list[Path]:
    """Write a version everywhere; which files were changed."""
    changed: dict[Path, str] = {}
    for place in sorted(places(root), key=lambda each: (each.path, -each.span[0])):  # from a file's end
        text = changed.get(place.path) or place.path.read_text(encoding="utf-8")
        changed[place.path] = text[: place.span[0]] + version + text[place.span[1] :]
    for path, text in changed.items():
        path.write_text(text, encoding="utf-8")
    return sorted(changed)


def released(changelog: str, version: str, date: str) -> str:
    """The changelog with what is unreleased as the section of a version, and an empty section above it.

    Raises:
        NotReleasable: there is nothing unreleased, or the version has a section.
    """
    if f"\n## [{version}]" in changelog:
        raise NotReleasable(f"{CHANGELOG} has a section of {version}")
    before, heading, rest = changelog.partition(_UNRELEASED)
    if not heading:
        raise NotReleasable(f"{CHANGELOG} has no line {_UNRELEASED.strip()!r}")
    section, following, older = rest.partition("\n## [")
    if not re.search(r"^- ", section, re.MULTILINE):
        raise NotReleasable(f"{CHANGELOG} has nothing unreleased")
    return f"{before}{_UNRELEASED}\n## [{version}] - {date}\n{section}{following}{older}"


def notes(changelog: str, version: str) -> str:
    """The section of a version, without its heading.

    Raises:
        NotReleasable: there is none.
    """
    found = re.search(rf"^## \[{re.escape(version)}\][^\n]*\n(.*?)(?=^## \[|\Z)", changelog, re.DOTALL | re.MULTILINE)
    if found is None:
        raise NotReleasable(f"{CHANGELOG} has no section of {version}")
    return found[1].strip() + "\n"


def main(arguments: list[str]) -> int:
    """See the top of this file."""
    try:
        match arguments:
            case ["--check"]:
                problems = disagreeing(ROOT)
                print(*(f"error: {problem}" for problem in problems), sep="\n", file=sys.stderr) if problems else None
                return bool(problems)
            case ["--notes", version]:
                print(notes((ROOT / CHANGELOG).read_text(encoding="utf-8"), version), end="")
                return 0
            case [version, date, *more] if re.fullmatch(_VERSION, version) and len(more) < 2:
                datetime.date.fromisoformat(date)
                root = Path(more[0]) if more else ROOT
                log = root / CHANGELOG
                text = released(log.read_text(encoding="utf-8"), version, date)
                changed = set_version(root, version)
                log.write_text(text, encoding="utf-8")
                print(*(path.relative_to(root) for path in (*changed, log)), sep="\n")
                return 0
            case _:
                print(__doc__, file=sys.stderr)
                return 64
    except (NotReleasable, ValueError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
