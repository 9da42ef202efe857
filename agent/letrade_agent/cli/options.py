"""Options of more than one command, and how settings are read: flag, then environment, then default.

Each flag has the environment variable LETRADE_AGENT_<FLAG>. Secrets come from files and from the environment, never
from an argument: everybody on the machine sees those.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar

import click

from letrade_agent.config import Address, Listening, parse_listening
from letrade_topo.completion import service_names
from letrade_topo.http_host import HELP
from letrade_topo.log import LogFormat
from letrade_topo.model.units import Duration, UnitError

PREFIX = "LETRADE_AGENT_"

Command = TypeVar("Command", bound=Callable[..., Any])


def option(flag: str, **attributes: Any) -> Callable[[Command], Command]:
    """A click option with its environment variable."""
    variable = PREFIX + flag.removeprefix("--").replace("-", "_").upper()
    return click.option(flag, envvar=variable, show_envvar=True, **attributes)


def address(context: click.Context, parameter: click.Parameter, text: str) -> Address:
    """Reads HOST:PORT."""
    return Address.parse(text, _flag(parameter))


def listening(context: click.Context, parameter: click.Parameter, text: str) -> Listening:
    """Reads HOST:PORT or unix:/PATH."""
    return parse_listening(text, _flag(parameter))


def seconds(context: click.Context, parameter: click.Parameter, text: str) -> float:
    """Reads a duration with a unit."""
    try:
        return Duration.parse(text).seconds
    except UnitError as error:
        raise click.BadParameter(str(error), context, parameter) from None


def path(context: click.Context, parameter: click.Parameter, text: str | None) -> Path | None:
    """Reads a path; an empty variable is one that is not set."""
    return Path(text) if text else None


def secret(file: str | None, flag: str, environment: Mapping[str, str]) -> str | None:
    """A secret, from the file of a flag, from LETRADE_AGENT_<NAME>, or from the file in LETRADE_AGENT_<FLAG>.

    Args:
        file: what the flag names, if it was given.
        flag: for example `--password-file`.
        environment: variables.

    Raises:
        MissingSecret: a file that is named cannot be read or is empty.
    """
    from letrade_topo.secrets import read_secret_file

    file_variable = PREFIX + flag.removeprefix("--").replace("-", "_").upper()
    if file:
        return read_secret_file(Path(file), flag)
    value = environment.get(file_variable.removesuffix("_FILE"))
    if value:
        return value
    if environment.get(file_variable):
        return read_secret_file(Path(environment[file_variable]), file_variable)
    return None


def _flag(parameter: click.Parameter) -> str:
    return parameter.opts[0]


service_option = option(
    "--service", metavar="NAME", shell_complete=service_names, help="The service, as the topology names it."
)
topology_option = option(
    "--topology", metavar="FILE", default="topology.yaml", show_default=True, callback=path, help="The topology file."
)
keys_option = option(
    "--keys",
    metavar="DIR",
    callback=path,
    help="Key folder, as `letrade-topo keys` makes it: public and own private keys.",
)
admin_option = option(
    "--admin",
    metavar="HOST:PORT",
    default="127.0.0.1:9464",
    show_default=True,
    callback=address,
    help="Where metrics, health and the status page are.",
)
allowed_host_option = option("--allowed-host", metavar="NAME", multiple=True, help=HELP)
log_format_option = option(
    "--log-format",
    type=click.Choice([form.value for form in LogFormat]),
    default=LogFormat.JSON.value,
    show_default=True,
    help="How log lines look, on stderr.",
)

_BROKER_OPTIONS = (
    option(
        "--upstream",
        metavar="amqps://HOST:PORT[,…]",
        default="amqps://localhost:5671",
        show_default=True,
        help="Broker nodes, tried in random order.",
    ),
    option(
        "--ca-file",
        metavar="FILE",
        callback=path,
        help="PEM file of the authorities to trust, instead of the system's.",
    ),
    option("--cert-file", metavar="FILE", callback=path, help="Client certificate, PEM; the login is EXTERNAL then."),
    option("--key-file", metavar="FILE", callback=path, help="Its private key."),
    option("--username", metavar="NAME", help="Broker user.  [default: the topology's for the service]"),
    click.option(
        "--password-file",
        metavar="FILE",
        help=f"File that holds its password.  [env var: {PREFIX}PASSWORD_FILE, or the password itself in "
        f"{PREFIX}PASSWORD; default: the topology's reference]",
    ),
    option("--insecure-loopback", is_flag=True, help="Allow amqp:// to a broker on this machine."),
)


def broker_options(command: Command) -> Command:
    """All options that say where the broker is and who logs in there."""
    for decorate in reversed(_BROKER_OPTIONS):
        command = decorate(command)
    return command
