"""`letrade-topo`: its subcommands."""

from __future__ import annotations

import signal
import sys
import threading

import click

from letrade_topo.cli import failures
from letrade_topo.exit_codes import ExitCode, epilog
from letrade_topo.program import SETTINGS, Commands, Subcommands, run

COMMANDS: Subcommands = {
    "init": ("letrade_topo.cli.init:init", "Write a topology to begin with, and what it takes to try it."),
    "validate": ("letrade_topo.cli.validate:validate", "Check a topology file, without a broker."),
    "schema": ("letrade_topo.cli.schema:schema", "Print the JSON Schema of the topology file, for editors."),
    "plan": ("letrade_topo.cli.plan:plan", "Show what would change on the broker."),
    "apply": ("letrade_topo.cli.apply:apply", "Make the broker match the topology file."),
    "drift": ("letrade_topo.cli.drift:drift", "Fail when the broker differs from the topology file."),
    "route": ("letrade_topo.cli.route:route", "Show which queues a message reaches, and what becomes of it."),
    "graph": ("letrade_topo.cli.graph:graph", "Draw the topology: a page, a picture, Mermaid, DOT, JSON."),
    "export": ("letrade_topo.cli.export:export", "Write the topology of a broker that has one already."),
    "rehearse": ("letrade_topo.cli.rehearse:rehearse", "Say what mode `enforce` would refuse."),
    "watch": ("letrade_topo.cli.watch:watch", "Compare or repair again and again: the controller."),
    "doctor": ("letrade_topo.cli.doctor:doctor", "Tell why something does not work, and what to do."),
    "destroy": ("letrade_topo.cli.destroy:destroy", "Delete everything that this tool made."),
    "dlq": ("letrade_topo.cli.dlq:dlq", "Look at dead letters, send them back, delete them."),
    "keys": ("letrade_topo.cli.keys:keys", "Make, rotate and show the keys of message tokens."),
    "k8s": ("letrade_topo.cli.k8s:k8s", "Put the agent into Kubernetes manifests, without Helm."),
    "broker": ("letrade_topo.cli.broker:broker", "Run a throw-away RabbitMQ node for development."),
    "completion": ("letrade_topo.cli.completion:completion", "Make bash, zsh or fish complete this program."),
}


@click.group(cls=Commands, subcommands=COMMANDS, context_settings=SETTINGS, epilog=epilog(ExitCode))
@click.version_option(package_name="letrade-topo", prog_name="letrade-topo")
def letrade_topo() -> None:
    """Topology as code for RabbitMQ: one YAML file to a real broker, and drift back out.

    \b
    Begin with
      letrade-topo init my-bus    a topology, its keys, and what it takes to try it
      letrade-topo plan           what it would change on the broker
      letrade-topo apply          make it so
    """


def main(arguments: list[str] | None = None) -> int:
    """Run, and say in one message what went wrong.

    Args:
        arguments: without the program's name; None takes the process's own.

    Returns:
        The exit code.
    """
    if threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGTERM, _interrupt)  # a cancelled pipeline frees the lock as Ctrl-C does
    return run(letrade_topo, "letrade-topo", arguments, failures.document)


def _interrupt(signal_number: int, frame: object) -> None:
    raise KeyboardInterrupt


if __name__ == "__main__":
    sys.exit(main())
