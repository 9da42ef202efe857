"""`letrade-topo`: finds the subcommand, and turns every error into one message and an exit code.

Subcommands are imported when they are called, so that `--help` and shell completion stay quick.
"""

from __future__ import annotations

import importlib
import os
import signal
import sys
import threading
from collections.abc import Mapping

import click

from letrade_topo.errors import TopoError
from letrade_topo.exit_codes import ExitCode, exit_code_of

COMMANDS: Mapping[str, tuple[str, str]] = {
    "validate": ("letrade_topo.cli.validate:validate", "Check a topology file, without a broker."),
    "plan": ("letrade_topo.cli.plan:plan", "Show what would change on the broker."),
    "apply": ("letrade_topo.cli.apply:apply", "Make the broker match the topology file."),
    "drift": ("letrade_topo.cli.drift:drift", "Fail when the broker differs from the topology file."),
    "watch": ("letrade_topo.cli.watch:watch", "Compare or repair again and again: the controller."),
    "destroy": ("letrade_topo.cli.destroy:destroy", "Delete everything that this tool made."),
    "dlq": ("letrade_topo.cli.dlq:dlq", "Look at dead letters, send them back, delete them."),
    "keys": ("letrade_topo.cli.keys:keys", "Make, rotate and show the keys of message tokens."),
    "k8s": ("letrade_topo.cli.k8s:k8s", "Put the agent into Kubernetes manifests, without Helm."),
    "broker": ("letrade_topo.cli.broker:broker", "Run a throw-away RabbitMQ node for development."),
}


class Commands(click.Group):
    """A group that imports a subcommand only when it is used."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """All names, in the order in which people meet them."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import one subcommand."""
        if cmd_name not in COMMANDS:
            return None
        module, _, name = COMMANDS[cmd_name][0].partition(":")
        command = getattr(importlib.import_module(module), name)
        if not isinstance(command, click.Command):
            raise TypeError(f"{COMMANDS[cmd_name][0]} is not a command")
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """The list in `--help`, without importing anything."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, text) for name, (_, text) in COMMANDS.items()])


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(package_name="letrade-topo", prog_name="letrade-topo")
def letrade_topo() -> None:
    """Topology as code for RabbitMQ: one YAML file to a real broker, and drift back out."""


def main(arguments: list[str] | None = None) -> int:
    """Run, and say in one message what went wrong.

    Args:
        arguments: without the program's name; None takes the process's own.

    Returns:
        The exit code.
    """
    if threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGTERM, _interrupt)  # a cancelled pipeline frees the lock as Ctrl-C does
    try:
        code = letrade_topo.main(args=arguments, prog_name="letrade-topo", standalone_mode=False)
    except click.exceptions.NoArgsIsHelpError as error:
        click.echo(error.format_message(), err=True)
        return ExitCode.USAGE
    except click.ClickException as error:
        error.show()
        return ExitCode.USAGE
    except click.exceptions.Exit as error:
        return error.exit_code
    except (click.exceptions.Abort, KeyboardInterrupt):
        click.echo("interrupted", err=True)
        return ExitCode.INTERRUPTED
    except BrokenPipeError:
        # the reader of our output has gone (`| head`); Python would complain once more at exit
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return ExitCode.FAILED
    except TopoError as error:
        click.echo(f"error: {error}", err=True)
        return exit_code_of(error)
    return code if isinstance(code, int) else ExitCode.OK


def _interrupt(signal_number: int, frame: object) -> None:
    raise KeyboardInterrupt


if __name__ == "__main__":
    sys.exit(main())
