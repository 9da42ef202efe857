"""Keys that are known where they stand, and are written a little otherwise: glued to their value, or misspelt.

What is found is reported once and put right in the document, so that the rest is judged as it was meant.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from letrade_topo.load.diagnostics import Path
from letrade_topo.load.levels import Level, fields_of, is_null, key_before, keys_from
from letrade_topo.load.nodes import Mapping, Node, PositionedEntry, Scalar, Sequence, location_of
from letrade_topo.load.report import Report
from letrade_topo.load.scalars import ScalarError, implicit_value
from letrade_topo.load.shape_report import describe
from letrade_topo.load.vocabulary import advice, letters
from letrade_topo.model.rules.problem import closest

_GLUED = re.compile(r"(?P<key>[A-Za-z_][\w-]*)(?P<sign>\s*(?::=|=>|[:=;：；])\s*|\s+)(?P<value>(?!//)\S.*)")
_WRITE = re.compile(r"Write `(?P<key>[a-z_]+)")


@dataclass(slots=True)
class Righting:
    """What is put right in one document.

    Args:
        report: where problems go.
        repaired: where what was repaired is now.
    """

    report: Report
    repaired: set[Path] = field(default_factory=set)


def text(righting: Righting, level: Level, key: str) -> None:
    """`key:value` as the only line of a mapping: a text, without a space behind the colon."""
    entry = level.node.entries.get(key)
    description = (level.fields or {}).get(key) or {}
    if entry is None or not isinstance(entry.node, Scalar) or not entry.node.plain or description.get("type") != "dict":
        return
    known, found = fields_of(description), _GLUED.fullmatch(entry.node.text)
    if found is None or not (found["sign"].strip() or found["key"] in (known or ())):
        return
    node, sign = entry.node, found["sign"].strip()
    what = {":": "no space behind a colon", "": "a colon is missing"}.get(sign, f"{sign} where a colon belongs")
    why = f"{key!r} takes a mapping; without a colon and a space this line is a text."
    fix = f"Write `{found['key']}: {found['value']}`."
    righting.report.add("wrong-type", location_of(node), what, why, fix, path=(*level.path, key))
    righting.repaired.add((*level.path, key))
    inner = PositionedEntry(node.source, node.line, node.column, _scalar(entry, found["value"]))
    content = Mapping(node.source, node.line, node.column, {found["key"]: inner})
    level.node.entries[key] = PositionedEntry(entry.source, entry.line, entry.column, content)


def glued(righting: Righting, level: Level, key: str) -> bool:
    """`key:value`, which without a space is a key and no value."""
    entry, found = level.node.entries[key], _GLUED.fullmatch(key)
    if found and level.fields and found["key"] in level.fields and found["value"].startswith(("{", "[")):
        sign = found["sign"].strip()
        why = f"Without a colon and a space YAML takes {found['key']} {sign} as part of what follows it."
        fix = f"Write a colon and a space behind {found['key']!r}."
        righting.report.add(
            "unknown-key", location_of(entry), f"{sign} where a colon belongs", why, fix, path=level.path
        )
        nothing = PositionedEntry(
            entry.source, entry.line, entry.column, Scalar(entry.source, entry.line, entry.column, None, "", True)
        )
        righting.report.unreadable.add(location_of(entry))
        _replace(level.node, key, found["key"], nothing)
        return True
    if found is None or level.fields is None or found["key"] not in level.fields or not is_null(entry.node):
        return False
    name, sign = found["key"], found["sign"].strip()
    what = {":": "no space behind a colon", "": "a colon is missing"}.get(sign, f"{sign} where a colon belongs")
    why = f"Without a colon and a space YAML reads {key!r} as one text."
    righting.report.add(
        "unknown-key", location_of(entry), what, why, f"Write `{name}: {found['value']}`.", path=level.path
    )
    value = _scalar(entry, found["value"])
    righting.report.unreadable.add(location_of(value))
    if value.text[:1] in ("'", '"'):  # what commas made of the rest of a quoted text
        righting.report.forget_slips(location_of(entry))
        for other in keys_from(level.node, key)[1:]:
            if level.node.entries[other].line == entry.line and other not in level.fields:
                del level.node.entries[other]
    _replace(level.node, key, name, PositionedEntry(entry.source, entry.line, entry.column, value))
    righting.repaired.add((*level.path, name))
    return True


def item(righting: Righting, level: Level, key: str) -> bool:
    """An item of the list above that lacks its dash, and has a colon behind it instead."""
    before = key_before(level.node, key)
    if before is None or ((level.fields or {}).get(before) or {}).get("type") != "list":
        return False
    entry, node = level.node.entries[key], level.node.entries[before].node
    inner = entry.node
    if not (is_null(inner) or isinstance(inner, Sequence)):
        return False
    if not (is_null(node) or (isinstance(node, Sequence) and is_null(inner))):
        return False
    why = f"{before!r} takes a list, each item of which begins with a dash; {key!r} ends with a colon as a key does."
    righting.report.add(
        "wrong-type", location_of(entry), "wrong type", why, f"Write `- {key}`.", path=(*level.path, key)
    )
    items: list[Node] = list(node.items) if isinstance(node, Sequence) else []
    items.append(Scalar(entry.source, entry.line, entry.column, key, key, True))
    items += inner.items if isinstance(inner, Sequence) else []
    held = level.node.entries[before]
    level.node.entries[before] = PositionedEntry(
        held.source, held.line, held.column, Sequence(entry.source, entry.line, entry.column, items)
    )
    del level.node.entries[key]
    return True


def respelt(righting: Righting, level: Level, key: str) -> bool:
    """Another case, a dash for an underscore, a slip, another tool's word, or the one key that is missing."""
    if level.in_schema or level.fields is None:
        return False
    entry, path = level.node.entries[key], (*level.path, key)
    free = [name for name in level.fields if name not in level.node.entries]
    plain, foreign = letters(key), advice(path)
    name = next((one for one in free if letters(one) == plain), None)
    if name is None and foreign is not None:
        written = _WRITE.match(foreign)
        name = written["key"] if written and written["key"] in free else None
    elif name is None:
        name = closest(key, free) or _only_missing(level, entry.node)
    if name is None:
        return False
    place = f"in {describe(level.path)}" if level.path else "at the top of a topology"
    why = f"{key!r} is not known {place}, so it would have no effect."
    if foreign is None and closest(key, [name]) is None and letters(name) != plain:
        why = f"{key!r} is not known {place}, and {name!r} is missing."
    fix = foreign or f"Did you mean {name!r}?"
    righting.report.add("unknown-key", location_of(entry), "unknown key", why, fix, path=path)
    righting.report.unreadable.add(location_of(entry.node))  # it may not be the value of that
    _replace(level.node, key, name, entry)
    righting.repaired.add((*level.path, name))
    return True


def _only_missing(level: Level, node: Node) -> str | None:
    """The one key that a mapping needs and does not have, if the value of another may be its value."""
    needed = [name for name, one in (level.fields or {}).items() if one.get("required")]
    missing = [name for name in needed if name not in level.node.entries]
    return missing[0] if len(missing) == 1 and isinstance(node, Scalar) and not is_null(node) else None


def _replace(node: Mapping, key: str, name: str, entry: PositionedEntry) -> None:
    """Another name and value in the same place of the order."""
    entries = {(name if one == key else one): (entry if one == key else other) for one, other in node.entries.items()}
    node.entries.clear()
    node.entries.update(entries)


def _scalar(entry: PositionedEntry, text: str) -> Scalar:
    if len(text) > 1 and text[0] == text[-1] and text[0] in "'\"":
        return Scalar(entry.source, entry.line, entry.column, text[1:-1], text[1:-1], False)
    value: bool | int | float | str | None
    try:
        value = implicit_value(text)
    except ScalarError:
        value = text
    return Scalar(entry.source, entry.line, entry.column, value, text, True)
