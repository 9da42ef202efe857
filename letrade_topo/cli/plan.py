"""`letrade-topo plan`: show what would change."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path

import click

from letrade_topo.cli.connection import ConnectionOptions, connection_options
from letrade_topo.cli.options import allow_option, format_option
from letrade_topo.cli.terminal import say, wants_colour
from letrade_topo.cli.topology_options import TopologyOptions, topology_options
from letrade_topo.exit_codes import ExitCode


@click.command()
@topology_options
@connection_options
@allow_option
@format_option("text", "json", "markdown")
@click.option(
    "-o",
    "--output",
    type=click.Path(dir_okay=False, path_type=Path),
    metavar="FILE",
    envvar="LETRADE_TOPO_OUTPUT",
    show_envvar=True,
    help="Save the plan; `apply FILE` does exactly this, or nothing.",
)
def plan(
    topology: TopologyOptions,
    connection: ConnectionOptions,
    allow: tuple[str, ...],
    output_format: str,
    output: Path | None,
) -> int:
    """Show what FILE, by default topology.yaml, would change on the broker. Exit code 2 when there are changes."""
    from letrade_topo.cli.session import job_of_topology
    from letrade_topo.model.topology import BrokerAccess
    from letrade_topo.plan import saved
    from letrade_topo.plan.prepare import prepare
    from letrade_topo.render import plan_json, plan_markdown, plan_text

    job = job_of_topology(topology.load(), allow)
    with connection.connect(job.access) as client:
        planned = prepare(client, job.request)
        access = replace(job.access or BrokerAccess(), management=client.endpoint.url)
    report = plan_json.plan_to_json(planned) if output or output_format == "json" else {}
    match output_format:
        case "json":
            click.echo(plan_json.dumps(report))
        case "markdown":
            click.echo(plan_markdown.render_plan(planned))
        case _:
            click.echo(plan_text.render_plan(planned, plan_text.Style(wants_colour(sys.stdout))))
    if output is not None:
        saved.save(output, planned, report, tls_required=job.request.tls_required, access=access)
        say(f"saved to {output}; `letrade-topo apply {output}` does this, or nothing")
    if output_format != "text":
        say(plan_text.summary(planned))
    return ExitCode.OK if planned.is_empty else ExitCode.CHANGES
