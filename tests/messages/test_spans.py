"""Fields are found where a JSON parser finds them, however the text is written."""

from __future__ import annotations

import json
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from letrade_topo.messages.spans import FieldNotFound, FieldSet, members, splice
from letrade_topo.model.messages import Json
from tests.messages.texts import json_texts, payloads_and_pointers


def resolve(document: Any, pointer: str) -> Any:
    """What a pointer into the payload leads to, by the words of RFC 6901."""
    value = document["payload"]
    for token in pointer.split("/")[1:]:
        token = token.replace("~1", "/").replace("~0", "~")
        value = value[int(token)] if isinstance(value, list) else value[token]
    return value


@given(st.data())
def test_any_document_in_any_formatting(data: st.DataObject) -> None:
    """Each span holds exactly the text of the value that its pointer leads to."""
    payload, pointers = data.draw(payloads_and_pointers())
    document: Json = {"source": "a", "payload": payload, "amount": {"amount": [1]}}
    body = data.draw(json_texts(document))
    fields = FieldSet(pointers)

    assert fields.present(payload) == fields.pointers
    for pointer, (start, end) in zip(fields.pointers, fields.spans(body), strict=True):
        assert json.loads(body[start:end]) == resolve(document, pointer)
        assert body[start:end] == body[start:end].strip()


@given(st.data())
def test_the_short_way_agrees_with_the_long_one(data: st.DataObject) -> None:
    """Where names alone are enough to find values, reading the structure finds the same."""
    payload, pointers = data.draw(payloads_and_pointers())
    body = data.draw(json_texts({"payload": payload}))
    fields = FieldSet(pointers)
    short = fields.spans_by_name(body)

    assert short is None or short == fields.spans_by_structure(body)


@pytest.mark.parametrize(
    ("payload", "pointer"),
    [
        (b'{"a": "\\"x\\"", "x": 1}', "/x"),
        (b'{"a": "x", "x": 1}', "/x"),
        (b'{"a": ["x", {"x": 2}], "x": 1}', "/x"),
        (b'{"\\u0078": 1, "a": "x"}', "/x"),
        (b'{"\\u0078": 1, "a": {"x": 2}}', "/x"),
        (b'{"x": 2, "a": {"x": 1}}', "/a/x"),
        (b'{"a": {"0": 2}, "b": [1]}', "/b/0"),
        (b'{"b": [3, [2, 1]]}', "/b/1/1"),
        (b'{"": 1}', "/"),
        (b'{"m~n/o": 1}', "/m~0n~1o"),
        ('{"größe": 1, "é": 2}'.encode(), "/größe"),
        (b'{"a.c": 2, "a*": 3, "abc": 4, "a.": 1}', "/a."),
    ],
)
def test_names_that_mislead(payload: bytes, pointer: str) -> None:
    """Names within texts, escaped names, and the same name elsewhere do not lead to another value."""
    body = b'{"payload": ' + payload + b"}"
    ((start, end),) = FieldSet((pointer,)).spans(body)

    assert body[start:end] == b"1"


def test_fields_within_others_and_twice() -> None:
    """A field that is part of another goes with it."""
    fields = FieldSet(("/a/b", "/c", "/a", "/c", "/ab"))

    assert fields.pointers == ("/c", "/a", "/ab")


@pytest.mark.parametrize("pointer", ["/b", "/a/0", "/a/b", "/l/2", "/l/01", "/l/-", "/l/x", "/t/0"])
def test_absent_fields(pointer: str) -> None:
    """What is not there is not present and not found."""
    payload: dict[str, Json] = {"a": 1, "l": [1, 2], "t": "text"}
    fields = FieldSet((pointer,))

    assert fields.present(payload) == ()
    with pytest.raises(FieldNotFound, match=pointer):
        fields.spans_by_structure(json.dumps({"payload": payload, "x": {"b": 1}}).encode())


@given(st.binary(max_size=80) | st.text(alphabet='{}[]",:\\ u0paylodxnt12e', max_size=80).map(str.encode))
def test_any_bytes(body: bytes) -> None:
    """Whatever the bytes are, spans lie within them or the field is not found."""
    for read in (FieldSet(("/x",)).spans, FieldSet(("/x",)).spans_by_structure):
        try:
            ((start, end),) = read(body)
        except FieldNotFound:
            continue
        assert 0 <= start <= end <= len(body)
    with suppress(FieldNotFound):
        members(body)


@given(
    st.dictionaries(st.text(st.characters(exclude_categories=["Cs"])), st.integers() | st.text() | st.lists(st.none())),
    st.data(),
)
def test_members(value: dict[str, Json], data: st.DataObject) -> None:
    """Names and values of an object, in their order."""
    text = data.draw(json_texts(value))

    assert [(name, json.loads(written)) for name, written in members(text)] == list(value.items())


def test_splice() -> None:
    """Values may be longer or shorter than what they replace, in any order."""
    assert splice(b"0123456789", [(5, 7), (0, 1)], [b"", b"zero"]) == b"zero1234789"
