"""Keys that stand at another level than the one that knows them.

A key that means nothing where it stands is looked for around it: the same key glued to its value, spelt otherwise,
indented too far or not far enough, below a header whose line is missing. What is found is reported once and put right
in the document, so that the rest is judged as it was meant and what follows from the slip is not reported too.
"""

from __future__ import annotations

from collections.abc import Mapping as Values
from typing import Any

from letrade_topo.load import shape
from letrade_topo.load.diagnostics import Path
from letrade_topo.load.levels import (
    SCHEMA_FIELDS,
    Level,
    fields_of,
    fits,
    has_only,
    is_entry,
    is_null,
    item_fields,
    key_before,
    keys_from,
)
from letrade_topo.load.nodes import Mapping, Node, PositionedEntry, Sequence, location_of
from letrade_topo.load.report import Report
from letrade_topo.load.respelt import Righting, glued, item, respelt, text
from letrade_topo.load.shape_report import describe
from letrade_topo.load.vocabulary import advice


def set_right(root: Mapping, report: Report) -> frozenset[Path]:
    """Report and repair what stands at the wrong level, in place.

    Returns:
        Where what was repaired is now: it is not sure enough to be judged further.
    """
    placing = _Placing(report)
    placing.visit(Level(root, (), shape.TOPOLOGY))
    return frozenset(path for path in placing.repaired if len(path) > 1)


class _Placing(Righting):
    def __init__(self, report: Report) -> None:
        super().__init__(report)
        self.seen: set[int] = set()

    def visit(self, level: Level) -> None:
        if id(level.node) in self.seen:
            return
        self.seen.add(id(level.node))
        for key in list(level.node.entries):
            if key in level.node.entries:
                if level.fields is None:
                    self._name(level, key)
                elif key not in level.fields:
                    self._unknown(level, key)
        for key in list(level.node.entries):
            below = level.below(key)
            if below is not None:
                self.visit(below)
            elif level.fields is not None:
                self._items(level, key)
                text(self, level, key)

    def _items(self, level: Level, key: str) -> None:
        entry = level.node.entries.get(key)
        if entry is None or not isinstance(entry.node, Sequence):
            return
        fields = shape.BINDING if (*level.path, key) == ("bindings",) else item_fields(level.fields, key)
        for index, one in enumerate(entry.node.items) if fields else ():
            if isinstance(one, Mapping):
                self.visit(Level(one, (*level.path, key, index), fields, above=level))

    def _name(self, level: Level, key: str) -> None:
        """A name that is none: a key of the entry above it, or the header of a section."""
        if level.in_schema:
            self._into_nothing(level, key)
            return
        node = level.node.entries[key].node
        if key not in shape.KNOWN_KEYS and has_only(node, level.entry or {}):
            return
        header = level.above
        is_free = header is not None and key in (header.fields or {}) and key not in header.node.entries
        if header and is_free and (is_null(node) or (_is_filled(node) and fits(node, key, header))):
            self._move(level, key, header)
            return
        before = key_before(level.node, key)
        entry = level.below(before) if before else None
        known = level.entry or {}
        if key in known and entry and key not in entry.node.entries and not is_entry(node, known):
            self._move(level, key, entry)
            return
        while entry is not None:  # a part of the JSON Schema that ends above
            if entry.in_schema and key in SCHEMA_FIELDS and key not in entry.node.entries and not is_entry(node, known):
                self._move(level, key, entry)
                return
            last = next(reversed(entry.node.entries), None)
            entry = entry.below(last) if last else None
        self._foreign_entry(level, key)

    def _unknown(self, level: Level, key: str) -> None:
        if level.in_schema and len(level.path) > 3:
            _ = glued(self, level, key) or self._into_nothing(level, key)
            return
        found = (
            glued(self, level, key)
            or item(self, level, key)
            or self._into_nothing(level, key)
            or self._elsewhere(level, key)
            or respelt(self, level, key)
            or self._entry_too_deep(level, key)
        )
        if not found:
            self._foreign_entry(level, key)

    def _elsewhere(self, level: Level, key: str) -> bool:
        """Indented too far, or not far enough."""
        node = level.node.entries[key].node
        if advice((*level.path, key)) is not None:
            return False
        for other in level.levels_above():
            if other.fields is None or key not in other.fields or key in other.node.entries:
                continue
            if is_null(node) or fits(node, key, other):
                self._move(level, key, other)
                return True
        before = key_before(level.node, key)
        inner = level.below(before) if before else None
        if inner and inner.fields is None and isinstance(node, Mapping) and set(node.entries) <= set(inner.entry or ()):
            self._move(level, key, inner)
            return True
        while inner is not None:
            free = inner.fields is not None and key in inner.fields and key not in inner.node.entries
            if free and (inner.in_schema or fits(node, key, inner)):
                self._move(level, key, inner)
                return True
            last = next(reversed(inner.node.entries), None)
            inner = inner.below(last) if last else None
        return self._lost_header(level, key)

    def _into_nothing(self, level: Level, key: str) -> bool:
        """The first key of what stands above it without a value, not indented far enough."""
        before = key_before(level.node, key)
        if before is None or not is_null(level.node.entries[before].node):
            return False
        known: Values[str, Any] | None = (
            SCHEMA_FIELDS if level.in_schema else fields_of((level.fields or {}).get(before))
        )
        if not known or key not in known or (level.in_schema and isinstance(level.node.entries[key].node, Mapping)):
            return False
        held, entry = level.node.entries[before], level.node.entries[key]
        inner = Mapping(entry.source, entry.line, entry.column + 2)
        level.node.entries[before] = PositionedEntry(held.source, held.line, held.column, inner)
        self._move(level, key, Level(inner, (*level.path, before), known, above=level))
        return True

    def _entry_too_deep(self, level: Level, key: str) -> bool:
        """A name with its entry that its indentation makes a part of the entry above it."""
        above, entry = level.above, level.node.entries[key]
        if above is None or above.fields is not None or level.fields is None or key in above.node.entries:
            return False
        behind = keys_from(level.node, key)[1:]
        if is_null(entry.node) and behind and all(name in level.fields for name in behind):
            content = Mapping(entry.source, entry.line, entry.column)
            content.entries = {name: level.node.entries.pop(name) for name in behind}
            level.node.entries[key] = PositionedEntry(entry.source, entry.line, entry.column, content)
        elif not (
            isinstance(entry.node, Mapping) and entry.node.entries and set(entry.node.entries) <= set(level.fields)
        ):
            return False
        self._move(level, key, above)
        return True

    def _lost_header(self, level: Level, key: str) -> bool:
        """A key of a section beside this one that is nowhere: its header is missing."""
        beside = level.above
        if beside is None or beside.fields is None:
            return False
        for name, description in beside.fields.items():
            known = fields_of(description)
            if known and key in known and name not in beside.node.entries:
                self._put_header(level, key, beside, name, known)
                return True
        return False

    def _foreign_entry(self, level: Level, key: str) -> None:
        """An entry that has only keys of another section, whose header is missing."""
        top = level if not level.path else level.above
        node = level.node.entries[key].node
        if top is None or top.path or not isinstance(node, Mapping) or not node.entries:
            return
        if set(node.entries) <= set(level.entry or ()):
            return
        for name, known in shape.SECTIONS.items():
            if set(node.entries) <= set(known) and name not in top.node.entries:
                self._put_header(level, key, top, name, known)
                return

    def _put_header(self, level: Level, key: str, top: Level, name: str, known: Values[str, Any]) -> None:
        """Report the header of a section that is missing above a key, or indented as part of what is above it."""
        before = key_before(level.node, key)
        inner = level.below(before) if before else None
        while inner is not None:
            header = inner.node.entries.get(name)
            if header is not None and is_null(header.node):
                self._move(inner, name, top)
                self._with_content(level, name, top, keys_from(level.node, key))
                return
            last = next(reversed(inner.node.entries), None)
            inner = inner.below(last) if last else None
        entry = level.node.entries[key]
        here = describe(level.path) if level.path else "the topology"
        why = f"{key!r} does not belong to {here}, but to `{name}`, which is nowhere in the file."
        fix = f"Write `{name}:` on a line of its own above this one."
        where = location_of(entry)
        self.report.add("misplaced-key", where, "the line above this one is missing", why, fix, path=(*level.path, key))
        moved = Mapping(entry.source, entry.line, entry.column)
        is_names = name in shape.SECTIONS and not top.path
        for other in keys_from(level.node, key):
            node = level.node.entries[other].node
            belongs = isinstance(node, Mapping) and set(node.entries) <= set(known) if is_names else other in known
            if belongs:
                moved.entries[other] = level.node.entries.pop(other)
        top.node.entries[name] = PositionedEntry(entry.source, entry.line, entry.column, moved)

    def _move(self, level: Level, key: str, target: Level) -> None:
        entry = level.node.entries[key]
        self._report_place(level, key, target)
        followers = [other for other in keys_from(level.node, key) if other != key]
        _hang(level, key, target)
        self.repaired.add((*target.path, key))
        if is_null(entry.node):
            self._with_content(level, key, target, followers)
        for other in followers:  # moved together, which one report says
            is_free = other in (target.fields or {}) and other not in target.node.entries
            if is_free and other in level.node.entries and not self._belongs(level, other):
                _hang(level, other, target)
        if (below := target.below(key)) is not None:
            self.visit(below)

    def _belongs(self, level: Level, key: str) -> bool:
        if level.fields is not None:
            return key in level.fields
        return is_entry(level.node.entries[key].node, level.entry or {})

    def _with_content(self, level: Level, key: str, target: Level, followers: list[str]) -> None:
        """The header alone was moved: what is its content now stands beside it."""
        description = (target.fields or {}).get(key)
        is_names = not target.path and key in shape.SECTIONS
        known = shape.SECTIONS[key] if is_names else fields_of(description)
        if not known:
            return
        content = Mapping(level.node.source, level.node.line, level.node.column)
        for other in followers:
            node = level.node.entries[other].node
            if is_names:
                belongs = has_only(node, known) and not (level.fields is None and has_only(node, level.entry or {}))
            else:
                belongs = other in known and other not in (level.fields or {})
            if belongs:
                content.entries[other] = level.node.entries.pop(other)
        if content.entries:
            old = target.node.entries[key]
            target.node.entries[key] = PositionedEntry(old.source, old.line, old.column, content)

    def _report_place(self, level: Level, key: str, target: Level) -> None:
        entry = level.node.entries[key]
        here = describe(level.path) if level.path else "the topology"
        there = describe(target.path) if target.path else "the topology as a whole"
        why = f"{key!r} is not known in {here}, where its indentation puts it, but in {there}."
        neighbour = next((other for name, other in target.node.entries.items() if name != key), target.node)
        column = neighbour.column
        line = entry.source.lines[entry.line] if entry.line < len(entry.source.lines) else ""
        if line[: entry.column].strip():
            fix = f"Move it into {there}."
        else:
            by, way = abs(column - entry.column), "more" if column > entry.column else "less"
            fix = f"Indent it by {by} space{'s' if by != 1 else ''} {way}, to column {column + 1}."
        where = location_of(entry)
        if where in self.report.unreadable:  # something about its indentation has been said
            return
        self.report.add("misplaced-key", where, "key at the wrong level", why, fix, path=(*level.path, key))


def _is_filled(node: Node) -> bool:
    return isinstance(node, Mapping) and bool(node.entries)


def _hang(level: Level, key: str, target: Level) -> None:
    target.node.entries[key] = level.node.entries.pop(key)
