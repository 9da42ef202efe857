"""Keys of mappings as they come from a YAML reader: those that are no text, and those that may name an entry."""

from __future__ import annotations

from letrade_topo.load.nodes import Mapping, Node, Scalar, Sequence, location_of
from letrade_topo.load.report import Report
from letrade_topo.load.shape import KNOWN_KEYS


def is_nothing(node: Node) -> bool:
    """Whether nothing stands there."""
    return isinstance(node, Scalar) and node.value is None


def is_header(mapping: Mapping, name: str) -> bool:
    """Whether a key has no value, and is none that the format knows: maybe the name of an entry."""
    return is_nothing(mapping.entries[name].node) and name not in KNOWN_KEYS


def last_header(mapping: Mapping) -> tuple[Mapping, str | None]:
    """The last key of the last mapping in a mapping, if it may be the name of an entry."""
    while mapping.entries:
        last = next(reversed(mapping.entries))
        inner = mapping.entries[last].node
        if not isinstance(inner, Mapping):
            return mapping, last if is_header(mapping, last) else None
        mapping = inner
    return mapping, None


def report_key(mapping: Mapping, key: Node, report: Report) -> None:
    """A key that is no text."""
    if location_of(key) in report.unreadable:
        return
    rule, summary = "key-not-text", "key is not a text"
    match key:
        case Mapping() if len(key.entries) == 1:  # as templates of Helm, Ansible or Jinja have it
            report.unreadable.add(location_of(mapping))
            why = "Two braces begin a mapping whose key is a mapping; nobody replaces them by a value here."
            name = next(iter(key.entries)).rpartition(".")[2]
            fix = f"Declare {name!r} under `variables` and write ${{{name}}}, or put the text in quotes."
        case Mapping() | Sequence():
            why = "It is a list or a mapping, and every key of a topology is a text."
            fix = "Write a text; one that begins with [ or { needs quotes."
        case _ if key.text == "<<":
            rule = summary = "merge-key"
            why = "A merge key copies entries invisibly, and then nobody sees where a value comes from."
            fix = "Write the entries out or use an alias for a whole value; for environments there is --overlay FILE."
        case _:
            kind = {type(None): "an empty value", bool: "true or false"}.get(type(key.value), "a number")
            why = f"Unquoted, {key.text or 'nothing'} is {kind} in YAML."
            fix = f'Quote it: "{key.text}".'
    report.add(rule, location_of(key), summary.replace("-", " "), why, fix)
