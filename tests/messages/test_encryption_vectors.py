"""The published vectors: current, right by a JOSE library that shares no code with ours, and the other way round."""

from __future__ import annotations

import base64
import json
import subprocess
import sys
from pathlib import Path
from types import MappingProxyType
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from joserfc import jwe
from joserfc.jwk import ECKey
from joserfc.jwk import KeySet as JoseKeySet

from letrade_topo.keys.folder import DEAD_LETTER_OWNER
from letrade_topo.keys.jwk import parse_private, parse_public, write_private, write_public
from letrade_topo.keys.keyset import KeySet
from letrade_topo.messages.decryption import FieldDecryption, Opened, Unreadable
from letrade_topo.messages.encrypted import EncryptionContext
from tests.messages.world import (
    BINDING,
    MESSAGE_ID,
    READER,
    WRITER,
    encrypted,
    encryption_key,
    envelope,
    opened,
    public_half,
)

ROOT = Path(__file__).parents[2]
DOCUMENT = json.loads((ROOT / "docs/reference/encryption-vectors.json").read_text(encoding="utf-8"))
GOOD, BAD = DOCUMENT["encrypted"], DOCUMENT["refused"]
ALGORITHMS = ["ECDH-ES+A256KW", "A256GCM"]
ANY_ONE = jwe.JWERegistry(algorithms=ALGORITHMS, verify_all_recipients=False)
"""joserfc wants every recipient's private key otherwise."""


def name_of(vector: dict[str, Any]) -> str:
    """What is special about it."""
    return str(vector["name"])


def reader_of(owner: str) -> FieldDecryption:
    """A reader with the published key of an owner."""
    public = {key.kid: key for key in map(parse_public, DOCUMENT["public_keys"]["keys"])}
    private = {key.kid: key for key in map(parse_private, DOCUMENT["private_keys"]["keys"])}
    own = {kid: key for kid, key in private.items() if public[kid].issuer == owner}
    assert own
    return FieldDecryption(KeySet(owner, MappingProxyType(public), (), own))


def test_vectors_are_current() -> None:
    """The file is what the script writes, with which the program's own reader agrees."""
    script = [sys.executable, str(ROOT / "script/encryption-vectors"), "--check"]
    done = subprocess.run(script, capture_output=True, text=True, check=False)

    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize("vector", GOOD, ids=name_of)
def test_every_reader(vector: dict[str, Any]) -> None:
    """From what the file says alone."""
    binding = EncryptionContext(vector["issuer"], vector["message_id"])
    for owner in (*vector["consumers"], DEAD_LETTER_OWNER):
        found = reader_of(owner).decrypt(vector["wire"].encode(), binding, DOCUMENT["now"])
        assert found == Opened(vector["body"].encode(), tuple(vector["fields"]))


@pytest.mark.parametrize("vector", BAD, ids=name_of)
def test_refused(vector: dict[str, Any]) -> None:
    """None of them is read."""
    binding = EncryptionContext(vector["issuer"], vector["message_id"])
    found = reader_of(vector["reader"]).decrypt(vector["wire"].encode(), binding, DOCUMENT["now"])

    assert isinstance(found, Unreadable)


def jose_keys(members: list[dict[str, Any]]) -> JoseKeySet:
    """Keys as joserfc has them."""
    wanted = ("kty", "crv", "x", "y", "d", "kid", "use", "alg")
    return JoseKeySet([ECKey.import_key({n: v for n, v in each.items() if n in wanted}) for each in members])


def jose_opens(found: dict[str, Any], private: list[dict[str, Any]]) -> Any:
    """A JWE by joserfc, with the private keys of some of its recipients."""
    kids = {each["kid"] for each in private}
    found["recipients"] = [each for each in found["recipients"] if each["header"]["kid"] in kids]
    return jwe.decrypt_json(found, jose_keys(private), registry=ANY_ONE)  # type: ignore[arg-type]  # parsed JSON


def plainly_restored(wire: str, plaintext: bytes) -> Any:
    """The document with its values put back, by the words of the format."""
    document = json.loads(wire)
    del document["encrypted"]
    for pointer, value in json.loads(plaintext).items():
        *steps, last = [step.replace("~1", "/").replace("~0", "~") for step in pointer.split("/")[1:]]
        place: Any = document["payload"]
        for step in steps:
            place = place[int(step)] if isinstance(place, list) else place[step]
        key = int(last) if isinstance(place, list) else last
        assert place[key] is None
        place[key] = value
    return document


@pytest.mark.parametrize("vector", GOOD, ids=name_of)
def test_another_implementation_reads(vector: dict[str, Any]) -> None:
    """joserfc and ten lines of JSON read each body, as every one of its recipients."""
    for members in DOCUMENT["private_keys"]["keys"]:
        owner = members["kid"].partition(":")[0]
        if owner not in (*vector["consumers"], DEAD_LETTER_OWNER):
            continue
        found = jose_opens(json.loads(vector["wire"])["encrypted"], [members])

        assert found.aad == vector["additional_data"].encode()
        stated = {"fields": vector["fields"], "iss": vector["issuer"], "message_id": vector["message_id"]}
        assert json.loads(found.aad) == stated
        assert plainly_restored(vector["wire"], found.plaintext) == json.loads(vector["body"])


def test_a_content_key_is_a_plain_one() -> None:
    """With the content key of the file any AES-GCM reads the ciphertext."""
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

    def decoded(text: str) -> bytes:
        return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))

    for vector in GOOD:
        found = json.loads(vector["wire"])["encrypted"]
        sealed = decoded(found["ciphertext"]) + decoded(found["tag"])
        data = f"{found['protected']}.{found['aad']}".encode()
        plaintext = AESGCM(bytes.fromhex(vector["content_key"])).decrypt(decoded(found["iv"]), sealed, data)
        assert list(json.loads(plaintext)) == vector["fields"]


@given(st.dictionaries(st.sampled_from("abc"), st.integers() | st.text(), min_size=1))
def test_what_we_write_now(values: dict[str, Any]) -> None:
    """Not only the vectors: joserfc reads whatever is encrypted."""
    wire = encrypted(envelope(values), tuple(f"/{name}" for name in values)).decode()
    found = jose_opens(json.loads(wire)["encrypted"], [write_private(encryption_key(READER))])

    assert plainly_restored(wire, found.plaintext)["payload"] == values


@pytest.mark.parametrize("is_shared", [True, False])
def test_another_implementation_writes(is_shared: bool) -> None:
    """What joserfc encrypts is read, with `alg` in the protected header or in each recipient's."""
    aad = {"message_id": MESSAGE_ID, "iss": WRITER, "fields": ["/amount", "/price"]}
    alg = {"alg": ALGORITHMS[0]}
    written = jwe.GeneralJSONEncryption(
        {"enc": ALGORITHMS[1], **(alg if is_shared else {})},
        b'{"/amount": 0.0100, "/price":\n65432.50}',
        aad=json.dumps(aad).encode(),
    )
    for owner in (READER, DEAD_LETTER_OWNER):
        members = write_public(public_half(encryption_key(owner)))
        header = {"kid": members["kid"], **({} if is_shared else alg)}
        written.add_recipient(header, jose_keys([members]).keys[0])
    found = jwe.encrypt_json(written, None, registry=jwe.JWERegistry(algorithms=ALGORITHMS))
    body = envelope({"symbol": "a", "amount": None, "price": None}).decode()

    restored = opened(f'{{"encrypted":{json.dumps(found)},{body[1:]}'.encode(), binding=BINDING)

    assert restored.body.decode() == body.replace("null", "0.0100", 1).replace("null", "65432.50", 1)
