"""The folder of a key set: which file is where, who may read it, and writing it whole or not at all.

    DIR/public/jwks.json            every public key: for everyone
    DIR/<service>/signing.jwk       the service's private keys: for its agent alone
    DIR/<service>/encryption.jwk
    DIR/<service>/signing.next.jwk      while a rotation is under way
    DIR/<service>/encryption.next.jwk
    DIR/<service>/encryption.<id>.jwk   earlier ones, as long as there is something to decrypt
    DIR/replay/signing.jwk          for the person who replays dead letters
    DIR/move/signing.jwk            for whoever moves the messages of a queue that is migrated; one for each mover
    DIR/dead-letter/encryption.jwk  for the person who reads dead letters

An agent gets `public` and its own service's folder. They may also lie in one: where there is no
`DIR/public/jwks.json`, `DIR/jwks.json` is it; where there is no folder `DIR/<service>`, DIR is it. So one
projected volume of Kubernetes can hold all that an agent needs.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from letrade_topo import files
from letrade_topo.errors import TopoError
from letrade_topo.reading import CannotRead, Trust, read_file

PUBLIC_FOLDER: Final = "public"
PUBLIC_FILE: Final = "jwks.json"
REPLAY_OWNER: Final = "replay"
DEAD_LETTER_OWNER: Final = "dead-letter"
RESERVED_OWNERS: Final = frozenset((PUBLIC_FOLDER, REPLAY_OWNER, DEAD_LETTER_OWNER))

LARGEST_FILE_BYTES = 16 * 2**20


class InvalidKeySet(TopoError):
    """A key folder or a file in it is not what it should be."""


def public_file(folder: Path) -> Path:
    """Where the public keys are."""
    nested = folder / PUBLIC_FOLDER / PUBLIC_FILE
    flat = folder / PUBLIC_FILE
    return flat if flat.exists() and not nested.exists() else nested


def private_folder(folder: Path, owner: str) -> Path:
    """Where the private keys of a service, of a mover, of `replay` or of `dead-letter` are."""
    nested = folder / owner
    return nested if nested.is_dir() or not (folder / PUBLIC_FILE).exists() else folder


def read_public(path: Path) -> bytes:
    """The content of a file that everyone may read, and nobody else may change.

    Raises:
        InvalidKeySet: it cannot be read, or others can change it.
    """
    return _read(path, Trust.DECIDES)


def read_private(path: Path) -> bytes:
    """The content of a private key's file.

    Group and others may not read it. Under a mounted volume of Kubernetes the group may: with `fsGroup` the
    kubelet adds that right itself (0400 becomes 0440), and only the pod's own group has it.

    Raises:
        InvalidKeySet: it cannot be read, or others can.
    """
    return _read(path, Trust.SECRET)


def write_whole(path: Path, content: bytes, *, mode: int, replace: bool) -> bool:
    """Write a file so that nobody ever sees half of it, not after a loss of power either.

    Args:
        path: the file.
        content: all of it.
        mode: its permissions.
        replace: what is there already is replaced; otherwise it stays and nothing is written.

    Returns:
        Whether it was written.

    Raises:
        InvalidKeySet: it cannot be written.
    """
    try:
        if not replace:
            return files.write_new(path, content, mode=mode)
        files.write(path, content, mode=mode)
    except files.CannotWrite as error:
        raise InvalidKeySet(error.what, why=error.why, fix=error.fix) from None
    return True


def delete(path: Path) -> None:
    """Delete a file, if it is there.

    Raises:
        InvalidKeySet: it cannot be deleted.
    """
    try:
        path.unlink(missing_ok=True)
    except OSError as error:
        raise InvalidKeySet(f"cannot delete {path}", why=error.strerror or str(error)) from None


def make_folder(path: Path, mode: int) -> None:
    """Make a folder unless it is there; one that is there keeps its permissions.

    Raises:
        InvalidKeySet: it cannot be made.
    """
    try:
        path.mkdir(mode=mode, parents=True, exist_ok=True)
    except OSError as error:
        raise InvalidKeySet(f"cannot make the folder {path}", why=error.strerror or str(error)) from None


@contextmanager
def only_writer(folder: Path) -> Iterator[None]:
    """Keeps two runs on one folder apart: the second waits. Readers need no lock.

    Raises:
        InvalidKeySet: the folder cannot be written to.
    """
    try:
        descriptor = os.open(folder / ".lock", os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise InvalidKeySet(f"cannot write to the key folder {folder}", why=error.strerror or str(error)) from None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def _read(path: Path, trust: Trust) -> bytes:
    try:
        return read_file(path, trust=trust, most=LARGEST_FILE_BYTES)
    except CannotRead as error:
        raise InvalidKeySet(error.what, why=error.why, fix=error.fix) from None
