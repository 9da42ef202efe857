"""Processes that outlive the program that started them, known by more than their pid.

A pid is used again some time after its process ended, so a process is identified by its pid, its
start time and the boot of the machine; nothing is ever sent to one that does not fit all three.
"""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Self

_POLL_SECONDS = 0.02


@dataclass(frozen=True, slots=True)
class ProcessIdentity:
    """One process of this machine.

    Args:
        pid: its id.
        start_ticks: when it started, in clock ticks since the boot (proc(5), field 22 of stat).
        boot_id: which boot that was.
    """

    pid: int
    start_ticks: int
    boot_id: str

    @classmethod
    def of(cls, pid: int) -> Self:
        """The identity of the process that has this pid now.

        Raises:
            ProcessLookupError: there is none.
        """
        status = _status(pid)
        if status is None:
            raise ProcessLookupError(f"no process {pid}")
        return cls(pid, status[1], _boot_id())

    def is_running(self) -> bool:
        """Whether it still runs; a zombie does not."""
        self._reap()
        status = _status(self.pid)
        if status is None or status[1] != self.start_ticks or self.boot_id != _boot_id():
            return False
        if status[0] not in {"Z", "X"}:
            return True
        # The first thread has ended: while others are still ending, so do its ports stay open.
        return _thread_count(self.pid) > 1

    def send(self, number: signal.Signals) -> None:
        """Send a signal, when it runs."""
        if self.is_running():
            with suppress(ProcessLookupError):  # ended in this moment
                os.kill(self.pid, number)

    def wait(self, timeout_seconds: float) -> bool:
        """Wait until it has ended; False when it still runs after the limit."""
        deadline = time.monotonic() + timeout_seconds
        while self.is_running():
            if time.monotonic() > deadline:
                return False
            time.sleep(_POLL_SECONDS)
        self._reap()
        return True

    def end(self, timeout_seconds: float) -> None:
        """Ask it to end (SIGTERM); end it (SIGKILL) when it has not within the limit."""
        self.send(signal.SIGTERM)
        if not self.wait(timeout_seconds):
            self.kill()

    def kill(self) -> None:
        """End it at once (SIGKILL) and wait until it has gone."""
        self.send(signal.SIGKILL)
        self.wait(10)

    def _reap(self) -> None:
        # A child of ours stays a zombie until it is waited for; another's child is not ours to reap.
        with suppress(ChildProcessError):
            os.waitpid(self.pid, os.WNOHANG)


def spawn(argv: Sequence[str], environment: Mapping[str, str], output: Path) -> ProcessIdentity:
    """Start a process in a session of its own, which goes on when this program ends.

    Not subprocess.Popen: that holds on to its child and warns when it is let go.

    Args:
        argv: the program, looked up in this program's PATH, and its arguments.
        environment: its whole environment.
        output: the file to which its standard output and error are appended.
    """
    pid = os.posix_spawnp(
        argv[0],
        list(argv),
        dict(environment),
        file_actions=[
            (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0),
            (os.POSIX_SPAWN_OPEN, 1, str(output), os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600),
            (os.POSIX_SPAWN_DUP2, 1, 2),
        ],
        setsid=True,
        setsigmask=[],
        # Python ignores these two, and ignoring is inherited.
        setsigdef=[signal.SIGPIPE, signal.SIGXFSZ],
    )
    return ProcessIdentity.of(pid)


def _status(pid: int) -> tuple[str, int] | None:
    """State letter and start time of a process, or None when there is none."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
    except (FileNotFoundError, ProcessLookupError):
        return None
    # The name, in parentheses, may hold anything; what follows the last one is well-formed.
    fields = text.rpartition(")")[2].split()
    return fields[0], int(fields[19])


def _thread_count(pid: int) -> int:
    try:
        return len(os.listdir(f"/proc/{pid}/task"))
    except (FileNotFoundError, ProcessLookupError):
        return 0


def _boot_id() -> str:
    return Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
