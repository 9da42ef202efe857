"""A topology as the text of a topology file, as a person would write it; `load` reads the same topology from it. Pure.

What is as by default is left out, sections are apart, comments stand above what they are about. How YAML writes a value
is known in `yaml_text`.
"""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import MISSING, Field, fields, is_dataclass
from enum import Enum
from typing import Any, Final

from letrade_topo.export.common_values import lifted
from letrade_topo.export.yaml_text import (
    INDENT,
    LONGEST_LINE,
    entry_of_mapping,
    in_one_line,
    indented,
    item_of_list,
)
from letrade_topo.load.shape import DEFAULTS, FORMAT_VERSION
from letrade_topo.load.shape_validator import UNMANAGED
from letrade_topo.model.parameters import DeclaredParameter
from letrade_topo.model.security import HashingAlgorithm, PasswordHash, SecretReference
from letrade_topo.model.services import DeclaredUser
from letrade_topo.model.topology import (
    DeadLettering,
    DeadLetterTarget,
    DeclaredBinding,
    DeclaredPolicy,
    DeclaredQueue,
    PolicyTarget,
    Topology,
)
from letrade_topo.model.units import ByteSize, Duration

Remarks = Mapping[tuple[str | int, ...], Sequence[str]]
"""Lines of comment above an entry, by its path: `("queues", "orders")`, `("bindings", 3)`."""

_TO_ALL: Final = ("apply_to", PolicyTarget.ALL.value)
_HEADINGS: Final = {
    "exchanges": "Exchanges",
    "queues": "Queues",
    "bindings": "Bindings",
    "policies": "Policies",
    "operator_policies": "Operator policies",
    "parameters": "Runtime parameters",
    "global_parameters": "Parameters of the whole cluster",
    "users": "Users and their rights",
}


def topology_text(topology: Topology, *, header: Iterable[str] = (), remarks: Remarks | None = None) -> str:
    """The text.

    Args:
        topology: without message types and services: what can be read from a broker.
        header: lines of comment at its beginning.
        remarks: lines of comment above entries; of what has no entry, in the header.
    """
    remarks = remarks or {}
    whole = [text for path, texts in remarks.items() if not _has_entry(topology, path) for text in texts]
    lines = [*_comment([*header, *whole], ""), f"topology: {FORMAT_VERSION}"]
    top = {"name": topology.name, "vhost": _vhost(topology), "ownership": topology.ownership, "limits": topology.limits}
    for key, value in top.items():
        plain = _plain(value)
        if plain not in ({}, None):
            lines += entry_of_mapping(key, plain)
    sections = {section: _plain_entries(getattr(topology, section)) for section in _HEADINGS}
    defaults: list[str] = []
    for section in DEFAULTS:
        common, sections[section] = lifted(section, sections[section])
        defaults += entry_of_mapping(section, common) if common else []
    lines += ["", "defaults:", *indented(defaults)] if defaults else []
    for section, heading in _HEADINGS.items():
        entries = sections[section]
        if entries:
            rule = "─" * (LONGEST_LINE - len(heading) - 6)
            lines += ["", f"# ── {heading} {rule}", "", f"{section}:"]
            lines += _section(section, entries, remarks)
    return "\n".join(lines) + "\n"


def _has_entry(topology: Topology, path: tuple[str | int, ...]) -> bool:
    if len(path) < 2 or path[0] not in _HEADINGS:
        return False
    section, name = path[:2]
    entries = getattr(topology, str(section))
    if section == "parameters":
        return any(one.component == name for one in entries)
    return name in (entries if isinstance(entries, Mapping) else range(len(entries)))


def _vhost(topology: Topology) -> Any:
    settings = _given(topology.vhost_settings)
    return {"name": topology.vhost, **settings} if settings else topology.vhost


def _plain_entries(entries: Any) -> Any:
    """By name; what is a list is made plain item by item, because its items are grouped."""
    return {name: _plain(entry) for name, entry in entries.items()} if isinstance(entries, Mapping) else entries


def _section(section: str, entries: Any, remarks: Remarks) -> Iterator[str]:
    if section == "parameters":
        yield from _parameters(entries, remarks)
        return
    said: set[str] = set()
    if isinstance(entries, Mapping):
        for name, entry in entries.items():
            yield from _comment(_once(remarks.get((section, name), ()), said), INDENT)
            yield from indented(entry_of_mapping(_plain(name), entry))
        return
    source = None
    for index, entry in enumerate(entries):
        if source is not None and entry.source != source:
            yield ""
        source = entry.source
        yield from _comment(_once(remarks.get((section, index), ()), said), INDENT)
        yield from indented(item_of_list(_plain(entry)))


def _once(remarks: Sequence[str], said: set[str]) -> Iterator[str]:
    """Remarks, of which one that the section has already is only named: what stands before its colon."""
    again = [remark.partition(":")[0] for remark in remarks if remark in said]
    yield from (remark for remark in remarks if remark not in said)
    if again:
        yield f"As above: {', '.join(name[:1].lower() + name[1:] for name in again)}."
    said.update(remarks)


def _parameters(entries: Iterable[DeclaredParameter], remarks: Remarks) -> Iterator[str]:
    by_component: dict[str, list[DeclaredParameter]] = {}
    for one in entries:
        by_component.setdefault(one.component, []).append(one)
    for component, named in by_component.items():
        yield from _comment(remarks.get(("parameters", component), ()), INDENT)
        references = {one.name: dict(one.references) for one in named}
        values = {one.name: _with_references(_plain(one.value), references[one.name]) for one in named}
        yield f"{INDENT}{in_one_line(_plain(component))}:"
        for name, value in values.items():
            yield from indented(indented(entry_of_mapping(_plain(name), value)))


def _with_references(value: Any, references: Mapping[tuple[str | int, ...], SecretReference]) -> Any:
    """A parameter's value as it is written: where a secret belongs, where it is read."""
    for (key, *rest), reference in references.items():
        if rest:
            value[key][rest[0]] = _plain(reference)
        else:
            value[key] = _plain(reference)
    return value


def _comment(lines: Iterable[str], indent: str) -> Iterator[str]:
    for text in lines:
        width = LONGEST_LINE - len(indent) - 2
        for line in textwrap.wrap(text, width, break_long_words=False, break_on_hyphens=False) or [""]:
            yield f"{indent}# {line}".rstrip()


def _plain(value: Any) -> Any:
    """A value of the model as YAML knows it; a text keeps `${`, which would begin a variable."""
    match value:
        case Enum():
            return value.value
        case Duration() | ByteSize():
            return str(value)
        case SecretReference():
            return {value.source.value: value.name}
        case PasswordHash():
            algorithm = {} if value.algorithm is HashingAlgorithm.SHA256 else {"algorithm": value.algorithm.value}
            return _plain(value.reference) | algorithm
        case str():
            return value.replace("${", "$${")
        case Mapping():
            return {_plain(str(key)): _plain(one) for key, one in value.items()}
        case list() | tuple():
            return [_plain(one) for one in value]
        case DeclaredQueue():
            return _without_name(_given(value) | _given(value.limits)) | _dead_lettering(value)
        case DeclaredBinding():
            return _binding(value)
        case DeclaredPolicy():
            return {key: one for key, one in _without_name(_given(value)).items() if (key, one) != _TO_ALL}
        case DeclaredUser():
            return _user(value)
        case _ if is_dataclass(value):
            return _without_name(_given(value))
        case _:
            return value


def _given(value: Any) -> dict[str, Any]:
    """The fields of a value of the model that are not as by default."""
    return {one.name: _plain(getattr(value, one.name)) for one in fields(value) if _is_given(one, value)}


def _is_given(one: Field[Any], value: Any) -> bool:
    if one.default_factory is not MISSING:
        return bool(getattr(value, one.name) != one.default_factory())
    return one.default is MISSING or bool(getattr(value, one.name) != one.default)


def _without_name(plain: dict[str, Any]) -> dict[str, Any]:
    return {key: one for key, one in plain.items() if key not in {"name", "limits", "dead_lettering", "retry"}}


def _dead_lettering(queue: DeclaredQueue) -> dict[str, Any]:
    match queue.dead_lettering:
        case DeadLetterTarget():
            return {"dead_letter": _given(queue.dead_lettering)}
        case DeadLettering():
            return {}


def _binding(binding: DeclaredBinding) -> dict[str, Any]:
    plain: dict[str, Any] = {"source": binding.source, str(binding.destination_type): binding.destination}
    plain |= {"routing_key": binding.routing_key} if binding.routing_key else {}
    plain |= {"arguments": binding.arguments} if binding.arguments else {}
    return {key: _plain(value) for key, value in plain.items()}


def _user(user: DeclaredUser) -> dict[str, Any]:
    rights = {key: getattr(user, key) for key in ("configure", "write", "read") if getattr(user, key)}
    plain = {key: one for key, one in _given(user).items() if key not in {"name", "is_password_unmanaged", *rights}}
    if user.is_password_unmanaged:
        plain["password"] = UNMANAGED
    return plain | ({"permissions": _plain(rights)} if rights else {})
