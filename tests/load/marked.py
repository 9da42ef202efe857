"""Topology texts in which the expected problems are marked where they are expected.

`«rule-id»` stands directly before the place that a diagnostic of that rule must point at; the markers are
taken out before the text is loaded.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

from letrade_topo.load.diagnostics import Diagnostic, InvalidTopology
from letrade_topo.load.source_text import SourceText
from letrade_topo.load.topology_file import load_sources

HEADER = "topology: 1\nname: t\nvhost: v\nsecurity: {tls: {client_certificates: true}}\n"
_MARKER = re.compile("«([a-z0-9-]+)»")

Found = tuple[str, int, int]


def with_header(text: str) -> str:
    """A text that begins with `topology:` is whole; any other follows the usual four lines."""
    return text if unmarked(text).startswith("topology:") else HEADER + text


def unmarked(text: str) -> str:
    """The text without its markers."""
    return _MARKER.sub("", text)


def expected(text: str) -> list[Found]:
    """Rule, line and column of every marker, by position."""
    found = []
    for number, line in enumerate(text.split("\n"), start=1):
        removed = 0
        for marker in _MARKER.finditer(line):
            found.append((marker[1], number, marker.start() - removed + 1))
            removed += len(marker[0])
    return sorted(found, key=lambda item: (item[1], item[2], item[0]))


def diagnostics(
    text: str,
    *overlays: str,
    variables: Mapping[str, str] | None = None,
    environment: Mapping[str, str] | None = None,
) -> tuple[Diagnostic, ...]:
    """Everything that is wrong with a text, errors or only warnings."""
    names = ["topology.yaml", *(f"overlay-{number}.yaml" for number in range(1, len(overlays) + 1))]
    texts = [SourceText(name, Path(), item) for name, item in zip(names, (text, *overlays), strict=True)]
    try:
        return load_sources(texts, variables=variables, environment=environment).diagnostics
    except InvalidTopology as error:
        return error.diagnostics


def found(text: str) -> list[Found]:
    """Rule, line and column of everything that is wrong with a text, by position."""
    return [(item.rule, item.location.line, item.location.column) for item in diagnostics(text)]
