"""Containers as Kubernetes would start them under the "restricted" profile: read-only, one user, no capabilities.

By podman and crun, on the host's network. Needs root; knows nothing of agents.
"""

from __future__ import annotations

import os
import resource
import subprocess
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO

USER = 65532
_PID_SECONDS = 60.0
_FILES, _PROCESSES = 65_536, 4_096
_ENTER = """
if [ -e /sys/fs/cgroup/unified ]; then umount --recursive /sys/fs/cgroup; mount -t cgroup2 none /sys/fs/cgroup; fi
exec "$@"
"""
"""crun refuses the mixture of both cgroup hierarchies; in a mount namespace of our own there is one."""


@dataclass(frozen=True, slots=True)
class Container:
    """A container that runs.

    Args:
        process: podman, which hands signals on and ends with the exit code of the program inside.
        pid: of the program inside, as this machine counts.
    """

    process: subprocess.Popen[bytes]
    pid: int

    def status(self) -> dict[str, str]:
        """What /proc says of the program, by name: `CapEff`, `Uid`, `VmHWM` and so on."""
        lines = Path(f"/proc/{self.pid}/status").read_text(encoding="utf-8").splitlines()
        return {name: " ".join(value.split()) for name, _, value in (line.partition(":") for line in lines)}

    def cpu_seconds(self) -> float:
        """What the program has used so far."""
        fields = self._stat()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def age_seconds(self) -> float:
        """Since the kernel made its process."""
        return time.clock_gettime(time.CLOCK_BOOTTIME) - int(self._stat()[19]) / os.sysconf("SC_CLK_TCK")

    def pss_bytes(self) -> int:
        """Its memory, with a share of what others map as well."""
        (line,) = [
            line
            for line in Path(f"/proc/{self.pid}/smaps_rollup").read_text(encoding="utf-8").splitlines()
            if line.startswith("Pss:")
        ]
        return int(line.split()[1]) * 1024

    def is_read_only(self, folder: str) -> bool:
        """Whether not even root could write to a folder of its file system."""
        return bool(os.statvfs(f"/proc/{self.pid}/root{folder}").f_flag & os.ST_RDONLY)

    def _stat(self) -> list[str]:
        """The fields behind the name, which is in brackets."""
        return Path(f"/proc/{self.pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()


def start(
    store: Sequence[str],
    image: str,
    command: Sequence[str],
    *,
    name: str,
    environment: Mapping[str, str],
    volumes: Mapping[Path, str],
    output: IO[bytes],
    pid_file: Path,
) -> Container:
    """Start a container, and wait until its program runs.

    Args:
        store: podman's options for where images are.
        image: its name.
        command: the program inside.
        name: of the container, unused so far.
        environment: variables.
        volumes: folders of this machine, mounted read-only at these places.
        output: where both streams of the program go.
        pid_file: written by podman.
    """
    files = min(resource.getrlimit(resource.RLIMIT_NOFILE)[1], _FILES)
    options = ["--rm", f"--name={name}", f"--pidfile={pid_file}", "--network=host", "--cgroups=disabled"]
    options += ["--read-only", "--read-only-tmpfs=false", "--cap-drop=all", "--security-opt=no-new-privileges"]
    # podman's own are higher than this machine's may be, and raising them takes a right that root may not have here
    options += [f"--ulimit=nofile={files}:{files}", f"--ulimit=nproc={_PROCESSES}:{_PROCESSES}"]
    options += [f"--env={key}={value}" for key, value in environment.items()]
    options += [f"--volume={source}:{target}:ro" for source, target in volumes.items()]
    own_mounts = ["unshare", "--mount", "--propagation", "private", "sh", "-ec", _ENTER, "sh"]
    process = subprocess.Popen(
        [*own_mounts, "podman", "--runtime=crun", *store, "run", *options, image, *command],
        stdin=subprocess.DEVNULL,
        stdout=output,
        stderr=output,
    )
    deadline = time.monotonic() + _PID_SECONDS
    while not (pid_file.exists() and pid_file.read_text(encoding="utf-8").strip()):
        if process.poll() is not None or time.monotonic() > deadline:
            process.kill()
            said = Path(output.name).read_text(encoding="utf-8", errors="replace")
            raise SystemExit(f"error: the container {name} does not start: {said}")
        time.sleep(0.01)
    return Container(process, int(pid_file.read_text(encoding="utf-8")))
