"""Variables: `${name}` inside text, with defaults in the file and values from the command line.

A variable has the type of its default: a value that consists of `${name}` alone, quoted or not, is a
number where the default is one. `$${` stands for a literal `${`.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping as Values

from letrade_topo.load.diagnostics import Location
from letrade_topo.load.masking import is_secret_key
from letrade_topo.load.nodes import Mapping, Node, Scalar, children, location_of
from letrade_topo.load.report import Report
from letrade_topo.model.rules.problem import closest, did_you_mean

SECTION = "variables"
_NAME = r"[A-Za-z_][A-Za-z0-9_]*"
_REFERENCE = re.compile(r"\$(?P<escape>\$\{)|\$\{(?P<name>" + _NAME + r")\}|\$\{(?P<broken>[^}]{0,80}\}?)")
_ESCAPED = "$${"
_FOREIGN = re.compile(rf"\$\(({_NAME})\)|(?<!\$)\$({_NAME})|\{{\{{\s*\.?(?:\w+\.)*({_NAME})\s*\}}\}}")
"""As shells, make and templates of Helm, Ansible or Jinja write it."""

Value = bool | int | float | str

UNKNOWN = "\0"
"""Stands for the value of a variable whose default is none: what names it is not judged."""


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
    for name, meant in _misspelt(root, values).items():
        declared = root.entries[SECTION].node.entries[name]  # type: ignore[union-attr]  # it was declared
        why = f"Nothing uses {name!r}, and ${{{meant}}} is used and not declared."
        report.add("undeclared-variable", location_of(declared), "misspelt variable", why, f"Rename it to {meant!r}.")
        values[meant] = values.pop(name)
    seen: set[int] = set()
    for key, entry in root.entries.items():
        if key != SECTION:
            _visit(entry.node, values, report, seen)


def _misspelt(root: Mapping, values: Values[str, Value]) -> dict[str, str]:
    """Declared variables that nothing uses, by what is used instead: twice, or for the key of that name."""
    uses: Counter[str] = Counter()
    for key, entry in root.entries.items():
        if key != SECTION:
            _count_uses(key, entry.node, uses, set())
    unused = [name for name in values if name not in uses]
    misspelt: dict[str, str] = {}
    for name, count in uses.items():
        meant = closest(name, unused) if name not in values and count > 1 else None
        if meant is not None and closest(name, values) == meant:
            misspelt[meant] = name
            unused.remove(meant)
    return misspelt


def _count_uses(key: str, node: Node, uses: Counter[str], seen: set[int]) -> None:
    if id(node) in seen:
        return
    seen.add(id(node))
    if isinstance(node, Mapping):
        for name, entry in node.entries.items():
            _count_uses(name, entry.node, uses, seen)
    elif isinstance(node, Scalar):
        for found in _REFERENCE.finditer(node.value) if isinstance(node.value, str) and "$" in node.value else ():
            if found["name"]:
                uses[found["name"]] += 2 if found["name"] == key else 1
    else:
        for item in node.items:
            _count_uses(key, item, uses, seen)


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
            values[name] = UNKNOWN
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


def _visit(node: Node, values: Values[str, Value], report: Report, seen: set[int], *, is_secret: bool = False) -> None:
    """Replace what is below a node; of a secret, which has its own rules, only what is declared."""
    if isinstance(node, Scalar):
        if isinstance(node.value, str) and ("$" in node.value or "{{" in node.value) and id(node) not in seen:
            seen.add(id(node))
            if "${" in node.value and not (is_secret and not _all_declared(node.value, values)):
                _replace(node, values, report)
            elif location_of(node) in report.unreadable:
                pass
            elif not is_secret and (foreign := _FOREIGN.search(node.value)):
                name = _name_in(foreign)
                if name not in values and not foreign[0].startswith("{{"):
                    return
                why = f"{foreign[0]} is how other tools write a variable; here it stands for itself."
                declared = "" if name in values else ", and declare it under `variables`"
                report.add(
                    "variable-name",
                    location_of(node),
                    "variable that is not replaced",
                    why,
                    f"Write ${{{name}}}{declared}.",
                )
        return
    if id(node) in seen:
        return
    seen.add(id(node))
    if isinstance(node, Mapping):
        for key, entry in node.entries.items():
            if "${" in key.replace(_ESCAPED, ""):
                why = "Variables are replaced in values only, so that a name can be found where it is declared."
                fix = "Write it out; for a literal ${ write $${."
                report.add("variable-in-key", location_of(entry), "variable in a key", why, fix)
        if any(_ESCAPED in key for key in node.entries):
            unescaped = {key.replace(_ESCAPED, "${"): entry for key, entry in node.entries.items()}
            node.entries.clear()
            node.entries.update(unescaped)
        for key, entry in node.entries.items():
            _visit(entry.node, values, report, seen, is_secret=is_secret or is_secret_key(key))
        return
    for child in children(node):
        _visit(child, values, report, seen, is_secret=is_secret)


def _all_declared(text: str, values: Values[str, Value]) -> bool:
    return all(found["escape"] or found["name"] in values for found in _REFERENCE.finditer(text))


def _name_in(found: re.Match[str]) -> str:
    return next(name for name in found.groups() if name)


def _replace(node: Scalar, values: Values[str, Value], report: Report) -> None:
    text = str(node.value)
    if any(values.get(found["name"] or "") == UNKNOWN for found in _REFERENCE.finditer(text)):
        report.unreadable.add(location_of(node))
        return
    whole = _REFERENCE.fullmatch(text)
    if whole and whole["name"] in values:
        node.value = values[whole["name"]]
        node.text = _text(node.value)
    else:
        node.value = node.text = _REFERENCE.sub(lambda found: _one(found, node, values, report), text)
    if node.text == "":
        why = f"{text} is all there is here, and it is the empty text."
        fix = "Give the variable a value, or remove what needs it."
        report.add("variable-empty", location_of(node), "variable expands to nothing", why, fix)


def _one(found: re.Match[str], node: Scalar, values: Values[str, Value], report: Report) -> str:
    if found["escape"]:
        return "${"
    name = found["name"]
    if name is None:
        why = "A reference is ${name}, the name of letters, digits and underscores."
        meant = re.sub(r"\W+", "_", found["broken"].rstrip("}").strip().rpartition(".")[2]).strip("_")
        instead = f"Write ${{{meant}}}, and declare it under `variables`; for" if meant else "For"
        report.add(
            "variable-name", location_of(node), "malformed variable", why, f"{instead} a literal ${{ write $${{."
        )
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
    return did_you_mean(name, values, "")


def _known(values: Values[str, Value]) -> str:
    return f" (declared: {', '.join(values)})" if values else ""
