"""Sensitive fields: JSON Pointers that lead somewhere."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

from letrade_topo.model.messages import Json, MessageType
from letrade_topo.model.rules.problem import Breach, Rule, closest, did_you_mean, rule
from letrade_topo.model.topology import Topology

_POINTER = re.compile(r"(/([^~/]|~[01])*)+")


@rule(
    "sensitive-pointer",
    "unusable pointer to a sensitive field",
    "A sensitive field is a JSON Pointer (RFC 6901) into the payload: `/amount`, `/account/number`. It must name a "
    "property that the schema knows, where the schema names properties: a pointer that matches nothing encrypts "
    "nothing.",
)
def sensitive_pointer(topology: Topology) -> Iterator[Breach]:
    """Pointers that are malformed, lead nowhere, or lie within each other."""
    for message in topology.messages.values():
        for pointer in message.sensitive:
            misspelt = _misspelt_property(pointer, message)
            if misspelt is not None:
                why = f"Nothing names the property {misspelt!r}, while `required` and `sensitive` name {pointer[1:]!r}."
                path = ("messages", message.name, "schema", "properties", misspelt)
                related = (("messages", message.name, "sensitive", pointer), f"{pointer!r} is named here")
                yield Breach(path, why, f"Rename it to {pointer[1:]!r}.", at_key=True, related=related)
            elif (wrong := _wrong_with(pointer, message)) is not None:
                yield Breach(("messages", message.name, "sensitive", pointer), *wrong)


def _misspelt_property(pointer: str, message: MessageType) -> str | None:
    """The property that a pointer of one step means, if the schema requires that name and describes another."""
    schema, name = message.schema or {}, pointer[1:]
    properties, required = schema.get("properties"), schema.get("required")
    if not isinstance(properties, Mapping) or not isinstance(required, list) or name in properties:
        return None
    meant = closest(name, properties)
    return meant if name in required and meant not in required else None


def _wrong_with(pointer: str, message: MessageType) -> tuple[str, str] | None:
    if not _POINTER.fullmatch(pointer):
        why = f"{pointer!r} is not a JSON Pointer: each step begins with /, and ~ is written ~0, / in a name ~1."
        return why, f"Write /{pointer.strip('/').replace('.', '/')}." if "~" not in pointer else "Escape it."
    for other in message.sensitive:
        if other != pointer and pointer.startswith(f"{other}/"):
            return f"{pointer!r} lies within {other!r}, which is encrypted as a whole.", "Remove one of the two."
    if message.schema is None:
        return None
    steps = [step.replace("~1", "/").replace("~0", "~") for step in pointer.split("/")[1:]]
    return _follow(message.schema, steps, message.schema)


def _follow(schema: Json | Mapping[str, Json], steps: list[str], root: Mapping[str, Json]) -> tuple[str, str] | None:
    """Walk as far as the schema says anything; composed schemas are not judged."""
    for position, step in enumerate(steps):
        schema = _resolved(schema, root)
        if not isinstance(schema, Mapping) or any(word in schema for word in _COMPOSED):
            return None
        if step.isascii() and step.isdigit() and "items" in schema:
            schema = schema["items"]
            continue
        properties = schema.get("properties")
        if not isinstance(properties, Mapping) or not properties:
            return None
        if step not in properties:
            place = "/" + "/".join(steps[:position]) if position else "the payload"
            why = f"The schema knows no property {step!r} in {place}, so nothing would be encrypted."
            return why, did_you_mean(step, properties, "Add it to the schema's `properties`, or remove the pointer.")
        schema = properties[step]
    return None


_COMPOSED = ("allOf", "anyOf", "oneOf", "if", "patternProperties", "prefixItems", "$dynamicRef")


def _resolved(schema: Json | Mapping[str, Json], root: Mapping[str, Json]) -> Json | Mapping[str, Json]:
    """What a local `$ref` leads to; a few hops at most, so that a circle ends."""
    for _ in range(8):
        reference = schema.get("$ref") if isinstance(schema, Mapping) else None
        if not isinstance(reference, str):
            return schema
        schema = pointed_at(root, reference)
    return None


def pointed_at(root: Mapping[str, Json], reference: str) -> Json | Mapping[str, Json]:
    """What `#/…` leads to in a schema, or None."""
    node: Json | Mapping[str, Json] = root
    if reference != "#" and not reference.startswith("#/"):
        return None
    for step in reference.split("/")[1:]:
        name = step.replace("~1", "/").replace("~0", "~")
        if isinstance(node, Mapping) and name in node:
            node = node[name]
        elif isinstance(node, list) and name.isascii() and name.isdigit() and int(name) < len(node):
            node = node[int(name)]
        else:
            return None
    return node


RULES: tuple[Rule, ...] = (sensitive_pointer,)
