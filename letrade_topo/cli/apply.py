"""`letrade-topo apply`: make the broker match."""

from __future__ import annotations

from pathlib import Path

import click

from letrade_topo.cli.connection import ConnectionOptions, connection_options
from letrade_topo.cli.options import allow_option, format_option, lock_timeout_option, yes_option
from letrade_topo.cli.topology_options import TopologyOptions, topology_options


@click.command()
@topology_options
@connection_options
@allow_option
@yes_option
@lock_timeout_option
@format_option("text", "json", "markdown")
def apply(
    topology: TopologyOptions,
    connection: ConnectionOptions,
    allow: tuple[str, ...],
    yes: bool,
    lock_timeout: float,
    output_format: str,
) -> int:
    """Make the broker match FILE: a topology, by default topology.yaml, or a saved plan.

    Shows the plan, asks, takes the lock, writes in stages and reads everything back. Safe to run again after
    any failure. A saved plan is refused when the broker has changed since.
    """
    from letrade_topo.cli.running import Asking, run_job
    from letrade_topo.cli.session import job_of_saved_plan, job_of_topology
    from letrade_topo.plan import saved

    if saved.is_saved_plan(Path(topology.file)):
        if topology.overlays or topology.variables:
            raise click.UsageError("--overlay and --var do not go with a saved plan: it was made with its own")
        job = job_of_saved_plan(Path(topology.file), allow)
    else:
        job = job_of_topology(topology.load(), allow)
    return run_job(job, connection, Asking(yes, "Apply these changes?"), lock_timeout, output_format)
