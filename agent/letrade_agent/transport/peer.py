"""Who is at the other end of a Unix socket, by the kernel's word (SO_PEERCRED, SO_PEERGROUPS of Linux)."""

from __future__ import annotations

import socket
import struct
from typing import Final, NamedTuple

_CREDENTIALS: Final = struct.Struct("3i")
_SO_PEERGROUPS: Final = 59
_GROUPS_BYTES: Final = 1_024
"""What Python reads at most: 256 groups. Who is in more of them is in none, here."""


class Peer(NamedTuple):
    """A process as it was when it connected; in another user namespace its numbers are this one's.

    Attributes:
        pid: of the process; 0: it is in a PID namespace that cannot be seen from here.
        uid: its effective user.
        gid: its effective group.
        groups: its supplementary groups.
    """

    pid: int
    uid: int
    gid: int
    groups: frozenset[int] = frozenset()

    def __str__(self) -> str:
        return f"uid {self.uid}, gid {self.gid}, process {self.pid or 'of another namespace'}"


def peer_of(connected: socket.socket) -> Peer:
    """The process that connected.

    Args:
        connected: a Unix socket that was accepted.

    Raises:
        OSError: the kernel does not say.
    """
    pid, uid, gid = _CREDENTIALS.unpack(connected.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size))
    try:
        groups = connected.getsockopt(socket.SOL_SOCKET, _SO_PEERGROUPS, _GROUPS_BYTES)
    except OSError:  # more of them, or Linux before 4.13
        groups = b""
    return Peer(pid, uid, gid, frozenset(struct.unpack(f"{len(groups) // 4}I", groups)))
