"""Making keys: complete, private, never over what is there, whole or not at all."""

from __future__ import annotations

import json
import stat
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from letrade_topo.keys.folder import InvalidKeySet, write_whole
from letrade_topo.keys.jwk import Role
from letrade_topo.keys.keyset import load_keyset, load_public
from letrade_topo.keys.making import Made, UnsuitableName, make_keys
from letrade_topo.model.security import JwtAlgorithm
from tests.keys.world import NOW


def make(folder: Path, *services: str, algorithm: JwtAlgorithm = JwtAlgorithm.ES256) -> Made:
    """Make keys."""
    return make_keys(folder, services, ["move"], algorithm=algorithm, now=NOW, valid_for_seconds=100)


def contents(folder: Path) -> dict[str, bytes]:
    """Every file."""
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_files_and_their_permissions(tmp_path: Path) -> None:
    """Two private files a service, one each for replaying, moving and dead letters; they are the owner's alone."""
    make(tmp_path / "keys", "strategy")

    modes = {
        str(path.relative_to(tmp_path)): stat.S_IMODE(path.stat().st_mode)
        for path in (tmp_path / "keys").rglob("*")
        if path.name != ".lock"
    }
    assert modes == {
        "keys/public": 0o755,
        "keys/public/jwks.json": 0o644,
        "keys/strategy": 0o700,
        "keys/strategy/signing.jwk": 0o600,
        "keys/strategy/encryption.jwk": 0o600,
        "keys/replay": 0o700,
        "keys/replay/signing.jwk": 0o600,
        "keys/move": 0o700,
        "keys/move/signing.jwk": 0o600,
        "keys/dead-letter": 0o700,
        "keys/dead-letter/encryption.jwk": 0o600,
    }


def test_public_file(tmp_path: Path) -> None:
    """Each public key says whose it is, what for and until when; a kid is its issuer's."""
    make(tmp_path, "strategy", algorithm=JwtAlgorithm.EDDSA)

    keys = list(load_public(tmp_path).values())

    assert [(key.issuer, key.role, key.use.value, key.algorithm) for key in keys] == [
        ("strategy", Role.SERVICE, "sig", "EdDSA"),
        ("strategy", Role.SERVICE, "enc", "ECDH-ES+A256KW"),
        ("replay", Role.REPLAY, "sig", "EdDSA"),
        ("move", Role.MOVE, "sig", "EdDSA"),
        ("dead-letter", Role.DEAD_LETTER, "enc", "ECDH-ES+A256KW"),
    ]
    assert {key.validity.retired_at for key in keys} == {NOW + 100}
    assert all(key.kid.startswith(f"{key.issuer}:20250615-") for key in keys)


def test_nothing_is_overwritten(tmp_path: Path) -> None:
    """Run again, it makes nothing and changes nothing, and says what is there."""
    made = make(tmp_path, "strategy")
    before = contents(tmp_path)

    again = make(tmp_path, "strategy")

    assert len(made.created) == 5
    assert (again.created, again.published) == ((), ())
    assert len(again.existing) == 5
    assert contents(tmp_path) == before


def test_new_services_are_added(tmp_path: Path) -> None:
    """A service that comes later gets its keys; those of the others stay."""
    make(tmp_path, "strategy")
    before = contents(tmp_path)

    made = make(tmp_path, "strategy", "core_engine")

    assert {key.issuer for key in made.created} == {"core_engine"}
    after = contents(tmp_path)
    assert {name for name in before if before[name] != after[name]} == {"public/jwks.json"}
    assert load_keyset(tmp_path, "core_engine").signing_key(NOW) is not None
    assert load_keyset(tmp_path, "strategy").signing_key(NOW) is not None


def test_run_that_died_before_publishing(tmp_path: Path) -> None:
    """A private key that an earlier run had not published is published by the next one."""
    make(tmp_path, "strategy")
    before = contents(tmp_path)
    (tmp_path / "public/jwks.json").unlink()

    made = make(tmp_path, "strategy")

    assert len(made.published) == 5
    after = contents(tmp_path)
    assert before == after


def test_private_keys_that_are_kept_elsewhere(tmp_path: Path) -> None:
    """Where only the public half is left, no second key is made."""
    make(tmp_path, "strategy")
    (tmp_path / "strategy/signing.jwk").unlink()

    made = make(tmp_path, "strategy")

    assert made.created == ()
    assert not (tmp_path / "strategy/signing.jwk").exists()


@pytest.mark.parametrize(
    "name", ["public", "replay", "dead-letter", "", "..", ".x", "a/b", "a b", "a:b", "é", "x" * 97]
)
def test_name_that_no_folder_can_have(tmp_path: Path, name: str) -> None:
    """Such a service is refused before anything is made."""
    with pytest.raises(UnsuitableName) as caught:
        make(tmp_path / "keys", "strategy", name)

    assert repr(name) in str(caught.value)
    assert not (tmp_path / "keys").exists()


def test_longest_name(tmp_path: Path) -> None:
    """With the longest name the kid is still one."""
    make(tmp_path, "x" * 96)

    assert load_keyset(tmp_path, "x" * 96).signing_key(NOW) is not None


def test_two_runs_at_once(tmp_path: Path) -> None:
    """Runs at the same time make one key for each purpose, and all are published."""
    services = [f"s{i}" for i in range(5)]
    with ThreadPoolExecutor(4) as pool:
        made = list(pool.map(lambda _: make(tmp_path, *services), range(4)))

    assert sum(len(one.created) for one in made) == 13
    assert len(load_public(tmp_path)) == 13
    for service in services:
        assert load_keyset(tmp_path, service).warnings == ()


def test_folder_that_cannot_be_written(tmp_path: Path) -> None:
    """A file in the folder's place is an error with its path, not a traceback."""
    (tmp_path / "keys").write_text("")

    with pytest.raises(InvalidKeySet) as caught:
        make(tmp_path / "keys", "strategy")
    assert str(tmp_path / "keys") in str(caught.value)


def test_public_file_that_is_broken_is_not_replaced(tmp_path: Path) -> None:
    """A public file that cannot be read is an error; it is not silently begun anew."""
    make(tmp_path, "strategy")
    (tmp_path / "public/jwks.json").write_text("{")

    with pytest.raises(InvalidKeySet):
        make(tmp_path, "strategy", "core_engine")
    assert (tmp_path / "public/jwks.json").read_text() == "{"
    assert not (tmp_path / "core_engine").exists()


def test_file_is_written_whole(tmp_path: Path) -> None:
    """A file is never there by half, nor left behind under another name."""
    path = tmp_path / "file"

    assert write_whole(path, b"one", mode=0o600, replace=False)
    assert not write_whole(path, b"two", mode=0o600, replace=False)
    assert path.read_bytes() == b"one"
    assert write_whole(path, b"two", mode=0o644, replace=True)
    assert path.read_bytes() == b"two"
    assert [item.name for item in tmp_path.iterdir()] == ["file"]


def test_private_file_is_a_jwk(tmp_path: Path) -> None:
    """The private file is one JWK with the kid of its public half."""
    make(tmp_path, "strategy")

    private = json.loads((tmp_path / "strategy/signing.jwk").read_text())
    assert private["kty"] == "EC"
    assert private["kid"] in load_public(tmp_path)
