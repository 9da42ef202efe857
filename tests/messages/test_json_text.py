"""JSON that means the same to every reader, and nothing else."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from letrade_topo.messages.json_text import DEEPEST_NESTING, NotJson, Parsed, _strictly, parse_json
from letrade_topo.model.messages import Json

VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(exclude_categories=["Cs"])),
    lambda below: (
        st.lists(below, max_size=4) | st.dictionaries(st.text(st.characters(exclude_categories=["Cs"])), below)
    ),
    max_leaves=15,
)


@given(VALUES, st.booleans())
def test_round_trip(value: Json, is_ascii: bool) -> None:
    """Whatever a JSON writer writes is read."""
    body = json.dumps(value, ensure_ascii=is_ascii).encode()

    assert parse_json(body) == Parsed(value)
    assert parse_json(memoryview(bytearray(body))) == Parsed(value)


@given(st.binary(max_size=60) | st.text(alphabet='[]{}",:0123456789.eE+-\\untrfals N', max_size=60).map(str.encode))
def test_any_bytes(body: bytes) -> None:
    """Any bytes are JSON or refused in words; what is read, a strict reader reads alike."""
    parsed = parse_json(body)

    if isinstance(parsed, Parsed):
        assert json.loads(body) == parsed.value
    else:
        assert parsed.why


_NUMBERS = st.from_regex(r"-?(0|[1-9][0-9]{0,400})(\.[0-9]{1,400})?([eE][+-]?[0-9]{1,4})?", fullmatch=True)
_ESCAPES = st.from_regex(
    r'"(\\u[dD0][89abcdefABCDEF0][0-9a-f]{2}|\\[nrt"\\/bfux]|[a-z]|\x00|\x1f){0,4}"', fullmatch=True
)


@given(
    st.one_of(_NUMBERS, _ESCAPES, st.lists(_NUMBERS | _ESCAPES, max_size=3).map(lambda parts: f"[{','.join(parts)}]"))
)
def test_alike(text: str) -> None:
    """The quick reader lets nothing through that the strict one refuses, and reads the same value."""
    body = text.encode()

    assert repr(parse_json(body)) == repr(_strictly(body))


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (b"", "it is not JSON: expecting value at line 1, column 1"),
        (b'{"a": 1', "it is not JSON: expecting ',' delimiter at line 1, column 8"),
        (b'{"a": 1} x', "it is not JSON: extra data"),
        (b"{'a': 1}", "it is not JSON: expecting property name"),
        (b'"\xff"', "it is not UTF-8 text: byte 1 does not fit"),
        (b'\xef\xbb\xbf"a"', "it is not JSON"),
        ('"a"'.encode("utf-16"), "it is not UTF-8 text"),
        (b'{"a": 1, "b": {"c": 1, "a": 1, "a": 2}}', "members 2 and 3 of an object in it have the same name"),
        (b'{"a": 1, "\\u0061": 2}', "members 1 and 2 of an object in it have the same name"),
        (b"[NaN]", "NaN is not a JSON number"),
        (b"[-Infinity]", "-Infinity is not a JSON number"),
        (b"[1e999]", "a number in it is out of range"),
        (b"[" + b"9" * 5000 + b"]", "it has a number with too many digits"),
        (b'["\\ud800"]', "half of a surrogate pair"),
        (b'{"\\uDFFF": 1}', "half of a surrogate pair"),
        (b'["tab\there"]', "it is not JSON: invalid control character"),
        (b"[" * 200_000, "it is nested deeper than 64 levels"),
        (b'{"a":' * 70 + b"1" + b"}" * 70, "it is nested deeper than 64 levels"),
    ],
)
def test_refused(body: bytes, expected: str) -> None:
    """What is refused, and in which words."""
    parsed = parse_json(body)

    assert isinstance(parsed, NotJson)
    assert expected in parsed.why


@pytest.mark.parametrize("opening", [b"[", b'{"a":'])
def test_deepest(opening: bytes) -> None:
    """The limit is exact, and many shallow brackets are not deep."""
    closing = b"]" if opening == b"[" else b"}"
    deepest, too_deep = DEEPEST_NESTING, DEEPEST_NESTING + 1

    assert isinstance(parse_json(opening * deepest + b"1" + closing * deepest), Parsed)
    assert isinstance(parse_json(opening * too_deep + b"1" + closing * too_deep), NotJson)
    assert isinstance(parse_json(b"[" + b"[1]," * 1000 + b"[]]"), Parsed)


def test_surrogate_pair() -> None:
    """A whole pair is a character."""
    assert parse_json(b'["\\ud83d\\ude00"]') == Parsed(["😀"])
