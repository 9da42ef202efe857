"""Which broker by AMQP, and as whom: options of the commands that work on queues.

Precedence and secrets as in `letrade_topo.cli.connection`: flag, environment, the topology file, default.
"""

from __future__ import annotations

import functools
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from letrade_topo.cli.connection import PASSWORD_FILE_VARIABLE, PASSWORD_VARIABLE, Usage
from letrade_topo.cli.private_access import running_broker
from letrade_topo.secrets import MissingSecret, read_secret_file, resolve

if TYPE_CHECKING:
    from letrade_topo.model.topology import BrokerAccess, Topology
    from letrade_topo.queues.endpoint import AmqpEndpoint

DEFAULT_AMQP = "amqps://localhost:5671"
"""RabbitMQ's usual port for AMQP over TLS."""


@dataclass(frozen=True, slots=True)
class AmqpOptions:
    """What the flags and their environment variables said; None where they said nothing."""

    amqp: str | None
    username: str | None
    password_file: Path | None
    ca_file: Path | None
    cert_file: Path | None
    key_file: Path | None
    insecure_loopback: bool

    def endpoint(self, topology: Topology, environment: Mapping[str, str] = os.environ) -> AmqpEndpoint:
        """The broker that these options and the file's `broker` section name, and the file's vhost.

        Raises:
            InvalidEndpoint: the URL cannot be used, or is plain AMQP where that is not allowed.
            MissingSecret: the password cannot be read.
        """
        from letrade_topo.queues.endpoint import AmqpEndpoint, Login

        if (self.cert_file is None) != (self.key_file is None):
            raise Usage("--cert-file and --key-file go together")
        access = topology.broker
        if self._says_nothing(access, environment) and (private := running_broker(environment)) is not None:
            found = replace(
                self,
                amqp=private.amqps_url,
                username=private.username,
                password_file=private.password_file,
                ca_file=private.ca_file,
            )
            return found.endpoint(topology, environment)
        username = self.username or (None if self.cert_file else access.username)
        if username is None and self.cert_file is None:
            raise Usage("no user name for the broker: give --username or set LETRADE_TOPO_USERNAME")
        ca_file = self.ca_file or (Path(access.ca_file) if access.ca_file else None)
        return AmqpEndpoint.parse(
            self.amqp or DEFAULT_AMQP,
            vhost=topology.vhost,
            login=Login(
                username, self._password(topology, environment) if username else None, self.cert_file, self.key_file
            ),
            ca_file=ca_file,
            insecure_loopback=self.insecure_loopback,
            minimum_version=topology.security.tls.minimum_version,
        )

    def _says_nothing(self, access: BrokerAccess, environment: Mapping[str, str]) -> bool:
        """Whether neither flag, environment nor file says which broker, or as whom."""
        named = (self.amqp, self.username, self.password_file, self.ca_file, self.cert_file)
        variables = environment.get(PASSWORD_VARIABLE) or environment.get(PASSWORD_FILE_VARIABLE)
        return not (any(named) or access.username or access.password or access.ca_file or variables)

    def _password(self, topology: Topology, environment: Mapping[str, str]) -> str:
        if self.password_file is not None:
            return read_secret_file(self.password_file, "--password-file")
        if environment.get(PASSWORD_VARIABLE):
            return environment[PASSWORD_VARIABLE]
        if environment.get(PASSWORD_FILE_VARIABLE):
            return read_secret_file(Path(environment[PASSWORD_FILE_VARIABLE]), PASSWORD_FILE_VARIABLE)
        password = topology.broker.password
        if password is not None:
            return resolve([password], environment)[password]
        raise MissingSecret(
            "no password for the broker",
            fix=f"give --password-file, or set {PASSWORD_VARIABLE} or {PASSWORD_FILE_VARIABLE}",
        )


def amqp_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add the options; the command gets them as `connection`."""
    file = click.Path(path_type=Path)

    @click.option(
        "--amqp",
        metavar="URL",
        envvar="LETRADE_TOPO_AMQP",
        show_envvar=True,
        help=f"AMQP port of the broker; the vhost is the topology's.  [default: {DEFAULT_AMQP}]",
    )
    @click.option(
        "--username",
        metavar="NAME",
        envvar="LETRADE_TOPO_USERNAME",
        show_envvar=True,
        help="User of the broker; without one, a client certificate names it.",
    )
    @click.option(
        "--password-file",
        type=file,
        metavar="FILE",
        help="File that holds its password.  [env var: LETRADE_TOPO_PASSWORD_FILE, or the password itself "
        "in LETRADE_TOPO_PASSWORD]",
    )
    @click.option(
        "--ca-file",
        type=file,
        metavar="FILE",
        envvar="LETRADE_TOPO_CA_FILE",
        show_envvar=True,
        help="PEM file of the authorities to trust, instead of the system's.",
    )
    @click.option(
        "--cert-file",
        type=file,
        metavar="FILE",
        envvar="LETRADE_TOPO_CERT_FILE",
        show_envvar=True,
        help="Client certificate (PEM).",
    )
    @click.option(
        "--key-file", type=file, metavar="FILE", envvar="LETRADE_TOPO_KEY_FILE", show_envvar=True, help="Its key (PEM)."
    )
    @click.option(
        "--insecure-loopback",
        is_flag=True,
        envvar="LETRADE_TOPO_INSECURE_LOOPBACK",
        show_envvar=True,
        help="Allow plain amqp to this machine.",
    )
    @functools.wraps(command)
    def wrapper(
        *args: Any,
        amqp: str | None,
        username: str | None,
        password_file: Path | None,
        ca_file: Path | None,
        cert_file: Path | None,
        key_file: Path | None,
        insecure_loopback: bool,
        **options: Any,
    ) -> Any:
        connection = AmqpOptions(amqp, username, password_file, ca_file, cert_file, key_file, insecure_loopback)
        return command(*args, connection=connection, **options)

    return wrapper
