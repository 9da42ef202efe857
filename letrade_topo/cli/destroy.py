"""`letrade-topo destroy`: delete everything that this tool made, and nothing else."""

from __future__ import annotations

import click

from letrade_topo.cli.connection import ConnectionOptions, connection_options
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
def destroy(
    topologies: TopologyFiles,
    connection: ConnectionOptions,
    allow: tuple[str, ...],
    yes: bool,
    lock_timeout: float,
    output_format: str,
) -> int:
    """Delete what this tool made for FILE's topology, by default topology.yaml, or for several.

    The vhost goes only when nothing else is in it. A queue with messages or consumers is refused unless
    allowed by name. What another topology has as well stays.
    """
    from letrade_topo.cli.fleet import fleet_of_topologies
    from letrade_topo.cli.running import Asking, run_fleet

    fleet = fleet_of_topologies(topologies.load(), connection, allow, destroys=True)
    return run_fleet(fleet, connection, Asking(yes, "Delete all of this?"), lock_timeout, output_format)
