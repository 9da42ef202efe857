"""Where the broker's AMQP port is, and as whom to log in. Knows no socket.

TLS, or plain AMQP to this very machine and only when that was asked for; nothing else can be constructed.
"""

from __future__ import annotations

import ssl
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self
from urllib.parse import urlsplit

from letrade_topo.broker_errors import InvalidEndpoint
from letrade_topo.host_names import host_problem
from letrade_topo.loopback import is_loopback
from letrade_topo.model.security import TlsVersion
from letrade_topo.reading import CannotRead
from letrade_topo.tls_files import load_certificate, trusting

_EXAMPLE = "for example amqps://broker.example:5671"
_PORTS = {"amqps": 5671, "amqp": 5672}
_VERSIONS = {TlsVersion.TLS_1_2: ssl.TLSVersion.TLSv1_2, TlsVersion.TLS_1_3: ssl.TLSVersion.TLSv1_3}


@dataclass(frozen=True, slots=True)
class Login:
    """By password, by client certificate, or both.

    Args:
        username: None with a certificate alone: then the broker takes the name from it (SASL EXTERNAL).
        password: never shown.
        cert_file, key_file: a client certificate.
    """

    username: str | None = None
    password: str | None = field(default=None, repr=False)
    cert_file: Path | None = None
    key_file: Path | None = None


@dataclass(frozen=True, slots=True)
class AmqpEndpoint:
    """A broker's AMQP port and a login; make one with `parse`."""

    host: str
    port: int
    is_tls: bool
    vhost: str
    login: Login
    ca_file: Path | None = None
    minimum_version: TlsVersion = TlsVersion.TLS_1_2

    @classmethod
    def parse(
        cls,
        url: str,
        *,
        vhost: str,
        login: Login,
        ca_file: Path | None = None,
        insecure_loopback: bool = False,
        minimum_version: TlsVersion = TlsVersion.TLS_1_2,
    ) -> Self:
        """Check what a person typed.

        Raises:
            InvalidEndpoint: says which part cannot be used, and what to write instead.
        """
        shown = url.rsplit("@", 1)[-1]  # whatever stands before may be a password, however broken the URL is
        try:
            parts = urlsplit(url.strip())
            host, port = parts.hostname, parts.port
        except ValueError as error:
            raise InvalidEndpoint(f"the AMQP URL {shown!r} is not a URL", why=str(error), fix=_EXAMPLE) from None
        if "@" in parts.netloc:
            raise InvalidEndpoint(
                f"the AMQP URL of {host} holds a login",
                why="URLs end up in process lists, shell histories and logs",
                fix="give the login with --username and --password-file",
            )
        if parts.scheme not in _PORTS or not host:
            raise InvalidEndpoint(
                f"the AMQP URL {shown!r} is not an amqps URL", why="it must begin with amqps://", fix=_EXAMPLE
            )
        if problem := host_problem(host):
            raise InvalidEndpoint("the AMQP URL names no host", why=problem, fix=_EXAMPLE)
        if parts.path.strip("/") or parts.query or parts.fragment:
            raise InvalidEndpoint(
                f"the AMQP URL of {host} has more than host and port",
                why="the vhost comes from the topology file",
                fix="leave out what comes behind the port",
            )
        if parts.scheme == "amqp" and not (is_loopback(host) and insecure_loopback):
            raise InvalidEndpoint(
                f"plain AMQP to {host} is refused",
                why="the login and every message would travel in plain text",
                fix="use amqps://; to this machine alone, --insecure-loopback allows it",
            )
        return cls(host, port or _PORTS[parts.scheme], parts.scheme == "amqps", vhost, login, ca_file, minimum_version)

    @property
    def host_and_port(self) -> str:
        """As a person would write them."""
        return f"{f'[{self.host}]' if ':' in self.host else self.host}:{self.port}"

    def context(self) -> ssl.SSLContext | None:
        """The TLS context; None for plain AMQP.

        Raises:
            InvalidEndpoint: a certificate file cannot be used.
        """
        if not self.is_tls:
            return None
        try:
            context = ssl.create_default_context() if self.ca_file is None else trusting(self.ca_file)
        except (OSError, CannotRead) as error:
            raise _unusable(self.ca_file, error) from None
        context.minimum_version = _VERSIONS[self.minimum_version]
        if self.login.cert_file is not None:
            try:
                load_certificate(context, self.login.cert_file, self.login.key_file)
            except (OSError, ValueError, CannotRead) as error:
                raise _unusable(self.login.cert_file, error) from None
        return context


def _unusable(file: Path | None, error: Exception) -> InvalidEndpoint:
    if isinstance(error, CannotRead):
        return InvalidEndpoint(error.what, why=error.why, fix=error.fix)
    why = "it is not what it should be in PEM form" if isinstance(error, ssl.SSLError) else ""
    why = why or getattr(error, "strerror", None) or str(error)
    return InvalidEndpoint(f"the certificate file {file} cannot be used", why=why)
