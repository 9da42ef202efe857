"""The documentation site: it builds without a warning, and nothing in it leads nowhere.

The generator warns of a link between pages or to a repository file that is not there. What it does not look at is
looked at here in what it wrote.
"""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest

pytestmark = pytest.mark.wide  # building it takes longer than all other tests of --fast

ROOT = Path(__file__).parents[2]
START = "index.html"
PUT_THERE_LATER = "_static/mermaid/"
"""`script/docs` copies it beside what the generator wrote."""
_OUTSIDE = re.compile(r"\]\((?!https?:|mailto:|#)([^)\s]+)\)")
_DIAGRAM = re.compile(r"<pre\s+class=\"mermaid\"")
_TEST = re.compile(r"`([\w/]+\.py)(?:::(\w+))?`")
_READMES = ("README.md", "README.ko.md")
_CODE = re.compile(r"`([^`]+)`")
_WORDS = re.compile(r"<[^>]+>")
_FENCED = re.compile(r"^```.*?^```", re.DOTALL | re.MULTILINE)


@dataclass(slots=True)
class SitePage(HTMLParser):
    """What a page leads to and what in it can be led to."""

    anchors: set[str] = field(default_factory=set)
    links: set[str] = field(default_factory=set)
    loaded: set[str] = field(default_factory=set)

    def __post_init__(self) -> None:
        HTMLParser.__init__(self)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Called for every element."""
        has = dict(attrs)
        if found := has.get("id"):
            self.anchors.add(found)
        target = has.get("href") or has.get("src")
        if target is None:
            return
        if tag == "a":
            self.links.add(target)
        else:
            self.loaded.add(target)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder that it was built into, as `script/docs` does; a warning is an error."""
    folder = tmp_path_factory.mktemp("site")
    done = subprocess.run(
        [sys.executable, "-m", "sphinx", "-W", "--keep-going", "-n", "-q", "-d", folder / "doctrees", "docs", folder],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return folder


@pytest.fixture(scope="module")
def pages(site: Path) -> dict[str, SitePage]:
    """Every page by its path in the site."""
    found = {}
    for path in sorted(site.rglob("*.html")):
        found[path.relative_to(site).as_posix()] = page = SitePage()
        page.feed(path.read_text(encoding="utf-8"))
    return found


def _inside(name: str, links: set[str]) -> Iterator[tuple[str, str]]:
    """Path in the site and anchor of the links that stay in it."""
    for link in links:
        parts = urlsplit(link)
        if parts.scheme or parts.netloc:
            continue
        path = Path("/", name).parent.joinpath(unquote(parts.path)).as_posix() if parts.path else f"/{name}"
        yield _normal(path), unquote(parts.fragment)


def _normal(path: str) -> str:
    kept: list[str] = []
    for part in path.split("/"):
        if part == "..":
            kept.pop()
        elif part:
            kept.append(part)
    return "/".join(kept)


def test_every_page_is_reached_from_the_start_page(pages: dict[str, SitePage]) -> None:
    """By links alone, without the search."""
    reached, waiting = set(), [START]
    while waiting:
        name = waiting.pop()
        if name in reached or name not in pages:
            continue
        reached.add(name)
        waiting += [path for path, _ in _inside(name, pages[name].links)]
    assert set(pages) - reached == {"search.html"}  # a form leads there


def test_every_link_leads_somewhere(site: Path, pages: dict[str, SitePage]) -> None:
    """Pages, anchors in them, images, styles, programs."""
    dead = [
        f"{name}: {path}#{anchor}"
        for name, page in pages.items()
        for path, anchor in _inside(name, page.links | page.loaded)
        if not path.startswith(PUT_THERE_LATER)
        and (not (site / path).is_file() or (anchor and path in pages and anchor not in pages[path].anchors))
    ]
    assert dead == []


def test_a_reader_asks_nobody_else(pages: dict[str, SitePage]) -> None:
    """Styles, programs, fonts and images come from the site itself: no CDN learns who reads it."""
    foreign = {each for page in pages.values() for each in page.loaded if urlsplit(each).netloc}
    assert foreign == set()


def test_every_diagram_is_one(site: Path) -> None:
    """A block of mermaid is handed to Mermaid, and not shown as code."""
    wanted = sum(path.read_text(encoding="utf-8").count("```mermaid\n") for path in ROOT.glob("docs/**/*.md"))
    found = sum(len(_DIAGRAM.findall(path.read_text(encoding="utf-8"))) for path in site.glob("**/*.html"))
    assert found == wanted
    assert wanted > 0


def test_tests_that_pages_name_are_there() -> None:
    """`folder/test_x.py::test_y`, from the folder `tests`: no explanation rests on a test that is gone."""
    gone = []
    for page in sorted(ROOT.glob("docs/explanation/*.md")):
        for file, name in _TEST.findall(page.read_text(encoding="utf-8")):
            path = ROOT / "tests" / file
            if not path.is_file() or (name and f"def {name}(" not in path.read_text(encoding="utf-8")):
                gone.append(f"{page.name}: {file}::{name}")
    assert gone == []


@pytest.mark.parametrize(
    "name",
    [
        path.relative_to(ROOT).as_posix()
        for folder in (".", "examples", "helm")
        for path in sorted(ROOT.joinpath(folder).glob("README*.md" if folder == "." else "**/README.md"))
    ],
)
def test_links_of_pages_beside_the_site(name: str) -> None:
    """READMEs link to files of the repository, which are there."""
    text = _FENCED.sub("", (ROOT / name).read_text(encoding="utf-8"))
    targets = {unquote(each.partition("#")[0]) for each in _OUTSIDE.findall(text)}
    missing = {each for each in targets if not (ROOT / name).parent.joinpath(each).exists()}
    assert missing == set()


def test_the_korean_readme_is_as_complete() -> None:
    """It leads wherever the English one leads, and names the same commands, settings and figures of code."""
    english, korean = (_FENCED.sub("", (ROOT / name).read_text(encoding="utf-8")) for name in _READMES)
    assert set(_OUTSIDE.findall(english)) ^ set(_OUTSIDE.findall(korean)) == set(_READMES)
    spans = [{" ".join(_WORDS.sub("<>", each).split()) for each in _CODE.findall(text)} for text in (english, korean)]
    assert spans[0] == spans[1]
