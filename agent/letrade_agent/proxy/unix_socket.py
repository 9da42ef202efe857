"""A Unix socket for clients: who may use it, by mode and by the kernel's word; made without a gap, removed at the end.

The mode keeps others from the file. That is not all: root passes every mode, and a file's mode can be changed. So each
process that connects is asked for its user and groups, too. Knows nothing of AMQP.
"""

from __future__ import annotations

import grp
import os
import socket
import stat
from contextlib import suppress
from pathlib import Path
from typing import Final, NamedTuple

from letrade_agent.config import InvalidSetting, SocketPath
from letrade_agent.transport.peer import peer_of

_OWNER_ONLY: Final = 0o600
_OWNER_AND_GROUP: Final = 0o660
_PROBE_SECONDS: Final = 1.0


class Judged(NamedTuple):
    """A process that connected.

    Attributes:
        peer: who it is, in words.
        refusal: why it is not let in; empty if it is.
    """

    peer: str
    refusal: str = ""


class UnixSocket:
    """A listening socket in the file system.

    Args:
        place: where, and for whom.

    Raises:
        InvalidSetting: the group is not there, or something else than a socket has that name.
        OSError: it cannot be made; another process listens there.
    """

    def __init__(self, place: SocketPath) -> None:
        self.place: Final = place
        self._group = _group_of(place)
        self._user = os.geteuid()
        self.socket: Final = self._bound()
        found = os.lstat(place.path)
        self._file = found.st_dev, found.st_ino

    def judge(self, connected: socket.socket | None) -> Judged:
        """Who connected, and whether that is somebody who may."""
        try:
            if connected is None:
                return Judged("?", "it was gone before it could be asked who it is")
            peer = peer_of(connected)
        except OSError as error:
            return Judged("?", f"who connected is not known: {error.strerror or error}")
        if peer.uid == self._user or (self._group is not None and self._group in {peer.gid, *peer.groups}):
            return Judged(str(peer))
        allowed = f"uid {self._user}" if self._group is None else f"uid {self._user} and group {self._group}"
        return Judged(str(peer), f"{peer}: only {allowed} may speak with this service's signature")

    def remove(self) -> None:
        """Take the file away, if it is still this one: another agent may have put its own there."""
        with suppress(OSError):
            found = os.lstat(self.place.path)
            if (found.st_dev, found.st_ino) == self._file:
                self.place.path.unlink()

    def _bound(self) -> socket.socket:
        """Bound under a name of its own, then moved into place: nobody meets it with another mode, nor meets a gap."""
        path = self.place.path
        _check_free(path)
        draft = path.with_name(f".{os.getpid()}")
        made = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            with suppress(FileNotFoundError):
                draft.unlink()
            mask = os.umask(0o777)
            try:
                made.bind(os.fspath(draft))
            finally:
                os.umask(mask)
            if self._group is not None:
                os.chown(draft, -1, self._group)
            draft.chmod(_OWNER_ONLY if self._group is None else _OWNER_AND_GROUP)
            draft.rename(path)
        except BaseException:
            made.close()
            with suppress(OSError):
                draft.unlink()
            raise
        return made


def _check_free(path: Path) -> None:
    """See that the name is free, or that of a socket that nobody listens at any more.

    Raises:
        InvalidSetting: it is something else; a link is not followed.
        OSError: somebody listens there.
    """
    try:
        mode = os.lstat(path).st_mode
    except FileNotFoundError:
        return
    if not stat.S_ISSOCK(mode):
        kind = "a symbolic link" if stat.S_ISLNK(mode) else "no socket"
        raise InvalidSetting(
            f"--listen unix:{path} is {kind}", why="what is there is not removed", fix="remove it, or name another path"
        )
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.settimeout(_PROBE_SECONDS)
        try:
            probe.connect(os.fspath(path))
        except (ConnectionRefusedError, FileNotFoundError):
            return
        except TimeoutError:
            pass  # its queue is full: somebody is there
    raise OSError(0, "another process listens there")


def _group_of(place: SocketPath) -> int | None:
    """The number of the group.

    Raises:
        InvalidSetting: this machine has none of that name.
    """
    if place.group is None:
        return None
    if place.group.isascii() and place.group.isdigit():
        return int(place.group)
    try:
        return grp.getgrnam(place.group).gr_gid
    except KeyError:
        raise InvalidSetting(
            f"--listen-group {place.group!r} is no group of this machine", fix="name one, or write its number"
        ) from None
