"""One program at a time works on a folder; the lock frees itself when its holder dies."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def folder_lock(path: Path, on_wait: Callable[[], None]) -> Iterator[None]:
    """Hold the lock of a folder.

    Args:
        path: the lock file, made with its folder when it is not there.
        on_wait: called once when another program holds the lock.
    """
    while True:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        with path.open("a", encoding="ascii") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                on_wait()
                fcntl.flock(file, fcntl.LOCK_EX)
            # Its last holder may have deleted the folder: then this locks a file that is no more.
            if path.exists() and os.path.samestat(path.stat(), os.fstat(file.fileno())):
                yield
                return
