"""`letrade-topo broker`: a private RabbitMQ for demo and development.

What these commands do lies in `letrade_topo.node`, which is imported only when one of them runs.
"""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

import click

from letrade_topo.exit_codes import ExitCode, epilog
from letrade_topo.program import CommandGroup, print_document

if TYPE_CHECKING:
    from letrade_topo.node.private_broker import BrokerReport, PrivateBroker

_folder_option = click.option(
    "--folder",
    type=click.Path(file_okay=False, path_type=Path),
    default=Path(".letrade/broker"),
    envvar="LETRADE_TOPO_BROKER_FOLDER",
    show_default=True,
    show_envvar=True,
    help="Where the broker lives, with its data.",
)


_CODES = (ExitCode.INVALID_FILE, ExitCode.UNREACHABLE)
_CODES_OF_CTL = "\b\nExit codes: those of rabbitmqctl; 64 for wrong arguments, 130 for Ctrl-C."


@click.group(cls=CommandGroup, epilog=epilog(_CODES))
def broker() -> None:
    """Run a private RabbitMQ: loopback only, TLS only, throw-away.

    For demo, development and tests. It stays when the command ends, until `stop`.
    Commands in the same folder that nobody has told of another broker, by flag, variable or file, take this one.
    """


@broker.command(epilog=epilog(_CODES))
@_folder_option
@click.option(
    "--root",
    type=click.Path(file_okay=False, path_type=Path),
    envvar="LETRADE_TOPO_BROKER_ROOT",
    show_envvar=True,
    help="Run the RabbitMQ in this root folder (made by script/rabbitmq-root), not this machine's.",
)
@click.option(
    "--service",
    "services",
    multiple=True,
    metavar="NAME",
    help="Make a client certificate for this service. Repeatable; a later start adds more.",
)
@click.option(
    "--topology",
    type=click.Path(dir_okay=False, path_type=Path),
    metavar="FILE",
    help="Make a client certificate for every service of this topology file.",
)
def start(folder: Path, root: Path | None, services: tuple[str, ...], topology: Path | None) -> None:
    """Start the broker, unless it runs, and print where everything is.

    Data of an earlier start are kept. Certificates that are about to expire are renewed.
    """
    names = (*services, *(_users_of_services(topology) if topology else ()))
    report = _private_broker(folder).start(root=root, clients=names)
    click.echo(_as_text(report))


@broker.command(epilog=epilog())
@_folder_option
@click.option("--delete", is_flag=True, help="Delete its folder, with all data and certificates, as well.")
def stop(folder: Path, delete: bool) -> None:
    """Stop the broker; its data stay unless --delete is given."""
    private_broker = _private_broker(folder)
    stopped = private_broker.stop(delete=delete)
    if not stopped:
        click.echo(f"no broker was running in {private_broker.folder}", err=True)


@broker.command(epilog=epilog({ExitCode.OK: "it runs", ExitCode.FAILED: "it does not run"}))
@_folder_option
@click.option("--format", "output_format", type=click.Choice(["text", "json"]), default="text", show_default=True)
@click.pass_context
def status(context: click.Context, folder: Path, output_format: str) -> None:
    """Print how the broker is and where everything is; exit code 1 when it does not run."""
    report = _private_broker(folder).report()
    if output_format == "text":
        click.echo(_as_text(report))
    else:
        print_document(json.dumps(_as_document(report), indent=2))
    if report.status != "running":
        context.exit(1)


@broker.command(context_settings={"ignore_unknown_options": True}, epilog=_CODES_OF_CTL)
@_folder_option
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED)
@click.pass_context
def ctl(context: click.Context, folder: Path, arguments: tuple[str, ...]) -> None:
    """Run rabbitmqctl on the broker: `letrade-topo broker ctl -- list_queues name messages`."""
    argv, environment = _private_broker(folder).ctl_command(*arguments)
    context.exit(subprocess.run(argv, env=environment, check=False).returncode)


def _users_of_services(topology: Path) -> list[str]:
    """The broker logs a client in as the user that is its certificate's common name."""
    from letrade_topo.load.topology_file import load_topology

    return [service.user for service in load_topology(topology).topology.services.values()]


def _private_broker(folder: Path) -> PrivateBroker:
    from letrade_topo.node.private_broker import PrivateBroker

    return PrivateBroker(folder, lambda line: click.echo(line, err=True))


def _as_text(report: BrokerReport) -> str:
    rows: list[tuple[str, object]] = [("status", report.status.value), ("folder", report.folder)]
    if report.version:
        rows += [
            ("RabbitMQ", report.version + (f", pid {report.pid}" if report.pid else "")),
            ("started", report.started_at),
            ("management", report.management_url),
            ("AMQP", report.amqps_url),
            ("user", f"{report.username}, password in {report.password_file}"),
            ("authority", report.ca_file),
            *(("client", f"{name}: {credential.certificate}") for name, credential in report.clients),
            ("logs", report.log_folder),
            ("environment", f". {report.environment_file}"),
        ]
    return "\n".join(f"{name:<12} {value}" for name, value in rows if value is not None)


def _as_document(report: BrokerReport) -> dict[str, object]:
    def path(value: Path | None) -> str | None:
        return str(value) if value else None

    return {
        "format_version": 1,
        "status": report.status.value,
        "folder": str(report.folder),
        "version": report.version,
        "pid": report.pid,
        "started_at": report.started_at,
        "management": report.management_url,
        "amqps": report.amqps_url,
        "username": report.username,
        "password_file": path(report.password_file),
        "ca_file": path(report.ca_file),
        "environment_file": path(report.environment_file),
        "log_folder": path(report.log_folder),
        "client_certificates": {
            name: {"certificate": str(credential.certificate), "key": str(credential.key)}
            for name, credential in report.clients
        },
    }
