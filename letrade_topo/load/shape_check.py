"""Checks a document against the schemas of `shape`, section by section.

One validator a section, used again for every entry: a single schema of the whole document would make
cerberus build new validators for each of ten thousand entries.

Afterwards the document holds only usable values: what was wrong is reported and taken out, so that the
rest can still be judged.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from letrade_topo.load import shape
from letrade_topo.load.diagnostics import Path
from letrade_topo.load.nodes import Sources
from letrade_topo.load.report import Report
from letrade_topo.load.shape_report import describe, report_shape
from letrade_topo.load.shape_validator import ShapeValidator

Document = dict[str, Any]
_ENTRY_DEPTH = 2


@dataclass(slots=True)
class Damage:
    """What was unusable: entries (section and name or number), and whole sections."""

    entries: set[Path] = field(default_factory=set)

    @property
    def is_none(self) -> bool:
        """Whether everything could be used."""
        return not self.entries

    @property
    def sections(self) -> frozenset[str]:
        """The sections of which nothing could be used."""
        return frozenset(str(path[0]) for path in self.entries if len(path) == 1)

    def covers(self, path: Path) -> bool:
        """Whether a value lies in something that was unusable in part."""
        return any(path[:length] in self.entries for length in range(1, len(path) + 1))


def check_shape(document: Document, sources: Sources, report: Report) -> Damage:
    """Report every value that has the wrong shape, and take it out of `document`."""
    damage = Damage()
    _empty_sections(document)
    _check(ShapeValidator(shape.TOPOLOGY), document, (), document, sources, report, damage)
    for section, schema in shape.SECTIONS.items():
        _check_section(section, schema, document, sources, report, damage)
    _check_bindings(document, sources, report, damage)
    return damage


def _empty_sections(document: Document) -> None:
    """A section of which nothing is left, or everything is commented out, is an empty one."""
    for section, schema in shape.TOPOLOGY.items():
        if section in document and document[section] is None and schema.get("type") in ("dict", "list"):
            document[section] = {} if schema["type"] == "dict" else []


def _check_section(
    section: str, schema: shape.Schema, document: Document, sources: Sources, report: Report, damage: Damage
) -> None:
    entries = document.get(section)
    if not entries:
        return
    validator = ShapeValidator(schema)
    for name in list(entries):
        entry, path = entries[name], (section, name)
        if entry is None and section in shape.MAY_BE_EMPTY:
            entries[name] = {}
        elif isinstance(entry, Mapping):
            _check(validator, entry, path, document, sources, report, damage)
        else:
            _not_a_mapping(path, sources, report)
            damage.entries.add(path)
            entries[name] = {}


def _check_bindings(document: Document, sources: Sources, report: Report, damage: Damage) -> None:
    bindings = document.get("bindings") or []
    validator = ShapeValidator(shape.BINDING)
    for index, entry in enumerate(bindings):
        path: Path = ("bindings", index)
        if not isinstance(entry, Mapping):
            _not_a_mapping(path, sources, report)
            damage.entries.add(path)
            bindings[index] = {}
            continue
        _check(validator, entry, path, document, sources, report, damage)
        if ("queue" in entry) == ("exchange" in entry) and path not in damage.entries:
            named = "both" if "queue" in entry else "neither"
            why = f"A binding leads to one queue or one exchange; this one names {named}."
            fix = "Write either `queue: NAME` or `exchange: NAME`."
            report.add("binding-destination", sources.locate(path), "unclear destination", why, fix, path=path)
            damage.entries.add(path)


def _check(
    validator: ShapeValidator,
    entry: Any,
    path: Path,
    document: Document,
    sources: Sources,
    report: Report,
    damage: Damage,
) -> None:
    if validator.validate(entry, normalize=False):
        return
    for broken in report_shape(validator._errors, validator.schema, path, sources, report):
        damage.entries.add(broken[:_ENTRY_DEPTH])
        _take_out(document, broken)


def _take_out(document: Document, path: Path) -> None:
    """Remove the value at `path`; of a list that has a wrong item, the list."""
    holder: Any = document
    for step, following in zip(path, (*path[1:], None), strict=True):
        ends_here = following is None or (isinstance(following, int) and path[0] != "bindings")
        if isinstance(holder, dict) and ends_here:
            holder.pop(step, None)
            return
        below = dict(enumerate(holder)) if isinstance(holder, list) else holder
        if not isinstance(below, dict) or step not in below:
            return
        holder = below[step]


def _not_a_mapping(path: Path, sources: Sources, report: Report) -> None:
    what = describe(path)
    why = f"{what[:1].upper()}{what[1:]} is described by a mapping, `key: value` on lines of their own or in braces."
    report.add("wrong-type", sources.locate(path), "wrong type", why, "Write a mapping.", path=path)
