"""The topology that is in force: read at the start, and again when its files have changed.

A change counts once two looks have found the same, so that a file that is being written is not read; where a volume
is mounted, its `..data` link is followed anew at each look. What cannot be used is refused, and the old one stays.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from letrade_topo.errors import TopoError
from letrade_topo.load.fingerprint import Fingerprint
from letrade_topo.model.topology import BrokerAccess, Topology
from letrade_topo.plan.prepare import PlanRequest


@dataclass(frozen=True, slots=True)
class Watched:
    """A topology as the controller needs it.

    Args:
        request: for the planner.
        access: the file's own idea of where the broker is.
        sha: the beginning of the hash of its files, as agents show it.
        queues: the queues that it declares, those that messages are consumed from first.
        secret_files: the files of passwords that it refers to.
        warnings: about the file.
        topology: as read, for whoever draws it.
    """

    request: PlanRequest
    access: BrokerAccess | None
    sha: str
    queues: tuple[str, ...]
    secret_files: tuple[Path, ...] = ()
    warnings: tuple[str, ...] = ()
    topology: Topology | None = None


class NotASuccessor(TopoError):
    """A new topology cannot take the place of the one in force without a restart."""


class TopologySource:
    """Reads a topology, and notices when it is another.

    Args:
        load: reads it; raises TopoError when it cannot be used.
        files: the file and its overlays.

    Attributes:
        current: the one in force.
        problem: why the last change could not be used; empty when it could.

    Raises:
        TopoError: it cannot be used at the start.
    """

    def __init__(self, load: Callable[[], Watched], files: Sequence[Path]) -> None:
        self._load = load
        self._secret_files: tuple[Path, ...] = ()
        self._files = Fingerprint(lambda: (*files, *self._secret_files))
        self._read = self._found = self._files.at_start  # from before it is read, so that no change is missed
        self.current = load()
        self._secret_files = self.current.secret_files
        self.problem = ""

    def look(self) -> bool:
        """Look at the files; whether what is in force, or what is wrong with the files, is another now."""
        before, self._found = self._found, self._files.take()
        if not self._found == before != self._read:
            return False
        self._read = self._found
        try:
            new = self._load()
            self._check(new)
        except TopoError as error:
            self.problem = str(error)
            return True
        is_news = bool(self.problem) or _content(new) != _content(self.current)
        self.problem = ""
        self.current = new
        self._secret_files = new.secret_files
        return is_news

    def _check(self, new: Watched) -> None:
        old, scope = self.current.request.scope, new.request.scope
        if (old.topology, old.vhost) != (scope.topology, scope.vhost):
            raise NotASuccessor(
                f"the topology changed from {old.topology!r} in vhost {old.vhost!r} to {scope.topology!r} in "
                f"{scope.vhost!r}",
                why="what the controller leads and measures is under the old name",
                fix="restart the controller",
            )


def _content(watched: Watched) -> tuple[object, ...]:
    return watched.sha, dict(watched.request.secrets), watched.access
