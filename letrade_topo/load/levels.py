"""Mappings of a topology with what is known of their keys, and which of them hang below which."""

from __future__ import annotations

from collections.abc import Iterator
from collections.abc import Mapping as Values
from dataclasses import dataclass, field
from typing import Any

from letrade_topo.load import shape
from letrade_topo.load.diagnostics import Path
from letrade_topo.load.json_schema import KEYWORDS, SCHEMAS, SCHEMAS_BY_NAME
from letrade_topo.load.nodes import Mapping, Node, Scalar, Sequence
from letrade_topo.model.security import SecretSource

_SECRET: Values[str, Any] = {source.value: {"type": "string"} for source in SecretSource}
SCHEMA_FIELDS: Values[str, Any] = {keyword: {} for keyword in KEYWORDS}
"""What is known of the keys of a JSON Schema: that they are."""


@dataclass(slots=True)
class Level:
    """A mapping, and what is known of its keys.

    Args:
        node: the mapping.
        path: where it hangs.
        fields: the keys that are known in it; None where its keys are names.
        entry: what is known of the values behind names.
        above: the level that it is part of.
    """

    node: Mapping
    path: Path
    fields: Values[str, Any] | None
    entry: Values[str, Any] | None = None
    above: Level | None = field(default=None, repr=False)

    def below(self, key: str) -> Level | None:
        """The level of a value; None where nothing is known of its keys."""
        entry = self.node.entries.get(key)
        if entry is None or not isinstance(entry.node, Mapping):
            return None
        path = (*self.path, key)
        if self.fields is None:
            return Level(entry.node, path, self.entry, above=self)
        if not self.path and key in shape.SECTIONS:
            return Level(entry.node, path, None, shape.SECTIONS[key], above=self)
        if len(self.path) == 2 and self.path[0] == "messages" and key == "schema":
            return Level(entry.node, path, SCHEMA_FIELDS, above=self)
        if self.in_schema:
            if key in SCHEMAS_BY_NAME:
                return Level(entry.node, path, None, SCHEMA_FIELDS, above=self)
            return Level(entry.node, path, SCHEMA_FIELDS, above=self) if key in SCHEMAS else None
        known = fields_of(self.fields.get(key))
        return Level(entry.node, path, known, above=self) if known else None

    @property
    def in_schema(self) -> bool:
        """Whether it is part of a JSON Schema."""
        return self.path[0:1] == ("messages",) and self.path[2:3] == ("schema",)

    def levels_above(self) -> Iterator[Level]:
        """The levels that it is part of, the nearest first."""
        level = self.above
        while level is not None:
            yield level
            level = level.above


def fields_of(description: Any) -> Values[str, Any] | None:
    """The keys of a value that is described by a schema of cerberus's, if it is a mapping of known keys."""
    description = description or {}
    if description.get("check_with") == "secret":
        return _SECRET
    kinds = description.get("type", ())
    if "dict" not in ([kinds] if isinstance(kinds, str) else kinds):
        return None
    schema: Values[str, Any] | None = description.get("schema")
    return schema


def item_fields(fields: Values[str, Any] | None, key: str) -> Values[str, Any] | None:
    """What is known of the keys of a list's items."""
    description = (fields or {}).get(key) or {}
    return fields_of(description.get("schema")) if description.get("type") == "list" else None


def is_null(node: Node) -> bool:
    """Whether nothing stands there."""
    return isinstance(node, Scalar) and node.value is None


def is_entry(node: Node, known: Values[str, Any]) -> bool:
    """Whether a value may be an entry of a section: a mapping with at least one of its keys, or nothing."""
    return is_null(node) or (isinstance(node, Mapping) and (not node.entries or bool(set(node.entries) & set(known))))


def has_only(node: Node, known: Values[str, Any]) -> bool:
    """Whether a value is a mapping with no other keys than these, or nothing."""
    return is_null(node) or (isinstance(node, Mapping) and set(node.entries) <= set(known))


def fits(node: Node, key: str, level: Level) -> bool:
    """Whether a value may be that of a key at a level, as far as its kind tells."""
    description = (level.fields or {}).get(key) or {}
    if not level.path and key in shape.SECTIONS:
        return isinstance(node, Mapping) and all(
            is_entry(entry.node, shape.SECTIONS[key]) for entry in node.entries.values()
        )
    known = fields_of(description)
    if isinstance(node, Mapping):
        return known is None or set(node.entries) <= set(known)
    is_list = description.get("type") == "list"
    if (*level.path, key) == ("bindings",) and isinstance(node, Sequence):
        return all(isinstance(item, Mapping) for item in node.items)
    return is_list == isinstance(node, Sequence)


def key_before(node: Mapping, key: str) -> str | None:
    """The key before one, in the order of the file."""
    names = list(node.entries)
    at = names.index(key)
    return names[at - 1] if at else None


def keys_from(node: Mapping, key: str) -> list[str]:
    """A key and those behind it, in the order of the file."""
    names = list(node.entries)
    return names[names.index(key) :]
