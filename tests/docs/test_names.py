"""One name, one thing: no two public classes are called the same, and the glossary has each word once."""

from __future__ import annotations

import ast
import re
from collections import Counter, defaultdict

import pytest

from script.packages import FOLDERS, ROOT

_WORDS = re.compile(r"^\| (?!word )([^|`-][^|]*?) \|", re.MULTILINE)


def _twins(classes: list[tuple[str, str]]) -> dict[str, list[str]]:
    """The names that more than one module gives to a class, and those modules."""
    found: defaultdict[str, list[str]] = defaultdict(list)
    for module, name in classes:
        if not name.startswith("_"):
            found[name].append(module)
    return {name: modules for name, modules in found.items() if len(modules) > 1}


@pytest.mark.wide
def test_no_class_has_a_twin() -> None:
    """The name says the subject: whoever reads it knows which one is meant without looking at the imports."""
    classes = [
        (str(source.relative_to(ROOT)), node.name)
        for folder in FOLDERS.values()
        for source in sorted(folder.rglob("*.py"))
        for node in ast.parse(source.read_text(encoding="utf-8")).body
        if isinstance(node, ast.ClassDef)
    ]
    assert len(classes) > 500
    assert _twins(classes) == {}


@pytest.mark.parametrize(("name", "found"), [("Queue", {"Queue": ["a.py", "b.py"]}), ("_Queue", {})])
def test_a_twin_is_found(name: str, found: dict[str, list[str]]) -> None:
    """A private one is its module's own affair."""
    assert _twins([("a.py", name), ("b.py", name), ("b.py", "Other")]) == found


def test_no_word_is_explained_twice() -> None:
    """In the glossary."""
    text = (ROOT / "docs/reference/glossary.md").read_text(encoding="utf-8")
    words = Counter(word for cell in _WORDS.findall(text) for word in cell.split(", "))
    assert len(words) > 60
    assert [word for word, count in words.items() if count > 1] == []
