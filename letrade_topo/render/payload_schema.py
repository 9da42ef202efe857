"""JSON Schema, draft 2020-12, as definitions of another schema: what the `schema` of a message type may hold.

Taken from the official vocabularies, which point at each other dynamically; editors follow plain references only.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

_META = "https://json-schema.org/draft/2020-12/meta/"
_VOCABULARIES = ("core", "applicator", "unevaluated", "validation", "meta-data", "format-annotation", "content")
_PREFIX = "payload-"
_SELF = {"$ref": "#/$defs/payload"}
_VARIABLE_TYPES = {"integer", "number", "boolean"}


def payload_definitions(or_variable: Callable[[dict[str, Any]], dict[str, Any]]) -> dict[str, Any]:
    """Definitions to put under `$defs`; `payload` is the schema of schemas.

    Args:
        or_variable: makes a schema of what else may stand for a value that is no text.
    """
    from jsonschema_specifications import REGISTRY

    properties: dict[str, Any] = {}
    definitions: dict[str, Any] = {}
    for vocabulary in _VOCABULARIES:
        contents = REGISTRY.contents(_META + vocabulary)
        definitions |= {_PREFIX + name: one for name, one in contents.get("$defs", {}).items()}
        properties |= contents["properties"]
    adapted = {name: _adapted(one, or_variable) for name, one in definitions.items()}
    payload = {"type": ["object", "boolean"], "properties": _by_name(properties, or_variable)}
    return {"payload": payload, **adapted}


def _by_name(schemas: dict[str, Any], or_variable: Callable[[dict[str, Any]], dict[str, Any]]) -> dict[str, Any]:
    return {name: _adapted(one, or_variable) for name, one in schemas.items()}


def _adapted(schema: Any, or_variable: Callable[[dict[str, Any]], dict[str, Any]]) -> Any:
    """With plain references into the definitions of the schema that it becomes a part of."""
    if not isinstance(schema, dict):
        return schema
    if "$dynamicRef" in schema:
        return _SELF
    adapted: dict[str, Any] = {}
    for keyword, value in schema.items():
        match keyword:
            case "$ref":
                adapted[keyword] = value.replace("#/$defs/", f"#/$defs/{_PREFIX}")
            case "items" | "additionalProperties" | "propertyNames":
                adapted[keyword] = _adapted(value, or_variable)
            case "anyOf":
                adapted[keyword] = [_adapted(one, or_variable) for one in value]
            case "$comment" | "default" | "format":
                pass
            case _:
                adapted[keyword] = value
    return or_variable(adapted) if adapted.get("type") in _VARIABLE_TYPES or "enum" in adapted else adapted
