"""Overlays: files that say what is different in one environment.

Mappings merge deeply, lists and values replace, and `null` removes. Every value keeps the position of
the file that said it.
"""

from __future__ import annotations

from letrade_topo.load.nodes import Mapping, Node, PositionedEntry, Scalar, children, location_of
from letrade_topo.load.report import Report


def apply_overlay(base: Mapping, overlay: Mapping, report: Report) -> Mapping:
    """A document with what an overlay says; a section that it empties is reported."""
    merged = merge(base, overlay, report)
    for section, entry in overlay.entries.items():
        before, after = base.entries.get(section), merged.entries.get(section)
        if before is not None and _has_content(before.node) and (after is None or not _has_content(after.node)):
            why = f"This file takes away everything that {before.source.name} says under {section!r}."
            fix = (
                "Take away single entries by name (`name:` with nothing behind it), or remove this if it is not meant."
            )
            report.add("empty-section", location_of(entry), "overlay empties a section", why, fix, path=(section,))
    return merged


def merge(base: Mapping, overlay: Mapping, report: Report) -> Mapping:
    """`base` with what `overlay` says; neither is changed, because aliases may share their nodes."""
    merged = dict(base.entries)
    for key, entry in overlay.entries.items():
        before = merged.get(key)
        if _is_null(entry.node):
            if before is None:
                _report_nothing_removed(key, entry, report)
            merged.pop(key, None)
        elif before is not None and isinstance(before.node, Mapping) and isinstance(entry.node, Mapping):
            node = merge(before.node, entry.node, report)
            merged[key] = PositionedEntry(before.source, before.line, before.column, node)
        else:
            merged[key] = PositionedEntry(entry.source, entry.line, entry.column, _without_nulls(entry.node, report))
    return Mapping(base.source, base.line, base.column, merged)


def _without_nulls(node: Node, report: Report) -> Node:
    """A mapping that only the overlay has: `null` means the same in it."""
    if not isinstance(node, Mapping):
        return node
    return merge(Mapping(node.source, node.line, node.column), node, report)


def _has_content(node: Node) -> bool:
    return next(children(node), None) is not None


def _is_null(node: Node) -> bool:
    return isinstance(node, Scalar) and node.value is None


def _report_nothing_removed(key: str, entry: PositionedEntry, report: Report) -> None:
    why = f"An empty value removes what a file before this one says, and none of them says {key!r} here."
    fix = "Check the spelling; for an entry with default values write {}."
    summary = "overlay removes nothing"
    report.add("overlay-removes-nothing", location_of(entry), summary, why, fix)
