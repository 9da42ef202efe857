"""`letrade-topo plan`: show what would change."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path

import click

from letrade_topo.cli.connection import ConnectionOptions, connection_options
from letrade_topo.cli.options import allow_option, format_option
from letrade_topo.cli.terminal import MOST_ALIKE_SHOWN, say, waiting, wants_colour
from letrade_topo.cli.topology_files import TopologyFiles, topology_files
from letrade_topo.exit_codes import ExitCode, epilog
from letrade_topo.program import print_document

_CODES = (ExitCode.CHANGES, ExitCode.INVALID_FILE, ExitCode.UNREACHABLE)


@click.command(epilog=epilog({ExitCode.OK: "nothing to do", **dict.fromkeys(_CODES, "")}))
@topology_files
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
    help="Save the plan; `apply FILE` does exactly this, or nothing. A regular file is replaced whole, with mode 0600; "
    "what a link leads to, a pipe or a device is written.",
)
@click.option(
    "--brief",
    is_flag=True,
    envvar="LETRADE_TOPO_BRIEF",
    show_envvar=True,
    help="Of what would be created, show the names alone.",
)
@click.option(
    "--all",
    "shows_all",
    is_flag=True,
    envvar="LETRADE_TOPO_ALL",
    show_envvar=True,
    help="On a terminal, list also what is folded into `… and 47 more`: changes that are alike. Elsewhere all are.",
)
def plan(
    topologies: TopologyFiles,
    connection: ConnectionOptions,
    allow: tuple[str, ...],
    output_format: str,
    output: Path | None,
    brief: bool,
    shows_all: bool,
) -> int:
    """Show what FILE, by default topology.yaml, would change on the broker. Exit code 2 when there are changes.

    Several topologies, or a folder of them, are one plan, and saved as one.
    """
    from letrade_topo.cli.fleet import fleet_of_topologies
    from letrade_topo.model.topology import BrokerAccess
    from letrade_topo.plan import saved
    from letrade_topo.plan.change import Action
    from letrade_topo.plan.fleet import beside_each_other, prepare_all
    from letrade_topo.render import fleet as render
    from letrade_topo.render import plan_json
    from letrade_topo.render.plan_text import Style

    fleet = fleet_of_topologies(topologies.load(), connection, allow)
    requests = beside_each_other(fleet.requests)
    with connection.connect(fleet.access) as client, waiting("reading the broker"):
        plans = prepare_all(client, requests)
        access = replace(fleet.access or BrokerAccess(), management=client.endpoint.url)
    report = render.plans_to_json(plans) if output or output_format == "json" else {}
    if output is not None:
        stored = [
            saved.SavedPlan.of(planned, tls_required=request.tls_required, access=access)
            for planned, request in zip(plans, requests, strict=True)
        ]
        saved.save(output, stored, report)
        if any(planned.counts[Action.MIGRATE] for planned in plans):
            say(f"saved to {output} to be read: queues are migrated by applying the topology, with --allow migrate")
        else:
            say(f"saved to {output}; `letrade-topo apply {output}` does this, or nothing")
    match output_format:
        case "json":
            print_document(plan_json.dumps(report))
        case "markdown":
            click.echo(render.render_plans_as_markdown(plans))
        case _:
            most = MOST_ALIKE_SHOWN if sys.stdout.isatty() and not shows_all else None
            style = Style(wants_colour(sys.stdout), most, brief, " (--all shows them)")
            click.echo(render.render_plans(plans, style))
    if output_format != "text":
        say(render.summary(plans))
    return ExitCode.OK if all(planned.is_empty for planned in plans) else ExitCode.CHANGES
