"""Reading a file that decides something: only a file, only so much of it, and only if nobody else could write it.

A named pipe would hold its reader up until somebody writes, a device may never end, and a file that anybody on the
machine may write says what anybody likes. So a file is looked at before it is opened, opened without waiting, looked at
again, and read up to a limit. Whoever may change one of the folders on the way to it may put another in its place: they
are looked at, too. On a file system that is mounted read-only (Kubernetes mounts ConfigMaps and Secrets so) nobody can
change anything, whatever the permissions say.

What is in a file is not known here.
"""

from __future__ import annotations

import errno
import grp
import os
import pwd
import re
import stat
from collections.abc import Iterator
from enum import Enum, auto
from pathlib import Path
from typing import Final

from letrade_topo.errors import TopoError

_OWN_STREAM: Final = re.compile(r"/(?:proc/(?:self|thread-self|[0-9]+)|dev)/(?:fd/[0-9]+|std(?:in|out|err))")
_MOST_LINKS: Final = 40
"""As many as Linux follows (path_resolution(7))."""
_KUBERNETES_DATA: Final = "..data"
"""The link that the kubelet's atomic writer puts into every mounted Secret, ConfigMap or projected volume."""
_CONTAINER_SECRETS: Final = ("/run/secrets/", "/var/run/secrets/")
"""Where Docker mounts secrets, readable for everybody in the one container that they are mounted into."""


_OVERFLOW_UID: Final = 65_534
_ALL_USERS: Final = re.compile(rb"\s*0\s+0\s+4294967295\s*")


class Trust(Enum):
    """Who else may have to do with a file."""

    SHOWN = "others may read and change it: what is in it is verified, or harms nobody"
    DECIDES = "others may read it, and not change it"
    SECRET = "others may neither read nor change it"  # noqa: S105  # no password


class Trouble(Enum):
    """What is wrong with a file."""

    MISSING = auto()
    FOLDER = auto()
    NO_FILE = auto()
    UNREADABLE = auto()
    TOO_BIG = auto()
    OPEN_TO_OTHERS = auto()


class CannotRead(TopoError):
    """A file cannot be read, or may not be believed.

    Attributes:
        trouble: what is wrong with it.
    """

    def __init__(self, trouble: Trouble, what: str, *, why: str = "", fix: str = "") -> None:
        super().__init__(what, why=why, fix=fix)
        self.trouble = trouble


def read_file(path: Path, *, trust: Trust, most: int, streams: bool = False) -> bytes:
    """The content of a file.

    Args:
        path: as it was named.
        trust: who else may have to do with it.
        most: bytes that it may have.
        streams: also what this process was given as a stream (`/dev/stdin`, `<(command)` in a shell), which is waited
            for and not judged; for programs that run once.

    Raises:
        CannotRead: says why.
    """
    try:
        if streams and _leads_to_a_stream(path):
            return _bounded(path, os.open(path, os.O_RDONLY | os.O_CLOEXEC), most)
        _check_kind(path, path.stat().st_mode)  # to open a device may have an effect
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOCTTY)
        try:
            found = os.fstat(descriptor)
            _check_kind(path, found.st_mode)
            if trust is not Trust.SHOWN:
                check_trust(path, found, trust)
        except BaseException:
            os.close(descriptor)
            raise
        return _bounded(path, descriptor, most)
    except FileNotFoundError:
        raise CannotRead(Trouble.MISSING, f"there is no file {path}", fix="check the path") from None
    except (OSError, ValueError) as error:  # ValueError: a name with a NUL
        why = (error.strerror if isinstance(error, OSError) else None) or str(error)
        raise CannotRead(Trouble.UNREADABLE, f"cannot read {path}", why=why) from None


def check_trust(path: Path, found: os.stat_result, trust: Trust) -> None:
    """See that nobody else may change a file, nor read what is secret.

    Args:
        path: the file.
        found: what is known of it.
        trust: DECIDES or SECRET.

    Raises:
        CannotRead: somebody may.
    """
    mode = stat.S_IMODE(found.st_mode)
    if trust is Trust.SECRET and _others_read(path, found):
        raise CannotRead(
            Trouble.OPEN_TO_OTHERS,
            f"others can read or change {path}, which is secret",
            why=f"its permissions are {mode:04o}",
            fix="set `defaultMode: 0400` on the volume; with `fsGroup` that becomes 0440, which is accepted"
            if _is_mounted(path)
            else f"chmod 600 {path}; if others could read it, use another one",
        )
    if _is_anothers(path, found):
        raise CannotRead(
            Trouble.OPEN_TO_OTHERS,
            f"{path} belongs to another user, who can change it",
            why=f"its owner is the user {found.st_uid}, and this is {os.geteuid()}",
            fix="chown it to root or to the user who runs this; in a container, mount it read-only",
        )
    for place in (path, *_folders_of(path)):
        state = found if place is path else place.stat()
        if _others_write(place, state):
            what = "the file" if place is path else f"the folder {place}, so that they can exchange the file"
            raise CannotRead(
                Trouble.OPEN_TO_OTHERS,
                f"others can change {path}, which decides what is trusted",
                why=f"the permissions of {what} are {stat.S_IMODE(state.st_mode):04o}",
                fix=f"chmod go-w {place}; look whether somebody has changed it",
            )


def open_to_everybody(folder: Path) -> Path | None:
    """A folder that everybody on this machine may change: this one, or one on the way to it; None: there is none.

    For folders whose content is verified when it is read, so that a group may share one. In a folder with the sticky
    bit, as `/tmp` has it, everybody can be first to make what is not there yet.

    Raises:
        OSError: it cannot be looked at.
    """
    for place in (folder, *_folders_of(folder)):
        mode = place.stat().st_mode
        is_kept = place != folder and mode & stat.S_ISVTX  # others cannot exchange what is there
        if mode & 0o002 and not is_kept and not os.statvfs(place).f_flag & os.ST_RDONLY:
            return place
    return None


def _check_kind(path: Path, mode: int) -> None:
    if stat.S_ISREG(mode):
        return
    if stat.S_ISDIR(mode):
        raise CannotRead(Trouble.FOLDER, f"{path} is a folder, not a file", fix="name the file in it")
    kinds = {stat.S_IFIFO: "a named pipe", stat.S_IFSOCK: "a socket"}
    kind = kinds.get(stat.S_IFMT(mode), "a device")
    why = f"it is {kind}, which may never end or keep its reader waiting"
    raise CannotRead(Trouble.NO_FILE, f"{path} is not a file", why=why, fix="name a file")


def _bounded(path: Path, descriptor: int, most: int) -> bytes:
    """All of it, which has to be no more than `most` bytes; closes the descriptor."""
    with open(descriptor, "rb") as file:
        content = file.read(most + 1)
    if len(content) > most:
        raise CannotRead(Trouble.TOO_BIG, f"{path} is larger than {most} bytes", why="no such file is")
    return content


def _is_anothers(path: Path, found: os.stat_result) -> bool:
    """Whether it belongs to neither root, nor this user, nor whoever owns the folder that this was started in."""
    if found.st_uid in {0, os.geteuid(), Path.cwd().stat().st_uid}:
        return False
    is_unmapped = found.st_uid == _OVERFLOW_UID and not _sees_all_users()
    return not is_unmapped and not os.statvfs(path).f_flag & os.ST_RDONLY


def _sees_all_users() -> bool:
    """Whether this is no container in which users of the host, root among them, have no number of their own."""
    try:
        return _ALL_USERS.fullmatch(Path("/proc/self/uid_map").read_bytes()) is not None
    except OSError:
        return True


def _others_read(path: Path, found: os.stat_result) -> bool:
    mode = stat.S_IMODE(found.st_mode)
    if mode & 0o007:
        return not os.path.realpath(path).startswith(_CONTAINER_SECRETS)
    if mode & 0o030:
        return True
    # root lets a group read, of which this user is: for this very purpose, as with a volume of Kubernetes
    is_given = _is_mounted(path) or (found.st_uid == 0 and os.geteuid() != 0)
    return bool(mode & 0o040) and not is_given


def _others_write(place: Path, state: os.stat_result) -> bool:
    mode = state.st_mode
    if stat.S_ISDIR(mode) and mode & stat.S_ISVTX:
        return False  # others cannot exchange what is not theirs
    if not mode & 0o022:
        return False
    if not mode & 0o002 and _is_private_group(state):
        return False
    return not os.statvfs(place).f_flag & os.ST_RDONLY


def _is_private_group(state: os.stat_result) -> bool:
    """Whether its group has only its owner in it, as with a umask of 002: the group has the user's name."""
    try:
        group, owner = grp.getgrgid(state.st_gid), pwd.getpwuid(state.st_uid)
    except KeyError:
        return False
    return group.gr_name == owner.pw_name and not set(group.gr_mem) - {owner.pw_name}


def _is_mounted(path: Path) -> bool:
    """Whether it lies in a mounted volume of Kubernetes."""
    return (path.parent / _KUBERNETES_DATA).is_symlink()


def _folders_of(path: Path) -> Iterator[Path]:
    """Every folder on the way to a file, and to whatever the links on this way lead to."""
    seen: set[Path] = set()
    current = Path(os.path.abspath(path))
    for _ in range(_MOST_LINKS):
        for folder in (*current.parents, *Path(os.path.realpath(current.parent)).parents):
            if folder not in seen:
                seen.add(folder)
                yield folder
        if not current.is_symlink():
            return
        current = Path(os.path.normpath(Path(os.path.realpath(current.parent)) / current.readlink()))
    raise OSError(errno.ELOOP, os.strerror(errno.ELOOP))


def _leads_to_a_stream(path: Path) -> bool:
    current = Path(os.path.abspath(path))
    for _ in range(_MOST_LINKS):
        if _OWN_STREAM.fullmatch(str(current)):
            return True
        if not current.is_symlink():
            return False
        current = Path(os.path.normpath(current.parent / current.readlink()))
    return False
