"""cerberus's errors as diagnostics: its codes become rule ids, its paths positions."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from cerberus import errors

from letrade_topo.load import value_advice, vocabulary
from letrade_topo.load.diagnostics import Path
from letrade_topo.load.nodes import Scalar, Sources
from letrade_topo.load.report import Report
from letrade_topo.load.shape_validator import FLAW, Flaw
from letrade_topo.model.rules.problem import closest, did_you_mean

_TYPES = {
    "string": "a text",
    "integer": "a whole number",
    "number": "a number",
    "boolean": "true or false",
    "list": "a list",
    "dict": "a mapping",
}
_LONGEST_QUOTE = 60


def report_shape(
    found: list[Any], schema: Mapping[str, Any], prefix: Path, sources: Sources, report: Report
) -> list[Path]:
    """Report cerberus's errors about the value at `prefix`, which was checked against `schema`.

    Returns:
        The paths of the values that cannot be used.
    """
    broken: list[Path] = []
    for error in _leaves(found):
        path = (*prefix, *error.document_path)
        flaw = _flaw(error, path, schema, sources)
        path += flaw.below
        location = sources.locate_key(path) if flaw.at_key else sources.locate(path)
        in_unreadable = len(path) > 1 and sources.locate(path[:-1]) in report.unreadable
        if location not in report.unreadable and not in_unreadable:
            report.add(flaw.rule, location, flaw.summary, flaw.why, flaw.fix, path=path)
        broken.append(path)
    return broken


def _leaves(found: list[Any]) -> Iterator[Any]:
    for error in found:
        if error.is_group_error:
            yield from _leaves(error.child_errors)
        else:
            yield error


def _flaw(error: Any, path: Path, schema: Mapping[str, Any], sources: Sources) -> Flaw:
    match error.code:
        case FLAW.code:
            flaw: Flaw = error.info[0]
            return flaw
        case errors.UNKNOWN_FIELD.code:
            return unknown_key(path, known_keys(schema, error.document_path[:-1]))
        case errors.REQUIRED_FIELD.code:
            return _missing_key(str(path[-1]), path)
        case errors.NOT_NULLABLE.code:
            return _missing_value(path, description_of(schema, error.document_path), sources)
        case errors.BAD_TYPE.code:
            return _wrong_type(error.constraint, description_of(schema, error.document_path), path, sources)
        case errors.UNALLOWED_VALUE.code | errors.UNALLOWED_VALUES.code:
            return _not_allowed(error.value, error.constraint, path)
        case errors.MIN_VALUE.code | errors.MAX_VALUE.code:
            bound = "at least" if error.code == errors.MIN_VALUE.code else "at most"
            why = f"{path[-1]!r} is {error.value}, and {bound} {error.constraint} is allowed."
            return Flaw("out-of-range", "value out of range", why, f"Write {bound} {error.constraint}.")
        case errors.EMPTY_NOT_ALLOWED.code:
            why = f"{path[-1]!r} is a name or a path, and that has at least one character."
            return Flaw("empty-text", "empty text", why, "Write it, or remove the line.")
        case _:
            why = f"{path[-1]!r} does not fit its description ({error.rule})."
            return Flaw("wrong-type", "unusable value", why, "See the reference of topology.yaml.")


def unknown_key(path: Path, known: list[str]) -> Flaw:
    """A key that means nothing in its mapping."""
    place = f"in {describe(path[:-1])}" if len(path) > 1 else "at the top of a topology"
    why = f"{path[-1]!r} is not known {place}, so it would have no effect."
    listed = f"The keys that are known here: {', '.join(known)}."
    fix = vocabulary.advice(path) or did_you_mean(str(path[-1]), known, listed)
    return Flaw("unknown-key", "unknown key", why, fix, at_key=True)


def _missing_key(name: str, path: Path) -> Flaw:
    place = describe(path[:-1]) if len(path) > 1 else "the topology"
    why = f"{place[:1].upper()}{place[1:]} needs {name!r}; it has no default."
    line = value_advice.example(name) or f"`{name}: …`"
    return Flaw(
        "missing-key",
        "missing key",
        why,
        f"Add {line}, with your value." if name != "topology" else f"Add {line}.",
        at_key=True,
    )


def _missing_value(path: Path, description: Mapping[str, Any], sources: Sources) -> Flaw:
    key = str(path[-1])
    why = f"Nothing follows {key!r}; an empty value is null in YAML."
    fix = "Write a value, or remove the line."
    line = sources.line(sources.locate_key(path))
    if found := re.search(r":\s+#\s*(?P<text>.*)$", line):
        why = f"Behind {key!r} everything is a comment, because it begins with #."
        fix = f'Write `{key}: "# {found["text"]}"` if it is no comment; else write a value, or remove the line.'
    elif description.get("check_with") == "none":
        fix = f"Write `{key}: none`, or remove the line."
    elif description.get("type") == "list":
        fix = f"Write `{key}: []`, or remove the line."
    return Flaw("missing-value", "missing value", why, fix, at_key=True)


def _wrong_type(expected: str | list[str], description: Mapping[str, Any], path: Path, sources: Sources) -> Flaw:
    names = [expected] if isinstance(expected, str) else list(expected)
    wanted = " or ".join(_TYPES.get(name, name) for name in names)
    key, node = str(path[-1]), sources.node(path)
    why = f"{key!r} takes {wanted}, and this is {_kind(node)}."
    if description.get("check_with") == "none":
        why = f"{key!r} takes the word none or a mapping, and this is {_kind(node)}."
    elif key == "schema" and isinstance(node, Scalar):
        why = "The schema itself stands here; nothing is read from elsewhere."
    elif isinstance(node, Scalar) and names == ["boolean"] and isinstance(node.value, str):
        why = f"{key!r} takes true or false; YAML 1.1 reads some other words as booleans, YAML 1.2 as text."
    elif isinstance(node, Scalar) and "string" in names and node.plain and not isinstance(node.value, str):
        why = f"Without quotes YAML reads {node.text} as {_kind(node)}, and {key!r} takes {wanted}."
    fix = value_advice.of_type(key, names, description, node) or f"Write {wanted}."
    return Flaw("wrong-type", "wrong type", why, fix)


def _kind(node: object) -> str:
    if not isinstance(node, Scalar):
        return "a mapping" if hasattr(node, "entries") else "a list"
    match node.value:
        case None:
            return "nothing"
        case bool():
            return "a boolean"
        case int() | float():
            return "a number"
        case _:
            return "a text"


def _not_allowed(value: object, allowed: list[object], path: Path) -> Flaw:
    text, known = str(value), [str(item) for item in allowed]
    shown = text if len(text) <= _LONGEST_QUOTE else text[:_LONGEST_QUOTE] + "…"
    why = f"{path[-1]!r} cannot be {shown!r}; it is {known[0] if len(known) == 1 else 'one of ' + ', '.join(known)}."
    choice = [value_advice.quoted(item) if isinstance(item, str) else str(item) for item in allowed]
    otherwise = f"Write {' or '.join(choice)}."
    meant = closest(text, known)
    if meant is not None and (written := choice[known.index(meant)]) != meant:
        return Flaw("not-allowed-value", "value not allowed", why, f"Write {written}.")
    return Flaw("not-allowed-value", "value not allowed", why, did_you_mean(text, known, otherwise))


_ENTRY = {
    "exchanges": "the exchange",
    "messages": "the message type",
    "services": "the service",
    "queues": "the queue",
    "users": "the user",
    "policies": "the policy",
}


def describe(path: Path) -> str:
    """A path in words, for example ``the queue 'orders', retry``."""
    if len(path) >= 2 and path[0] in _ENTRY:
        rest = "".join(f", {step}" for step in path[2:] if isinstance(step, str))
        return f"{_ENTRY[path[0]]} {path[1]!r}{rest}"
    if len(path) >= 2 and path[0] == "bindings":
        return "a binding"
    return " → ".join(str(step) for step in path)


def description_of(schema: Mapping[str, Any], path: Path) -> Mapping[str, Any]:
    """What a schema says of the value at `path`."""
    found: Mapping[str, Any] = {"schema": schema}
    for step in path:
        inner = found.get("schema", {})
        found = inner if isinstance(step, int) else inner.get(step, {})
    return found


def known_keys(schema: Mapping[str, Any], below: Path) -> list[str]:
    """The keys of the mapping at `below` in what a schema describes."""
    fields = schema
    for step in below:
        if isinstance(step, int):
            continue
        fields = fields[step].get("schema", {})
        if fields.get("type") == "dict":  # the items of a list
            fields = fields["schema"]
    return [str(key) for key in fields]
