"""Lines put into YAML text and taken out of it, so that everything else stays byte for byte.

Positions come from the text's own nodes. Nothing here knows what the lines mean.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field

import yaml

from letrade_topo.k8s.errors import InvalidManifest
from letrade_topo.k8s.manifests import place

_LINE_BREAK = re.compile("\r\n|[\n\r\x85\u2028\u2029]")
"""YAML 1.1, 4.1.4; the parser counts lines by it."""


@dataclass(frozen=True, slots=True)
class _Edit:
    start: int
    end: int
    text: str
    last: bool = False
    """Of several at one place it comes last: the others go on with what stands above."""


@dataclass(slots=True)
class Splice:
    """Changes of one text, made at once at the end.

    Args:
        text: what is changed.
        source: how messages call it.
    """

    text: str
    source: str
    _edits: list[_Edit] = field(default_factory=list)
    _starts: list[int] = field(default_factory=list)
    _break: str = "\n"

    def __post_init__(self) -> None:
        breaks = list(_LINE_BREAK.finditer(self.text))
        self._starts = [0, *(found.end() for found in breaks)]
        if breaks and breaks[0].group() == "\r\n":
            self._break = "\r\n"

    def insert_before(self, mapping: yaml.MappingNode, key: yaml.Node, lines: list[str]) -> None:
        """Put lines before a key of a mapping, and before the comments that stand right above it.

        What looks like a comment and is the end of a block text before it is none.
        """
        line: int = key.start_mark.line
        before = [
            value for other, value in mapping.value if other.start_mark.line < line and not is_elsewhere(other, value)
        ]
        floor = max((self.last_line(value) + 1 for value in before), default=0)
        while line > floor and self._line(line - 1).lstrip().startswith("#"):
            line -= 1
        self._insert(line, lines, last=True)

    def insert_after(self, line: int, lines: list[str], *, last: bool = False) -> None:
        """Put lines after a line; `last`: after whatever else is put there, which goes on with what ends there."""
        self._insert(line + 1, lines, last=last)

    def remove_lines(self, first: int, last: int) -> None:
        """Take lines out, both ends included."""
        self._edits.append(_Edit(self._start(first), self._start(last + 1), ""))

    def replace(self, node: yaml.Node, text: str) -> None:
        """Put text in a node's place."""
        self._edits.append(_Edit(self.offset(node.start_mark), self.offset(node.end_mark), text))

    def fill(self, key: yaml.Node, value: yaml.Node, lines: list[str]) -> None:
        """Put lines below `key:` in the place of a value that is nothing: null, `{}` or `[]`, there or a line below."""
        end = self.offset(value.end_mark)
        if value.start_mark.line == key.end_mark.line:
            start = self.text.index(":", self.offset(key.end_mark)) + 1
            self._edits.append(_Edit(start, max(start, end), ""))
            self.insert_after(value.end_mark.line, lines)
            return
        first, last = value.start_mark.line, value.end_mark.line
        if self.text[end : self._start(last + 1)].strip():  # a comment
            self._edits.append(_Edit(self.offset(value.start_mark), end, ""))
        else:
            self.remove_lines(first, last)
        self.insert_after(key.end_mark.line, lines)

    def open_braces(self, node: yaml.MappingNode, text: str) -> None:
        """Put text behind the brace that opens a mapping."""
        self._edits.append(_Edit(*2 * (self.offset(node.start_mark) + 1,), text))

    def dash_of(self, item: yaml.Node) -> tuple[int, int]:
        """Line and column of the dash of a list's item."""
        line: int = item.start_mark.line
        before = self._line(line)[: item.start_mark.column]
        while "-" not in before:  # the item stands below its dash, and a comment may be between them
            line -= 1
            before = self._line(line).partition("#")[0]
        return line, before.rindex("-")

    def offset(self, mark: yaml.Mark) -> int:
        """Where a mark is in the text; not by its column, which does not count a byte order mark."""
        return int(mark.index)

    def last_line(self, node: yaml.Node) -> int:
        """The last line that a node stands on, without comments and empty lines behind it."""
        if isinstance(node, yaml.CollectionNode) and node.value and not node.flow_style:
            last = node.value[-1]
            key, value = last if isinstance(last, tuple) else (None, last)
            if key is not None and is_elsewhere(key, value):
                return int(key.end_mark.line)  # an alias
            return max(self.last_line(value), key.end_mark.line if key is not None else 0)
        mark = node.end_mark
        line = mark.line - 1 if mark.column == 0 and mark.line > node.start_mark.line else mark.line
        while line > node.start_mark.line and not self._line(line).strip():
            line -= 1
        return int(line)

    def result(self) -> str:
        """The text with all changes."""
        pieces, done = [], 0
        for edit in sorted(self._edits, key=lambda edit: (edit.start, edit.end, edit.last)):
            pieces += [self.text[done : edit.start], edit.text]
            done = max(done, edit.end)
        return "".join([*pieces, self.text[done:]])

    def require_lines(self, node: yaml.Node) -> None:
        """Refuse what is written in braces or brackets."""
        if isinstance(node, yaml.CollectionNode) and node.flow_style and node.value:
            raise InvalidManifest(
                f"{place(self.source, node)}: written in braces or brackets",
                why="the sidecar is put in as lines",
                fix="write it as indented lines; for JSON: kubectl get -o yaml, or yq -P",
            )

    def _insert(self, line: int, lines: list[str], *, last: bool = False) -> None:
        text = "".join(one + self._break for one in lines)
        offset = self._start(line)
        if offset == len(self.text) and self.text and not _LINE_BREAK.fullmatch(self.text[-1]):
            text = self._break + text
        self._edits.append(_Edit(offset, offset, text, last))

    def _start(self, line: int) -> int:
        return self._starts[line] if line < len(self._starts) else len(self.text)

    def _line(self, line: int) -> str:
        return self.text[self._start(line) : self._start(line + 1)]


def is_elsewhere(key: yaml.Node, value: yaml.Node) -> bool:
    """Whether a value stands before its key: it is an alias."""
    return bool((value.start_mark.line, value.start_mark.column) < (key.end_mark.line, key.end_mark.column))
