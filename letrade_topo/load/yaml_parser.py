"""YAML text to nodes.

Built on PyYAML's events (libyaml where it is there), not on its composer: that one recurses in C and
takes the process down when somebody nests deeply enough. Here depth and size are counted before they
cost anything, and whatever else is wrong is reported with its position while the rest is still read.
"""

from __future__ import annotations

from typing import TypeAlias

import yaml

from letrade_topo.load.anchors import ABOUT_SECRETS, Anchors
from letrade_topo.load.diagnostics import Location
from letrade_topo.load.keys import is_header, is_nothing, last_header, report_key
from letrade_topo.load.masking import is_secret_key
from letrade_topo.load.nodes import Mapping, Node, PositionedEntry, Scalar, Sequence, location_of
from letrade_topo.load.plain_texts import Surroundings, without_slips
from letrade_topo.load.report import Report
from letrade_topo.load.scalars import ScalarError, implicit_value, tagged_value
from letrade_topo.load.slips import TYPOGRAPHIC_SPACES, may_have_slip
from letrade_topo.load.source_text import SourceText
from letrade_topo.load.unread import bracket_too_deep
from letrade_topo.load.yaml_syntax import LOADER, Judge, explain

DEEPEST = 100
MOST_NODES = 1_000_000
"""Aliases counted as often as they are used: a few lines of nested aliases can stand for billions."""

_PlainTags: TypeAlias = frozenset[str | None]
_MAPPING_TAGS: _PlainTags = frozenset({None, "!", "tag:yaml.org,2002:map"})
_SEQUENCE_TAGS: _PlainTags = frozenset({None, "!", "tag:yaml.org,2002:seq"})


class _Refused(Exception):
    """Reading cannot go on; the reason is in the report."""


def parse_yaml(source: SourceText, report: Report, judge: Judge | None = None) -> Node | None:
    """Read the one document of a file.

    Args:
        source: the file.
        report: where problems go.
        judge: says which of several repairs of a text that is no YAML leaves the fewest problems.

    Returns:
        Its root, or None when there is none or reading had to stop; then the report says why.
    """
    report.texts[source.name] = source
    composer = _Composer(source, report)
    try:
        for event in yaml.parse(source.text, Loader=LOADER):
            composer.take(event)
    except _Refused:
        return None
    except yaml.YAMLError as error:
        if composer.went_too_deep(error):
            return None
        location, what, why, fix = explain(error, source, judge)
        report.forget_from(location)
        report.add("yaml-syntax", location, what, why, fix)
        return None
    composer.anchors.report_unknown()
    return composer.root


def _position(event: yaml.Event) -> tuple[int, int]:
    mark = event.start_mark
    return (mark.line, mark.column) if mark else (0, 0)


class _Open:
    """A collection whose end has not come: what is known of it so far."""

    __slots__ = ("anchor", "height", "in_brackets", "key", "node", "rest", "size")

    def __init__(self, node: Mapping | Sequence, anchor: str | None, *, in_brackets: bool) -> None:
        self.node = node
        self.rest: Mapping | None = None
        """Where entries go that turned out to belong to one above them."""
        self.in_brackets = in_brackets
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
        self.anchors = Anchors(report)
        self.repeats = 0
        """The mapping whose last key was one that it had before."""
        self.documents = 0
        self.read_to = 0

    def take(self, event: yaml.Event) -> None:
        if event.end_mark:
            self.read_to = event.end_mark.index
        match event:
            case yaml.ScalarEvent():
                self._anchor(event)
                nodes = self._scalars(event)
                if event.anchor:
                    self.anchors.finish(event.anchor, nodes[0], 1, 1)
                for node in nodes:
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

    def went_too_deep(self, error: yaml.YAMLError) -> bool:
        """Whether the reader gave up behind a bracket that is too deep for us, whatever its own reason; reported."""
        mark = getattr(error, "problem_mark", None)
        offset = bracket_too_deep(
            self.source.text,
            self.read_to,
            mark.index if mark else len(self.source.text),
            flow=sum(each.in_brackets for each in self.stack),
            room=DEEPEST - len(self.stack),
        )
        if offset is not None:
            self._depth_error(self.source.location(offset))
        return offset is not None

    def _document(self, event: yaml.Event) -> None:
        self.documents += 1
        if self.documents > 1:
            why = "A topology is one document; `---` begins another."
            fix = "Remove the line, or move what follows to an overlay file: --overlay FILE."
            self._refuse("several-documents", event, "second document in one file", why, fix)

    def _scalars(self, event: yaml.ScalarEvent) -> list[Node]:
        """The value of a scalar; of one in a list that swallowed the next lines, those too."""
        implicit = event.implicit[0]
        value: bool | int | float | str | None = event.value
        try:
            if implicit:
                value = implicit_value(event.value)
            elif event.tag is not None and not event.implicit[1]:
                value = tagged_value(event.tag, event.value)
        except ScalarError as error:
            if self._is_secret_place():
                return [Scalar(self.source, *_position(event), event.value, event.value, implicit)]
            self.report.unreadable.add(self._location(event))
            self._error("ambiguous-value", event, error.what, error.why, error.fix)
        node = Scalar(self.source, *_position(event), value, event.value, implicit)
        if not implicit or not event.end_mark or (event.end_mark.line == node.line and not may_have_slip(node.text)):
            return [node]
        surroundings = self._surroundings()
        nodes = without_slips(node, event.end_mark.line, event.end_mark.column, surroundings, self.report)
        if surroundings.is_key and event.value[:1] in TYPOGRAPHIC_SPACES:  # what it belongs to cannot be told
            raise _Refused
        return nodes

    def _surroundings(self) -> Surroundings:
        around = self.stack[-1] if self.stack else None
        in_mapping = around is not None and isinstance(around.node, Mapping)
        return Surroundings(
            keys=[each.key.value for each in self.stack if isinstance(each.key, Scalar)],
            is_key=in_mapping and around is not None and around.key is None,
            in_list=around is not None and not in_mapping,
            in_mapping=in_mapping,
        )

    def _key_name(self) -> object:
        key = self.stack[-1].key if self.stack else None
        return key.value if isinstance(key, Scalar) else None

    def _open(self, event: yaml.CollectionStartEvent, node: Mapping | Sequence, tags: _PlainTags) -> None:
        self._anchor(event)
        if event.tag not in tags:
            why = f"{event.tag} means nothing here; values are those of JSON: text, numbers, booleans, lists, mappings."
            self._error("ambiguous-value", event, "unknown YAML tag", why, "Remove the tag.")
        if len(self.stack) >= DEEPEST:
            self._refuse_depth(event)
        self.stack.append(_Open(node, event.anchor, in_brackets=bool(event.flow_style)))

    def _close(self) -> None:
        done = self.stack.pop()
        if done.anchor:
            self.anchors.finish(done.anchor, done.node, done.size, done.height)
        self._place(done.node, done.size, done.height)

    def _anchor(self, event: yaml.NodeEvent) -> None:
        if not event.anchor:
            return
        if before := self.anchors.begin(event.anchor, self._location(event), self._key_name()):
            why = f"&{event.anchor} is already at {before}; which of the two an alias means would depend on its place."
            self._error("duplicate-anchor", event, "duplicate anchor", why, "Rename one of them, and its aliases.")

    def _alias(self, event: yaml.AliasEvent) -> None:
        name, place = event.anchor or "", self._location(event)
        if self.anchors.is_unfinished(name):
            why = f"*{name} stands inside the value that it names, which would contain itself."
            self._refuse("unknown-alias", event, "alias to an unfinished value", why, "Write the value out.")
        target = self.anchors.find(name, place, self._key_name(), is_secret=self._is_secret_place())
        if target is None:  # reported at the end
            self.report.unreadable.add(place)
            target = (Mapping(self.source, *_position(event)), 1, 1)
        elif len(self.stack) + target[2] > DEEPEST:
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
            self._entry(parent.rest or parent.node, parent.key, node)
            parent.key = None

    def _key(self, node: Node, place: yaml.Event | None) -> Node:
        if place is None:
            return node
        if isinstance(node, Scalar):
            return Scalar(self.source, *_position(place), node.value, node.text, node.plain)
        return Sequence(self.source, *_position(place))  # whatever it holds, it is no key

    def _entry(self, mapping: Mapping, key: Node, node: Node) -> None:
        if not isinstance(key, Scalar) or not isinstance(key.value, str) or (key.plain and key.text == "<<"):
            report_key(mapping, key, self.report)
            if (
                isinstance(key, Scalar)
                and key.plain
                and key.text not in ("", "<<", "~")
                and key.text not in mapping.entries
            ):
                mapping.entries[key.text] = PositionedEntry(self.source, key.line, key.column, node)  # as it was meant
            return
        before = mapping.entries.get(key.value)
        if before and before.node is not node and is_nothing(before.node):  # kept is what says something
            mapping.entries[key.value] = PositionedEntry(self.source, before.line, before.column, node)
        elif before and self._is_header_too_deep(mapping, key.value):
            self._entry(self.stack[-1].rest or mapping, key, node)
            return
        elif not before:
            mapping.entries[key.value] = PositionedEntry(self.source, key.line, key.column, node)
            self.repeats = 0
            return
        first, here = location_of(before), location_of(key)
        if (
            next(iter(mapping.entries)) == key.value
            and len(self.stack) > 1
            and isinstance(self.stack[-2].node, Sequence)
        ):
            why = f"{key.value!r} begins an item of this list, at {first}, and comes again in the same one."
            self.report.add("duplicate-key", here, "duplicate key", why, "Begin the second item with `- `.")
            self.stack[-1].rest = Mapping(self.source, key.line, key.column)  # which is not judged
            return
        if len(self.stack) > 1:  # in an entry: those that follow at once are repeated for the same reason
            is_next, self.repeats = self.repeats == id(mapping), id(mapping)
            root_key = self.stack[0].key
            self.report.torn.add(root_key.value if isinstance(root_key, Scalar) else None)
            if is_next:
                return
        why = f"{key.value!r} is already a key of this mapping, at {first}; one of the two would be lost silently."
        fix = "Remove one, or join the two. If the second begins another entry, its name is missing above it."
        fix = fix if len(self.stack) > 2 else "Remove one, or join the two."
        self.report.add("duplicate-key", here, "duplicate key", why, fix, related=((first, "first"),))

    def _is_header_too_deep(self, mapping: Mapping, key: str) -> bool:
        """Whether a key that comes again is that of an entry whose name, indented too far, is above; reported."""
        names = list(mapping.entries)
        behind = names[names.index(key) + 1 :]
        holder, header = mapping, next((name for name in reversed(behind) if is_header(mapping, name)), None)
        if header is None:  # even further in
            holder, header = last_header(mapping)
        if header is None or self.stack[-1].in_brackets or len(self.stack) < 2:
            return False
        entry = holder.entries.pop(header)
        place, around = location_of(entry), self.stack[-2].node
        why = f"{header!r} has no value, and the keys behind it repeat those above it."
        fix = f"Indent it as what it stands beside, to column {around.column + 1}."
        self.report.add("misplaced-key", place, "key at the wrong level", why, fix)
        self.report.unreadable.add(place)
        rest = Mapping(self.source, entry.line, entry.column)
        if holder is mapping:
            rest.entries = {name: mapping.entries.pop(name) for name in behind[behind.index(header) + 1 :]}
        mapping.entries[header] = PositionedEntry(self.source, entry.line, entry.column, rest)
        self.stack[-1].rest = rest
        return True

    def _location(self, event: yaml.Event) -> Location:
        line, column = _position(event)
        return Location(self.source.name, line + 1, column + 1)

    def _is_secret_place(self) -> bool:
        """Whether the value that comes now may be a literal secret, which no message may quote."""
        key = self.stack[-1].key if self.stack else None
        return isinstance(key, Scalar) and is_secret_key(key.value)

    def _error(self, rule: str, event: yaml.Event, summary: str, why: str, fix: str) -> None:
        if self._is_secret_place():
            why, fix = ABOUT_SECRETS
        self.report.add(rule, self._location(event), summary, why, fix)

    def _refuse(self, rule: str, event: yaml.Event, summary: str, why: str, fix: str) -> None:
        self._error(rule, event, summary, why, fix)
        raise _Refused

    def _refuse_depth(self, event: yaml.Event) -> None:
        self._depth_error(self._location(event))
        raise _Refused

    def _depth_error(self, place: Location) -> None:
        why = f"More than {DEEPEST} levels; a topology needs far fewer."
        fix = "Check for a bracket that is not closed."
        self.report.add("too-deep", place, "values are nested too deeply", why, fix)
