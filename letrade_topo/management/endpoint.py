"""Where the management API is, and as whom to ask it.

Knows no socket. The rule that keeps it safe: https, or plain http to this very machine and only
when that was asked for; nothing else can be constructed.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Self
from urllib.parse import SplitResult, urlsplit

from letrade_topo.broker_errors import InvalidEndpoint
from letrade_topo.host_names import host_problem
from letrade_topo.loopback import is_loopback

_EXAMPLE = "for example https://broker.example:15671"


@dataclass(frozen=True, slots=True)
class ManagementEndpoint:
    """A management API and a login; make one with `parse`.

    Args:
        url: scheme, host, port and path prefix, without `/api` and without a slash at the end.
        username: who asks.
        password: never shown.
        ca_file: PEM file of the authorities to trust instead of the usual ones.
        insecure_loopback: whether plain http to this machine was allowed.
    """

    url: str
    username: str
    password: str = field(repr=False)
    ca_file: Path | None = None
    insecure_loopback: bool = False

    def __post_init__(self) -> None:
        _check_url(self.url, insecure_loopback=self.insecure_loopback)
        _check_username(self.username)

    @classmethod
    def parse(
        cls,
        url: str,
        *,
        username: str,
        password: str,
        ca_file: Path | None = None,
        insecure_loopback: bool = False,
    ) -> Self:
        """Check what a person typed; a path stays as `management.path_prefix`, `/api` at its end goes.

        Raises:
            InvalidEndpoint: says which part cannot be used, and what to write instead.
        """
        parts = _check_url(url.strip(), insecure_loopback=insecure_loopback)
        prefix = parts.path.rstrip("/").removesuffix("/api").rstrip("/")
        return cls(f"{parts.scheme}://{parts.netloc}{prefix}", username, password, ca_file, insecure_loopback)

    @property
    def is_tls(self) -> bool:
        """Whether https is spoken."""
        return self.url.startswith("https:")

    @property
    def host_and_port(self) -> str:
        """Host and port as a person would write them, the port always named."""
        parts = urlsplit(self.url)
        host = parts.hostname or ""
        return f"{f'[{host}]' if ':' in host else host}:{parts.port or (443 if self.is_tls else 80)}"


def _check_url(url: str, *, insecure_loopback: bool) -> SplitResult:
    try:
        parts = urlsplit(url)
        host, _port = parts.hostname, parts.port
    except ValueError as error:
        raise InvalidEndpoint(
            f"the management URL {_shown(url)!r} is not a URL", why=str(error), fix=_EXAMPLE
        ) from None
    if "@" in parts.netloc:
        raise InvalidEndpoint(
            f"the management URL of {host} holds a login",
            why="URLs end up in process lists, shell histories and logs",
            fix="give the login with --username and --password-file",
        )
    if parts.scheme not in {"http", "https"} or not host:
        raise InvalidEndpoint(
            f"the management URL {_shown(url)!r} is not an https URL",
            why="it must begin with https:// and name a host",
            fix=_EXAMPLE,
        )
    if problem := host_problem(host):
        raise InvalidEndpoint("the management URL names no host", why=problem, fix=_EXAMPLE)
    if parts.query or parts.fragment:
        raise InvalidEndpoint(
            f"the management URL of {host} has a query or a fragment",
            why="only scheme, host, port and path prefix have a meaning here",
            fix="leave out what comes after '?' or '#'",
        )
    if parts.scheme == "http":
        _check_plain_http(host, insecure_loopback=insecure_loopback)
    return parts


def _check_plain_http(host: str, *, insecure_loopback: bool) -> None:
    if not is_loopback(host):
        raise InvalidEndpoint(
            f"plain http to {host} is refused",
            why="the login and every password hash would travel in plain text",
            fix="use https:// (the management plugin's TLS port is usually 15671)",
        )
    if not insecure_loopback:
        raise InvalidEndpoint(
            f"plain http to {host} is refused unless it is asked for",
            why="even on this machine it is an exception for development",
            fix="use https://, or give --insecure-loopback",
        )


def _check_username(username: str) -> None:
    if not username or ":" in username:
        raise InvalidEndpoint(
            f"the user name {username!r} cannot log in",
            why="HTTP Basic authentication needs a name, and ends it at the first ':' (RFC 7617)",
            fix="give another user with --username",
        )


def _shown(url: str) -> str:
    # Whatever stands before an '@' may be a password, however broken the URL is.
    return url.rsplit("@", 1)[-1]
