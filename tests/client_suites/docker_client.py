"""Takes the place of aio-pika's module of this name: one broker that runs stands for every container of Docker's.

What the suite does to a container it does to that broker, which whoever started it starts again when it has ended. Lies
beside tests that are not ours, so it imports nothing of ours.
"""

from __future__ import annotations

import os
import socket
import subprocess
import time
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

_START_SECONDS = 60


class DockerNotAvailableError(Exception):
    """Never raised: no Docker is needed."""


class DockerHostInfo:
    """Of no host."""


@dataclass
class ContainerInfo:
    """Where the broker listens."""

    id: str
    ports: dict[str, int]
    host: str


def check_docker_available() -> DockerHostInfo:
    """It need not be."""
    return DockerHostInfo()


class DockerClient:
    """Does what is asked of a container to the broker."""

    def __init__(self, host: DockerHostInfo | None = None) -> None:
        self._exit_code = 0

    def run(self, image: str, ports: list[str], environment: dict[str, str] | None = None) -> ContainerInfo:
        """What AMQP_URL and AMQPS_PORT name."""
        return ContainerInfo("", self._parse_ports({}), urlsplit(os.environ["AMQP_URL"]).hostname or "")

    def kill(self, container: str) -> None:
        """End the broker as a crash would."""
        self._ctl("eval", "erlang:halt(137, [{flush, false}]).")

    def start(self, container: str) -> None:
        """Wait until it is there again."""
        deadline = time.monotonic() + _START_SECONDS
        while True:
            try:
                socket.create_connection(("127.0.0.1", int(os.environ["AMQPS_PORT"]))).close()
                return
            except OSError:
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.1)

    def remove(self, container: str) -> None:
        """Others are still to use it."""
        self.start(container)

    def inspect(self, container: str) -> dict[str, Any]:
        """Nothing that is not known beforehand."""
        return {}

    def _parse_ports(self, info: dict[str, Any]) -> dict[str, int]:
        plain = urlsplit(os.environ["AMQP_URL"]).port
        assert plain is not None
        return {"5672/tcp": plain, "5671/tcp": int(os.environ["AMQPS_PORT"])}

    def _request(self, method: str, path: str, body: dict[str, Any] | None = None) -> dict[str, Any]:
        """Docker's `exec`: the command has ended when it is created."""
        if path.endswith("/exec"):
            assert body is not None
            _, *arguments = body["Cmd"]
            self._exit_code = self._ctl(*arguments)
        return {"Id": "0", "Running": False, "ExitCode": self._exit_code}

    def _ctl(self, *arguments: str) -> int:
        return subprocess.run([os.environ["RABBITMQ_RABBITMQCTL_PATH"], *arguments], check=False).returncode
