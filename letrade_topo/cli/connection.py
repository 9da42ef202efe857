"""Which broker, and as whom: options of every command that talks to one.

Precedence: flag, environment, the `broker` section of the topology file, default; where none of them says anything, the
private broker of this folder. A password is never an
argument, because arguments are seen by everyone on the machine.
"""

from __future__ import annotations

import functools
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from letrade_topo.cli.private_access import running_broker
from letrade_topo.cli.terminal import say
from letrade_topo.secrets import MissingSecret, read_secret_file, resolve

if TYPE_CHECKING:  # imported when a command runs, not for `--help`
    from letrade_topo.broker.reach import Width
    from letrade_topo.management.client import ManagementClient
    from letrade_topo.management.endpoint import ManagementEndpoint
    from letrade_topo.management.transport import HttpRequest, Observer
    from letrade_topo.model.topology import BrokerAccess

DEFAULT_MANAGEMENT = "https://localhost:15671"
"""RabbitMQ's usual port for the management API over TLS."""

PASSWORD_VARIABLE = "LETRADE_TOPO_PASSWORD"  # noqa: S105  # the name of a variable
PASSWORD_FILE_VARIABLE = "LETRADE_TOPO_PASSWORD_FILE"  # noqa: S105  # likewise


class Usage(click.UsageError):
    """Options are missing or do not go together."""


@dataclass(frozen=True, slots=True)
class ConnectionOptions:
    """What the flags and their environment variables said; None where they said nothing."""

    management: str | None
    username: str | None
    password_file: Path | None
    ca_file: Path | None
    insecure_loopback: bool
    verbose: bool = False
    width: Width | None = None

    def connect(
        self,
        access: BrokerAccess | None,
        environment: Mapping[str, str] = os.environ,
        observe: Observer | None = None,
    ) -> ManagementClient:
        """A client for the broker that these options and the file's `broker` section name.

        Args:
            access: the file's `broker` section.
            environment: variables.
            observe: told of every HTTP request.

        Raises:
            InvalidEndpoint: the URL cannot be used, or is plain http where that is not allowed.
            MissingSecret: the password cannot be read.
        """
        from letrade_topo.management.client import ManagementClient

        observers = [one for one in (observe, say_request if self.verbose else None) if one is not None]

        def told(request: HttpRequest) -> None:
            for one in observers:
                one(request)

        return ManagementClient(self.endpoint(access, environment), observe=told, width=self.width)

    def endpoint(self, access: BrokerAccess | None, environment: Mapping[str, str] = os.environ) -> ManagementEndpoint:
        """Where that broker is, and as whom it is called; arguments and errors as of `connect`."""
        from letrade_topo.management.endpoint import ManagementEndpoint

        if self._says_nothing(access, environment) and (private := running_broker(environment)) is not None:
            found = replace(
                self,
                management=private.management_url,
                username=private.username,
                password_file=private.password_file,
                ca_file=private.ca_file,
            )
            return found.endpoint(access, environment)
        username = self.username or (access.username if access else None)
        if not username:
            raise Usage("no user name for the management API: give --username or set LETRADE_TOPO_USERNAME")
        ca_file = self.ca_file or (Path(access.ca_file) if access and access.ca_file else None)
        return ManagementEndpoint.parse(
            self.url(access),
            username=username,
            password=self._password(access, environment),
            ca_file=ca_file,
            insecure_loopback=self.insecure_loopback,
        )

    def _says_nothing(self, access: BrokerAccess | None, environment: Mapping[str, str]) -> bool:
        """Whether neither flag, environment nor file says which broker, or as whom."""
        named = (self.management, self.username, self.password_file, self.ca_file)
        in_file = access is not None and (access.management or access.username or access.password or access.ca_file)
        variables = environment.get(PASSWORD_VARIABLE) or environment.get(PASSWORD_FILE_VARIABLE)
        return not (any(named) or in_file or variables)

    def url(self, access: BrokerAccess | None) -> str:
        """The URL of the management API."""
        return self.management or (access.management if access else None) or DEFAULT_MANAGEMENT

    def _password(self, access: BrokerAccess | None, environment: Mapping[str, str]) -> str:
        if self.password_file is not None:
            return read_secret_file(self.password_file, "--password-file")
        if environment.get(PASSWORD_VARIABLE):
            return environment[PASSWORD_VARIABLE]
        if environment.get(PASSWORD_FILE_VARIABLE):
            return read_secret_file(Path(environment[PASSWORD_FILE_VARIABLE]), PASSWORD_FILE_VARIABLE)
        if access is not None and access.password is not None:
            return resolve([access.password], environment)[access.password]
        raise MissingSecret(
            "no password for the management API",
            fix=f"give --password-file, or set {PASSWORD_VARIABLE} or {PASSWORD_FILE_VARIABLE}",
        )


def say_request(request: HttpRequest) -> None:
    """One line on stderr for a call to the management API: method, path, status and time; bodies hold secrets."""
    status = "no answer" if request.status is None else str(request.status)
    say(f"{request.method} /api{request.path} → {status}, {request.seconds * 1000:.0f} ms")


def connection_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add the options; the command gets them as `connection`."""

    @click.option(
        "--management",
        metavar="URL",
        envvar="LETRADE_TOPO_MANAGEMENT",
        show_envvar=True,
        help=f"Management API, with its path prefix if it has one.  [default: {DEFAULT_MANAGEMENT}]",
    )
    @click.option(
        "--username",
        metavar="NAME",
        envvar="LETRADE_TOPO_USERNAME",
        show_envvar=True,
        help="User of the management API; what needs which tag: docs/reference/login-rights.md.",
    )
    @click.option(
        "--password-file",
        type=click.Path(path_type=Path),
        metavar="FILE",
        help="File that holds its password.  [env var: LETRADE_TOPO_PASSWORD_FILE, or the password itself "
        "in LETRADE_TOPO_PASSWORD]",
    )
    @click.option(
        "--ca-file",
        type=click.Path(path_type=Path),
        metavar="FILE",
        envvar="LETRADE_TOPO_CA_FILE",
        show_envvar=True,
        help="PEM file of the authorities to trust, instead of the system's.",
    )
    @click.option(
        "--insecure-loopback",
        is_flag=True,
        envvar="LETRADE_TOPO_INSECURE_LOOPBACK",
        show_envvar=True,
        help="Allow plain http to this machine.",
    )
    @click.option(
        "-v",
        "--verbose",
        is_flag=True,
        envvar="LETRADE_TOPO_VERBOSE",
        show_envvar=True,
        help="Say on stderr which calls the management API gets: method, path, status, time.",
    )
    @click.option(
        "--scope",
        type=click.Choice(["cluster", "vhost"]),
        envvar="LETRADE_TOPO_SCOPE",
        show_envvar=True,
        help="Look at all that is declared, or only at what lives in the vhost and says nothing of who may do what: "
        "exchanges, queues, bindings, policies, parameters.  [default: cluster for an administrator, vhost for others]",
    )
    @functools.wraps(command)
    def wrapper(
        *args: Any,
        management: str | None,
        username: str | None,
        password_file: Path | None,
        ca_file: Path | None,
        insecure_loopback: bool,
        verbose: bool,
        scope: str | None,
        **options: Any,
    ) -> Any:
        from letrade_topo.broker.reach import Width

        width = Width(scope) if scope else None
        connection = ConnectionOptions(management, username, password_file, ca_file, insecure_loopback, verbose, width)
        return command(*args, connection=connection, **options)

    return wrapper
