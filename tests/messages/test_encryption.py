"""Encrypted fields: hidden from everyone but their readers, put back byte for byte, bound to their message."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from letrade_topo.keys import jwe
from letrade_topo.keys.folder import DEAD_LETTER_OWNER
from letrade_topo.keys.jwk import Validity
from letrade_topo.messages import encryption
from letrade_topo.messages.decryption import Opened, Unreadable, reveal
from letrade_topo.messages.encrypted import EncryptionContext
from letrade_topo.messages.encryption import KEPT_SENT_KEYS, MissingKey, SentKeys
from letrade_topo.messages.spans import FieldSet, field_set
from letrade_topo.model.messages import Json
from tests.messages.texts import json_texts, payloads_and_pointers
from tests.messages.world import (
    BINDING,
    MESSAGE_ID,
    NOW,
    PRESENT,
    READER,
    READERS,
    WRITER,
    encrypted,
    encryption_key,
    envelope,
    key_set,
    opened,
    public_half,
    reader,
    unreadable,
    writer,
)

WRITES, READS, SENT = writer(), reader(), SentKeys()
RETURNS = writer(sent=SENT)


def jwe_of(body: bytes) -> dict[str, Any]:
    """The JWE in a body."""
    found: dict[str, Any] = json.loads(body)["encrypted"]
    return found


def decoded(text: str) -> bytes:
    """Base64url as Python does it."""
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


@given(st.data())
def test_any_document_in_any_formatting(data: st.DataObject) -> None:
    """What is encrypted comes back byte for byte, at the reader and at the writer to whom it is returned."""
    payload, pointers = data.draw(payloads_and_pointers())
    pointers = FieldSet(pointers).pointers
    document: Json = {"source": WRITER, "price": {"amount": None}, "message_id": MESSAGE_ID, "payload": payload}
    body = data.draw(json_texts(document))

    wire = encrypted(body, pointers, by=RETURNS)

    assert opened(wire, READS) == Opened(body, pointers)
    assert SENT.restore(wire) == body
    outside = json.loads(wire)
    assert list(outside) == ["encrypted", *json.loads(body)]
    assert _without(outside["payload"], pointers) == _without(payload, pointers)


def _without(payload: Any, pointers: tuple[str, ...]) -> Any:
    """The payload with null in these places."""
    text = json.dumps({"payload": payload}).encode()
    spans = field_set(pointers).spans_by_structure(text)
    for start, end in sorted(spans, reverse=True):
        text = text[:start] + b"null" + text[end:]
    return json.loads(text)["payload"]


@given(st.text(st.characters(min_codepoint=33, max_codepoint=0x2FF), min_size=8), st.booleans())
def test_values_are_hidden(value: str, is_ascii: bool) -> None:
    """No part of the ciphertext's message has the value in it, plain or in any of its encodings."""
    body = envelope({"note": value, "n": [value]}, ensure_ascii=is_ascii)
    assume(value not in json.dumps(json.loads(envelope({"note": "", "n": [""]}))))

    wire = encrypted(body, ("/note", "/n"))

    found = jwe_of(wire)
    parts = [wire, *(decoded(found[name]) for name in ("protected", "aad", "iv", "ciphertext", "tag"))]
    for form in (value.encode(), json.dumps(value)[1:-1].encode(), base64.urlsafe_b64encode(value.encode())[:10]):
        assert not any(form in part for part in parts)


ENCRYPTED = encrypted(envelope(), by=WRITES)


@given(st.integers(0, len(ENCRYPTED) - 1), st.integers(1, 255))
def test_altered_anywhere(position: int, change: int) -> None:
    """One changed byte of the JWE is refused; one beside it gives at most what was changed, never other values."""
    altered = bytearray(ENCRYPTED)
    altered[position] ^= change
    end = ENCRYPTED.index(b"},", ENCRYPTED.index(b'"tag"')) + 2
    found = READS.decrypt(bytes(altered), BINDING, NOW)

    if len(b'{"encrypted":') <= position < end and not is_beyond_meaning(altered):
        assert isinstance(found, Unreadable)
    if isinstance(found, Opened):
        assert b"0.0123" in found.body
        assert b"65432.5" in found.body


def is_beyond_meaning(altered: bytearray) -> bool:
    """Whether only the copy of the key for somebody else was changed, or how the JWE is written."""
    try:
        found, original = jwe_of(bytes(altered)), jwe_of(ENCRYPTED)
    except ValueError:
        return False
    try:
        for jwe in (found, original):
            jwe["recipients"] = [each for each in jwe["recipients"] if each["header"]["kid"].startswith(READER)]
    except KeyError:  # the very name of a member was changed: nobody can read it
        return False
    return found == original


@pytest.mark.parametrize(
    "binding",
    [
        EncryptionContext("core_engine", MESSAGE_ID),
        EncryptionContext(WRITER, MESSAGE_ID[:-1] + "0"),
        EncryptionContext("", ""),
    ],
)
def test_another_message(binding: EncryptionContext) -> None:
    """Fields of one message cannot be read in another, nor as another's."""
    found = unreadable(encrypted(envelope()), binding=binding)

    assert found == Unreadable("/amount, /price cannot be decrypted: it is bound to another message", PRESENT)


def test_moved_into_another_message() -> None:
    """A JWE that is put into another message of the same writer is refused, though every byte of it is whole."""
    wire, other = encrypted(envelope()), envelope({"amount": None, "price": None}).replace(b"3a49", b"3a50")
    moved = wire[: wire.index(b'"message_id"')] + other[1:]

    assert unreadable(moved, binding=EncryptionContext(WRITER, MESSAGE_ID.replace("3a49", "3a50"))).pointers == PRESENT


@pytest.mark.parametrize(
    "fields", [["/amount"], ["/price", "/amount"], ["/amount", "/price", "/side"], "/amount", None]
)
def test_other_pointers(fields: object) -> None:
    """Additional data that names other fields than are encrypted is refused."""
    stated = {"fields": fields, "iss": WRITER, "message_id": MESSAGE_ID}
    plaintext = b'{"/amount":0.0123,"/price":65432.5}'

    found = unreadable(by_hand(plaintext, json.dumps(stated).encode()))

    assert "bound to another message" in found.why


@pytest.mark.parametrize(
    ("plaintext", "why"),
    [
        (b"[]", "not the values of different fields"),
        (b"{}", "not the values of different fields"),
        (b"", "not the values of different fields"),
        (b'{"/amount":1,"/amount":2}', "not the values of different fields"),
        (b'{"/amount":1,"/amount/a":2}', "not the values of different fields"),
        (b'{"amount":1}', "JSON Pointer"),
        (b'{"/nothing":1}', "there is no /nothing"),
        (b'{"/side":"sell"}', "has a value, too"),
        (b'{"/amount":1', "no JSON"),
        (b'{"/amount":}', "no JSON"),
        (b'{"/amount":1 x}', "no JSON"),
    ],
)
def test_plaintexts_that_do_not_fit(plaintext: bytes, why: str) -> None:
    """What a writer with the right keys encrypts has to be values for places that are there and empty."""
    found = reader().decrypt(by_hand(plaintext, b"{}"), BINDING, NOW)

    assert isinstance(found, Unreadable)
    assert why in found.why


def by_hand(plaintext: bytes, aad: bytes) -> bytes:
    """An envelope whose JWE was made outside the writer."""
    public = encryption_key(READER)
    recipient = jwe.Recipient(public.kid, public_half(public).key)  # type: ignore[arg-type]  # on P-256
    text = jwe.ContentKey([recipient], writer()._random_bytes).seal(plaintext, aad)
    return b'{"encrypted":' + text + b"," + envelope({"side": "buy", "amount": None, "price": None})[1:]


def test_additional_data_in_another_writing() -> None:
    """What the additional data says counts, not how it is written."""
    stated = {"message_id": MESSAGE_ID, "iss": WRITER, "fields": ["/amount"]}

    found = opened(by_hand(b'{"/amount":7}', json.dumps(stated, indent=2).encode()))

    assert b'"amount": 7,' in found.body


@pytest.mark.parametrize(
    ("change", "why"),
    [
        (lambda found: found.pop("aad"), "exactly"),
        (lambda found: found.update(unprotected={}), "exactly"),
        (lambda found: found.update(iv="AAAA"), "not as long as"),
        (lambda found: found.update(tag=found["tag"][:16]), "not as long as"),
        (lambda found: found.update(tag="*"), "`tag` is not base64url"),
        (lambda found: found.update(recipients=[]), "encrypted to nobody"),
        (lambda found: found.update(recipients={}), "no list of recipients"),
        (lambda found: found["recipients"].append(found["recipients"][0]), "one `kid`"),
        (lambda found: found["recipients"][1]["header"].update(zip="DEF"), "exactly"),
        (lambda found: found["recipients"][1]["header"].update(alg="dir"), "repeats"),
        (lambda found: found["recipients"][1]["header"].update(kid="x" * 200), "`kid` is not of the form"),
        (lambda found: found["recipients"][0]["header"]["epk"].update(x="AA"), "no point of P-256"),
        (lambda found: found["recipients"][0]["header"]["epk"].update(crv="P-384"), "no point of P-256"),
        (lambda found: found["recipients"][0]["header"].update(epk=1), "`epk` is no key"),
        (lambda found: found["recipients"][0].update(encrypted_key="AA"), "not for the key that it names"),
        (lambda found: found.update(protected=protected(alg="dir")), "not made with"),
        (lambda found: found.update(protected=protected(enc="A128GCM")), "not made with"),
        (lambda found: found.update(protected=protected(crit=["x"])), "exactly"),
        (lambda found: found.update(protected="AA"), "protected header"),
    ],
)
def test_other_forms_of_jwe(change: Any, why: str) -> None:
    """Other algorithms, members or sizes than these are refused before anything is decrypted, in words."""
    document = json.loads(encrypted(envelope()))
    change(document["encrypted"])

    found = unreadable(json.dumps(document, separators=(",", ":")).encode())

    assert why in found.why
    assert "0.0123" not in found.why


def protected(**changes: object) -> str:
    """A protected header with other members."""
    header = {"alg": "ECDH-ES+A256KW", "enc": "A256GCM", **changes}
    return base64.urlsafe_b64encode(json.dumps(header).encode()).rstrip(b"=").decode()


def test_a_jwe_in_another_writing() -> None:
    """The JWE may be written as any JSON writer does, as long as it is the first member."""
    body = envelope()
    document = json.loads(encrypted(body))
    text = json.dumps(dict(reversed(document["encrypted"].items())), indent=1)
    rest = json.dumps({name: value for name, value in document.items() if name != "encrypted"})

    assert json.loads(opened(f'{{"encrypted":{text},{rest[1:]}'.encode()).body) == json.loads(body)


def test_nothing_encrypted() -> None:
    """A body without the member is no concern of the reader."""
    assert reader().decrypt(envelope(), BINDING, NOW) is None
    assert reader().decrypt(b"", BINDING, NOW) is None


# Who reads


def test_one_copy_of_the_key_for_each_reader() -> None:
    """Every consumer and the role of dead letters reads; the writer itself does not."""
    wire = encrypted(envelope(), readers=frozenset(("core_engine", READER)))

    kids = [each["header"]["kid"] for each in jwe_of(wire)["recipients"]]
    assert kids == ["core_engine:1", "exchange_connector:1", "dead-letter:1"]
    for owner in ("core_engine", READER, DEAD_LETTER_OWNER):
        assert opened(wire, reader(key_set(owner))).body == envelope()
    found = unreadable(wire, reader(key_set(WRITER)))
    assert found.why == (
        "/amount, /price cannot be decrypted: it is encrypted to core_engine:1, exchange_connector:1, dead-letter:1, "
        "and strategy has no key among these"
    )
    assert "there is no private key here" in unreadable(wire, reader(key_set(None))).why


def test_without_a_key_for_dead_letters() -> None:
    """That role reads only if it has a key."""
    by = writer(key_set(WRITER, [public_half(encryption_key(READER))]))

    assert len(jwe_of(encrypted(envelope(), by=by))["recipients"]) == 1


@pytest.mark.parametrize(
    ("readers", "owner"), [(frozenset(("risk", READER)), "risk"), (frozenset(), ""), (frozenset((WRITER,)), WRITER)]
)
def test_a_reader_without_a_key(readers: frozenset[str], owner: str) -> None:
    """What somebody could not read, or nobody, is not encrypted at all."""
    by = writer(key_set(WRITER, [public_half(encryption_key(READER))]))

    assert by.encrypt(envelope(), MESSAGE_ID, PRESENT, readers, NOW) == MissingKey(owner)


# Content keys


def head_of(body: bytes) -> tuple[str, Any]:
    """What is the same in every message of one content key."""
    found = jwe_of(body)
    return found["protected"], found["recipients"]


def test_one_content_key_for_many_messages() -> None:
    """For ten minutes the wrapped keys are the same; nonce and ciphertext are not."""
    by = writer()
    first, second, last = (encrypted(envelope(), by=by, now=NOW + after) for after in (0, 1, 599.9))
    later = encrypted(envelope(), by=by, now=NOW + 600)

    assert head_of(first) == head_of(second) == head_of(last) != head_of(later)
    assert len({jwe_of(each)["iv"] for each in (first, second, last, later)}) == 4
    assert len({jwe_of(each)["ciphertext"] for each in (first, second, last)}) == 3
    assert opened(later).body == opened(first).body == envelope()


def test_another_content_key_for_other_readers() -> None:
    """Each set of readers has one of its own."""
    by = writer()

    assert head_of(encrypted(envelope(), by=by)) != head_of(
        encrypted(envelope(), by=by, readers=frozenset((READER, "core_engine")))
    )


def test_a_content_key_is_used_up(monkeypatch: pytest.MonkeyPatch) -> None:
    """After so many messages comes another."""
    monkeypatch.setattr(encryption, "CONTENT_KEY_MESSAGES", 2)
    by = writer()

    one, two, three = (head_of(encrypted(envelope(), by=by)) for _ in range(3))
    assert one == two != three


def test_a_clock_that_goes_back() -> None:
    """It lengthens no content key's time."""
    by = writer()

    assert head_of(encrypted(envelope(), by=by)) != head_of(encrypted(envelope(), by=by, now=NOW - 1))


def test_nonces_are_random() -> None:
    """Each is asked for anew, twelve bytes at a time."""
    asked: list[int] = []

    def random_bytes(size: int) -> bytes:
        asked.append(size)
        return len(asked).to_bytes(size, "big")

    by = writer(random_bytes=random_bytes)
    for _ in range(3):
        encrypted(envelope(), by=by)
    assert asked == [32, 12, 12, 12]


def test_returned_to_its_publisher() -> None:
    """The writer restores what it encrypted under an earlier content key and under other keys; nobody else's."""
    sent = SentKeys()
    wire = encrypted(envelope(), by=writer(sent=sent))
    writer(sent=sent)

    assert sent.restore(wire) == envelope()
    assert sent.restore(encrypted(envelope())) is None
    assert sent.restore(envelope()) is None
    assert sent.restore(wire.replace(b'"ciphertext":"', b'"ciphertext":"AAAA')) is None


def test_what_is_remembered_of_sent_messages_is_bounded() -> None:
    """The oldest content keys are forgotten."""
    sent = SentKeys()
    wires = []
    key = jwe.Recipient(READER + ":1", public_half(encryption_key(READER)).key)  # type: ignore[arg-type]  # on P-256
    by = writer(sent=sent)
    wires.append(encrypted(envelope(), by=by))
    for _ in range(KEPT_SENT_KEYS - 1):
        sent.remember(jwe.ContentKey([key], by._random_bytes))
    assert sent.restore(wires[0]) == envelope()
    sent.remember(jwe.ContentKey([key], by._random_bytes))
    assert sent.restore(wires[0]) is None


# Rotation


def test_rotation() -> None:
    """Writers switch at the moment that the key set says; readers read both until the old key is forgotten."""
    old, new = encryption_key(READER, "old"), encryption_key(READER, "new")
    public = [
        public_half(old, Validity(0, None, NOW + 200, NOW + 1000)),
        public_half(new, Validity(NOW, NOW + 100)),
    ]
    by, late = writer(key_set(WRITER, public)), reader(key_set(READER, public, old))
    both = reader(key_set(READER, public, new, old))

    wires = {after: encrypted(envelope(), by=by, now=NOW + after) for after in (0, 99, 100, 250)}

    kids = {after: jwe_of(wire)["recipients"][0]["header"]["kid"] for after, wire in wires.items()}
    assert kids == {0: old.kid, 99: old.kid, 100: new.kid, 250: new.kid}
    for after, wire in wires.items():
        assert opened(wire, both, now=NOW + 999).body == envelope(), after
    assert opened(wires[99], late, now=NOW + 999).body == envelope()
    assert f"encrypted to {new.kid}" in unreadable(wires[100], late).why
    assert f"the key {old.kid} is forgotten" in unreadable(wires[0], both, now=NOW + 1000).why
    assert opened(wires[100], both, now=NOW + 1000).body == envelope()


def test_a_key_that_ends() -> None:
    """A content key never outlives the key that it is wrapped for."""
    public = [public_half(encryption_key(READER), Validity(0, None, NOW + 5))]
    by = writer(key_set(WRITER, public))

    encrypted(envelope(), by=by, now=NOW + 4.9)
    assert by.encrypt(envelope(), MESSAGE_ID, PRESENT, READERS, NOW + 5) == MissingKey(READER)


# For people


def test_reveal() -> None:
    """The role of dead letters reads what lies there, without a token."""
    wire = encrypted(envelope())

    assert reveal(wire, key_set(DEAD_LETTER_OWNER), NOW) == Opened(envelope(), PRESENT)
    assert reveal(envelope(), key_set(DEAD_LETTER_OWNER), NOW) is None
    assert reveal(b"no json", key_set(DEAD_LETTER_OWNER), NOW) is None
    assert isinstance(reveal(wire, key_set(None), NOW), Unreadable)
    assert isinstance(reveal(b' { "encrypted": {}, "a": 1}', key_set(DEAD_LETTER_OWNER), NOW), Unreadable)
    assert isinstance(reveal(wire.replace(b'"source": "strategy"', b'"source": 1'), key_set(READER), NOW), Unreadable)


@given(st.binary(max_size=60) | st.text(alphabet='{}[]",:\\ encrypted1', max_size=60).map(str.encode))
def test_any_bytes(body: bytes) -> None:
    """Whatever arrives is refused in words or none of our concern."""
    for text in (body, b'{"encrypted":' + body, b'{"encrypted":{"protected":"' + body + b'"},"a":1}'):
        found = READS.decrypt(text, BINDING, NOW)
        assert not isinstance(found, Opened)
        assert SENT.restore(text) is None
        reveal(text, key_set(READER), NOW)


def test_names_in_words_are_bounded() -> None:
    """Hundreds of long names do not fill a log."""
    pointers = tuple(f"/{'x' * 100}{number}" for number in range(50))
    body = envelope({pointer[1:]: 1 for pointer in pointers})

    found = unreadable(encrypted(body, pointers), binding=EncryptionContext("", ""))

    assert found.pointers == pointers
    assert "and 40 more cannot be decrypted" in found.why
    assert len(found.why) < 600
