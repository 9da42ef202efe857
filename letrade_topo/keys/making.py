"""Making the keys of a topology: a pair for each purpose, private halves into folders, public halves into one file.

What exists is never overwritten, and a run that died half-way is completed by the next one: the private file
comes first, and one whose public half is not published yet is published.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Final, NamedTuple

from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, generate_private_key
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from letrade_topo.errors import TopoError
from letrade_topo.keys.folder import (
    DEAD_LETTER_OWNER,
    PUBLIC_FILE,
    PUBLIC_FOLDER,
    REPLAY_OWNER,
    RESERVED_OWNERS,
    InvalidKeySet,
    make_folder,
    only_writer,
    write_whole,
)
from letrade_topo.keys.jwk import (
    ENCRYPTION_ALGORITHM,
    PrivateKey,
    PublicKey,
    Role,
    Use,
    Validity,
    thumbprint,
    write_private,
    write_public,
)
from letrade_topo.keys.keyset import load_public, read_private_key
from letrade_topo.model.security import JwtAlgorithm

LONGEST_OWNER = 96
"""Leaves room for the id within the 128 characters of a kid."""

FILE_OF_USE: Final = {Use.SIGNATURE: "signing.jwk", Use.ENCRYPTION: "encryption.jwk"}

_OWNER = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]*")
_PRIVATE_FOLDER_MODE, _PRIVATE_FILE_MODE = 0o700, 0o600
_PUBLIC_FOLDER_MODE, _PUBLIC_FILE_MODE = 0o755, 0o644


class UnsuitableName(TopoError):
    """A service or a mover has a name that no key folder can have."""


class Purpose(NamedTuple):
    """One key that has to be there: whose, as what, for what."""

    owner: str
    role: Role
    use: Use

    @property
    def file_name(self) -> str:
        """Of the private key, within the owner's folder."""
        return FILE_OF_USE[self.use]


@dataclass(frozen=True, slots=True)
class Made:
    """What became of making keys.

    Args:
        created: new keys.
        published: keys of an earlier run that had not come to publish them.
        existing: what was there, and stays.
    """

    created: tuple[PublicKey, ...]
    published: tuple[PublicKey, ...]
    existing: tuple[Purpose, ...]


def purposes(services: Iterable[str], movers: Iterable[str]) -> tuple[Purpose, ...]:
    """The keys that a topology needs.

    Args:
        services: names, as in the topology.
        movers: who may move messages of queues that are migrated, likewise (`security.jwt.movers`).

    Raises:
        UnsuitableName: the name of a service or of a mover cannot be the name of a folder and of a Kubernetes
            object's entry.
    """
    needed: list[Purpose] = []
    named = tuple(services)
    for service in named:
        check_owner(service, "service")
        needed += [Purpose(service, Role.SERVICE, Use.SIGNATURE), Purpose(service, Role.SERVICE, Use.ENCRYPTION)]
    needed.append(Purpose(REPLAY_OWNER, Role.REPLAY, Use.SIGNATURE))
    for mover in movers:
        check_owner(mover, "mover")
        if mover in named:
            why = "a service has that name, and one folder is for one owner"
            raise UnsuitableName(f"the mover {mover!r} cannot have keys", why=why, fix="rename the mover")
        needed.append(Purpose(mover, Role.MOVE, Use.SIGNATURE))
    needed.append(Purpose(DEAD_LETTER_OWNER, Role.DEAD_LETTER, Use.ENCRYPTION))
    return tuple(needed)


def check_owner(name: str, kind: str) -> None:
    """Whether somebody may have keys under this name.

    Args:
        name: of the owner.
        kind: what it is, for the error: service or mover.

    Raises:
        UnsuitableName: it may not.
    """
    if name in RESERVED_OWNERS:
        why = f"the key folder has {', '.join(sorted(RESERVED_OWNERS))} for other purposes"
    elif len(name) > LONGEST_OWNER:
        why = f"it has {len(name)} characters, and at most {LONGEST_OWNER} are possible"
    elif _OWNER.fullmatch(name) is None:
        why = "only letters, digits and _ . - may be in it, and neither . nor - first: it names a folder and a key"
    else:
        return
    raise UnsuitableName(f"the {kind} {name!r} cannot have keys", why=why, fix=f"rename the {kind}")


def make_keys(
    folder: Path,
    services: Sequence[str],
    movers: Sequence[str],
    *,
    algorithm: JwtAlgorithm,
    now: int,
    valid_for_seconds: int | None,
) -> Made:
    """Make what is missing of a topology's keys.

    Args:
        folder: the key folder; made if missing.
        services, movers: names, as in the topology.
        algorithm: of new signing keys.
        now: seconds since the epoch.
        valid_for_seconds: after which a new key ends by itself; None: never.

    Raises:
        InvalidKeySet: a file cannot be written, or one that is there is not what it should be.
        UnsuitableName: of a service or a mover.
    """
    needed = purposes(services, movers)
    make_folder(folder, _PUBLIC_FOLDER_MODE)
    validity = Validity(now, retired_at=None if valid_for_seconds is None else now + valid_for_seconds)
    created, published, existing = [], [], []
    with only_writer(folder):
        public = dict(published_keys(folder))
        for purpose in needed:
            path = folder / purpose.owner / purpose.file_name
            if path.exists():
                private = read_private_key(path)
                if private.kid in public:
                    existing.append(purpose)
                    continue
                key = publishable(private, purpose, validity)
                published.append(key)
            elif any(is_for(key, purpose) for key in public.values()):
                existing.append(purpose)  # its private half is kept elsewhere
                continue
            else:
                key = create(folder, purpose, purpose.file_name, algorithm, validity)
                created.append(key)
            public[key.kid] = key
        if created or published:
            publish(folder, public)
    return Made(tuple(created), tuple(published), tuple(existing))


def is_for(key: PublicKey, purpose: Purpose) -> bool:
    """Whether a key is of this owner and use."""
    return key.issuer == purpose.owner and key.use is purpose.use


def published_keys(folder: Path) -> Mapping[str, PublicKey]:
    """The public keys so far; none where there is no file."""
    return load_public(folder) if (folder / PUBLIC_FOLDER / PUBLIC_FILE).exists() else {}


def create(folder: Path, purpose: Purpose, file_name: str, algorithm: JwtAlgorithm, validity: Validity) -> PublicKey:
    """Make a key pair and write its private half; the public one is not published yet.

    Raises:
        InvalidKeySet: the file cannot be written, or is there.
    """
    private = _generate(purpose, algorithm, validity.created_at)
    make_folder(folder / purpose.owner, _PRIVATE_FOLDER_MODE)
    path = folder / purpose.owner / file_name
    content = (json.dumps(write_private(private), indent=2) + "\n").encode()
    if not write_whole(path, content, mode=_PRIVATE_FILE_MODE, replace=False):
        raise InvalidKeySet(f"{path} has just been made by somebody else", fix="run the command again")
    return publishable(private, purpose, validity)


def publishable(private: PrivateKey, purpose: Purpose, validity: Validity) -> PublicKey:
    """The public half of a key, with whose it is and for how long."""
    return PublicKey(
        private.kid, purpose.owner, purpose.role, private.use, private.algorithm, private.key.public_key(), validity
    )


def publish(folder: Path, keys: Mapping[str, PublicKey]) -> None:
    """Write the public file.

    Raises:
        InvalidKeySet: it cannot be written.
    """
    make_folder(folder / PUBLIC_FOLDER, _PUBLIC_FOLDER_MODE)
    content = json.dumps({"keys": [write_public(key) for key in keys.values()]}, indent=2) + "\n"
    write_whole(folder / PUBLIC_FOLDER / PUBLIC_FILE, content.encode(), mode=_PUBLIC_FILE_MODE, replace=True)


def _generate(purpose: Purpose, algorithm: JwtAlgorithm, now: int) -> PrivateKey:
    signs = purpose.use is Use.SIGNATURE
    key = (
        Ed25519PrivateKey.generate() if signs and algorithm is JwtAlgorithm.EDDSA else generate_private_key(SECP256R1())
    )
    day = datetime.fromtimestamp(now, UTC).strftime("%Y%m%d")
    kid = f"{purpose.owner}:{day}-{thumbprint(key.public_key())[:8]}"
    return PrivateKey(kid, purpose.use, algorithm.value if signs else ENCRYPTION_ALGORITHM, key)
