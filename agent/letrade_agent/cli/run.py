"""`letrade-agent run` and `route`: from flags and environment to settings, then the agent itself."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import click

from letrade_agent.cli.options import (
    PREFIX,
    admin_option,
    allowed_host_option,
    broker_options,
    keys_option,
    listening,
    log_format_option,
    option,
    seconds,
    secret,
    service_option,
    topology_option,
)
from letrade_agent.cli.otel_variables import trace_settings
from letrade_agent.config import (
    DeclareMode,
    InvalidSetting,
    Listening,
    RetryMode,
    Settings,
    SocketPath,
    Undeclared,
    check,
    parse_upstream,
)
from letrade_agent.limits import DEFAULT_LIMITS
from letrade_topo.exit_codes import ExitCode, epilog
from letrade_topo.load.environment import topology_variables
from letrade_topo.log import LogFormat

OVERLAY_VARIABLE = "LETRADE_TOPO_OVERLAY"
"""As for `letrade-topo`: files that change the topology, with `:` between."""


@click.command(epilog=epilog((ExitCode.INVALID_FILE, ExitCode.UNREACHABLE)))
@service_option
@topology_option
@option(
    "--listen",
    metavar="HOST:PORT|unix:/PATH",
    default="127.0.0.1:5672",
    show_default=True,
    callback=listening,
    help="Where clients connect, in plain AMQP: loopback, or a Unix socket that the agent's own user alone may use.",
)
@option(
    "--listen-group",
    metavar="GROUP",
    help="Whose processes may use the Unix socket, too: the name or number of a group.",
)
@admin_option
@allowed_host_option
@keys_option
@broker_options
@click.option(
    "--local-password-file",
    metavar="FILE",
    help="File that holds what clients must give as password; without one, any login is taken.  [env var: "
    f"{PREFIX}LOCAL_PASSWORD_FILE, or the password itself in {PREFIX}LOCAL_PASSWORD]",
)
@option(
    "--max-connections",
    metavar="NUMBER",
    type=click.IntRange(min=1),
    default=DEFAULT_LIMITS.connections,
    show_default=True,
    help="Of clients at once; who comes beyond that is refused with 530, as by a broker's connection_max.",
)
@option(
    "--undeclared",
    type=click.Choice([mode.value for mode in Undeclared]),
    default=Undeclared.REFUSE.value,
    show_default=True,
    help="What becomes of messages to and from what the topology does not know; `pass`: unsigned and unverified.",
)
@option(
    "--declares",
    type=click.Choice([mode.value for mode in DeclareMode]),
    default=DeclareMode.ABSORB.value,
    show_default=True,
    help="What becomes of the client's declares of what the topology owns; `absorb`: they are answered as if done.",
)
@option(
    "--retry",
    type=click.Choice([mode.value for mode in RetryMode]),
    default=RetryMode.ON.value,
    show_default=True,
    help="Whether it puts what the service rejected on its way back; `off` where `letrade-agent route` does.",
)
@option(
    "--drain-timeout",
    metavar="DURATION",
    default="25s",
    show_default=True,
    callback=seconds,
    help="After SIGTERM, how long clients may go on; less than the pod's grace period.",
)
@option(
    "--queue-wait",
    metavar="DURATION",
    default="10m",
    show_default=True,
    callback=seconds,
    help="How long consumers wait for their queue while it is being migrated, before they are cancelled.",
)
@log_format_option
def run(**given: Any) -> int:
    """Stand between one service and the broker, until SIGTERM.

    Clients connect to --listen with any AMQP 0-9-1 library, unchanged. What they publish is checked against the
    topology, signed, and goes to the broker over TLS; what they consume has been verified before. What they reject
    comes back after the delays of its queue, and lies among the dead letters in the end. The topology file and the
    keys are read again when they change.

    Variables of the topology are set by LETRADE_TOPO_VAR_NAME, as for letrade-topo. With OTEL_EXPORTER_OTLP_ENDPOINT
    set to the URL of a collector, messages are traced; the standard variables of OpenTelemetry say how.
    """
    settings = read_settings(given, dict(os.environ))
    from letrade_agent.app import run_agent

    return run_agent(settings)


@click.command(epilog=epilog((ExitCode.INVALID_FILE, ExitCode.UNREACHABLE)))
@service_option
@topology_option
@admin_option
@allowed_host_option
@keys_option
@broker_options
@log_format_option
def route(**given: Any) -> int:
    """Only put what a service rejected on its way back, until SIGTERM: for a service without an agent beside it.

    Takes the messages of each `<queue>.rejected` of the service to the delay queue of their attempt, and after the
    last one to the dead letters. Several may run at once.

    Variables of the topology are set by LETRADE_TOPO_VAR_NAME, as for letrade-topo.
    """
    settings = read_settings(given, dict(os.environ))
    from letrade_agent.app import run_agent

    return run_agent(settings)


def _listening(listen: Listening | None, group: str | None) -> Listening | None:
    """Where clients connect, with the group that may."""
    if not group:
        return listen
    if not isinstance(listen, SocketPath):
        raise InvalidSetting(
            "--listen-group without a Unix socket",
            why="who speaks over loopback cannot be known",
            fix="give --listen unix:/PATH, or leave the group out",
        )
    return replace(listen, group=group)


def read_settings(given: dict[str, Any], environment: dict[str, str]) -> Settings:
    """The settings of options and environment.

    Args:
        given: options by name, the environment variables of flags among them.
        environment: for secrets and the topology's variables.

    Raises:
        InvalidSetting: one is missing, wrong, or does not go with another.
        MissingSecret: a file with a password cannot be read.
    """
    if not given["service"]:
        raise InvalidSetting(
            "no service", why="the agent signs for exactly one", fix=f"give --service NAME or set {PREFIX}SERVICE"
        )
    listen = _listening(given.get("listen"), given.get("listen_group"))
    overlays = tuple(Path(name) for name in environment.get(OVERLAY_VARIABLE, "").split(os.pathsep) if name)
    return check(
        Settings(
            service=given["service"],
            topology=given["topology"],
            upstream=parse_upstream(given["upstream"]),
            listen=listen,
            admin=given["admin"],
            allowed_hosts=tuple(given.get("allowed_host", ())),
            keys=given["keys"],
            ca_file=given["ca_file"],
            cert_file=given["cert_file"],
            key_file=given["key_file"],
            username=given["username"] or None,
            password=secret(given["password_file"], "--password-file", environment),
            local_password=secret(given["local_password_file"], "--local-password-file", environment)
            if listen is not None
            else None,
            log_format=LogFormat(given["log_format"]),
            drain_timeout_seconds=given.get("drain_timeout", 0.0),
            max_connections=given.get("max_connections", DEFAULT_LIMITS.connections),
            queue_wait_seconds=given.get("queue_wait", DEFAULT_LIMITS.away.wait_seconds),
            undeclared=Undeclared(given.get("undeclared", Undeclared.REFUSE)),
            declares=DeclareMode(given.get("declares", DeclareMode.ABSORB)),
            retry=RetryMode(given.get("retry", RetryMode.ON)),
            insecure_loopback=given["insecure_loopback"],
            overlays=overlays,
            variables=topology_variables(environment),
            traces=trace_settings(environment, given["service"]),
        )
    )
