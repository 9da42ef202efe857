"""`letrade-agent`: its subcommands."""

from __future__ import annotations

import sys

import click

from letrade_topo.program import SETTINGS, Commands, Subcommands, run

COMMANDS: Subcommands = {
    "run": ("letrade_agent.cli.run:run", "Stand between one service and the broker."),
    "route": ("letrade_agent.cli.run:route", "Only route what a service rejected; for services without an agent."),
    "wait": ("letrade_agent.cli.probes:wait", "Wait until the agent takes clients."),
    "healthcheck": ("letrade_agent.cli.probes:healthcheck", "Whether the agent is alive, for containers."),
    "verify": ("letrade_agent.cli.verify:verify", "Check one message from a file, offline."),
}


@click.group(cls=Commands, subcommands=COMMANDS, context_settings=SETTINGS)
@click.version_option(package_name="letrade-topo", prog_name="letrade-agent")
def letrade_agent() -> None:
    """A sidecar for one service: plain AMQP on loopback becomes TLS, signed, bounded and verified."""


def main(arguments: list[str] | None = None) -> int:
    """Run, and say in one message what went wrong.

    Args:
        arguments: without the program's name; None takes the process's own.

    Returns:
        The exit code.
    """
    return run(letrade_agent, "letrade-agent", arguments)


if __name__ == "__main__":
    sys.exit(main())
