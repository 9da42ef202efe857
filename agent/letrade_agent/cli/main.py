"""`letrade-agent`: its subcommands."""

from __future__ import annotations

import sys

import click

from letrade_topo.exit_codes import ExitCode, epilog
from letrade_topo.program import SETTINGS, Commands, Subcommands, run

COMMANDS: Subcommands = {
    "run": ("letrade_agent.cli.run:run", "Stand between one service and the broker."),
    "route": ("letrade_agent.cli.run:route", "Only route what a service rejected; for services without an agent."),
    "wait": ("letrade_agent.cli.probes:wait", "Wait until the agent takes clients."),
    "healthcheck": ("letrade_agent.cli.probes:healthcheck", "Whether the agent is alive, for containers."),
    "verify": ("letrade_agent.cli.verify:verify", "Check one message from a file, offline."),
    "completion": ("letrade_agent.cli.completion:completion", "Make bash, zsh or fish complete this program."),
}

_CODES = (ExitCode.INVALID_FILE, ExitCode.UNREACHABLE)


@click.group(cls=Commands, subcommands=COMMANDS, context_settings=SETTINGS, epilog=epilog(_CODES))
@click.version_option(package_name="letrade-topo", prog_name="letrade-agent")
def letrade_agent() -> None:
    """A sidecar for one service: plain AMQP on loopback becomes TLS, signed, bounded and verified.

    \b
    Begin with
      letrade-agent run --service shop --topology topology.yaml --keys keys \\
          --upstream amqps://rabbit.example.com:5671 --ca-file ca.pem \\
          --cert-file shop.pem --key-file shop.key
      letrade-agent wait                                 until it takes clients, at amqp://127.0.0.1:5672
      letrade-agent verify --service shop message.json   what stands against one message
    """


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
