"""Variables: `${name}` inside text, with defaults in the file and values from the command line.

A variable has the type of its default: a value that consists of `${name}` alone, quoted or not, is a
number where the default is one. `$${` stands for a literal `${`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping as Values
from difflib import get_close_matches

from letrade_topo.load.diagnostics import Location
from letrade_topo.load.nodes import Mapping, Node, Scalar, children, location_of
from letrade_topo.load.report import Report

SECTION = "variables"
_NAME = r"[A-Za-z_][A-Za-z0-9_]*"
_REFERENCE = re.compile(r"\$(?P<escape>\$\{)|\$\{(?P<name>" + _NAME + r")\}|\$\{(?P<broken>[^}]{0,80}\}?)")

Value = bool | int | float | str


def substitute(root: Mapping, overrides: Values[str, str], environment: Values[str, str], report: Report) -> None:
    """Replace the references in every text of the document, except in `variables` itself.

    Args:
        root: the document, changed in place.
        overrides: values by name.
        environment: values by name in upper case, as environment variables have them; `overrides` come first.
        report: where problems go.
    """
    values = _declared(root, report)
    by_upper_case = {name.upper(): name for name in values}
    for name, text in {**{by_upper_case.get(key, key): text for key, text in environment.items()}, **overrides}.items():
        if name not in values:
            _undeclared_override(name, values, root, report)
        else:
            values[name] = _typed(name, text, values[name], root, report)
    seen: set[int] = set()
    for key, entry in root.entries.items():
        if key != SECTION:
            _visit(entry.node, values, report, seen)


def _declared(root: Mapping, report: Report) -> dict[str, Value]:
    entry = root.entries.get(SECTION)
    if entry is None or not isinstance(entry.node, Mapping):
        return {}
    values: dict[str, Value] = {}
    upper_case: set[str] = set()
    for name, declared in entry.node.entries.items():
        node = declared.node
        if not re.fullmatch(_NAME, name):
            why = f"{name!r} cannot be one: letters, digits and underscores, and not a digit first."
            report.add("variable-name", location_of(declared), "unusable name of a variable", why, "Rename it.")
        elif name.upper() in upper_case:
            why = f"{name!r} differs from another one only by case, and environment variables do not tell them apart."
            report.add("variable-name", location_of(declared), "unusable name of a variable", why, "Rename it.")
        elif not isinstance(node, Scalar) or node.value is None:
            why = f"{name!r} needs one: it says what is used when nothing else gives a value, and of which type."
            fix = 'Write a text, a number, true or false; the empty text is "".'
            report.add("variable-default", location_of(node), "variable without a default", why, fix)
        else:
            if isinstance(node.value, str) and "${" in node.value:
                why = "A default is used as it stands; variables in variables are not replaced."
                report.add("variable-default", location_of(node), "variable in a default", why, "Write it out.")
            values[name] = node.value
            upper_case.add(name.upper())
    return values


def _typed(name: str, text: str, default: Value, root: Mapping, report: Report) -> Value:
    try:
        match default:
            case bool():
                return {"true": True, "false": False}[text]
            case int():
                return int(text)
            case float():
                return float(text)
            case _:
                return text
    except (ValueError, KeyError):
        expected = {bool: "true or false", int: "a whole number"}.get(type(default), "a number")
        why = f"The default of {name!r} makes it {expected}, and the value given from outside is none."
        where = location_of(root.entries[SECTION].node.entries[name])  # type: ignore[union-attr]  # it was declared
        fix = f"Pass {expected}, or quote the default in the file."
        report.add("variable-value", where, "value of a variable has the wrong type", why, fix)
        return default


def _undeclared_override(name: str, values: Values[str, Value], root: Mapping, report: Report) -> None:
    entry = root.entries.get(SECTION)
    location = location_of(entry) if entry else Location(root.source.name)
    why = f"A value is given for {name!r}, and `variables` does not declare it{_known(values)}, so nothing can use it."
    fix = _suggestion(name, values) or "Declare it under `variables`, or do not set it."
    report.add("undeclared-variable", location, "undeclared variable", why, fix)


def _visit(node: Node, values: Values[str, Value], report: Report, seen: set[int]) -> None:
    if isinstance(node, Scalar):
        if isinstance(node.value, str) and "${" in node.value and id(node) not in seen:
            seen.add(id(node))
            _replace(node, values, report)
        return
    if id(node) in seen:
        return
    seen.add(id(node))
    if isinstance(node, Mapping):
        for key, entry in node.entries.items():
            if "${" in key:
                why = "Variables are replaced in values only, so that a name can be found where it is declared."
                report.add("variable-in-key", location_of(entry), "variable in a key", why, "Write it out.")
    for child in children(node):
        _visit(child, values, report, seen)


def _replace(node: Scalar, values: Values[str, Value], report: Report) -> None:
    text = str(node.value)
    whole = _REFERENCE.fullmatch(text)
    if whole and whole["name"] in values:
        node.value = values[whole["name"]]
        node.text = _text(node.value)
        return
    node.value = node.text = _REFERENCE.sub(lambda found: _one(found, node, values, report), text)


def _one(found: re.Match[str], node: Scalar, values: Values[str, Value], report: Report) -> str:
    if found["escape"]:
        return "${"
    name = found["name"]
    if name is None:
        why = "A reference is ${name}, the name of letters, digits and underscores."
        report.add("variable-name", location_of(node), "malformed variable", why, "For a literal ${ write $${.")
        return found[0]
    if name in values:
        return _text(values[name])
    why = f"`variables` does not declare {name!r}{_known(values)}."
    fix = _suggestion(name, values) or "Declare it with a default, or for a literal ${ write $${."
    report.add("undeclared-variable", location_of(node), "undeclared variable", why, fix)
    return found[0]


def _text(value: Value | None) -> str:
    return {True: "true", False: "false"}[value] if isinstance(value, bool) else str(value)


def _suggestion(name: str, values: Values[str, Value]) -> str:
    close = get_close_matches(name, values, 1)
    return f"Did you mean {close[0]!r}?" if close else ""


def _known(values: Values[str, Value]) -> str:
    return f" (declared: {', '.join(values)})" if values else ""
