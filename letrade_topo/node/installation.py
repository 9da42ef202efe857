"""Where RabbitMQ is installed: Debian's package on this machine, or in a root folder.

A root folder holds another Debian release (made by `script/rabbitmq-root`), so that two versions of
RabbitMQ run on one machine. How a process gets into it is not known here: see `enclosure`.
"""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path

from letrade_topo.node.errors import RabbitMQMissing

# Not /usr/sbin: Debian's wrappers there switch to the user rabbitmq, log to /var/log and stay as
# parents, so that a killed wrapper leaves its broker running.
BIN = Path("/usr/lib/rabbitmq/bin")
_LIB = Path("/usr/lib/rabbitmq/lib")
_VERSION_PREFIX = "rabbitmq_server-"


@dataclass(frozen=True, slots=True)
class Installation:
    """An installed RabbitMQ.

    Args:
        version: as the package spells it, for example `3.10.8`.
        root: the folder of another Debian release that holds it; None for this machine's own.
    """

    version: str
    root: Path | None = None


def find_installation(root: Path | None = None) -> Installation:
    """Find RabbitMQ on this machine, or in a root folder.

    Raises:
        RabbitMQMissing: it is not there, or lacks what it needs; says what to install.
    """
    if root is not None:
        root = root.absolute()
    base = root or Path("/")
    version = _installed_version(base)
    if version is None:
        raise _missing(root)
    # The node is bound to the life of a test, and entered in a root folder, with these two.
    for program in ("setpriv", "unshare") if root else ("setpriv",):
        if shutil.which(program) is None:
            raise RabbitMQMissing(
                f"the program {program} is missing on this machine",
                why="a private RabbitMQ node is started with it",
                fix="install it: apt-get install util-linux",
            )
    return Installation(version, root)


def _installed_version(base: Path) -> str | None:
    if not (base / BIN.relative_to("/") / "rabbitmq-server").exists():
        return None
    versions = sorted((base / _LIB.relative_to("/")).glob(f"{_VERSION_PREFIX}*"))
    return versions[-1].name.removeprefix(_VERSION_PREFIX) if versions else None


def _missing(root: Path | None) -> RabbitMQMissing:
    if root is None:
        return RabbitMQMissing(
            "RabbitMQ is not installed on this machine",
            why=f"{BIN}/rabbitmq-server is not there",
            fix="install Debian's package: apt-get install --no-install-recommends rabbitmq-server"
            " (script/demo and script/test do it; needs Debian 12 or 13)",
        )
    return RabbitMQMissing(
        f"RabbitMQ is not installed in the root folder {root}",
        why=f"{root}{BIN}/rabbitmq-server is not there",
        fix=f"make the folder: script/rabbitmq-root trixie {root}"
        " (or bookworm, or testing; it debootstraps that Debian with its package rabbitmq-server)",
    )
