"""A Sphinx extension: links out of `docs` to files and folders of the repository lead to pages that show them.

On a Git host `[topology.yaml](../../topology.yaml)` works as it is. In the site such a file becomes the page
`repository/topology.yaml`, highlighted, of the same revision as the text; a folder becomes a list of its files.
A link to what is not there stays as it is, and MyST warns of it.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from html import escape
from pathlib import Path
from typing import Any

from docutils import nodes
from pygments import highlight
from pygments.formatters import HtmlFormatter
from pygments.lexers import TextLexer, get_lexer_for_filename
from pygments.util import ClassNotFound
from sphinx import addnodes
from sphinx.application import Sphinx
from sphinx.environment import BuildEnvironment

FOLDER = "repository"
_LEFT_OUT = ("__pycache__", "node_modules")
"""In a linked folder; what begins with a dot is left out, too: a program's own state, keys among it."""


def lead_to_pages(app: Sphinx, document: nodes.document) -> None:
    """Replace what MyST made of the links, before anybody looks for their targets."""
    page = app.env.docname
    for link in list(document.findall(_is_local)):
        target = _target(Path(app.srcdir, page).parent, link)
        if not _is_shown(app, target):
            continue
        name = _page_of(app, target)
        linked(app.env).add(name)
        reference = nodes.reference("", "", internal=True, refuri=app.builder.get_relative_uri(page, name))
        reference.extend(link.children)
        link.replace_self(reference)


def _is_local(node: nodes.Node) -> bool:
    return isinstance(node, addnodes.download_reference | addnodes.pending_xref) and node.get("reftype") == "myst"


def _target(folder: Path, link: nodes.Element) -> Path:
    wanted: str = link["reftarget"]
    target = (folder / wanted.partition("#")[0]).resolve()
    # MyST takes every Markdown file for a page, and a page is called without its suffix.
    return target.with_suffix(".md") if link.get("refdomain") == "doc" else target


def _is_shown(app: Sphinx, target: Path) -> bool:
    root = _root(app)
    return target.exists() and target.is_relative_to(root) and not target.is_relative_to(app.srcdir)


def _root(app: Sphinx) -> Path:
    return Path(app.srcdir).parent


def _page_of(app: Sphinx, target: Path) -> str:
    return f"{FOLDER}/{target.relative_to(_root(app)).as_posix()}"


def linked(env: BuildEnvironment) -> set[str]:
    """The pages that something leads to so far."""
    found: set[str] = env.__dict__.setdefault("repository_pages", set())
    return found


def pages(app: Sphinx) -> Iterator[tuple[str, dict[str, Any], str]]:
    """Every linked file; every linked folder, with the files in it."""
    waiting, made = sorted(linked(app.env)), set()
    while waiting:
        name = waiting.pop()
        if name in made:
            continue
        made.add(name)
        path = _root(app) / name.removeprefix(f"{FOLDER}/")
        if path.is_dir():
            inside = sorted(each for each in path.iterdir() if each.name not in _LEFT_OUT and each.name[0] != ".")
            waiting += [_page_of(app, each) for each in inside]
            body = _list(app, name, [_page_of(app, each) for each in inside])
        else:
            body = _code(path)
        shown = path.relative_to(_root(app)).as_posix()
        yield name, {"title": shown, "body": f"<h1>{escape(shown)}</h1>{body}", "parents": []}, "page.html"


def _list(app: Sphinx, name: str, inside: list[str]) -> str:
    items = (
        f'<li><a href="{escape(app.builder.get_relative_uri(name, each))}">{escape(each.rpartition("/")[2])}</a></li>'
        for each in inside
    )
    return f"<ul>{''.join(items)}</ul>"


def _code(path: Path) -> str:
    text = path.read_text(encoding="utf-8", errors="replace")
    try:
        lexer = get_lexer_for_filename(os.fspath(path), text)
    except ClassNotFound:
        lexer = TextLexer()
    return f'<div class="highlight">{highlight(text, lexer, HtmlFormatter())}</div>'


def setup(app: Sphinx) -> dict[str, bool]:
    """Called by Sphinx."""
    app.connect("doctree-read", lead_to_pages, priority=100)
    app.connect("html-collect-pages", pages)
    return {"parallel_read_safe": False, "parallel_write_safe": True}
