"""`letrade-topo apply`: make the broker match."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import click

from letrade_topo.cli.connection import ConnectionOptions, connection_options
from letrade_topo.cli.migration_options import MigrationOptions, migration_options
from letrade_topo.cli.options import allow_option, format_option, lock_timeout_option, yes_option
from letrade_topo.cli.topology_files import TopologyFiles, topology_files
from letrade_topo.exit_codes import WRITING, epilog


@click.command(epilog=epilog(WRITING))
@topology_files
@connection_options
@allow_option
@yes_option
@lock_timeout_option
@format_option("text", "json", "markdown")
@click.option(
    "--close-connections",
    is_flag=True,
    envvar="LETRADE_TOPO_CLOSE_CONNECTIONS",
    show_envvar=True,
    help="Close the open connections of users whose password, tags or rights were changed, in all vhosts.",
)
@migration_options
def apply(
    topologies: TopologyFiles,
    connection: ConnectionOptions,
    allow: tuple[str, ...],
    yes: bool,
    lock_timeout: float,
    output_format: str,
    close_connections: bool,
    migration: MigrationOptions,
) -> int:
    """Make the broker match FILE: a topology, by default topology.yaml, several, a folder of them, or a saved plan.

    Shows the plan, asks, takes the lock, writes in stages and reads everything back. Safe to run again after
    any failure. A saved plan is refused when the broker has changed since. Several topologies are one run: nothing is
    written before all plans are accepted and all locks held.
    """
    from letrade_topo.cli.fleet import fleet_of_saved_plan, fleet_of_topologies
    from letrade_topo.cli.running import Asking, run_fleet
    from letrade_topo.plan import saved

    plans = [file for file in topologies.files if saved.is_saved_plan(Path(file))]
    if plans:
        if topologies.overlays or topologies.variables:
            raise click.UsageError("--overlay and --var do not go with a saved plan: it was made with its own")
        if len(topologies.files) > 1:
            raise click.UsageError(f"{plans[0]} is a saved plan, which is applied alone: save one plan of all files")
        fleet = fleet_of_saved_plan(Path(plans[0]), allow)
    else:
        fleet = fleet_of_topologies(topologies.load(), connection, allow)
    if migration.aborts:
        if len(fleet.jobs) > 1:
            raise click.UsageError("--abort-migration is about a queue of one topology: give its FILE alone")
        (job,) = fleet.jobs
        fleet = replace(fleet, jobs=(replace(job, request=replace(job.request, aborts=migration.aborts)),))
    return run_fleet(
        fleet,
        connection,
        Asking(yes, "Apply these changes?"),
        lock_timeout,
        output_format,
        closes_connections=close_connections,
        migration=migration,
    )
