"""`letrade-topo validate`: check a topology file, without a broker."""

from __future__ import annotations

import sys

import click

from letrade_topo.cli.options import format_option
from letrade_topo.cli.terminal import say, wants_colour
from letrade_topo.cli.topology_options import TopologyOptions, topology_options
from letrade_topo.exit_codes import ExitCode


@click.command()
@topology_options
@format_option("text", "json", "markdown", "sarif", "junit", "github")
@click.option(
    "--strict",
    is_flag=True,
    envvar="LETRADE_TOPO_STRICT",
    show_envvar=True,
    help="Fail on warnings too.",
)
def validate(topology: TopologyOptions, output_format: str, strict: bool) -> int:
    """Check FILE, with its overlays and variables, and show every problem at once.

    Exit code 0 when it can be used, 65 when not. Needs no broker.
    """
    from letrade_topo.load.diagnostics import InvalidTopology
    from letrade_topo.render.diagnostics import Format, render, summary

    try:
        diagnostics = topology.load().diagnostics
    except InvalidTopology as error:
        diagnostics = error.diagnostics
    shown = render(diagnostics, Format(output_format), subject=topology.name, colour=wants_colour(sys.stdout))
    if shown:
        click.echo(shown)
    say(f"{topology.name}: {summary(diagnostics)}")
    failed = any(item.is_error for item in diagnostics) or (strict and bool(diagnostics))
    return ExitCode.INVALID_FILE if failed else ExitCode.OK
