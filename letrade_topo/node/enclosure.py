"""How a program of an installation is started, and under which paths it sees its folder.

An installation on this machine sees the machine's paths. One in a root folder is entered with
chroot and sees the node's folder at `/mnt`. Nothing else in this package knows the difference.

The root is entered in a mount namespace of the process's own: the mounts it needs are seen by no
other process and vanish with it, so that nothing has to be unmounted, whoever is killed, and one
root serves many nodes at once. None of the steps forks: the process that was started is, in the
end, the program itself.
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from letrade_topo.node.errors import NodeError
from letrade_topo.node.installation import Installation

# RabbitMQ 3.10's management agent dies of letters beyond Latin-1 in its paths, and in rabbitmq.conf
# `#` begins a comment and a quote a quoted value.
_USABLE_PATH = re.compile(r"[\w /.,:@+=~-]+", re.ASCII)
_FOLDER_IN_ROOT = Path("/mnt")
# /proc and /dev: Erlang reads memory limits and randomness there.
_ENTER_ROOT = """
set -e
mount --rbind /proc "$1/proc"
mount --rbind /dev "$1/dev"
mount --bind "$2" "$1/mnt"
root=$1
shift 2
exec chroot "$root" "$@"
"""


class Enclosure(Protocol):
    """Where a node's programs run."""

    def inside(self, path: Path) -> Path:
        """The path under which the node's programs see a path of the node's folder."""

    def command(self, *argv: str) -> list[str]:
        """The command that runs `argv` inside, in the node's folder, as the very process started."""


@dataclass(frozen=True, slots=True)
class OnThisMachine:
    """RabbitMQ of this machine, on this machine's paths."""

    folder: Path

    def inside(self, path: Path) -> Path:
        """Paths are the same."""
        return path

    def command(self, *argv: str) -> list[str]:
        """Only the working folder is set."""
        return ["env", "-C", str(self.folder), *argv]


@dataclass(frozen=True, slots=True)
class InRoot:
    """RabbitMQ of a root folder, which sees the node's folder at `/mnt`."""

    folder: Path
    root: Path

    def inside(self, path: Path) -> Path:
        """A path below the node's folder, as seen from within the root."""
        return _FOLDER_IN_ROOT / path.relative_to(self.folder)

    def command(self, *argv: str) -> list[str]:
        """Enter the root, then run."""
        # Without root's rights, a user namespace of one's own gives those that chroot needs.
        as_root = [] if os.geteuid() == 0 else ["--map-root-user"]
        enter = ["unshare", *as_root, "--mount", "--propagation", "private", "--", "sh", "-c", _ENTER_ROOT, "sh"]
        return [*enter, str(self.root), str(self.folder), "env", "-C", str(_FOLDER_IN_ROOT), *argv]


def enclose(installation: Installation, folder: Path) -> Enclosure:
    """The enclosure in which this installation works on this folder (an absolute path).

    Raises:
        NodeError: the folder's name is one that RabbitMQ cannot work with.
    """
    if installation.root is not None:
        return InRoot(folder, installation.root)
    if not _USABLE_PATH.fullmatch(str(folder)):
        raise NodeError(
            f"a private broker cannot live in {folder}",
            why="in its paths RabbitMQ takes ASCII letters, no quotes and no other special characters",
            fix="name another folder: --folder /tmp/letrade-broker",
        )
    return OnThisMachine(folder)
