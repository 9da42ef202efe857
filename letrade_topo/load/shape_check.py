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
from letrade_topo.load.nodes import Scalar, Sources
from letrade_topo.load.report import Report
from letrade_topo.load.shape_report import describe, report_shape
from letrade_topo.load.shape_validator import ShapeValidator
from letrade_topo.load.value_advice import quoted
from letrade_topo.model.parameters import URI_KEYS

Document = dict[str, Any]
ENTRY_DEPTH = 2
"""The length of the path of an entry: section and name or number."""


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
        """The sections of which nothing could be used, and those with settings that could not."""
        return frozenset(str(path[0]) for path in self.entries if len(path) == 1 or path[0] not in shape.SECTIONS)

    def covers(self, path: Path) -> bool:
        """Whether a value lies in something that was unusable in part."""
        return any(path[:length] in self.entries for length in range(1, len(path) + 1))


def check_shape(document: Document, sources: Sources, report: Report) -> Damage:
    """Report every value that has the wrong shape, and take it out of `document`."""
    damage = Damage()
    _empty_sections(document, sources, report)
    _check(ShapeValidator(shape.TOPOLOGY), document, (), document, sources, report, damage)
    for section, schema in shape.SECTIONS.items():
        _check_section(section, schema, document, sources, report, damage)
    _check_bindings(document, sources, report, damage)
    _check_parameters(document, sources, report, damage)
    return damage


def _empty_sections(document: Document, sources: Sources, report: Report) -> None:
    """A section of which nothing is left, or everything is commented out, is an empty one; maybe nobody meant it."""
    for section, schema in shape.TOPOLOGY.items():
        if section in document and document[section] is None and schema.get("type") in ("dict", "list"):
            document[section] = {} if schema["type"] == "dict" else []
            nothing = "{}" if schema["type"] == "dict" else "[]"
            why = f"Nothing stands under `{section}`, as if everything there had been lost."
            fix = f"Write what belongs there, remove the line, or write `{section}: {nothing}` if nothing is meant."
            report.add("empty-section", sources.locate_key((section,)), "empty section", why, fix, path=(section,))


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
            _not_a_mapping(path, schema, sources, report)
            damage.entries.add(path)
            entries[name] = {}


def _check_bindings(document: Document, sources: Sources, report: Report, damage: Damage) -> None:
    bindings = document.get("bindings") or []
    validator = ShapeValidator(shape.BINDING)
    for index, entry in enumerate(bindings):
        path: Path = ("bindings", index)
        if not isinstance(entry, Mapping):
            _not_a_mapping(path, shape.BINDING, sources, report)
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


def _check_parameters(document: Document, sources: Sources, report: Report, damage: Damage) -> None:
    """Components that map names to values; in a value only the references of secrets have a shape of their own."""
    components = document.get("parameters") or {}
    for component, named in components.items():
        path: Path = ("parameters", component)
        if not isinstance(named, dict):
            _not_a_mapping(path, {}, sources, report)
            damage.entries.add(path)
            components[component] = {}
            continue
        for name, value in list(named.items()):
            if not isinstance(value, Mapping | list):
                _not_a_mapping((*path, name), {}, sources, report)
                damage.entries.add(path)
                named.pop(name)
                continue
            for key, part in list(value.items()) if isinstance(value, Mapping) else ():
                if key in URI_KEYS:
                    items, place = (dict(enumerate(part)), (key,)) if isinstance(part, list) else ({key: part}, ())
                    for step, item in items.items():
                        if isinstance(item, Mapping):
                            validator = ShapeValidator({step: {"check_with": "secret"}})
                            _check(validator, {step: item}, (*path, name, *place), document, sources, report, damage)


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
    for broken in report_shape(validator.errors, validator.schema, path, sources, report):
        damage.entries.add(broken[:ENTRY_DEPTH])
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


def _not_a_mapping(path: Path, schema: shape.Schema, sources: Sources, report: Report) -> None:
    if sources.locate(path) in report.unreadable:
        return
    what, node = describe(path), sources.node(path)
    why = f"{what[:1].upper()}{what[1:]} is described by a mapping, `key: value` on lines of their own or in braces."
    fix = "Write a mapping."
    if isinstance(node, Scalar) and isinstance(path[-1], str):
        field = next((key for key, one in schema.items() if node.text in shape.words_of(one)), "")
        known = next((key for key in ("service", "exchange", "source") if key in schema), "")
        if key := field or known:
            fix = f"Write `{quoted(path[-1])}: {{{key}: {quoted(node.text)}}}`."
    report.add("wrong-type", sources.locate(path), "wrong type", why, fix, path=path)
