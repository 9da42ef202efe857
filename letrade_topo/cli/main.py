"""`letrade-topo`: its subcommands."""

from __future__ import annotations

import signal
import sys
import threading

import click

from letrade_topo.program import SETTINGS, Commands, Subcommands, run

COMMANDS: Subcommands = {
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


@click.group(cls=Commands, subcommands=COMMANDS, context_settings=SETTINGS)
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
    return run(letrade_topo, "letrade-topo", arguments)


def _interrupt(signal_number: int, frame: object) -> None:
    raise KeyboardInterrupt


if __name__ == "__main__":
    sys.exit(main())
