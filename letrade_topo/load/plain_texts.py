"""Unquoted texts as they come from a YAML reader: their values, and what in them is probably not meant.

A slip is reported once and taken out, so that what the text was meant to say is judged further.
"""

from __future__ import annotations

from collections.abc import Sequence as List
from dataclasses import dataclass

from letrade_topo.load.diagnostics import Location
from letrade_topo.load.masking import is_secret_key
from letrade_topo.load.nodes import Node, Scalar, Sequence, location_of
from letrade_topo.load.report import Report
from letrade_topo.load.scalars import ScalarError, implicit_value
from letrade_topo.load.slips import Continuation, continuations, slip_in
from letrade_topo.model.security import SecretSource

_VALUES_OR_WORDS = frozenset(
    {"description", "title", "$comment", "pattern", "default", "const", "enum", "examples", "format"}
)
"""Keywords of JSON Schema behind which any text may stand."""


@dataclass(frozen=True, slots=True)
class Surroundings:
    """Where a text stands.

    Args:
        keys: of all mappings that it is in, the outermost first.
        is_key: it is a key itself.
        in_list: it is an item of a list.
        in_mapping: it is a value of a mapping, or a key.
    """

    keys: List[object]
    is_key: bool
    in_list: bool
    in_mapping: bool

    @property
    def is_prose(self) -> bool:
        """Whether any text may stand here: what is for people, and all of a JSON Schema."""
        return list(self.keys[-1:]) == ["description"] or "schema" in self.keys

    @property
    def is_structure(self) -> bool:
        """Whether it is a part of a JSON Schema that says something to programs, and is no value of a message."""
        return "schema" in self.keys and (self.keys[-1] not in _VALUES_OR_WORDS if self.keys else False)

    @property
    def is_about_secrets(self) -> bool:
        """Whether a secret stands here, or is named: both are checked by themselves."""
        key = self.keys[-1] if self.keys else None
        return is_secret_key(key) or key in list(SecretSource)


def without_slips(node: Scalar, last_line: int, end: int, place: Surroundings, report: Report) -> list[Node]:
    """Report what is probably not meant in an unquoted text.

    Args:
        node: the text, changed in place.
        last_line: the line on which it ends, from 0.
        end: the column behind its last character.
        place: where it stands.
        report: where problems go.

    Returns:
        What stands there: the text; a list, where it was to be one; the further items, where it swallowed them.
    """
    written = node.text
    one_line = not place.is_prose or (place.in_list and place.keys[-1:] == ["required"])
    further = _continuations(node, last_line, end, place, report) if one_line else []
    if isinstance(node.value, str) and not (place.is_prose or place.is_about_secrets):
        _take_out(node, is_key=place.is_key, report=report)
    elif isinstance(node.value, str) and (place.is_key or place.is_structure):
        _take_out(node, is_key=True, report=report)
    if place.in_mapping and not place.is_key and not place.is_prose:
        return [_list_in_text(node, written, further, report)]
    return [node, *_items(node, further)]


def _take_out(node: Scalar, *, is_key: bool, report: Report) -> None:
    slip = slip_in(node.text, is_key=is_key)
    if slip is None:
        return
    place = Location(node.source.name, node.line + 1, node.column + 1 + slip.offset)
    report.add("stray-character", place, slip.what, slip.why, slip.fix)
    report.unreadable.add(location_of(node))
    node.text = slip.meant
    try:
        node.value = implicit_value(slip.meant)
    except ScalarError:
        node.value = slip.meant


def _continuations(node: Scalar, last_line: int, end: int, place: Surroundings, report: Report) -> list[Continuation]:
    """The lines that only continue the text on the one before; the first is reported, unless all are a list."""
    if last_line == node.line or not (place.in_list or place.in_mapping):
        return []
    further = continuations(node.source.lines, node.line, last_line, end=end)
    if not further:
        return []
    node.text = node.source.lines[node.line][node.column :].split(" #")[0].strip()
    node.value = node.text
    if place.in_list or not all(each.has_dash for each in further):
        here = _at(node, further[0])
        why = "By its indentation YAML reads it as more of the text on the line before."
        fix = (
            f"Align it with the item above{'' if further[0].has_dash else ' and begin it with `- `'}."
            if place.in_list
            else "Align it with the line above and write `key: value`, or put the whole text on one line."
        )
        report.add("continued-line", here, "a line that continues the one before", why, fix)
        report.unreadable |= {location_of(node), *(_at(node, each) for each in further)}
    return further


def _at(node: Scalar, each: Continuation) -> Location:
    return Location(node.source.name, each.line + 1, each.column + 1)


def _list_in_text(node: Scalar, written: str, further: list[Continuation], report: Report) -> Node:
    """A value that was to be a list, and whose first item lacks its dash or the space behind it."""
    is_list = bool(further) and all(each.has_dash for each in further)
    glued = not further and written.startswith("-") and slip_in(written) is not None
    if not is_list and not glued:
        return node
    here = location_of(node)
    if here not in report.unreadable:
        why = "What follows are items of a list, and each begins with a dash."
        report.add("continued-line", here, "a dash is missing", why, f"Write `- {node.text}`.")
    return Sequence(node.source, node.line, node.column, [node, *_items(node, further)])


def _items(node: Scalar, further: list[Continuation]) -> list[Node]:
    return [Scalar(node.source, each.line, each.column, each.text, each.text, True) for each in further]
