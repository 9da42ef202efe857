"""The reference of a chart's values, from the comments in its `values.yaml` and from its schema."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import yaml

_COMMENT = re.compile(r"^\s*# (?:-- )?(?P<text>.*)$")
_KEY = re.compile(r"^(?P<indent>\s*)(?P<name>[A-Za-z][A-Za-z0-9]*):")
_STEP = 2


@dataclass(frozen=True, slots=True)
class Value:
    """One value of a chart.

    Args:
        path: with dots between the names.
        default: as JSON.
        text: what its comment says.
    """

    path: str
    default: str
    text: str


def documented(text: str) -> Iterator[Value]:
    """Every value that has a comment which begins with `# --`, in the order of the file."""
    defaults = yaml.safe_load(text)
    path: list[str] = []
    comment: list[str] = []
    for line in text.splitlines():
        said = _COMMENT.match(line)
        if said:
            comment = [said["text"]] if "# -- " in line else [*comment, said["text"]] if comment else []
            continue
        key = _KEY.match(line)
        if key:
            path = [*path[: len(key["indent"]) // _STEP], key["name"]]
            if comment:
                yield Value(".".join(path), json.dumps(_at(defaults, path), ensure_ascii=False), " ".join(comment))
        comment = []


def undocumented(text: str) -> list[str]:
    """Paths of values that have no comment, neither their own nor that of a mapping that they stand in."""
    told = tuple(value.path for value in documented(text))
    return [
        path for path in _leaves(yaml.safe_load(text), "") if not any(f"{path}.".startswith(f"{one}.") for one in told)
    ]


def table(text: str, schema: Mapping[str, Any]) -> list[str]:
    """A Markdown table of all values.

    Args:
        text: of `values.yaml`.
        schema: of `values.schema.json`; says the types.
    """
    lines = ["| value | type | default | |", "| --- | --- | --- | --- |"]
    for value in documented(text):
        kind = _kind(schema, value.path).replace("|", "\\|")
        lines.append(f"| `{value.path}` | {kind} | `{value.default}` | {value.text.replace('|', chr(92) + '|')} |")
    return lines


def shape_at(schema: Mapping[str, Any], path: str) -> Mapping[str, Any] | None:
    """The part of a schema that a path leads to; None where it leads nowhere."""
    found: Mapping[str, Any] = schema
    for name in path.split("."):
        found = _resolved(schema, found)
        if name not in found.get("properties", {}):
            return None
        found = found["properties"][name]
    return _resolved(schema, found)


def _resolved(schema: Mapping[str, Any], found: Mapping[str, Any]) -> Mapping[str, Any]:
    reference = found.get("$ref")
    inner: Mapping[str, Any] = schema["definitions"][reference.rpartition("/")[2]] if reference else found
    return inner


def _kind(schema: Mapping[str, Any], path: str) -> str:
    shape = shape_at(schema, path) or {}
    if "enum" in shape:
        return ", ".join(f"`{one}`" for one in shape["enum"] if isinstance(one, str))
    return str(shape.get("type", ""))


def _at(values: Any, path: list[str]) -> Any:
    for name in path:
        values = values[name]
    return values


def _leaves(values: Mapping[str, Any], before: str) -> Iterator[str]:
    for name, value in values.items():
        if isinstance(value, dict) and value:
            yield from _leaves(value, f"{before}{name}.")
        else:
            yield f"{before}{name}"
