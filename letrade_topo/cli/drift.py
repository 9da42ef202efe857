"""`letrade-topo drift`: fail when the broker differs from the file."""

from __future__ import annotations

import sys

import click

from letrade_topo.cli.connection import ConnectionOptions, connection_options
from letrade_topo.cli.options import format_option
from letrade_topo.cli.terminal import say, wants_colour
from letrade_topo.cli.topology_options import TopologyOptions, topology_options
from letrade_topo.exit_codes import ExitCode


@click.command()
@topology_options
@connection_options
@format_option("text", "json", "markdown", "sarif", "junit", "github")
def drift(topology: TopologyOptions, connection: ConnectionOptions, output_format: str) -> int:
    """Compare the broker with FILE, by default topology.yaml, in full; change nothing. Exit code 2 when they differ.

    Sees what writing again would not: unknown arguments, policies in effect, passwords, limits, permissions
    beyond the declared, objects made by hand, plain-text listeners where TLS is required.
    """
    from letrade_topo.cli.session import job_of_topology
    from letrade_topo.plan.prepare import prepare
    from letrade_topo.render.drift import render, summary
    from letrade_topo.render.plan_text import Style

    job = job_of_topology(topology.load())
    with connection.connect(job.access) as client:
        plan = prepare(client, job.request)
    click.echo(render(plan, output_format, topology.file, Style(wants_colour(sys.stdout))))
    say(summary(plan))
    return ExitCode.OK if plan.in_sync else ExitCode.CHANGES
