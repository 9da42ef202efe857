"""Every setting of the agent, in one place: what values they have and which go together.

Read from flags and environment by the command line; nothing here touches a file or a socket.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from ipaddress import ip_address
from pathlib import Path
from typing import Final, Self, TypeAlias
from urllib.parse import SplitResult, urlsplit

from letrade_agent.limits import DEFAULT_LIMITS
from letrade_topo.errors import TopoError
from letrade_topo.log import LogFormat

DEFAULT_PORTS = {"amqps": 5671, "amqp": 5672}
_LARGEST_PORT = 65_535


class InvalidSetting(TopoError):
    """A setting cannot be used, or two of them not together."""


class Undeclared(StrEnum):
    """What becomes of a destination that the topology does not know."""

    REFUSE = "refuse"
    PASS = "pass"  # noqa: S105  # no password


class DeclareMode(StrEnum):
    """What becomes of the client's declares, binds and deletes of what the topology owns (A4)."""

    ABSORB = "absorb"
    ALLOW = "allow"
    REFUSE = "refuse"


class RetryMode(StrEnum):
    """Whether this agent routes what its service's queues gave up."""

    ON = "on"
    OFF = "off"


@dataclass(frozen=True, slots=True)
class Address:
    """A host and a port; port 0 lets the system choose one that is free."""

    host: str
    port: int

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{host}:{self.port}"

    @classmethod
    def parse(cls, text: str, setting: str) -> Self:
        """Read `HOST:PORT`, for example `127.0.0.1:5672` or `[::1]:5672`.

        Args:
            text: what was written.
            setting: the flag that it is for; named in the error.

        Raises:
            InvalidSetting: it is not an address.
        """
        host, separator, port = text.strip().rpartition(":")
        bare = host.removeprefix("[").removesuffix("]")
        bracketed = host != bare
        if not separator or not bare or (":" in bare) != bracketed or not _is_port(port):
            raise InvalidSetting(
                f"{setting} {text!r} is not an address",
                fix="write HOST:PORT, for example 127.0.0.1:5672 or [::1]:5672",
            )
        return cls(bare, int(port))

    @property
    def is_loopback(self) -> bool:
        """Whether only this machine can be meant; a name is not looked up."""
        try:
            return ip_address(self.host).is_loopback
        except ValueError:
            return self.host.lower() == "localhost"


UNIX: Final = "unix:"
_LONGEST_SOCKET_PATH_BYTES = 99
"""Of the 107 that sockaddr_un has room for; the rest is for the name under which a socket is made."""


@dataclass(frozen=True, slots=True)
class SocketPath:
    """A Unix socket for clients.

    Args:
        path: absolute.
        group: whose processes may speak besides the agent's own user, by name or number; None: nobody else.
    """

    path: Path
    group: str | None = None

    def __str__(self) -> str:
        return f"{UNIX}{self.path}"

    @classmethod
    def parse(cls, text: str, setting: str) -> Self:
        """Read `unix:/PATH`.

        Args:
            text: what was written.
            setting: the flag that it is for; named in the error.

        Raises:
            InvalidSetting: it is no absolute path, or too long for a socket.
        """
        name = text.strip().removeprefix(UNIX)
        if not name.startswith("/") or "\0" in name:
            raise InvalidSetting(
                f"{setting} {text!r} names no absolute path",
                fix="write unix:/PATH, for example unix:/run/letrade/amqp.sock",
            )
        if len(name.encode()) > _LONGEST_SOCKET_PATH_BYTES:
            raise InvalidSetting(
                f"{setting} names a path of {len(name.encode())} bytes",
                why=f"there is room for {_LONGEST_SOCKET_PATH_BYTES}",
                fix="choose a shorter one",
            )
        return cls(Path(name))


Listening: TypeAlias = Address | SocketPath
"""Where clients connect."""


def parse_listening(text: str, setting: str) -> Listening:
    """Read `HOST:PORT` or `unix:/PATH`.

    Raises:
        InvalidSetting: it is neither.
    """
    if text.strip().startswith(UNIX):
        return SocketPath.parse(text, setting)
    return Address.parse(text, setting)


@dataclass(frozen=True, slots=True)
class UpstreamNode:
    """A broker node.

    Args:
        address: where its AMQP listener is.
        tls: whether it is a TLS listener (`amqps`); plain text only to loopback, and only when told so.
    """

    address: Address
    tls: bool = True

    def __str__(self) -> str:
        return f"{'amqps' if self.tls else 'amqp'}://{self.address}"

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read `amqps://HOST:PORT` or, for loopback only, `amqp://HOST:PORT`.

        Raises:
            InvalidSetting: it is not such a URL; the text is not repeated when there may be a password in it.
        """
        url = text.strip()
        if "@" in url:
            raise InvalidSetting(
                "--upstream holds a user name or a password",
                why="arguments are seen by everybody on this machine",
                fix="write amqps://HOST:PORT there, and give --username and --password-file, or a client certificate",
            )
        parts, port = _split(url)
        if parts is None or parts.scheme not in DEFAULT_PORTS or not parts.hostname:
            raise InvalidSetting(
                f"--upstream {text!r} is not the URL of a broker",
                fix="write amqps://HOST:PORT, several of them with commas between",
            )
        if parts.path not in ("", "/") or parts.query or parts.fragment:
            raise InvalidSetting(
                f"--upstream {text!r} has more than a host and a port",
                why="the virtual host is the topology's, and everything else has a flag",
                fix=f"write {parts.scheme}://{parts.netloc}",
            )
        return cls(Address(parts.hostname, port or DEFAULT_PORTS[parts.scheme]), parts.scheme == "amqps")


class SamplerKind(StrEnum):
    """Which traces are recorded."""

    ON = "always_on"
    OFF = "always_off"
    RATIO = "traceidratio"


@dataclass(frozen=True, slots=True)
class TraceSettings:
    """Where spans of messages go, by the standard variables of OpenTelemetry (`OTEL_…`).

    Args:
        endpoint: the URL that spans are sent to, by OTLP over HTTP.
        headers: of these requests; secrets are among them.
        resource: attributes of the agent itself, with `service.name`.
        sampler: which traces are recorded.
        ratio: of traces, for `SamplerKind.RATIO`.
        follows_parent: where a publisher says itself whether its trace is recorded, that holds.
        gzip: requests are compressed.
        timeout_seconds: of one request.
        ca_file: certificate authorities of the collector; None: the system's.
        cert_file, key_file: client certificate.
    """

    endpoint: str
    headers: tuple[tuple[str, str], ...] = field(default=(), repr=False)
    resource: tuple[tuple[str, str], ...] = ()
    sampler: SamplerKind = SamplerKind.ON
    ratio: float = 1.0
    follows_parent: bool = True
    gzip: bool = False
    timeout_seconds: float = 10.0
    ca_file: Path | None = None
    cert_file: Path | None = None
    key_file: Path | None = None


@dataclass(frozen=True, slots=True)
class Settings:
    """How the agent runs.

    Args:
        service: the service beside which it runs, as named in the topology.
        topology: the topology file.
        upstream: broker nodes, tried in random order.
        listen: where clients connect; loopback or a Unix socket. None: nowhere, it only routes rejected messages.
        admin: where metrics and health are.
        allowed_hosts: further names under which that port may be asked.
        keys: key folder; None: the topology signs nothing.
        ca_file: certificate authorities of the broker; None: the system's.
        cert_file, key_file: client certificate, for EXTERNAL.
        username: broker user, by default the topology's for the service.
        password: broker password, for PLAIN; never printed.
        local_password: what clients must log in with; None: anything.
        log_format: how log lines look.
        drain_timeout_seconds: how long clients may go on after SIGTERM.
        max_connections: of clients at once.
        queue_wait_seconds: how long consumers wait for a queue that is being migrated.
        undeclared: what becomes of destinations that the topology does not know.
        declares: what becomes of the client's declares.
        retry: whether it routes rejected messages.
        insecure_loopback: plain-text upstream to loopback is allowed.
        overlays: files that change the topology, in this order.
        variables: values for variables that the topology declares, by name.
        traces: where spans of messages go; None: nothing is traced.
    """

    service: str
    topology: Path
    upstream: tuple[UpstreamNode, ...]
    listen: Listening | None = Address("127.0.0.1", 5672)
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
    retry: RetryMode = RetryMode.ON
    insecure_loopback: bool = False
    overlays: tuple[Path, ...] = ()
    variables: Mapping[str, str] = field(default_factory=dict, hash=False)
    allowed_hosts: tuple[str, ...] = ()
    max_connections: int = DEFAULT_LIMITS.connections
    queue_wait_seconds: float = DEFAULT_LIMITS.away.wait_seconds
    traces: TraceSettings | None = None


def parse_upstream(text: str) -> tuple[UpstreamNode, ...]:
    """Read `amqps://HOST:PORT[,…]`.

    Raises:
        InvalidSetting: one of them is not the URL of a broker.
    """
    nodes = tuple(dict.fromkeys(UpstreamNode.parse(url) for url in text.split(",") if url.strip()))
    if not nodes:
        raise InvalidSetting("--upstream names no broker", fix="write amqps://HOST:PORT")
    return nodes


def check(settings: Settings) -> Settings:
    """The same settings, if they can be used together.

    Raises:
        InvalidSetting: the first thing that is wrong.
    """
    if isinstance(settings.listen, Address) and not settings.listen.is_loopback:
        raise InvalidSetting(
            f"--listen {settings.listen} is not on loopback",
            why="whoever reaches this port speaks with the signature of the service",
            fix="listen on 127.0.0.1 or [::1]; other containers of one pod share it",
        )
    for node in settings.upstream:
        _check_upstream(node, insecure_loopback=settings.insecure_loopback)
    if (settings.cert_file is None) != (settings.key_file is None):
        given, missing = ("--cert-file", "--key-file") if settings.key_file is None else ("--key-file", "--cert-file")
        raise InvalidSetting(
            f"{given} without {missing}", fix="a client certificate takes both: the certificate and its private key"
        )
    return settings


def _check_upstream(node: UpstreamNode, *, insecure_loopback: bool) -> None:
    if node.tls:
        return
    if not node.address.is_loopback:
        raise InvalidSetting(
            f"--upstream {node} is plain text over the network", fix=f"use TLS: amqps://{node.address.host}:5671"
        )
    if not insecure_loopback:
        raise InvalidSetting(
            f"--upstream {node} is plain text",
            fix="use amqps://, or give --insecure-loopback for a broker on this machine",
        )


def _split(url: str) -> tuple[SplitResult | None, int | None]:
    """The parts of a URL and its port; None for what is no URL."""
    try:
        parts = urlsplit(url)
        return parts, parts.port
    except ValueError:  # brackets that do not close, a port that is no number
        return None, None


def _is_port(text: str) -> bool:
    return text.isascii() and text.isdigit() and int(text) <= _LARGEST_PORT
