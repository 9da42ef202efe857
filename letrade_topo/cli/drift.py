"""`letrade-topo drift`: fail when the broker differs from the file."""

from __future__ import annotations

import sys

import click

from letrade_topo.cli.connection import ConnectionOptions, connection_options
from letrade_topo.cli.options import format_option
from letrade_topo.cli.terminal import say, waiting, wants_colour
from letrade_topo.cli.topology_files import TopologyFiles, topology_files
from letrade_topo.exit_codes import ExitCode, epilog
from letrade_topo.program import print_document

_CODES = {
    ExitCode.OK: "in sync",
    ExitCode.CHANGES: "the broker differs, or has what nobody declared; with --only: in that",
    ExitCode.INVALID_FILE: "",
    ExitCode.UNREACHABLE: "",
}


@click.command(epilog=epilog(_CODES))
@topology_files
@connection_options
@format_option("text", "json", "markdown", "sarif", "junit", "github")
@click.option(
    "--only",
    type=click.Choice(["differs", "undeclared"]),
    envvar="LETRADE_TOPO_DRIFT_ONLY",
    show_envvar=True,
    help="Show only what is otherwise than declared, or only what nobody declared; the exit code is about that alone. "
    "How much there is of each is always said.",
)
def drift(topologies: TopologyFiles, connection: ConnectionOptions, output_format: str, only: str | None) -> int:
    """Compare the broker with FILE, by default topology.yaml, in full; change nothing. Exit code 2 when they differ.

    Several topologies, or a folder of them, are one comparison: what one of them declares is declared.

    Sees what writing again would not: unknown arguments, policies in effect, passwords, limits, permissions
    beyond the declared, objects made by hand, dead letters that go round in a circle, queues out of work, shovels,
    plain-text listeners where TLS is required.
    """
    from dataclasses import replace

    from letrade_topo.cli.fleet import fleet_of_topologies
    from letrade_topo.plan.drift import DriftKind, DriftReport
    from letrade_topo.plan.fleet import beside_each_other, prepare_all
    from letrade_topo.render.drift_fleet import render, summary
    from letrade_topo.render.plan_text import Style

    fleet = fleet_of_topologies(topologies.load(), connection)
    requests = beside_each_other([replace(one, leaves_expired=True) for one in fleet.requests])
    with connection.connect(fleet.access) as client, waiting("reading the broker"):
        plans = prepare_all(client, requests)
    kind = DriftKind(only) if only else None
    reports = {file.file: DriftReport(plan, kind) for plan, file in zip(plans, topologies.each, strict=True)}
    print_document(render(reports, output_format, Style(wants_colour(sys.stdout), brief=True)))
    say(summary(list(reports.values())))
    return ExitCode.OK if all(report.is_clean for report in reports.values()) else ExitCode.CHANGES
