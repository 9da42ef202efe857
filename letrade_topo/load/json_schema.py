"""Checks that the `schema` of each message type is JSON Schema, draft 2020-12.

The meta-schema is applied to one level at a time, with the schemas below taken out and checked by
themselves, and each distinct level only once: a thousand types are made of a few dozen different levels,
and jsonschema takes a millisecond for each.
"""

from __future__ import annotations

import json
import re
import warnings
from collections.abc import Iterator, Mapping
from typing import Any

from letrade_topo.load.diagnostics import Path
from letrade_topo.load.nodes import Sources
from letrade_topo.load.report import Report
from letrade_topo.model.messages import Json
from letrade_topo.model.rules.problem import did_you_mean
from letrade_topo.model.rules.sensitive import pointed_at

DRAFT = "https://json-schema.org/draft/2020-12/schema"
_MOST_HOPS = 32

_ONE = frozenset(
    {
        "additionalProperties",
        "contains",
        "contentSchema",
        "else",
        "if",
        "items",
        "not",
        "propertyNames",
        "then",
        "unevaluatedItems",
        "unevaluatedProperties",
    }
)
_LISTS = frozenset({"allOf", "anyOf", "oneOf", "prefixItems"})
_MAPPINGS = frozenset({"$defs", "definitions", "dependentSchemas", "patternProperties", "properties"})
_OTHERS = frozenset(
    {
        "$anchor",
        "$comment",
        "$dynamicAnchor",
        "$dynamicRef",
        "$id",
        "$ref",
        "$schema",
        "$vocabulary",
        "const",
        "contentEncoding",
        "contentMediaType",
        "default",
        "dependentRequired",
        "deprecated",
        "description",
        "enum",
        "examples",
        "exclusiveMaximum",
        "exclusiveMinimum",
        "format",
        "maxContains",
        "maximum",
        "maxItems",
        "maxLength",
        "maxProperties",
        "minContains",
        "minimum",
        "minItems",
        "minLength",
        "minProperties",
        "multipleOf",
        "pattern",
        "readOnly",
        "required",
        "title",
        "type",
        "uniqueItems",
        "writeOnly",
    }
)
_TYPE_WORDS = {
    "str": "string", "text": "string", "int": "integer", "long": "integer", "float": "number", "double": "number",
    "decimal": "number", "bool": "boolean", "list": "array", "dict": "object", "map": "object", "mapping": "object",
}  # fmt: skip
"""As programming languages call them."""
_TYPES = ("null", "boolean", "object", "array", "number", "string", "integer")
SCHEMAS, SCHEMAS_BY_NAME = _ONE, _MAPPINGS
"""The keywords whose value is a schema, and those whose value is schemas by name."""
KEYWORDS = _ONE | _LISTS | _MAPPINGS | _OTHERS
"""The keywords of draft 2020-12, and where schemas are nested in them."""


class SchemaChecker:
    """Checks schemas of one topology; what it has seen once it does not check again."""

    def __init__(self, sources: Sources, report: Report) -> None:
        self._sources = sources
        self._report = report
        self._verdicts: dict[str, tuple[tuple[Path, str], ...]] = {}
        self._seen: set[int] = set()

    def check(self, schema: Mapping[str, Json], path: Path) -> None:
        """Report what is wrong with the schema at `path`."""
        draft = schema.get("$schema")
        if isinstance(draft, str) and draft.rstrip("#") != DRAFT:
            why = f"Payloads are checked by draft 2020-12, and this schema asks for {draft[:80]!r}."
            self._error((*path, "$schema"), why, "Remove the line, or convert the schema.")
        for below, node in _levels(schema, path):
            if id(node) not in self._seen:
                self._seen.add(id(node))
                self._check_level(node, below, schema)

    def _check_level(self, node: Json, path: Path, root: Mapping[str, Json]) -> None:
        level = _level(node)
        text = json.dumps(level, sort_keys=True)
        if text not in self._verdicts:
            self._verdicts[text] = tuple(_judge(level))
        for below, reason in self._verdicts[text]:
            why, fix = _in_words(below, level, reason)
            self._error((*path, *below), why, fix)
        if isinstance(node, Mapping):
            self._check_keywords(node, path)
            self._check_required(node, path)
            self._check_reference(node, path, root)

    def _check_keywords(self, node: Mapping[str, Json], path: Path) -> None:
        for keyword in node.keys() - KEYWORDS:
            if not keyword.startswith("x-"):
                why = f"{keyword!r} is no keyword of JSON Schema and has no effect."
                fix = did_you_mean(keyword, KEYWORDS, "Remove it, or begin its name with x- to say that it is yours.")
                location = self._sources.locate_key((*path, keyword))
                title = "unknown keyword in a JSON Schema"
                place = (*path, keyword)
                self._report.add("json-schema-keyword", location, title, why, fix, path=place)

    def _check_required(self, node: Mapping[str, Json], path: Path) -> None:
        properties, required = node.get("properties"), node.get("required")
        if not isinstance(properties, Mapping) or not properties or not isinstance(required, list):
            return
        for name in required:
            if isinstance(name, str) and name not in properties:
                why = f"{name!r} must be there, and `properties` says nothing about it."
                fix = did_you_mean(name, properties, "Describe it under `properties`.")
                place = (*path, "required", name)
                title = "required property that is not described"
                location = self._sources.locate(place)
                self._report.add("json-schema-required", location, title, why, fix, path=place)

    def _check_reference(self, node: Mapping[str, Json], path: Path, root: Mapping[str, Json]) -> None:
        reference = node.get("$ref")
        if not isinstance(reference, str):
            return
        if not reference.startswith("#"):
            why = f"{reference[:80]!r} lies outside of this schema, and nothing is fetched."
            self._error((*path, "$ref"), why, "Copy what it describes, or share it by a YAML anchor and alias.")
        elif not _leads_somewhere(reference, root):
            why = f"{reference[:80]!r} leads to nothing in this schema, or in a circle."
            self._error((*path, "$ref"), why, "Correct the pointer; it starts at the top of this `schema`.")

    def _error(self, path: Path, why: str, fix: str) -> None:
        location = self._sources.locate(path)
        if location not in self._report.unreadable:
            self._report.add("json-schema", location, "unusable JSON Schema", why, fix, path=path)


def _in_words(path: Path, level: Any, reason: str) -> tuple[str, str]:
    """Why a value is no part of a JSON Schema, and what to do.

    Args:
        path: to the value, in its level.
        level: the schema, without those in it.
        reason: what the meta-schema says.
    """
    keyword = path[0] if path else ""
    value = level.get(keyword) if isinstance(level, Mapping) else level
    match keyword:
        case "type":
            known = f"The types are {', '.join(_TYPES)}."
            name = value[path[1]] if isinstance(value, list) and len(path) > 1 and isinstance(path[1], int) else value
            if isinstance(name, str):
                return f"{name!r} is no type of JSON Schema.", did_you_mean(_TYPE_WORDS.get(name, name), _TYPES, known)
            return "`type` is one word, or a list of different ones.", known
        case "required" if isinstance(value, bool):
            why = "`required` lists the names that must be there, beside `properties`; it is no part of a property."
            return why, "Write `required: [NAME]` beside `properties`."
        case "items" if isinstance(value, list):
            return "`items` is one schema, for every item.", "Write `prefixItems` for a schema for each place."
        case "enum" | "required" | "examples" | "allOf" | "anyOf" | "oneOf" | "prefixItems" if not isinstance(
            value, list
        ):
            return f"`{keyword}` takes a list.", f"Write `{keyword}: […]`."
        case "pattern":
            return (
                f"`pattern` is a regular expression: {reason}.",
                "Correct it, or escape what is literal by a backslash.",
            )
        case str() if keyword in _ONE | _MAPPINGS and not isinstance(value, Mapping):
            form = "`NAME: {type: …}`" if keyword in _MAPPINGS else "`{type: …}`"
            return f"`{keyword}` takes a mapping.", f"Write {form} below it."
        case str() if isinstance(value, str) and _is_digits(value):
            return f"`{keyword}` takes a number, and this is a text.", f"Write `{keyword}: {value}`, without quotes."
        case _:
            return f"{reason}.", "Correct it; the reference is json-schema.org, draft 2020-12."


def _is_digits(text: str) -> bool:
    return re.fullmatch(r"-?\d+(?:\.\d+)?", text) is not None


def _levels(schema: Json | Mapping[str, Json], path: Path) -> Iterator[tuple[Path, Any]]:
    """The schema and every schema in it, each with its path."""
    yield path, schema
    if not isinstance(schema, Mapping):
        return
    for keyword, value in schema.items():
        if keyword in _ONE and isinstance(value, Mapping):
            yield from _levels(value, (*path, keyword))
        elif keyword in _LISTS and isinstance(value, list):
            for index, item in enumerate(value):
                yield from _levels(item, (*path, keyword, index))
        elif keyword in _MAPPINGS and isinstance(value, Mapping):
            for name, item in value.items():
                yield from _levels(item, (*path, keyword, name))


def _level(schema: Any) -> Any:
    """A schema without those in it, and without what is fine at a glance and differs everywhere."""
    if not isinstance(schema, Mapping):
        return schema
    level: dict[str, Any] = {}
    for keyword, value in schema.items():
        if keyword in KEYWORDS and not _is_fine(keyword, value):
            level[keyword] = _without_schemas(keyword, value)
    return level


def _without_schemas(keyword: str, value: Any) -> Any:
    if keyword == "patternProperties" and isinstance(value, Mapping):
        return dict.fromkeys(value, True)
    if keyword in _ONE | _MAPPINGS and isinstance(value, Mapping):
        return {}
    if keyword in _LISTS and isinstance(value, list) and value:
        return [True]
    return value


def _is_fine(keyword: str, value: Any) -> bool:
    """Whether one glance shows what the meta-schema would say."""
    match keyword:
        case "const" | "default":
            return True
        case "enum" | "examples":
            return isinstance(value, list)
        case "required":
            return (
                isinstance(value, list)
                and all(isinstance(item, str) for item in value)
                and len(set(value)) == len(value)
            )
        case "description" | "title" | "$comment" | "format":
            return isinstance(value, str)
        case "maximum" | "minimum" | "exclusiveMaximum" | "exclusiveMinimum":
            return isinstance(value, int | float) and not isinstance(value, bool)
        case "type":
            names = value if isinstance(value, list) else [value]
            return bool(names) and all(name in _TYPES for name in names) and len(set(names)) == len(names)
        case "pattern":
            return _is_pattern(value)
        case "uniqueItems" | "deprecated" | "readOnly" | "writeOnly":
            return isinstance(value, bool)
        case _ if keyword in _ONE:
            return isinstance(value, bool | Mapping)
        case _ if keyword in _LISTS:
            return isinstance(value, list) and bool(value) and all(isinstance(item, bool | Mapping) for item in value)
        case _ if keyword in _MAPPINGS - {"patternProperties"}:
            return isinstance(value, Mapping) and all(isinstance(item, bool | Mapping) for item in value.values())
        case "minLength" | "maxLength" | "minItems" | "maxItems" | "minProperties" | "maxProperties":
            return isinstance(value, int) and not isinstance(value, bool) and value >= 0
        case _:
            return False


def _is_pattern(text: object) -> bool:
    if not isinstance(text, str):
        return False
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # Python's `re` warns of brackets that mean what they say
            re.compile(text)
    except re.error:
        return False
    return True


def _judge(level: Any) -> Iterator[tuple[Path, str]]:
    """What the meta-schema says against one level; most need no library, which takes an agent 6 MB."""
    if level == {}:
        return
    from jsonschema import Draft202012Validator, FormatChecker

    # jsonschema judges further formats where a package for them happens to be installed; patterns it judges always.
    validator = Draft202012Validator(Draft202012Validator.META_SCHEMA, format_checker=FormatChecker(["regex"]))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Python's `re` warns of brackets that mean what they say
        for error in validator.iter_errors(level):
            text = error.message if len(error.message) <= 300 else f"{error.message[:300]}…"
            yield tuple(error.absolute_path), text


def _leads_somewhere(reference: str, root: Mapping[str, Json]) -> bool:
    for _ in range(_MOST_HOPS):
        if reference == "#":
            target: Json | Mapping[str, Json] = root
        elif reference.startswith("#/"):
            target = pointed_at(root, reference)
        else:
            return any(_has_anchor(node, reference[1:]) for _, node in _levels(root, ()))
        if isinstance(target, bool):
            return True
        if not isinstance(target, Mapping):
            return False
        following = target.get("$ref")
        if not isinstance(following, str):
            return True
        reference = following
    return False


def _has_anchor(node: Any, name: str) -> bool:
    return isinstance(node, Mapping) and name in (node.get("$anchor"), node.get("$dynamicAnchor"))
