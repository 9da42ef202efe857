"""The topology file as JSON Schema, draft 2020-12, for editors: from the shape that `validate` uses.

Says what can be said of one value by itself. `${name}` is accepted wherever a value may stand, since a schema cannot
know what a variable holds. What refers to something else, and whether YAML is right, remains with `validate`.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, TypeAlias

from letrade_topo.load import shape
from letrade_topo.load.shape_validator import TOPOLOGY_NAME, UNMANAGED
from letrade_topo.model.exchange_types import PLUGIN_EXCHANGES
from letrade_topo.model.messages import MOST_URGENT, Priority
from letrade_topo.model.parameters import PARAMETER_PLUGINS, URI_KEYS
from letrade_topo.model.security import HashingAlgorithm
from letrade_topo.model.topology import ExchangeType
from letrade_topo.model.units import BYTES_BY_UNIT, MILLISECONDS_BY_UNIT
from letrade_topo.render import topology_keys
from letrade_topo.render.payload_schema import payload_definitions
from letrade_topo.render.topology_keys import KeysOf

Json: TypeAlias = dict[str, Any]

DRAFT = "https://json-schema.org/draft/2020-12/schema"
_VARIABLE_NAME = "[A-Za-z_][A-Za-z0-9_]*"
_VARIABLE: Json = {"$ref": "#/$defs/variable"}
_SECRET: Json = {"$ref": "#/$defs/secret"}
_SCALARS = ["string", "number", "boolean"]


def topology_schema() -> Json:
    """The schema, as a document of JSON."""
    mappings = {mapping.path: mapping for mapping in topology_keys.MAPPINGS}
    top = _keys(mappings[()], mappings)
    properties: Json = top["properties"]
    for section, description in shape.SECTIONS.items():
        path = ("policies", "*") if description is shape.POLICY else (section, "*")
        entry = _keys(mappings[path], mappings)
        if section in shape.MAY_BE_EMPTY:
            entry["type"] = ["object", "null"]
        properties[section]["additionalProperties"] = entry
    binding = _keys(mappings[("bindings", "*")], mappings)
    binding["oneOf"] = [{"required": ["queue"]}, {"required": ["exchange"]}]
    properties["bindings"]["items"] = binding
    properties["parameters"] |= _parameters()
    properties["variables"] |= {
        "patternProperties": {f"^{_VARIABLE_NAME}$": {"type": _SCALARS, "pattern": r"^(?![\s\S]*\$\{)"}},
        "additionalProperties": False,
    }
    properties["messages"]["additionalProperties"]["properties"]["schema"] |= {"$ref": "#/$defs/payload"}
    for section, rule in shape.TOPOLOGY.items():
        if rule.get("type") in ("dict", "list"):  # without a value it is empty, of which `validate` warns
            properties[section]["type"] = [properties[section]["type"], "null"]
    return {
        "$schema": DRAFT,
        "title": "Topology of letrade-topo",
        "description": "Which exchanges, queues, message types, services, users and permissions a RabbitMQ has.",
        **top,
        "$defs": _definitions() | payload_definitions(_or_variable),
    }


def text() -> str:
    """The schema as a file."""
    return json.dumps(topology_schema(), indent=2, ensure_ascii=False) + "\n"


def _keys(mapping: KeysOf, mappings: Mapping[tuple[str, ...], KeysOf]) -> Json:
    """A mapping of which the keys are known."""
    properties = {
        key: _described(
            _value(key, rule, (*mapping.path, key), mapping.classes, mappings),
            topology_keys.meaning(key, mapping.classes),
            topology_keys.default(key, mapping.classes),
        )
        for key, rule in mapping.schema.items()
    }
    return _closed(properties, mapping.schema)


def _inner_keys(above: str, fields: Mapping[str, Any], classes: tuple[type, ...]) -> Json:
    """A mapping that is described in its holder."""
    properties = {
        key: _described(
            _value(key, rule, (above, key), classes, {}), topology_keys.inner_meaning(above, key, classes), None
        )
        for key, rule in fields.items()
    }
    return _closed(properties, fields)


def _closed(properties: Json, fields: Mapping[str, Any]) -> Json:
    required = [key for key, rule in fields.items() if rule.get("required")]
    return {
        "type": "object",
        "properties": properties,
        "additionalProperties": False,
        **({"required": required} if required else {}),
    }


def _described(schema: Json, meaning: str, default: Any) -> Json:
    """With what an editor shows of it."""
    sentence = f"{meaning[:1].upper()}{meaning[1:]}."
    shown = {"description": sentence.replace("`", ""), "markdownDescription": sentence}
    return {**schema, **shown, **({} if default is None else {"default": default})}


def _value(
    key: str,
    rule: Mapping[str, Any],
    path: tuple[str, ...],
    classes: tuple[type, ...],
    mappings: Mapping[tuple[str, ...], KeysOf],
) -> Json:
    """What may stand behind a key."""
    if (check := rule.get("check_with")) is not None and check not in ("arguments", "none"):
        return _CHECKED[check]
    if "allowed" in rule:
        return _or_variable({"enum": list(rule["allowed"])})
    types = rule["type"] if isinstance(rule["type"], list) else [rule["type"]]
    choice = [_typed(key, one, rule, path, classes, mappings) for one in types]
    if len(choice) == 1:
        return choice[0]
    return {"anyOf": [each for one in choice for each in one.get("anyOf", [one])]}


def _typed(
    key: str,
    kind: str,
    rule: Mapping[str, Any],
    path: tuple[str, ...],
    classes: tuple[type, ...],
    mappings: Mapping[tuple[str, ...], KeysOf],
) -> Json:
    check = rule.get("check_with")
    match kind:
        case "string" if check == "none":
            return _or_variable({"enum": ["none"]})
        case "string":
            return {"type": "string"} if rule.get("empty", True) else {"type": "string", "minLength": 1}
        case "boolean":
            return _or_variable({"type": "boolean"})
        case "integer" | "number":
            limits = {"minimum": rule.get("min"), "maximum": rule.get("max")}
            return _or_variable({"type": kind} | {name: value for name, value in limits.items() if value is not None})
        case "list":
            items = rule.get("schema")
            return {"type": "array"} | ({"items": _inner_keys(key, items["schema"], classes)} if items else {})
        case "dict" if check == "arguments":
            return {"type": "object", "additionalProperties": {"type": [*_SCALARS, "array", "object"]}}
        case "dict" if path in mappings:
            return _keys(mappings[path], mappings) | ({} if rule.get("empty", True) else {"minProperties": 1})
        case "dict" if "schema" in rule:
            known = next((one for one in mappings.values() if one.schema is rule["schema"]), None)
            if known is not None:
                return _keys(known, mappings)
            below = {step: one for step, one in rule["schema"].items() if (*path, step) in mappings}
            return _nested(below, path, mappings) if below else _inner_keys(key, rule["schema"], classes)
        case "dict":
            return {"type": "object"}
        case _:
            raise TypeError(f"{'.'.join(path)} is of a type that no schema is written of: {kind}")


def _nested(fields: Mapping[str, Any], path: tuple[str, ...], mappings: Mapping[tuple[str, ...], KeysOf]) -> Json:
    """A mapping of mappings that have tables of their own."""
    properties = {
        step: _described(_keys(mappings[*path, step], mappings), topology_keys.inner_meaning(path[-1], step, ()), None)
        for step in fields
    }
    return _closed(properties, fields)


def _or_variable(schema: Json) -> Json:
    """Or a text with `${name}`, whose value may be of any type."""
    return {"anyOf": [schema, _VARIABLE]}


def _amount(what: str, units: Mapping[str, int], examples: list[str]) -> Json:
    pattern = rf"^\s*[0-9]+(\.[0-9]+)?\s*({'|'.join(units)})\s*$"
    words = f"A {what} is a number and one of {', '.join(units)}, for example {examples[0]}."
    return {"type": "string", "pattern": rf"{pattern}|\$\{{", "patternErrorMessage": words, "examples": examples}


def _reference(*more: str) -> Json:
    """Where a secret is read: one place, an environment variable or a file."""
    properties: Json = {
        "env": {
            "type": "string",
            "pattern": rf"^{_VARIABLE_NAME}$|\$\{{",
            "description": "Name of the environment variable that holds it.",
        },
        "file": {
            "type": "string",
            "minLength": 1,
            "pattern": r"^(?!\$[A-Za-z_][A-Za-z0-9_]*$|%\w+%$)",
            "description": "Path of the file that holds it, relative to this file.",
        },
        "algorithm": {
            "enum": list(HashingAlgorithm),
            "description": "How it was hashed; sha256 where nothing is said.",
        },
    }
    known = ("env", "file", *more)
    return {
        "type": "object",
        "properties": {name: properties[name] for name in known},
        "additionalProperties": False,
        "minProperties": 1,  # rather than `oneOf`, which says more than once what is wrong with a key
        "not": {"required": ["env", "file"]},
        **({"if": {"required": [*more]}, "then": {"minProperties": 1 + len(more)}} if more else {}),
    }


def _parameters() -> Json:
    """Values as the broker gets them; where a login stands, a mapping is a secret's reference."""
    one = {"if": {"type": "object"}, "then": _SECRET}
    address = {**one, "else": {"if": {"type": "array"}, "then": {"items": one}}}
    value = {"type": ["object", "array"], "properties": dict.fromkeys(sorted(URI_KEYS), address)}
    component = {"type": "object", "additionalProperties": value}
    read_by = {
        name: {**component, "description": f"Read by the plug-in {plugin}."}
        for name, plugin in PARAMETER_PLUGINS.items()
    }
    return {"properties": read_by, "additionalProperties": component}


_CHECKED: dict[str, Json] = {
    "duration": {"$ref": "#/$defs/duration"},
    "size": {"$ref": "#/$defs/size"},
    "secret": _SECRET,
    "password": {"anyOf": [_SECRET, {"enum": [UNMANAGED]}]},
    "password_hash": _reference("algorithm"),
    "names": {"type": "array", "items": {"type": "string", "minLength": 1}, "uniqueItems": True},
    "topology_name": {"type": "string", "pattern": rf"^{TOPOLOGY_NAME.pattern}$|\$\{{"},
    "exchange_type": {
        "anyOf": [
            {"enum": [*ExchangeType]},
            {"type": "string", "pattern": r"^x-[!-~]{1,250}$", "examples": sorted(PLUGIN_EXCHANGES)},
            _VARIABLE,
        ]
    },
    "priority": {
        "anyOf": [{"enum": [*Priority]}, {"type": "integer", "minimum": 0, "maximum": MOST_URGENT}, _VARIABLE]
    },
}


def _definitions() -> Json:
    return {
        "variable": {"type": "string", "pattern": r"\$\{"},
        "duration": _amount("duration", MILLISECONDS_BY_UNIT, ["5s", "500ms", "10m"]),
        "size": _amount("size", BYTES_BY_UNIT, ["128KiB", "16MiB"]),
        "secret": _reference(),
    }
