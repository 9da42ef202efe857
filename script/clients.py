"""The tables of docs/reference/clients.md, written from the code; the rest of the page is by hand."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path
from typing import Final

from letrade_agent.relay.libraries import LIBRARIES, Library

from tests.client_suites.differences import DIFFERENCES, Difference
from tests.clients.libraries import ALL, LibraryDefaults

_PAGE: Final = Path(__file__).parent.parent / "docs/reference/clients.md"
_LIBRARIES: Final = ("library", "`product`", "a refusal is", "so its program learns, with confirms", "and without")
_DEFAULTS: Final = (
    "library",
    "version",
    "what a handler gives back comes",
    "its consumer, when the connection has ended",
    "its publisher",
    "the line to add",
)
_DIFFERENCES: Final = ("tests that pass straight alone", "what they see of an agent", "why it is meant")


def page() -> str:
    """The page, in Markdown."""
    text = _PAGE.read_text(encoding="utf-8")
    text = _with_table(text, "libraries", _LIBRARIES, map(_library, LIBRARIES))
    text = _with_table(text, "defaults", _DEFAULTS, map(_default, ALL))
    return _with_table(text, "differences", _DIFFERENCES, map(_difference, DIFFERENCES))


def _with_table(page: str, name: str, head: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    lines = [tuple(head), *(tuple(row) for row in rows)]
    lines.insert(1, ("---",) * len(lines[0]))
    table = "".join(f"| {' | '.join(line)} |\n" for line in lines)
    begin, end = f"<!-- {name}: written by script/reference -->\n\n", f"\n<!-- /{name} -->"
    return re.sub(f"(?<={begin}).*?(?={end})", lambda _: table, page, flags=re.DOTALL)


def _library(library: Library) -> tuple[str, ...]:
    platform = f", `platform` {library.platform}" if library.platform else ""
    product = f"`{library.product}`{platform}"
    return library.name, product, str(library.form), library.learns, library.without_confirms


def _default(library: LibraryDefaults) -> tuple[str, ...]:
    publisher = library.publisher
    line = library.line or "none: it works as it is"
    return library.name, library.version(), library.given_back, library.consumer, publisher, line


def _difference(difference: Difference) -> tuple[str, ...]:
    tests = ", ".join(f"`{test.rpartition('::')[2]}`" for test in difference.tests)
    return f"{difference.suite}: {tests}", difference.seen, difference.why
