"""Every setting of the agent, in one place; read from flags and environment by the command line."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path


class LogFormat(StrEnum):
    """How log lines look."""

    JSON = "json"
    TEXT = "text"


class Undeclared(StrEnum):
    """What becomes of a destination that the topology does not know."""

    REFUSE = "refuse"
    PASS = "pass"  # noqa: S105  # no password


class DeclareMode(StrEnum):
    """What becomes of the client's declares, binds and deletes of what the topology owns (A4)."""

    ABSORB = "absorb"
    ALLOW = "allow"
    REFUSE = "refuse"


@dataclass(frozen=True, slots=True)
class Address:
    """A host and a port."""

    host: str
    port: int

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{host}:{self.port}"


@dataclass(frozen=True, slots=True)
class UpstreamNode:
    """A broker node.

    Args:
        address: where its AMQP listener is.
        tls: whether it is a TLS listener (`amqps`); plain text only to loopback, and only when told so.
    """

    address: Address
    tls: bool = True


@dataclass(frozen=True, slots=True)
class Settings:
    """How the agent runs.

    Args:
        service: the service beside which it runs, as named in the topology.
        topology: the topology file.
        upstream: broker nodes, tried in random order.
        listen: where clients connect; loopback.
        admin: where metrics and health are.
        keys: key folder; None: the topology signs nothing.
        ca_file: certificate authorities of the broker; None: the system's.
        cert_file, key_file: client certificate, for EXTERNAL.
        username: broker user, by default the topology's for the service.
        password: broker password, for PLAIN; never printed.
        local_password: what clients must log in with; None: anything.
        log_format: how log lines look.
        drain_timeout_seconds: how long clients may go on after SIGTERM.
        undeclared: what becomes of destinations that the topology does not know.
        declares: what becomes of the client's declares.
        insecure_loopback: plain-text upstream to loopback is allowed.
    """

    service: str
    topology: Path
    upstream: tuple[UpstreamNode, ...]
    listen: Address = Address("127.0.0.1", 5672)
    admin: Address = Address("127.0.0.1", 9464)
    keys: Path | None = None
    ca_file: Path | None = None
    cert_file: Path | None = None
    key_file: Path | None = None
    username: str | None = None
    password: str | None = field(default=None, repr=False)
    local_password: str | None = field(default=None, repr=False)
    log_format: LogFormat = LogFormat.JSON
    drain_timeout_seconds: float = 25.0
    undeclared: Undeclared = Undeclared.REFUSE
    declares: DeclareMode = DeclareMode.ABSORB
    insecure_loopback: bool = False
