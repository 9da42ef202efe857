"""Whether some files have changed, by asking again and again; no event of the file system is relied on.

Kubernetes replaces a mounted volume by turning one symbolic link (`..data`) to another folder. So every path is
resolved anew each time, and what counts is what is found there: its content and who may read it.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterable
from hashlib import sha256
from pathlib import Path
from typing import NamedTuple

from letrade_topo.reading import CannotRead, Trust, read_file

LARGEST_FILE_BYTES = 64 * 2**20
"""As much as a topology may have."""

_SURELY_OLD_SECONDS = 2.0
"""A file that changed more recently is read again, as it may change once more within one tick of its clock."""


class _Identity(NamedTuple):
    device: int
    inode: int
    size: int
    modified_ns: int
    changed_ns: int
    mode: int


class Fingerprint:
    """Of the files that a function names, which may be others each time.

    Args:
        paths: names the files.

    Attributes:
        at_start: what `take` would have said when it was made.
    """

    def __init__(self, paths: Callable[[], Iterable[Path]]) -> None:
        self._paths = paths
        self._known: dict[Path, tuple[_Identity, bytes]] = {}
        self.at_start = self.take()

    def take(self) -> bytes:
        """A value that differs when a file, its content or its permissions differ. Never raises."""
        digest = sha256()
        known: dict[Path, tuple[_Identity, bytes]] = {}
        for path in self._named():
            digest.update(os.fsencode(path) + b"\0" + self._of(path, known))
        self._known = known
        return digest.digest()

    def _named(self) -> tuple[Path, ...]:
        try:
            return tuple(self._paths())
        except OSError:
            return ()

    def _of(self, path: Path, known: dict[Path, tuple[_Identity, bytes]]) -> bytes:
        try:
            status = path.stat()
            identity = _Identity(
                status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns, status.st_mode
            )
            before = self._known.get(path)
            if before is not None and before[0] == identity:
                known[path] = before
                return before[1]
            content = read_file(path, trust=Trust.SHOWN, most=LARGEST_FILE_BYTES)
            found = sha256(content + str(status.st_mode).encode()).digest()
        except OSError as error:
            return f"unreadable: {error.errno}".encode()
        except CannotRead as error:
            return f"unreadable: {error.trouble.name}".encode()
        if time.time() - max(status.st_mtime, status.st_ctime) > _SURELY_OLD_SECONDS:
            known[path] = identity, found
        return found
