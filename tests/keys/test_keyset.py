"""Loading a key folder: what is accepted, and that what is wrong is said with the file and without the key."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from letrade_topo.keys.folder import InvalidKeySet
from letrade_topo.keys.jwk import PRIVATE_MEMBERS
from letrade_topo.keys.keyset import load_keyset, load_public
from letrade_topo.keys.making import make_keys
from letrade_topo.model.security import JwtAlgorithm
from tests.keys.world import NOW

SERVICES = ["strategy", "core_engine"]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A key folder of two services."""
    make_keys(tmp_path / "keys", SERVICES, ["move"], algorithm=JwtAlgorithm.ES256, now=NOW, valid_for_seconds=86_400)
    return tmp_path / "keys"


def edit(path: Path, change: Callable[[dict[str, Any]], object]) -> None:
    """Change a JSON file in place."""
    document = json.loads(path.read_text())
    change(document)
    path.write_text(json.dumps(document))


def refused(folder: Path, owner: str | None = "strategy") -> str:
    """The error, which has to come, as text."""
    with pytest.raises(InvalidKeySet) as caught:
        load_keyset(folder, owner)
    return str(caught.value)


@pytest.mark.parametrize("algorithm", list(JwtAlgorithm))
def test_loading(tmp_path: Path, algorithm: JwtAlgorithm) -> None:
    """A service gets its own private keys and everyone's public ones."""
    make_keys(tmp_path, SERVICES, ["move"], algorithm=algorithm, now=NOW, valid_for_seconds=None)

    keys = load_keyset(tmp_path, "strategy")

    signing = keys.signing_key(NOW)
    assert signing is not None
    assert (signing.issuer, signing.algorithm) == ("strategy", algorithm)
    assert len(keys.public) == 7
    encryption = keys.encryption_key("strategy", NOW)
    assert encryption is not None
    assert list(keys.decrypting) == [encryption.kid]
    assert keys.encryption_key("replay", NOW) is None
    assert keys.encryption_key("dead-letter", NOW) is not None
    assert keys.warnings == ()
    assert load_keyset(tmp_path, "dead-letter").signing_key(NOW) is None
    assert load_keyset(tmp_path, None).signing == ()


def test_expired_key_signs_nothing(folder: Path) -> None:
    """A key is used until it ends, and not a second longer."""
    keys = load_keyset(folder, "strategy")

    assert keys.signing_key(NOW + 86_399) is not None
    assert keys.signing_key(NOW + 86_400) is None
    assert keys.encryption_key("strategy", NOW + 86_400) is None


def test_flat_layout(folder: Path, tmp_path: Path) -> None:
    """All that an agent needs may lie in one folder."""
    flat = tmp_path / "flat"
    flat.mkdir()
    (flat / "jwks.json").write_bytes((folder / "public/jwks.json").read_bytes())
    for name in ("signing.jwk", "encryption.jwk"):
        (flat / name).write_bytes((folder / "strategy" / name).read_bytes())
        (flat / name).chmod(0o400)

    assert load_keyset(flat, "strategy").signing_key(NOW) is not None
    assert "it is the key of 'strategy', not of 'core_engine'" in refused(flat, "core_engine")


def mounted(folder: Path, mode: int) -> Path:
    """The folder as the kubelet mounts a volume: files are links into `..data`, a link itself."""
    mount = folder.parent / "mount"
    data = mount / "..2025_06_15"
    data.mkdir(parents=True)
    for name, content in (
        ("jwks.json", folder / "public/jwks.json"),
        ("signing.jwk", folder / "strategy/signing.jwk"),
        ("encryption.jwk", folder / "strategy/encryption.jwk"),
    ):
        (data / name).write_bytes(content.read_bytes())
        (data / name).chmod(mode)
        (mount / name).symlink_to(Path("..data") / name)
    (mount / "..data").symlink_to(data.name)
    return mount


def test_kubernetes_volume(folder: Path) -> None:
    """On a mounted volume the group may read, because `fsGroup` makes it so; others may not."""
    assert load_keyset(mounted(folder, 0o440), "strategy").signing_key(NOW) is not None


@pytest.mark.parametrize("mode", [0o444, 0o644, 0o460])
def test_kubernetes_volume_that_is_too_open(folder: Path, mode: int) -> None:
    """A private key that everyone in the pod can read, or the group can change, is refused, with what to do."""
    text = refused(mounted(folder, mode))

    assert "others can read or change" in text
    assert "defaultMode: 0400" in text


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o660, 0o610, 0o666])
def test_private_key_that_others_can_read(folder: Path, mode: int) -> None:
    """A private key that others can read or change is refused, with what to do."""
    path = folder / "strategy/signing.jwk"
    path.chmod(mode)

    text = refused(folder)
    assert f"others can read or change {path}, which is secret" in text
    assert f"chmod 600 {path}" in text


@pytest.mark.parametrize("member", sorted(PRIVATE_MEMBERS))
def test_private_member_in_the_public_file(folder: Path, member: str) -> None:
    """A public file with anything private in it is refused as a whole."""
    edit(folder / "public/jwks.json", lambda jwks: jwks["keys"][0].update({member: "S3CRET"}))

    text = refused(folder, None)
    assert f"private member '{member}'" in text
    assert "S3CRET" not in text


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (lambda key: key.pop("kid"), "its `kid` is missing"),
        (lambda key: key.update(kid="x"), "not of the form <issuer>:<id>"),
        (lambda key: key.update(kid="core_engine:1"), "belongs to another issuer"),
        (lambda key: key.pop("iss"), "its `iss` is missing"),
        (lambda key: key.update(role="admin"), "its `role` is none of"),
        (lambda key: key.update(use="both"), "neither sig nor enc"),
        (lambda key: key.update(alg="RS256"), "possible for use 'sig': ES256, EdDSA"),
        (lambda key: key.update(use="enc"), "possible for use 'enc': ECDH-ES+A256KW"),
        (lambda key: key.update(alg="EdDSA"), "EdDSA takes OKP Ed25519"),
        (lambda key: key.update(crv="P-384"), "its curve is EC P-384"),
        (lambda key: key.update(x=key["x"][:-1]), "its `x` is not base64url of 32 bytes"),
        (lambda key: key.update(x=key["x"] + "="), "its `x` is not base64url of 32 bytes"),
        (lambda key: key.update(x="é" * 43), "its `x` is not base64url of 32 bytes"),
        (lambda key: key.update(x=key["y"]), "not on the curve"),
        (lambda key: key.update(retired_at="soon"), "its `retired_at` is not a number of seconds"),
        (lambda key: key.update(active_from=-1), "its `active_from` is not a number of seconds"),
    ],
)
def test_public_key_that_is_none(folder: Path, change: Callable[[dict[str, Any]], object], expected: str) -> None:
    """Each member is checked, and the error names file, key and member."""
    edit(folder / "public/jwks.json", lambda jwks: change(jwks["keys"][0]))

    text = refused(folder, None)
    assert expected in text
    assert str(folder / "public/jwks.json") in text
    assert "key 1" in text


def test_every_problem_of_the_public_file_is_said(folder: Path) -> None:
    """Two wrong keys are two lines."""
    edit(folder / "public/jwks.json", lambda jwks: [key.pop("alg") for key in jwks["keys"][:2]])

    text = refused(folder, None)
    assert "key 1" in text
    assert "key 2" in text


def test_kid_that_occurs_twice(folder: Path) -> None:
    """A kid names one key."""
    edit(folder / "public/jwks.json", lambda jwks: jwks["keys"].append(jwks["keys"][0]))

    assert "its `kid` occurs twice" in refused(folder, None)


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (b"", "it is not JSON"),
        (b"\xff", "it is not UTF-8 text"),
        (b"[]", "it is not a JSON object"),
        (b"{}", "it has no list `keys`"),
        (b'{"keys": {}}', "it has no list `keys`"),
        (b'{"keys": [1]}', "key 1 is not a JSON object"),
        (b'{"keys": [], "keys": []}', "a name in it occurs twice"),
        (b"[" * 100_000, "it is nested too deep"),
        (b"garbage " * 1000, "it is not JSON"),
    ],
)
def test_public_file_that_is_garbage(folder: Path, content: bytes, expected: str) -> None:
    """A public file that is no key set is refused in words."""
    (folder / "public/jwks.json").write_bytes(content)

    assert expected in refused(folder, None)


def test_files_that_are_missing_or_no_files(folder: Path) -> None:
    """A missing file, a folder or a pipe in its place: nothing hangs, the error names the path."""
    assert "no private key of 'nobody'" in refused(folder, "nobody")
    path = folder / "public/jwks.json"
    path.unlink()
    assert f"there is no file {path}" in refused(folder, None)
    path.mkdir()
    assert str(path) in refused(folder, None)
    path.rmdir()
    os.mkfifo(path)
    assert "is not a file" in refused(folder, None)


def private_file(folder: Path) -> Path:
    """The signing key of `strategy`."""
    return folder / "strategy/signing.jwk"


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (lambda key: key.pop("d"), "its `d` is missing"),
        (lambda key: key.update(d="AAAA"), "its `d` is not base64url of 32 bytes"),
        (lambda key: key.update(d="A" * 43), "private half is not a key of its curve"),
        (lambda key: key.update(d=key["x"]), "do not belong together"),
        (lambda key: key.update(use="enc", alg="ECDH-ES+A256KW"), "in a file of this name it is sig"),
    ],
)
def test_private_key_that_is_none(folder: Path, change: Callable[[dict[str, Any]], object], expected: str) -> None:
    """The error says what is wrong with the key and holds nothing of it."""
    path = private_file(folder)
    secret = json.loads(path.read_text())["d"]
    edit(path, change)

    text = refused(folder)
    assert expected in text or (expected == "do not belong together" and "not a key of its curve" in text)
    assert str(path) in text
    assert secret not in text


def test_private_key_of_another_key_set(folder: Path, tmp_path: Path) -> None:
    """A private key whose public half is another one under the same kid is refused."""
    make_keys(tmp_path / "other", SERVICES, ["move"], algorithm=JwtAlgorithm.ES256, now=NOW, valid_for_seconds=None)
    other = json.loads(private_file(tmp_path / "other").read_text())
    kid = json.loads(private_file(folder).read_text())["kid"]
    private_file(folder).write_text(json.dumps({**other, "kid": kid}))

    assert "the files are from different key sets" in refused(folder)


def test_private_key_that_is_not_published_yet(folder: Path) -> None:
    """A private key that comes before its public half is not used, and a person is told."""
    private = json.loads(private_file(folder).read_text())
    edit(
        folder / "public/jwks.json",
        lambda jwks: jwks.update(keys=[key for key in jwks["keys"] if key["kid"] != private["kid"]]),
    )

    keys = load_keyset(folder, "strategy")

    assert keys.signing_key(NOW) is None
    assert private["kid"] in keys.warnings[0]


def test_nothing_private_is_shown(folder: Path) -> None:
    """A key set can be printed without harm."""
    secrets = [json.loads(path.read_text())["d"] for path in (folder / "strategy").glob("*.jwk")]
    keys = load_keyset(folder, "strategy")
    shown = repr(keys) + repr(keys.signing) + repr(keys.decrypting) + str(keys.signing_key(NOW))

    assert len(secrets) == 2
    assert not any(secret in shown for secret in secrets)
    assert "PrivateKey object" not in shown


def test_members_without_meaning_are_ignored(folder: Path) -> None:
    """A JWK may say more than we know (RFC 7517, 4)."""
    edit(folder / "public/jwks.json", lambda jwks: jwks["keys"][0].update(x5t="abc", note=[1]))

    assert len(load_public(folder)) == 7
