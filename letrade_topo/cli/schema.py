"""`letrade-topo schema`: the topology file as JSON Schema, for editors."""

from __future__ import annotations

from pathlib import Path

import click

from letrade_topo.cli.terminal import say
from letrade_topo.exit_codes import epilog
from letrade_topo.program import print_document

SHOWN_TO_ALL = 0o644


@click.command(epilog=epilog(()))
@click.option(
    "-o",
    "--output",
    type=click.Path(dir_okay=False, path_type=Path),
    metavar="FILE",
    envvar="LETRADE_TOPO_OUTPUT",
    show_envvar=True,
    help="Write it there instead of on stdout.",
)
def schema(output: Path | None) -> None:
    """Print the JSON Schema of the topology file, from which editors complete, explain and check while you write.

    An editor with the YAML language server finds it by the first line of the topology:

    \b
      # yaml-language-server: $schema=topology.schema.json
    """
    from letrade_topo.files import write
    from letrade_topo.render.topology_schema import text

    if output is None:
        print_document(text().rstrip("\n"))
        return
    write(output, text().encode(), mode=SHOWN_TO_ALL)
    say(f"wrote {output}")
