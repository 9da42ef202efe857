"""The options that say which topology a command works on: FILE, --overlay, --var.

@click.command()
@topology_options
def plan(topology: TopologyOptions) -> None:
    loaded = topology.load()
"""

from __future__ import annotations

import functools
import os
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from letrade_topo.load.environment import VARIABLE_PREFIX, topology_variables

if TYPE_CHECKING:
    from letrade_topo.load.source_text import SourceText
    from letrade_topo.load.topology_file import LoadedTopology

DEFAULT_FILE = "topology.yaml"
FILE_VARIABLE = "LETRADE_TOPO_FILE"
STANDARD_INPUT = "-"

Command = TypeVar("Command", bound=Callable[..., Any])


@dataclass(frozen=True, slots=True)
class TopologyOptions:
    """Which topology is meant.

    Args:
        file: the path of the file; `-` for standard input.
        overlays: files that change it, in this order.
        variables: values for declared variables.
        environment: likewise by upper-case name; what `variables` gives has precedence.
    """

    file: str = DEFAULT_FILE
    overlays: tuple[str, ...] = ()
    variables: Mapping[str, str] = field(default_factory=dict)
    environment: Mapping[str, str] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """The file as messages call it."""
        return "<stdin>" if self.file == STANDARD_INPUT else self.file

    def of(self, file: str) -> TopologyOptions:
        """The same options with another file."""
        return replace(self, file=file)

    def load(self) -> LoadedTopology:
        """Load the topology.

        Raises:
            InvalidTopology: with every problem of the files.
        """
        from letrade_topo.load.topology_file import load_sources

        return load_sources(self.read(), variables=self.variables, environment=self.environment)

    def read(self) -> list[SourceText]:
        """The texts of the file and of the overlays.

        Raises:
            InvalidTopology: one of them cannot be read.
        """
        from letrade_topo.load.source_text import decode_source, read_source

        if self.file == STANDARD_INPUT:
            first = decode_source(self.name, Path(), sys.stdin.buffer.read())
        else:
            first = read_source(Path(self.file), streams=True)
        return [first, *(read_source(Path(path), streams=True) for path in self.overlays)]


def topology_options(command: Command) -> Command:
    """Give a click command FILE, --overlay and --var, as one argument `topology: TopologyOptions`."""
    file = click.argument(
        "file", required=False, default=DEFAULT_FILE, envvar=FILE_VARIABLE, type=click.Path(allow_dash=True)
    )
    return _with_topology(command, file)


def topology_flags(command: Command) -> Command:
    """The same with --topology FILE instead of the argument, as programs that run on have it."""
    file = click.option(
        "--topology",
        "file",
        metavar="FILE",
        default=DEFAULT_FILE,
        show_default=True,
        envvar=FILE_VARIABLE,
        show_envvar=True,
        type=click.Path(),
        help="The topology file.",
    )
    return _with_topology(command, file)


def overlaid_topology(command: Command) -> Command:
    """The same where a command reads FILE itself, beside arguments of its own: `topology.of(file)`."""
    return _with_topology(command, lambda command: command)


def _with_topology(command: Command, file: Callable[[Any], Any]) -> Command:
    @file
    @overlay_and_variables
    @functools.wraps(command)
    def with_topology(
        *args: Any,
        overlays: tuple[str, ...],
        variables: Mapping[str, str],
        file: str = DEFAULT_FILE,
        **options: Any,
    ) -> Any:
        topology = TopologyOptions(file, overlays, variables, topology_variables(os.environ))
        return command(*args, topology=topology, **options)

    return with_topology  # type: ignore[no-any-return]  # click replaces it by a command in any case


def overlay_and_variables(command: Command) -> Command:
    """Give a click command --overlay and --var, as arguments `overlays` and `variables`."""

    @click.option(
        "--overlay",
        "overlays",
        multiple=True,
        metavar="FILE",
        envvar="LETRADE_TOPO_OVERLAY",
        show_envvar=True,
        type=click.Path(),
        help="A file that changes the topology, for example for one environment; may be repeated.",
    )
    @click.option(
        "--var",
        "variables",
        multiple=True,
        metavar="NAME=VALUE",
        callback=_variables,
        help=f"The value of a variable that the topology declares; may be repeated.  [env var: {VARIABLE_PREFIX}NAME]",
    )
    @functools.wraps(command)
    def with_options(*args: Any, **options: Any) -> Any:
        return command(*args, **options)

    return with_options  # type: ignore[return-value]  # click replaces it by a command in any case


def _variables(_context: click.Context, _parameter: click.Parameter, given: tuple[str, ...]) -> dict[str, str]:
    values: dict[str, str] = {}
    for text in given:
        name, separator, value = text.partition("=")
        if not separator or not name:
            raise click.BadParameter("write NAME=VALUE, for example --var environment=production")
        values[name] = value
    return values
