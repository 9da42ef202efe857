"""Writing a file that a person named: whole or not at all, and never instead of what it leads to.

A regular file is replaced in one step, from a file of an unguessable name in the same folder, so that no reader sees
half of it and nobody can lay something in its way. A link stays a link: what it leads to is written. A pipe, a device
or a stream of this process (`/dev/stdout`, `/dev/fd/3`) is written through; to rename a file over one would take it
away from everybody else.
"""

from __future__ import annotations

import contextlib
import errno
import os
import re
import stat
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from letrade_topo.errors import TopoError

PRIVATE: Final = 0o600
"""For this user alone, also where the file that is replaced was open to others: what it held was not this."""

_MOST_LINKS = 40
"""As many as Linux follows (path_resolution(7))."""
_OWN_STREAM = re.compile(r"/(?:proc/(?:self|thread-self|(?P<pid>\d+))|dev)/fd/(?P<number>\d+)")


class CannotWrite(TopoError):
    """A file cannot be written; what was there before is still there."""


def write(path: Path, content: bytes, *, mode: int = PRIVATE) -> None:
    """Write a file.

    Args:
        path: as it was named; relative to the working folder.
        content: all of it.
        mode: the permissions of a regular file afterwards, whatever they were before.

    Raises:
        CannotWrite: says why. A regular file is then as it was; what was written to a pipe is not known.
    """
    with _explained(path):
        target = _target(path)
        if isinstance(target, int):
            with os.fdopen(os.dup(target), "wb", buffering=0) as stream:
                _write_all(stream.fileno(), content)
        elif _is_regular(target):
            _replace(target, content, mode)
        else:
            _write_through(target, content)


def write_new(path: Path, content: bytes, *, mode: int = PRIVATE) -> bool:
    """Write a file unless there is one of this name, of whatever kind, which then stays.

    Returns:
        Whether it was written.

    Raises:
        CannotWrite: says why.
    """
    with _explained(path), _beside(path, content, mode) as temporary:
        try:
            path.hardlink_to(temporary)
        except FileExistsError:
            return False
        _sync_folder(path.parent)
    return True


@contextmanager
def _explained(path: Path) -> Iterator[None]:
    try:
        yield
    except (OSError, ValueError) as error:  # ValueError: a name with a NUL
        why = (error.strerror if isinstance(error, OSError) else None) or str(error)
        raise CannotWrite(f"cannot write {path}", why=why, fix=_fix(error)) from None


def _fix(error: Exception) -> str:
    match error.errno if isinstance(error, OSError) else None:
        case errno.ENOSPC | errno.EDQUOT | errno.EFBIG:
            return "make room, or name a file elsewhere"
        case errno.EACCES | errno.EPERM | errno.EROFS:
            return "name a file in a folder that this user may write to: a file is replaced by a new one beside it"
        case errno.EBUSY:
            return "the file is a mount of its own and cannot be replaced: mount its folder instead"
        case _:
            return "name another file"


def _target(path: Path) -> Path | int:
    """What a name leads to: a path without a link at its end, or a stream of this process by number."""
    current = Path(os.path.abspath(path))  # resolve() would follow links, which is done below
    for _ in range(_MOST_LINKS):
        stream = _OWN_STREAM.fullmatch(str(current))
        if stream is not None and stream["pid"] in {None, str(os.getpid())}:
            return int(stream["number"])
        if not current.is_symlink():
            return current
        current = Path(os.path.normpath(current.parent.resolve() / current.readlink()))
    raise OSError(errno.ELOOP, os.strerror(errno.ELOOP))


def _is_regular(path: Path) -> bool:
    try:
        return stat.S_ISREG(path.lstat().st_mode)
    except FileNotFoundError:
        return True


def _replace(path: Path, content: bytes, mode: int) -> None:
    with _beside(path, content, mode) as temporary:
        temporary.replace(path)
        _sync_folder(path.parent)


@contextmanager
def _beside(path: Path, content: bytes, mode: int) -> Iterator[Path]:
    """The content on disk, in the same folder under a name that nobody can guess; gone afterwards."""
    descriptor, name = tempfile.mkstemp(prefix=f".{path.name[:100]}.", dir=path.parent)
    temporary = Path(name)
    try:
        try:
            _write_all(descriptor, content)
            os.fchmod(descriptor, mode)
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
        yield temporary
    finally:
        temporary.unlink(missing_ok=True)


def _write_through(path: Path, content: bytes) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CLOEXEC | os.O_NOCTTY)
    try:
        _write_all(descriptor, content)
    finally:
        os.close(descriptor)


def _write_all(descriptor: int, content: bytes) -> None:
    left = memoryview(content)
    while left:
        left = left[os.write(descriptor, left) :]


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        with contextlib.suppress(OSError):  # a file system that cannot; the file itself is on disk
            os.fsync(descriptor)
    finally:
        os.close(descriptor)
