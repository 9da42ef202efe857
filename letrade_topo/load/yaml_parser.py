"""YAML text to nodes.

Built on PyYAML's events (libyaml where it is there), not on its composer: that one recurses in C and
takes the process down when somebody nests deeply enough. Here depth and size are counted before they
cost anything, and whatever else is wrong is reported with its position while the rest is still read.
"""

from __future__ import annotations

from typing import TypeAlias

import yaml

from letrade_topo.load.diagnostics import Location
from letrade_topo.load.nodes import Entry, Mapping, Node, Scalar, Sequence, location_of
from letrade_topo.load.report import Report
from letrade_topo.load.scalars import ScalarError, implicit_value, tagged_value
from letrade_topo.load.source_text import SourceText, is_secret_key
from letrade_topo.load.yaml_syntax import explain

DEEPEST = 100
MOST_NODES = 1_000_000
"""Aliases counted as often as they are used: a few lines of nested aliases can stand for billions."""

_Loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_PlainTags: TypeAlias = frozenset[str | None]
_MAPPING_TAGS: _PlainTags = frozenset({None, "!", "tag:yaml.org,2002:map"})
_SEQUENCE_TAGS: _PlainTags = frozenset({None, "!", "tag:yaml.org,2002:seq"})


class _Refused(Exception):
    """Reading cannot go on; the reason is in the report."""


def parse_yaml(source: SourceText, report: Report) -> Node | None:
    """Read the one document of a file.

    Returns:
        Its root, or None when there is none or reading had to stop; then the report says why.
    """
    report.texts[source.name] = source
    composer = _Composer(source, report)
    try:
        for event in yaml.parse(source.text, Loader=_Loader):
            composer.take(event)
    except _Refused:
        return None
    except yaml.YAMLError as error:
        location, what, why, fix = explain(error, source)
        report.add("yaml-syntax", location, what, why, fix)
        return None
    return composer.root


def _position(event: yaml.Event) -> tuple[int, int]:
    mark = event.start_mark
    return (mark.line, mark.column) if mark else (0, 0)


class _Open:
    """A collection whose end has not come: what is known of it so far."""

    __slots__ = ("anchor", "height", "key", "node", "size")

    def __init__(self, node: Mapping | Sequence, anchor: str | None) -> None:
        self.node = node
        self.anchor = anchor
        self.key: Scalar | Mapping | Sequence | None = None
        self.size = 1
        self.height = 1


class _Composer:
    def __init__(self, source: SourceText, report: Report) -> None:
        self.source = source
        self.report = report
        self.root: Node | None = None
        self.stack: list[_Open] = []
        self.anchors: dict[str, tuple[Node, int, int]] = {}
        self.anchor_places: dict[str, Location] = {}
        self.documents = 0

    def take(self, event: yaml.Event) -> None:
        match event:
            case yaml.ScalarEvent():
                self._anchor(event)
                node = self._scalar(event)
                if event.anchor:
                    self.anchors[event.anchor] = (node, 1, 1)
                self._place(node, 1, 1)
            case yaml.MappingStartEvent():
                self._open(event, Mapping(self.source, *_position(event)), _MAPPING_TAGS)
            case yaml.SequenceStartEvent():
                self._open(event, Sequence(self.source, *_position(event)), _SEQUENCE_TAGS)
            case yaml.CollectionEndEvent():
                self._close()
            case yaml.AliasEvent():
                self._alias(event)
            case yaml.DocumentStartEvent():
                self._document(event)

    def _document(self, event: yaml.Event) -> None:
        self.documents += 1
        if self.documents > 1:
            why = "A topology is one document; `---` begins another."
            fix = "Remove the line, or move what follows to an overlay file: --overlay FILE."
            self._refuse("several-documents", event, "second document in one file", why, fix)

    def _scalar(self, event: yaml.ScalarEvent) -> Scalar:
        implicit = event.implicit[0]
        value: bool | int | float | str | None = event.value
        try:
            if implicit:
                value = implicit_value(event.value)
            elif event.tag is not None and not event.implicit[1]:
                value = tagged_value(event.tag, event.value)
        except ScalarError as error:
            if self._is_secret_place():
                return Scalar(self.source, *_position(event), event.value, event.value, implicit)
            self.report.unreadable.add(self._location(event))
            self._error("ambiguous-value", event, error.what, error.why, error.fix)
        return Scalar(self.source, *_position(event), value, event.value, implicit)

    def _open(self, event: yaml.CollectionStartEvent, node: Mapping | Sequence, tags: _PlainTags) -> None:
        self._anchor(event)
        if event.tag not in tags:
            why = f"{event.tag} means nothing here; values are those of JSON: text, numbers, booleans, lists, mappings."
            self._error("ambiguous-value", event, "unknown YAML tag", why, "Remove the tag.")
        if len(self.stack) >= DEEPEST:
            self._refuse_depth(event)
        self.stack.append(_Open(node, event.anchor))

    def _close(self) -> None:
        done = self.stack.pop()
        if done.anchor:
            self.anchors[done.anchor] = (done.node, done.size, done.height)
        self._place(done.node, done.size, done.height)

    def _anchor(self, event: yaml.NodeEvent) -> None:
        if not event.anchor:
            return
        here = self._location(event)
        if before := self.anchor_places.get(event.anchor):
            why = f"&{event.anchor} is already at {before}; which of the two an alias means would depend on its place."
            self._error("duplicate-anchor", event, "duplicate anchor", why, "Rename one of them, and its aliases.")
        self.anchor_places[event.anchor] = here

    def _alias(self, event: yaml.AliasEvent) -> None:
        target = self.anchors.get(event.anchor or "")
        if target is None:
            if event.anchor in self.anchor_places:
                why = f"*{event.anchor} stands inside the value that it names, which would contain itself."
                self._refuse("unknown-alias", event, "alias to an unfinished value", why, "Write the value out.")
            why = f"No anchor &{event.anchor} stands above it."
            fix = f"Define it before its first use: &{event.anchor}. Text that begins with * needs quotes."
            self._refuse("unknown-alias", event, "unknown alias", why, fix)
        else:
            if len(self.stack) + target[2] > DEEPEST:
                self._refuse_depth(event)
            self._place(*target, key_place=event)

    def _place(self, node: Node, size: int, height: int, key_place: yaml.Event | None = None) -> None:
        """Hang a finished node where it belongs."""
        if not self.stack:
            self.root = node
            return
        parent = self.stack[-1]
        parent.size += size
        parent.height = max(parent.height, height + 1)
        if parent.size > MOST_NODES:
            why = f"With its aliases written out, the file has more than {MOST_NODES:,} values."
            fix = "Split the topology, or remove aliases that contain aliases."
            self.report.add("too-many-values", location_of(node), "too many values", why, fix)
            raise _Refused
        if isinstance(parent.node, Sequence):
            parent.node.items.append(node)
        elif parent.key is None:
            parent.key = self._key(node, key_place)
        else:
            self._entry(parent.node, parent.key, node)
            parent.key = None

    def _key(self, node: Node, place: yaml.Event | None) -> Node:
        if place is None or not isinstance(node, Scalar):
            return node
        return Scalar(self.source, *_position(place), node.value, node.text, node.plain)

    def _entry(self, mapping: Mapping, key: Node, node: Node) -> None:
        here = location_of(key)
        if not isinstance(key, Scalar):
            why = "It is a list or a mapping, and every key of a topology is a text."
            fix = "Write a text; one that begins with [ or { needs quotes."
            self.report.add("key-not-text", here, "key is not a text", why, fix)
            return
        if key.plain and key.text == "<<":
            why = "A merge key copies entries invisibly, and then nobody sees where a value comes from."
            fix = (
                "Write the entries out or use an alias for a whole value; what differs by environment: --overlay FILE."
            )
            self.report.add("merge-key", here, "merge key", why, fix)
            return
        if not isinstance(key.value, str):
            what = (
                "an empty value"
                if key.value is None
                else "true or false"
                if isinstance(key.value, bool)
                else "a number"
            )
            why = f"Unquoted, {key.text or 'nothing'} is {what} in YAML."
            self.report.add("key-not-text", here, "key is not a text", why, f'Quote it: "{key.text}".')
            return
        if before := mapping.entries.get(key.value):
            first = location_of(before)
            why = f"{key.value!r} is already a key of this mapping, at {first}; one of the two would be lost silently."
            fix = "Remove one, or join the two."
            self.report.add("duplicate-key", here, "duplicate key", why, fix, related=((first, "first"),))
            return
        mapping.entries[key.value] = Entry(self.source, key.line, key.column, node)

    def _location(self, event: yaml.Event) -> Location:
        line, column = _position(event)
        return Location(self.source.name, line + 1, column + 1)

    def _is_secret_place(self) -> bool:
        """Whether the value that comes now may be a literal secret, which no message may quote."""
        key = self.stack[-1].key if self.stack else None
        return isinstance(key, Scalar) and is_secret_key(key.value)

    def _error(self, rule: str, event: yaml.Event, summary: str, why: str, fix: str) -> None:
        if self._is_secret_place():
            why, fix = (
                "What stands here is not shown, because it may be a secret.",
                "Write {env: NAME} or {file: PATH}.",
            )
        self.report.add(rule, self._location(event), summary, why, fix)

    def _refuse(self, rule: str, event: yaml.Event, summary: str, why: str, fix: str) -> None:
        self._error(rule, event, summary, why, fix)
        raise _Refused

    def _refuse_depth(self, event: yaml.Event) -> None:
        why = f"More than {DEEPEST} levels; a topology needs far fewer."
        self._refuse("too-deep", event, "values are nested too deeply", why, "Check for a bracket that is not closed.")
