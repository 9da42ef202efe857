"""Rotation: at every moment, whoever has the old files or the new ones, what is signed is accepted."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from letrade_topo.keys.folder import InvalidKeySet, delete
from letrade_topo.keys.jwk import PublicKey
from letrade_topo.keys.keyset import KeySet, load_keyset, load_public
from letrade_topo.keys.making import make_keys
from letrade_topo.keys.policy import TopologyPolicy
from letrade_topo.keys.reasons import Reason, Refused
from letrade_topo.keys.rotation import NothingToRotate, Rotated, RotationUnderWay, Timing, rotate_keys
from letrade_topo.keys.states import State, states_of
from letrade_topo.keys.token import Accepted, Verifier
from letrade_topo.model.security import JwtAlgorithm
from tests.keys.world import COMMAND, NOW, SERVICES, arrival_of, headers_of, topology

PUBLISH_FOR, RETIRE_AFTER, VALID_FOR = 600, 86_400, 30 * 86_400
TIMING = Timing(PUBLISH_FOR, RETIRE_AFTER, VALID_FOR)
SWITCH, RETIREMENT = NOW + PUBLISH_FOR, NOW + 2 * PUBLISH_FOR
END = RETIREMENT + RETIRE_AFTER


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Keys of Letrade's services, made long ago."""
    make_keys(tmp_path, SERVICES, ["move"], algorithm=JwtAlgorithm.ES256, now=NOW - 10_000, valid_for_seconds=VALID_FOR)
    return tmp_path


def rotate(folder: Path, *owners: str, now: int = NOW) -> Rotated:
    """Rotate."""
    return rotate_keys(folder, owners, algorithm=None, now=now, timing=TIMING)


def verdict(signer: KeySet, verifier: KeySet, *, signed_at: int, now: float | None = None) -> Accepted | Refused | None:
    """What a consumer with one key set says of what a publisher with another signs; None: it cannot sign."""
    key = signer.signing_key(signed_at)
    if key is None:
        return None
    headers = headers_of(COMMAND, key=key, issued_at=signed_at)[0]
    policy = TopologyPolicy(topology(), "exchange_connector")
    return Verifier(verifier, policy).verify(arrival_of(COMMAND, headers), signed_at if now is None else now)


@pytest.mark.parametrize("owners", [(), ("strategy",)])
def test_no_message_is_refused_on_the_way(folder: Path, owners: tuple[str, ...]) -> None:
    """Publishers with old files until the retirement, verifiers with old files until the switch: all is accepted."""
    old = load_keyset(folder, "strategy")
    rotate(folder, *owners)
    new = load_keyset(folder, "strategy")

    for moment in (NOW, NOW + 1, SWITCH - 1, SWITCH, SWITCH + 1, RETIREMENT - 1):
        for signer in (old, new):
            assert isinstance(verdict(signer, new, signed_at=moment), Accepted), moment
    for moment in (NOW, SWITCH - 1):
        for signer in (old, new):
            assert isinstance(verdict(signer, old, signed_at=moment), Accepted), moment
    for moment in (RETIREMENT, END + 1):
        assert isinstance(verdict(new, new, signed_at=moment), Accepted), moment


def test_switch_needs_no_second_command(folder: Path) -> None:
    """Signing and encrypting go over to the new keys by the clock alone."""
    rotated = rotate(folder, "strategy")
    keys = load_keyset(folder, "strategy")
    successors = {key.use.value: key.kid for key in rotated.successors}

    before, after = keys.signing_key(SWITCH - 1), keys.signing_key(SWITCH)
    assert before is not None
    assert after is not None
    assert before.kid != after.kid == successors["sig"]
    encryption = keys.encryption_key("strategy", SWITCH)
    assert encryption is not None
    assert encryption.kid == successors["enc"]
    assert len(keys.decrypting) == 2


def test_old_key_verifies_what_it_signed(folder: Path) -> None:
    """After its retirement the old key verifies what is older, signs nothing that is accepted, and is forgotten."""
    old = load_keyset(folder, "strategy")
    rotate(folder)
    new = load_keyset(folder, "strategy")
    late = verdict(old, new, signed_at=RETIREMENT)

    assert isinstance(late, Refused)
    assert late.reason is Reason.ISSUER
    assert isinstance(verdict(old, new, signed_at=RETIREMENT - 1, now=RETIREMENT + 50), Accepted)
    assert new.verifying_key(old.signing[0].kid, END - 1) is not None
    assert new.verifying_key(old.signing[0].kid, END) is None


def test_one_service_alone(folder: Path) -> None:
    """With a service named, the others' keys stay as they are."""
    before = load_public(folder)
    rotated = rotate(folder, "strategy")
    after = load_public(folder)

    assert {key.issuer for key in rotated.successors} == {"strategy"}
    assert {kid for kid in before if before[kid] != after[kid]} == {
        key.kid for key in before.values() if key.issuer == "strategy"
    }


def test_operators_keys(folder: Path) -> None:
    """The keys for replaying and for dead letters rotate as well."""
    assert {key.issuer for key in rotate(folder, "replay", "dead-letter").successors} == {"replay", "dead-letter"}


def test_rotation_under_way(folder: Path) -> None:
    """A second rotation before the switch does nothing; after it, it goes on."""
    rotate(folder, "strategy")
    before = load_public(folder)

    with pytest.raises(RotationUnderWay):
        rotate(folder, "strategy", now=SWITCH - 1)
    assert load_public(folder) == before
    rotated = rotate(folder, now=SWITCH - 1)
    assert {key.issuer for key in rotated.left_alone} == {"strategy"}
    assert "strategy" not in {key.issuer for key in rotated.successors}
    assert len(rotate(folder, "strategy", now=SWITCH).successors) == 2


def test_many_rotations(folder: Path) -> None:
    """Rotation after rotation, signing works, what is older decrypts, and what is forgotten is deleted."""
    now = NOW
    for _ in range(6):
        rotate(folder, now=now)
        now += RETIRE_AFTER
        keys = load_keyset(folder, "strategy")
        assert keys.warnings == ()
        assert isinstance(verdict(keys, keys, signed_at=now), Accepted)
    names = sorted(path.name for path in (folder / "strategy").iterdir())

    assert len([key for key in load_public(folder).values() if key.issuer == "strategy"]) <= 6
    assert names[-2:] == ["signing.jwk", "signing.next.jwk"]
    assert len(names) <= 6
    private = {json.loads(path.read_text())["kid"] for path in (folder / "strategy").iterdir()}
    assert private <= set(load_public(folder))


def test_private_key_that_cannot_be_deleted(folder: Path) -> None:
    """A sentence with the path, no traceback."""
    with pytest.raises(InvalidKeySet, match=f"cannot delete {folder}"):
        delete(folder)


def test_run_that_died_before_publishing(folder: Path) -> None:
    """A successor that was written and not published is published by the next run, not made again."""
    public = (folder / "public/jwks.json").read_bytes()
    rotate(folder, "strategy")
    (folder / "public/jwks.json").write_bytes(public)
    waiting = json.loads((folder / "strategy/signing.next.jwk").read_text())["kid"]

    assert load_keyset(folder, "strategy").warnings
    assert waiting in {key.kid for key in rotate(folder, "strategy").successors}
    assert load_keyset(folder, "strategy").warnings == ()


def test_rotating_after_expiry(folder: Path) -> None:
    """A key that ended by itself gets a successor, too."""
    now = NOW + VALID_FOR
    assert load_keyset(folder, "strategy").signing_key(now) is None

    rotate(folder, now=now)

    assert load_keyset(folder, "strategy").signing_key(now + PUBLISH_FOR) is not None


def test_other_algorithm(folder: Path) -> None:
    """A rotation may change the algorithm; encryption keys have only one."""
    rotated = rotate_keys(folder, ["strategy"], algorithm=JwtAlgorithm.EDDSA, now=NOW, timing=TIMING)
    keys = load_keyset(folder, "strategy")

    assert [key.algorithm for key in rotated.successors] == ["EdDSA", "ECDH-ES+A256KW"]
    assert isinstance(verdict(keys, keys, signed_at=SWITCH), Accepted)
    assert [key.algorithm for key in rotate(folder, "strategy", now=SWITCH).successors] == ["EdDSA", "ECDH-ES+A256KW"]


def test_unknown_owner(tmp_path: Path, folder: Path) -> None:
    """An owner without keys, or a folder without any, is an error."""
    with pytest.raises(NothingToRotate, match="no key of 'nobody'"):
        rotate(folder, "strategy", "nobody")
    (folder / "public/jwks.json").unlink()
    with pytest.raises(NothingToRotate, match="no keys"):
        rotate(folder)


def states(folder: Path, now: int, owner: str = "strategy") -> list[State]:
    """The states of the signing keys of one owner, oldest first."""
    return [status.state for status in states_of(signing(folder, owner), now)]


def signing(folder: Path, owner: str) -> list[PublicKey]:
    """The signing keys of one owner."""
    return [key for key in load_public(folder).values() if key.issuer == owner and key.use.value == "sig"]


def test_states(folder: Path) -> None:
    """What is shown follows the clock."""
    assert states(folder, NOW) == [State.CURRENT]
    rotate(folder)

    assert states(folder, NOW) == [State.CURRENT, State.NEXT]
    assert states(folder, SWITCH) == [State.RETIRING, State.CURRENT]
    assert states(folder, RETIREMENT) == [State.RETIRED, State.CURRENT]
    assert states(folder, END) == [State.FORGOTTEN, State.CURRENT]
    assert states(folder, SWITCH + VALID_FOR) == [State.FORGOTTEN, State.EXPIRED]


def test_warnings(folder: Path) -> None:
    """A key that ends within a month and has no successor is pointed out; so is one that has ended."""
    key = signing(folder, "strategy")[0]
    key = replace(key, validity=replace(key.validity, retired_at=NOW + 40 * 86_400))
    successor = replace(key, kid="strategy:2", validity=replace(key.validity, active_from=NOW + 20 * 86_400))

    assert states_of([key], NOW)[0].warning == ""
    assert "expires in 29 days" in states_of([key], NOW + 10 * 86_400 + 1)[0].warning
    assert states_of([key, successor], NOW + 11 * 86_400)[0].warning == ""
    assert "has expired" in states_of([key], NOW + 40 * 86_400)[0].warning
