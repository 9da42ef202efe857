"""A YAML document as a tree of nodes that know where they stand.

Nodes of one document may come from several files (overlays), and one node may hang in several places
(aliases). Values are those of JSON: the tree knows no other types.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TypeAlias

from letrade_topo.load.diagnostics import Location, Path
from letrade_topo.load.source_text import SourceText
from letrade_topo.model.messages import Json


@dataclass(slots=True, eq=False)
class Scalar:
    """One value.

    Args:
        source: the file it stands in.
        line: from 0.
        column: from 0.
        value: what it means.
        text: how it is written, without quotes.
        plain: not quoted and not tagged, so its form decided its type.
    """

    source: SourceText
    line: int
    column: int
    value: bool | int | float | str | None
    text: str
    plain: bool


@dataclass(slots=True, eq=False)
class Sequence:
    """A list; `line` and `column` are from 0."""

    source: SourceText
    line: int
    column: int
    items: list[Node] = field(default_factory=list)


@dataclass(slots=True, eq=False)
class PositionedEntry:
    """A key with its position, and its value."""

    source: SourceText
    line: int
    column: int
    node: Node


@dataclass(slots=True, eq=False)
class Mapping:
    """A mapping with its entries in the order of the file; `line` and `column` are from 0."""

    source: SourceText
    line: int
    column: int
    entries: dict[str, PositionedEntry] = field(default_factory=dict)


Node: TypeAlias = Scalar | Sequence | Mapping


def location_of(node: Node | PositionedEntry) -> Location:
    """Where a node, or the key of an entry, begins."""
    return Location(node.source.name, node.line + 1, node.column + 1)


def children(node: Node) -> Iterator[Node]:
    """The nodes directly below."""
    match node:
        case Mapping():
            for entry in node.entries.values():
                yield entry.node
        case Sequence():
            yield from node.items


def plain(node: Node) -> Json:
    """The value of a node as dicts, lists and scalars; an aliased node gives one shared object."""
    return _plain(node, {})


def _plain(node: Node, done: dict[int, Json]) -> Json:
    if isinstance(node, Scalar):
        return node.value
    if id(node) in done:
        return done[id(node)]
    value: Json
    if isinstance(node, Mapping):
        value = {key: _plain(entry.node, done) for key, entry in node.entries.items()}
    else:
        value = [_plain(item, done) for item in node.items]
    done[id(node)] = value
    return value


@dataclass(frozen=True, slots=True)
class Sources:
    """Where in which file each value of a loaded document was said.

    Args:
        root: the document, overlays merged.
        texts: every file that was read, the topology first.
    """

    root: Mapping
    texts: tuple[SourceText, ...]

    def locate(self, path: Path) -> Location:
        """Where the value at `path` begins, or the nearest one above it that exists.

        In a list, a text as a step means the item with that value.
        """
        return location_of(self._find(path)[1])

    def locate_key(self, path: Path) -> Location:
        """Where the key of the value at `path` stands; for an item of a list, where the item begins."""
        return location_of(self._find(path)[0])

    def node(self, path: Path) -> Node | None:
        """The node at exactly `path`, or None."""
        _, node, complete = self._find(path)
        return node if complete else None

    def directory(self, path: Path) -> str:
        """The folder of the file that said the value at `path`; relative paths in it start there."""
        return str(self._find(path)[1].source.directory)

    def excerpt(self, location: Location) -> str:
        """The text of the line at a location."""
        return next((text.excerpt(location.line) for text in self.texts if text.name == location.file), "")

    def line(self, location: Location) -> str:
        """The line at a location as it stands in the file, secrets and all."""
        lines = next((text.lines for text in self.texts if text.name == location.file), [])
        return lines[location.line - 1] if 0 < location.line <= len(lines) else ""

    def _find(self, path: Path) -> tuple[Node | PositionedEntry, Node, bool]:
        key: Node | PositionedEntry = self.root
        node: Node = self.root
        for step in path:
            if isinstance(node, Mapping) and isinstance(step, str) and step in node.entries:
                key = node.entries[step]
                node = node.entries[step].node
            elif isinstance(node, Sequence) and (item := _item(node, step)) is not None:
                key = node = item
            else:
                return key, node, False
        return key, node, True


def _item(sequence: Sequence, step: str | int) -> Node | None:
    if isinstance(step, int):
        return sequence.items[step] if 0 <= step < len(sequence.items) else None
    return next((item for item in sequence.items if isinstance(item, Scalar) and item.value == step), None)
