"""Completion in shells, of both programs: the script that a shell reads, and names that only a topology knows.

A name that cannot be found out at once is not offered; a shell that completes shows no error.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from click.shell_completion import CompletionItem, get_completion_class

from letrade_topo.errors import TopoError
from letrade_topo.exit_codes import epilog

if TYPE_CHECKING:
    from letrade_topo.model.topology import Topology

SHELLS = ("bash", "zsh", "fish")
DEFAULT_FILE = "topology.yaml"
FILE_VARIABLES = ("LETRADE_TOPO_FILE", "LETRADE_AGENT_TOPOLOGY")


def completion_command(program: str) -> click.Command:
    """The command that prints the script of a program.

    Args:
        program: as it is called.
    """
    variable = f"_{program.replace('-', '_').upper()}_COMPLETE"

    @click.command("completion", epilog=epilog(()))
    @click.argument("shell", type=click.Choice(SHELLS))
    def completion(shell: str) -> None:
        found = get_completion_class(shell)
        if found is None:
            raise click.UsageError(f"this version of click does not know {shell}")
        click.echo(found(click.Command(program), {}, program, variable).source())

    completion.help = f"""Print what makes SHELL complete commands, options, and names of the topology.

    \b
    bash   source <({program} completion bash)        in ~/.bashrc
    zsh    source <({program} completion zsh)         in ~/.zshrc, behind compinit
    fish   {program} completion fish | source         in ~/.config/fish/config.fish
    """
    return completion


def service_names(context: click.Context, parameter: click.Parameter, begun: str) -> list[CompletionItem]:
    """The services of the topology, and owners of keys in a folder of keys that the command was given."""
    topology = _topology(context)
    services = {} if topology is None else topology.services
    folder = context.params.get("folder")
    owners = [path.parent.name for path in Path(folder).glob("*/*.jwk")] if folder else []
    return _offered([*services, *sorted(owners)], begun)


def queue_names(context: click.Context, parameter: click.Parameter, begun: str) -> list[CompletionItem]:
    """The queues that the topology declares."""
    topology = _topology(context)
    return _offered([] if topology is None else topology.queues, begun)


def _offered(names: Iterable[str], begun: str) -> list[CompletionItem]:
    return [CompletionItem(name) for name in dict.fromkeys(names) if name.startswith(begun)]


def _topology(context: click.Context) -> Topology | None:
    """The topology that the command would take, without overlays; None where it cannot be read."""
    from letrade_topo.load.environment import topology_variables
    from letrade_topo.load.source_text import read_source
    from letrade_topo.load.topology_file import load_sources

    given: list[Any] = [context.params.get("file"), context.params.get("topology")]
    given += [os.environ.get(variable) for variable in FILE_VARIABLES]
    file = next((str(one) for one in given if one), DEFAULT_FILE)
    with contextlib.suppress(TopoError, OSError):
        return load_sources([read_source(Path(file))], environment=topology_variables(os.environ)).topology
    return None
