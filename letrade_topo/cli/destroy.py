"""`letrade-topo destroy`: delete everything that this tool made, and nothing else."""

from __future__ import annotations

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
def destroy(
    topology: TopologyOptions,
    connection: ConnectionOptions,
    allow: tuple[str, ...],
    yes: bool,
    lock_timeout: float,
    output_format: str,
) -> int:
    """Delete what this tool made for FILE's topology, by default topology.yaml.

    The vhost goes only when nothing else is in it. A queue with messages or consumers is refused unless
    allowed by name.
    """
    from letrade_topo.cli.running import Asking, run_job
    from letrade_topo.cli.session import job_of_topology

    job = job_of_topology(topology.load(), allow, destroys=True)
    return run_job(job, connection, Asking(yes, "Delete all of this?"), lock_timeout, output_format)
