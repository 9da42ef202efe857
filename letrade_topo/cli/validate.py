"""`letrade-topo validate`: check a topology file, without a broker."""

from __future__ import annotations

import sys

import click

from letrade_topo.cli.options import format_option
from letrade_topo.cli.terminal import say, wants_colour
from letrade_topo.cli.topology_files import TopologyFiles, topology_files
from letrade_topo.exit_codes import ExitCode, epilog
from letrade_topo.program import print_document


@click.command(epilog=epilog({ExitCode.OK: "valid", ExitCode.INVALID_FILE: "invalid, or with --strict a warning"}))
@topology_files
@format_option("text", "json", "markdown", "sarif", "junit", "github")
@click.option(
    "--strict",
    is_flag=True,
    envvar="LETRADE_TOPO_STRICT",
    show_envvar=True,
    help="Fail on warnings too.",
)
def validate(topologies: TopologyFiles, output_format: str, strict: bool) -> int:
    """Check FILE, with its overlays and variables, and show every problem at once.

    Of several topologies, or a folder of them, also whether they agree. Exit code 0 when all can be used, 65 when not.
    Needs no broker.
    """
    from letrade_topo.load.diagnostics import InvalidTopology
    from letrade_topo.render.diagnostics import Format, render, summary

    try:
        diagnostics = tuple(item for one in topologies.load() for item in one.diagnostics)
    except InvalidTopology as error:
        diagnostics = error.diagnostics
    subject = topologies.name
    shown = render(diagnostics, Format(output_format), subject=subject, colour=wants_colour(sys.stdout))
    if shown:
        print_document(shown)
    say(f"{subject}: {summary(diagnostics)}")
    failed = any(item.is_error for item in diagnostics) or (strict and bool(diagnostics))
    return ExitCode.INVALID_FILE if failed else ExitCode.OK
