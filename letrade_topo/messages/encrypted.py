"""The form of a body with encrypted fields, for those who write it and those who read it.

    {"encrypted":{"protected":…,"recipients":[…],"aad":…,"iv":…,"ciphertext":…,"tag":…},"message_id":…,
     "payload":{"symbol":"BTC/USDT","amount":null}}

The value of each field is `null`; the JWE is the first member of the envelope, without white space around it. Nothing
else differs from the body that was published. The plaintext is an object of JSON Pointer to value, each as it was
written; the additional data names issuer, message_id and pointers. `docs/reference/encryption.md` says all of it.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from functools import lru_cache
from typing import Final, NamedTuple

from letrade_topo.keys import base64url
from letrade_topo.keys.jwe import NotDecrypted, check_sizes, parse_jwe
from letrade_topo.keys.strict_json import NotAnObject, parse_object
from letrade_topo.messages.json_text import quoted
from letrade_topo.messages.spans import FieldNotFound, Span, field_set, members, splice
from letrade_topo.model.messages import Json

ENCRYPTED_MEMBER: Final = "encrypted"
"""Of the envelope; the agents' own."""

ENCRYPTED_OPENING: Final = b'{"encrypted":'
"""How a body begins of which agents have encrypted fields, without white space before it."""

_PLACEHOLDER: Final = b"null"
_MOST_NAMED: Final = 10
_OPENING: Final = re.compile(rb'([ \t\n\r]*\{)"encrypted":')
_CANONICAL: Final = re.compile(
    rb'([ \t\n\r]*\{)"encrypted":\{("protected":"[\w-]+","recipients":\[[^\]]+\]),"aad":"([\w-]+)","iv":"([\w-]+)",'
    rb'"ciphertext":"([\w-]+)","tag":"([\w-]+)"\},'
)
_DECODER: Final = json.JSONDecoder()
_write = json.JSONEncoder(separators=(",", ":")).encode


class EncryptionContext(NamedTuple):
    """The message that encrypted fields belong to: in another one they cannot be read.

    Args:
        issuer: the service that published it.
        message_id: of its envelope.
    """

    issuer: str
    message_id: str


class Parts(NamedTuple):
    """A body with encrypted fields, taken apart.

    Attributes:
        head: `protected` and `recipients` of the JWE, as members of an object: the same in every message of one
            content key.
        aad: additional data, encoded.
        nonce: 12 bytes.
        ciphertext: with the tag at its end.
        rest: the body without the JWE.
    """

    head: bytes
    aad: bytes
    nonce: bytes
    ciphertext: bytes
    rest: bytes


def write_plaintext(pointers: tuple[str, ...], values: Sequence[bytes]) -> bytes:
    """What is encrypted."""
    return b"{" + b",".join([name + value for name, value in zip(_names(pointers), values, strict=True)]) + b"}"


def write_aad(pointers: tuple[str, ...], binding: EncryptionContext) -> bytes:
    """What it is bound to."""
    return _aad_of(pointers, binding.issuer) + _text(binding.message_id) + b"}"


def is_bound(aad: bytes, pointers: tuple[str, ...], binding: EncryptionContext) -> bool:
    """Whether encoded additional data says what it has to, however it is written."""
    if aad == base64url.encode(write_aad(pointers, binding)):
        return True
    expected = {"fields": list(pointers), "iss": binding.issuer, "message_id": binding.message_id}
    return _stated(aad) == expected


def stated_fields(aad: bytes) -> tuple[str, ...]:
    """The fields that encoded additional data names, true or not; none where it cannot be read."""
    fields = _stated(aad).get("fields")
    return tuple(field for field in fields if isinstance(field, str)) if isinstance(fields, list) else ()


def named(pointers: Sequence[str]) -> str:
    """Fields in words."""
    if not pointers:
        return "what is encrypted in it"
    shown = ", ".join(quoted(pointer)[1:-1] for pointer in pointers[:_MOST_NAMED])
    more = len(pointers) - _MOST_NAMED
    return f"{shown} and {more} more" if more > 0 else shown


def hide(body: bytes, spans: Sequence[Span], jwe: bytes) -> bytes:
    """The body with the JWE in it and nothing in these spans."""
    start = body.index(b"{") + 1
    hidden = splice(body, spans, [_PLACEHOLDER] * len(spans))
    return b'%b"encrypted":%b,%b' % (hidden[:start], jwe, hidden[start:])


def is_encrypted(body: bytes) -> bool:
    """Whether a body has the form that agents give it; one with the member elsewhere has not."""
    return _OPENING.match(body) is not None


def stated_aad(body: bytes) -> bytes:
    """The additional data of a body, encoded; empty where it is not of its form."""
    try:
        return take_apart(body).aad
    except (NotDecrypted, FieldNotFound):
        return b""


def take_apart(body: bytes) -> Parts:
    """Take a body apart that `is_encrypted`.

    Raises:
        NotDecrypted: its JWE is not of its form.
    """
    match = _CANONICAL.match(body)
    if match is None:
        return _take_apart(body)
    opening, head, aad, iv, ciphertext, tag = match.groups()
    return Parts(head, aad, *_sealed(iv, ciphertext, tag), opening + body[match.end() :])


def put_back(rest: bytes, plaintext: bytes) -> tuple[bytes, tuple[str, ...]]:
    """The body as it was published, and which fields were encrypted.

    Raises:
        FieldNotFound: a field has no place there.
    """
    found = members(plaintext)
    pointers = tuple([pointer for pointer, _ in found])
    fields = field_set(pointers)
    if not pointers or fields.pointers != pointers:
        raise FieldNotFound("what is encrypted are not the values of different fields")
    spans = fields.spans(rest)
    for start, end in spans:
        if rest[start:end] != _PLACEHOLDER:
            raise FieldNotFound("a field that is encrypted has a value, too")
    return splice(rest, spans, [value for _, value in found]), pointers


def _take_apart(body: bytes) -> Parts:
    """The same for a JWE that is written otherwise than agents do it, but in a form that RFC 7516 allows."""
    opening = _OPENING.match(body)
    text = body.decode("latin-1")
    try:
        start = 0 if opening is None else opening.end()
        end = _DECODER.raw_decode(text, start)[1]
        jwe = parse_jwe(parse_object(body[start:end]))
    except (NotAnObject, ValueError, RecursionError) as error:
        if isinstance(error, NotDecrypted):
            raise
        raise NotDecrypted("its JWE is no JSON object") from None
    if opening is None or body[end : end + 1] != b",":
        raise NotDecrypted("its JWE is not the first member of several, without white space around it")
    return Parts(jwe.head, jwe.aad, jwe.nonce, jwe.ciphertext, opening[1] + body[end + 1 :])


def _sealed(iv: bytes, ciphertext: bytes, tag: bytes) -> tuple[bytes, bytes]:
    decoded = [base64url.decode(part) for part in (iv, ciphertext, tag)]
    match decoded:
        case [bytes() as nonce, bytes() as hidden, bytes() as end]:
            check_sizes(nonce, end)
            return nonce, hidden + end
        case _:
            raise NotDecrypted("`iv`, `ciphertext` or `tag` is not base64url")


def _stated(aad: bytes) -> dict[str, Json]:
    decoded = base64url.decode(aad)
    try:
        return {} if decoded is None else parse_object(decoded)
    except NotAnObject:
        return {}


@lru_cache(maxsize=1024)
def _names(pointers: tuple[str, ...]) -> tuple[bytes, ...]:
    return tuple(_text(pointer) + b":" for pointer in pointers)


@lru_cache(maxsize=1024)
def _aad_of(pointers: tuple[str, ...], issuer: str) -> bytes:
    return _write({"fields": list(pointers), "iss": issuer, "message_id": ""}).encode().removesuffix(b'""}')


def _text(text: str) -> bytes:
    return _write(text).encode()
