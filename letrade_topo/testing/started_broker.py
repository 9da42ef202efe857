"""A real RabbitMQ for tests that want one: private, on loopback, with TLS, as the topology says; gone with the tests.

The topology is applied by `letrade-topo apply` in a process of its own, as everywhere else.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from letrade_topo.node.certificates import Credential
from letrade_topo.node.errors import NodeError
from letrade_topo.node.installation import Installation
from letrade_topo.node.node import Lifetime, Node
from letrade_topo.node.settings import ADMINISTRATOR, Listener, NodeSettings

_APPLY_SECONDS = 300
_PREFIX = "LETRADE_TOPO_"
_OF_THE_TOPOLOGY = ("LETRADE_TOPO_OVERLAY", "LETRADE_TOPO_VAR_")
"""Of the tool's variables those that belong to the topology; the others may be of another broker."""


@dataclass(frozen=True, slots=True)
class StartedBroker:
    """A RabbitMQ that runs.

    Args:
        version: for example `4.0.5`.
        management_url, amqps_url: where it listens.
        password_file: of the administrator `username`.
        ca_file: the authority of its certificate.
    """

    version: str
    management_url: str
    amqps_url: str
    password_file: Path
    ca_file: Path
    node: Node
    username: str = ADMINISTRATOR

    @property
    def environment(self) -> Mapping[str, str]:
        """What `letrade-topo` and `letrade-agent` need to find it, as environment variables; no secret is in it."""
        return {
            "LETRADE_TOPO_MANAGEMENT": self.management_url,
            "LETRADE_TOPO_USERNAME": self.username,
            "LETRADE_TOPO_PASSWORD_FILE": str(self.password_file),
            "LETRADE_TOPO_AMQP": self.amqps_url,
            "LETRADE_TOPO_CA_FILE": str(self.ca_file),
            "LETRADE_AGENT_UPSTREAM": self.amqps_url,
        }

    def client(self, user: str) -> Credential:
        """Certificate and key with which the broker takes a client for this user."""
        return self.node.client_credential(user)

    def apply(self, topology: Path) -> None:
        """Make it as a topology file says; overlays and variables come from the environment, as everywhere.

        Raises:
            NodeError: it was refused; with what `letrade-topo apply` said.
        """
        given = {
            name: value
            for name, value in os.environ.items()
            if not name.startswith(_PREFIX) or name.startswith(_OF_THE_TOPOLOGY)
        }
        done = subprocess.run(
            [sys.executable, "-m", "letrade_topo", "apply", "--yes", str(topology)],
            env=given | dict(self.environment),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=_APPLY_SECONDS,
            check=False,
        )
        if done.returncode:
            raise NodeError(f"{topology} could not be applied to the broker of the tests", why=done.stderr.strip())


@contextmanager
def started_broker(folder: Path, installation: Installation) -> Iterator[StartedBroker]:
    """A broker while the block runs. It also ends with this program, however that ends.

    Args:
        folder: an empty one.
        installation: the RabbitMQ that runs.

    Raises:
        NodeError: it does not start.
    """
    node = Node(NodeSettings(folder.absolute(), installation), lifetime=Lifetime.CALLER)
    node.start()
    try:
        yield StartedBroker(
            installation.version,
            node.url(Listener.HTTPS),
            node.url(Listener.AMQPS),
            node.folder.password_file,
            node.certificates.ca_file,
            node,
        )
    finally:
        node.kill()
