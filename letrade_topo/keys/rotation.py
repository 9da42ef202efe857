"""Replacing keys while messages flow.

One write says everything, and the clocks do the rest, so that no agent has to be told twice:

    now          the new public key is published, its private half lies beside the old one (`signing.next.jwk`)
    active_from  = now + publish-for: every agent has the public key by then, and signers switch to the new one
    retired_at   = active_from + publish-for: signers that got their new private key late are not refused until
                 then; what the old key signs from then on is
    forgotten_at = retired_at + retire-after: until then the old key verifies what it signed before (messages in
                 queues, on the ladder, among the dead letters) and its private half decrypts

The next rotation puts the files in their places and deletes what is forgotten. A run that died half-way is
completed by the next one.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from letrade_topo.errors import TopoError
from letrade_topo.keys.folder import InvalidKeySet, delete, only_writer
from letrade_topo.keys.jwk import PublicKey, Use, Validity
from letrade_topo.keys.keyset import private_files, read_private_key
from letrade_topo.keys.making import Purpose, create, is_for, publish, publishable, published_keys
from letrade_topo.model.security import JwtAlgorithm

NEXT_FILE_OF_USE = {Use.SIGNATURE: "signing.next.jwk", Use.ENCRYPTION: "encryption.next.jwk"}


class RotationUnderWay(TopoError):
    """Every key in question already has a successor that is not active yet."""


class NothingToRotate(TopoError):
    """Keys are asked for that the key set does not have."""


@dataclass(frozen=True, slots=True)
class Timing:
    """How long each step of a rotation takes, in seconds.

    Args:
        publish_for: between publishing a key and signing with it: the time in which every agent gets the file.
        retire_after: how long the old key verifies and decrypts after its retirement.
        valid_for: after which the new key ends by itself; None: never.
    """

    publish_for: int
    retire_after: int
    valid_for: int | None


@dataclass(frozen=True, slots=True)
class Rotated:
    """What became of a rotation.

    Args:
        successors: new keys.
        left_alone: keys that are published and not active yet, so that their predecessors were left alone.
        forgotten: kids of keys that are deleted.
    """

    successors: tuple[PublicKey, ...]
    left_alone: tuple[PublicKey, ...]
    forgotten: tuple[str, ...]


def rotate_keys(
    folder: Path, owners: Sequence[str], *, algorithm: JwtAlgorithm | None, now: int, timing: Timing
) -> Rotated:
    """Give keys their successors.

    Args:
        folder: the key folder, nested.
        owners: whose keys; empty: everyone's.
        algorithm: of new signing keys; None: the same as before.
        now: seconds since the epoch.
        timing: how long each step takes.

    Raises:
        InvalidKeySet: a file cannot be read or written, or is not what it should be.
        NothingToRotate: an owner has no keys.
        RotationUnderWay: for all of them.
    """
    if not folder.is_dir():
        raise InvalidKeySet(f"there is no key folder {folder}", fix="make one with `letrade-topo keys init`")
    with only_writer(folder):
        public = dict(published_keys(folder))
        successors, left_alone = [], []
        for purpose in _purposes(public.values(), owners):
            waiting = [key for key in public.values() if is_for(key, purpose) and _is_next(key, now)]
            if waiting:
                left_alone += waiting
                continue
            successor = _successor(folder, purpose, public.values(), algorithm, now, timing)
            for key in public.values():
                if is_for(key, purpose):
                    public[key.kid] = replace(key, validity=_retired(key.validity, successor.validity, timing))
            public[successor.kid] = successor
            successors.append(successor)
        forgotten = [kid for kid, key in public.items() if key.validity.is_forgotten(now)]
        if left_alone and not successors:
            raise RotationUnderWay(
                "nothing to rotate: a rotation is under way",
                why=f"{left_alone[0].kid} is published and not active yet",
                fix="wait until it is; `letrade-topo keys show` says when",
            )
        keys = {kid: key for kid, key in public.items() if kid not in forgotten}
        publish(folder, keys)
        _delete_private(folder, forgotten)
    return Rotated(tuple(successors), tuple(left_alone), tuple(forgotten))


def _purposes(public: Iterable[PublicKey], owners: Sequence[str]) -> Iterator[Purpose]:
    """Whatever has a key, in the order of the file."""
    found = dict.fromkeys(Purpose(key.issuer, key.role, key.use) for key in public)
    unknown = sorted(set(owners) - {purpose.owner for purpose in found})
    if unknown or not found:
        raise NothingToRotate(
            f"no key of {unknown[0]!r}" if unknown else "no keys",
            fix="make missing keys with `letrade-topo keys init`",
        )
    return (purpose for purpose in found if not owners or purpose.owner in owners)


def _is_next(key: PublicKey, now: float) -> bool:
    return key.validity.active_from is not None and now < key.validity.active_from


def _successor(
    folder: Path,
    purpose: Purpose,
    public: Iterable[PublicKey],
    algorithm: JwtAlgorithm | None,
    now: int,
    timing: Timing,
) -> PublicKey:
    active_from = now + timing.publish_for
    retired_at = None if timing.valid_for is None else active_from + timing.valid_for
    validity = Validity(now, active_from, retired_at)
    predecessors = [key for key in public if is_for(key, purpose)]
    waiting = folder / purpose.owner / NEXT_FILE_OF_USE[purpose.use]
    if waiting.exists():
        private = read_private_key(waiting)
        if all(key.kid != private.kid for key in predecessors):
            return publishable(private, purpose, validity)  # a run died before it had published it
        _promote(folder / purpose.owner, purpose)
    if algorithm is None:
        signing = [key.algorithm for key in predecessors if key.use is Use.SIGNATURE]
        algorithm = JwtAlgorithm(signing[-1]) if signing else JwtAlgorithm.ES256
    return create(folder, purpose, NEXT_FILE_OF_USE[purpose.use], algorithm, validity)


def _promote(folder: Path, purpose: Purpose) -> None:
    """The last rotation's key takes the place of its predecessor, of which decryption may still have need."""
    current, following = folder / purpose.file_name, folder / NEXT_FILE_OF_USE[purpose.use]
    try:
        if purpose.use is Use.ENCRYPTION and current.exists():
            kept = folder / f"encryption.{read_private_key(current).kid.rpartition(':')[2]}.jwk"
            if not kept.exists():
                kept.hardlink_to(current)
        following.replace(current)
    except OSError as error:
        raise InvalidKeySet(f"cannot move {following} to {current}", why=error.strerror or str(error)) from None


def _retired(old: Validity, successor: Validity, timing: Timing) -> Validity:
    end = (successor.active_from or 0) + timing.publish_for
    retired_at = end if old.retired_at is None else min(old.retired_at, end)
    forgotten_at = retired_at + timing.retire_after
    return replace(
        old,
        retired_at=retired_at,
        forgotten_at=forgotten_at if old.forgotten_at is None else min(old.forgotten_at, forgotten_at),
    )


def _delete_private(folder: Path, kids: Sequence[str]) -> None:
    for owner in {kid.rpartition(":")[0] for kid in kids}:
        for path in private_files(folder / owner):
            if read_private_key(path).kid in kids:
                delete(path)
