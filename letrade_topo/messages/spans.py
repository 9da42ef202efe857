"""Where in a JSON text the values of some fields stand, as spans of bytes. Nothing is parsed that need not be.

A field is a JSON Pointer (RFC 6901) into the payload of an envelope. Where text is needed, bytes are read as Latin-1:
one character is one byte then, and whatever belongs to JSON's grammar is ASCII.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from functools import lru_cache
from typing import Final, NamedTuple, TypeAlias

from letrade_topo.model.messages import Json

Span: TypeAlias = tuple[int, int]
"""Offsets of the first byte and of the one behind the last."""

PAYLOAD: Final = "payload"

_KEPT_SETS: Final = 1024
_INDEX: Final = re.compile(r"0|[1-9][0-9]{0,8}")
_SPACES: Final = rb"[ \t\n\r]*"
_SIMPLE: Final = rb'("[^"\\]*"|[-+.0-9eE]+|null|true|false|)'
"""A value whose end its bytes alone tell; nothing where it is another one."""
_SPACE: Final = re.compile(_SPACES)
_MEMBER: Final = re.compile(_SPACES + rb'"((?:[^"\\]|\\.)*)"' + _SPACES + b":" + _SPACES + _SIMPLE, re.DOTALL)
_ITEM: Final = re.compile(_SPACES + _SIMPLE)
_SIMPLE_MEMBER: Final = re.compile(rb'[{,]"([^"\\]*)":("[^"\\]*"|[-+.0-9eE]+|null|true|false)')
_SEPARATOR: Final = re.compile(_SPACES + rb"([,}\]])")
_read_value: Final = json.JSONDecoder().raw_decode


class FieldNotFound(ValueError):
    """A field is not there, or the text is no JSON; the message says which field, and holds nothing of the text."""


class _Place(NamedTuple):
    """One pointer, prepared.

    Attributes:
        pointer: as written.
        tokens: its steps, unescaped, below the payload.
        name: the last of them as JSON writes the name of a member; empty where it may be something else.
    """

    pointer: str
    tokens: tuple[str, ...]
    name: bytes


_Tree: TypeAlias = "dict[str, _Tree | int]"
"""By steps from the envelope downward; a number is the place of the field in its set."""


class FieldSet:
    """Some fields of the payload, in an order.

    Args:
        pointers: JSON Pointers into the payload; one that lies within another is left out, and so is a repeated one.

    Attributes:
        pointers: those that are left.
    """

    __slots__ = ("_by_name", "_flat", "_numbers", "_places", "_tree", "pointers")

    def __init__(self, pointers: Sequence[str]) -> None:
        distinct = dict.fromkeys(pointers)
        self.pointers: Final = tuple(each for each in distinct if not any(each.startswith(f"{o}/") for o in distinct))
        self._places = [_place(pointer) for pointer in self.pointers]
        self._tree: _Tree = {PAYLOAD: _tree(self._places)}
        is_flat = all(len(place.tokens) == 1 for place in self._places)
        self._flat = [(place.pointer, place.tokens[0]) for place in self._places] if is_flat else None
        self._numbers = {place.name: number for number, place in enumerate(self._places) if place.name}
        names = b"|".join(map(re.escape, self._numbers))
        is_possible = len(self._numbers) == len(self._places)
        self._by_name = re.compile(b'"(' + names + b')"' + _SPACES + b":" + _SPACES + _SIMPLE) if is_possible else None

    def present(self, payload: dict[str, Json]) -> tuple[str, ...]:
        """Those of the fields that a payload has."""
        if self._flat is not None:
            return tuple([pointer for pointer, name in self._flat if name in payload])
        return tuple([place.pointer for place in self._places if _has(payload, place.tokens)])

    def spans(self, body: bytes) -> list[Span]:
        """Where the values stand, in the order of the fields.

        Args:
            body: an envelope. Where it is not valid JSON, or lacks a field, a span may be found elsewhere than
                where it belongs; nothing else goes wrong.

        Raises:
            FieldNotFound: for one of them, or the text is no JSON.
        """
        found = self.spans_by_name(body)
        return self.spans_by_structure(body) if found is None else found

    def spans_by_name(self, body: bytes) -> list[Span] | None:
        """The same, where every name is that of one member only, so that no structure needs to be read; else None.

        Without a backslash in the text, a name that some object has stands there letter by letter, and what looks
        like a name is one: no text value can hold quotes.
        """
        if self._by_name is None or b"\\" in body:
            return None
        found: list[Span | None] = [None] * len(self._places)
        for match in self._by_name.finditer(body):
            number = self._numbers[match[1]]
            if found[number] is not None:
                return None
            start, end = match.span(2)
            found[number] = (start, end) if end > start else (start, _Text(body).value_end(start))
        spans = [span for span in found if span is not None]
        return spans if len(spans) == len(found) else None

    def spans_by_structure(self, body: bytes) -> list[Span]:
        """The same, by reading the objects on the way; arguments and errors as of `spans`."""
        found: dict[int, Span] = {}
        _note(_Text(body), _skip_space(body, 0), self._tree, found)
        for number, place in enumerate(self._places):
            if number not in found:
                raise FieldNotFound(f"there is no {place.pointer}")
        return [found[number] for number in range(len(self._places))]


@lru_cache(maxsize=_KEPT_SETS)
def field_set(pointers: tuple[str, ...]) -> FieldSet:
    """The set of these fields, prepared once."""
    return FieldSet(pointers)


def members(text: bytes) -> list[tuple[str, bytes]]:
    """Name and value of each member of the object that a text is; none where it is no object.

    Raises:
        FieldNotFound: it is no JSON.
    """
    simple: list[tuple[bytes, bytes]] = _SIMPLE_MEMBER.findall(text)
    covered = sum([len(name) + len(value) for name, value in simple]) + len(simple) * len(b',"":') + len(b"}")
    if simple and covered == len(text) and text[:1] == b"{" and text[-1:] == b"}":
        return [(name.decode(errors="replace"), value) for name, value in simple]
    return [(name, text[start:end]) for name, (start, end) in _Text(text).items(_skip_space(text, 0))]


def splice(body: bytes, spans: Sequence[Span], values: Sequence[bytes]) -> bytes:
    """A text with other values in some spans, which do not overlap."""
    pieces: list[bytes] = []
    position = 0
    for (start, end), value in sorted(zip(spans, values, strict=True)):
        pieces += (body[position:start], value)
        position = end
    pieces.append(body[position:])
    return b"".join(pieces)


class _Text:
    """A body, and the same as Latin-1 once that is needed."""

    __slots__ = ("_body", "_latin")

    def __init__(self, body: bytes) -> None:
        self._body = body
        self._latin = ""

    def items(self, start: int) -> list[tuple[str, Span]]:
        """Name, or index, and value of everything in the object or the list that begins there; else nothing."""
        body = self._body
        opening = body[start : start + 1]
        if opening not in (b"{", b"["):
            return []
        closing = b"}" if opening == b"{" else b"]"
        found: list[tuple[str, Span]] = []
        position = _skip_space(body, start + 1)
        if body[position : position + 1] == closing:
            return found
        pattern = _MEMBER if opening == b"{" else _ITEM
        while True:
            match = pattern.match(body, position)
            if match is None:
                raise _no_json()
            name = _unescaped(match[1]) if pattern is _MEMBER else str(len(found))
            begin, end = match.span(match.lastindex or 0)
            if end == begin:
                end = self.value_end(begin)
            found.append((name, (begin, end)))
            separator = _SEPARATOR.match(body, end)
            if separator is None:
                raise _no_json()
            if separator[1] == closing:
                return found
            if separator[1] != b",":
                raise _no_json()
            position = separator.end()

    def value_end(self, start: int) -> int:
        """The offset behind the value that begins there, whatever it is."""
        if not self._latin:
            self._latin = self._body.decode("latin-1")
        try:
            return _read_value(self._latin, start)[1]
        except (ValueError, RecursionError):
            raise _no_json() from None


def _note(text: _Text, start: int, node: _Tree, found: dict[int, Span]) -> None:
    """Note the fields below a value. As deep as the pointers are."""
    for name, span in text.items(start):
        target = node.get(name)
        if isinstance(target, dict):
            _note(text, span[0], target, found)
        elif target is not None:
            found[target] = span


def _skip_space(body: bytes, position: int) -> int:
    match = _SPACE.match(body, position)
    return position if match is None else match.end()


def _no_json() -> FieldNotFound:
    return FieldNotFound("the text is no JSON")


def _unescaped(name: bytes) -> str:
    if b"\\" not in name:
        return name.decode(errors="replace")
    try:
        return str(json.loads(b'"' + name + b'"'))
    except ValueError:
        raise _no_json() from None


def _place(pointer: str) -> _Place:
    if not pointer.startswith("/"):
        raise FieldNotFound("what is not named by a JSON Pointer to a part of the payload cannot be found")
    tokens = tuple(token.replace("~1", "/").replace("~0", "~") for token in pointer.split("/")[1:])
    name = json.dumps(tokens[-1], ensure_ascii=False)[1:-1].encode(errors="replace")
    is_certain = b"\\" not in name and _INDEX.fullmatch(tokens[-1]) is None  # an index may be one of a list
    return _Place(pointer, tokens, name if is_certain else b"")


def _tree(places: Sequence[_Place]) -> _Tree:
    tree: _Tree = {}
    for number, place in enumerate(places):
        node = tree
        for token in place.tokens[:-1]:
            following = node.setdefault(token, {})
            assert isinstance(following, dict)  # noqa: S101  # no pointer lies within another
            node = following
        node[place.tokens[-1]] = number
    return tree


def _has(value: Json, tokens: Sequence[str]) -> bool:
    for token in tokens:
        if isinstance(value, dict):
            if token not in value:
                return False
            value = value[token]
        elif isinstance(value, list) and _INDEX.fullmatch(token) is not None and int(token) < len(value):
            value = value[int(token)]
        else:
            return False
    return True
