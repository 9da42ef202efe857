"""Overlays: files that say what is different in one environment.

Mappings merge deeply, lists and values replace, and `null` removes. Every value keeps the position of
the file that said it.
"""

from __future__ import annotations

from letrade_topo.load.nodes import Entry, Mapping, Node, Scalar, location_of
from letrade_topo.load.report import Report


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
            merged[key] = Entry(before.source, before.line, before.column, node)
        else:
            merged[key] = Entry(entry.source, entry.line, entry.column, _without_nulls(entry.node, report))
    return Mapping(base.source, base.line, base.column, merged)


def _without_nulls(node: Node, report: Report) -> Node:
    """A mapping that only the overlay has: `null` means the same in it."""
    if not isinstance(node, Mapping):
        return node
    return merge(Mapping(node.source, node.line, node.column), node, report)


def _is_null(node: Node) -> bool:
    return isinstance(node, Scalar) and node.value is None


def _report_nothing_removed(key: str, entry: Entry, report: Report) -> None:
    why = f"An empty value removes what a file before this one says, and none of them says {key!r} here."
    fix = "Check the spelling; for an entry with default values write {}."
    summary = "overlay removes nothing"
    report.add("overlay-removes-nothing", location_of(entry), summary, why, fix)
