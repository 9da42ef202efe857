"""The options that say which topologies a command works on: several FILEs, folders, --overlay, --var.

@click.command()
@topology_files
def plan(topologies: TopologyFiles) -> None:
    loaded = topologies.load()
"""

from __future__ import annotations

import functools
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from letrade_topo.cli.terminal import say
from letrade_topo.cli.topology_options import (
    DEFAULT_FILE,
    FILE_VARIABLE,
    STANDARD_INPUT,
    Command,
    TopologyOptions,
    overlay_and_variables,
)
from letrade_topo.load.environment import topology_variables

if TYPE_CHECKING:
    from letrade_topo.load.diagnostics import Diagnostic
    from letrade_topo.load.topology_file import LoadedTopology

MOST_NAMED = 3
"""Of many files, so many by name."""
ENDINGS = (".yaml", ".yml")
"""Of the files that are looked at in a folder."""


@dataclass(frozen=True)
class TopologyFiles:
    """Which topologies are meant.

    Args:
        files: paths of files and of folders; `-` for standard input.
        overlays: files that change each of them, in this order.
        variables: values for declared variables.
        environment: likewise by upper-case name; what `variables` gives has precedence.
    """

    files: tuple[str, ...] = (DEFAULT_FILE,)
    overlays: tuple[str, ...] = ()
    variables: Mapping[str, str] = field(default_factory=dict)
    environment: Mapping[str, str] = field(default_factory=dict)

    @functools.cached_property
    def each(self) -> tuple[TopologyOptions, ...]:
        """One by one, each file once; what is in a folder in the order of names.

        Raises:
            UsageError: there is no topology in a folder.
        """
        found = (path for file in self.files for path in self._in(file))
        once = {file if file == STANDARD_INPUT else os.path.realpath(file): file for file in reversed([*found])}
        return tuple(
            TopologyOptions(file, self.overlays, self.variables, self.environment) for file in reversed(once.values())
        )

    @property
    def name(self) -> str:
        """The files as messages call them."""
        names = [one.name for one in self.each]
        more = len(names) - MOST_NAMED
        return ", ".join(names) if more <= 0 else f"{', '.join(names[:MOST_NAMED])} and {more} more"

    def load(self) -> tuple[LoadedTopology, ...]:
        """Load all of them.

        Raises:
            InvalidTopology: with every problem of all files, and where they disagree.
        """
        if len(self.each) == 1:
            return (self.each[0].load(),)
        from letrade_topo.cli.fleet import check_agreement
        from letrade_topo.load.diagnostics import InvalidTopology

        loaded: list[LoadedTopology] = []
        problems: list[Diagnostic] = []
        for one in self._with_their_variables():
            try:
                loaded.append(one.load())
            except InvalidTopology as error:
                problems += error.diagnostics
        if problems:
            raise InvalidTopology([*problems, *(item for one in loaded for item in one.diagnostics)])
        check_agreement(loaded)
        return tuple(loaded)

    def _in(self, file: str) -> Iterator[str]:
        folder = Path(file)
        if file == STANDARD_INPUT or not folder.is_dir():
            yield file
            return
        overlays = {os.path.realpath(path) for path in self.overlays}
        paths = [
            path
            for path in sorted(folder.iterdir())
            if path.suffix in ENDINGS and not path.name.startswith(".") and os.path.realpath(path) not in overlays
        ]
        meant = [path for path in paths if _may_be_topology(path)]
        if not meant:
            raise click.UsageError(f"{file}: no file there has `topology:` at its top and ends with .yaml or .yml")
        if left_out := [path.name for path in paths if path not in meant]:
            say(f"{file}: left out, as nothing says `topology:` at its top: {', '.join(left_out)}")
        yield from map(str, meant)

    def _with_their_variables(self) -> Iterator[TopologyOptions]:
        """Each with the values that are for it; what no file declares stays with all, and is refused there."""
        from letrade_topo.load.diagnostics import InvalidTopology
        from letrade_topo.load.topology_file import variables_of

        if not self.variables and not self.environment:
            yield from self.each
            return
        declared: list[frozenset[str]] = []
        for one in self.each:
            try:
                declared.append(frozenset() if one.file == STANDARD_INPUT else variables_of(one.read()))
            except InvalidTopology:
                declared.append(frozenset())  # said when it is loaded
        known = frozenset().union(*declared)
        for one, names in zip(self.each, declared, strict=True):
            upper = {name.upper() for name in names}
            others, others_upper = known - names, {name.upper() for name in known} - upper
            yield replace(
                one,
                variables={name: value for name, value in self.variables.items() if name not in others},
                environment={name: value for name, value in self.environment.items() if name not in others_upper},
            )


def _may_be_topology(path: Path) -> bool:
    """Also what cannot be read, so that somebody says so."""
    from letrade_topo.load.topology_file import is_topology

    try:
        return is_topology(path.read_bytes()) if path.is_file() else False
    except OSError:
        return True


def topology_files(command: Command) -> Command:
    """Give a click command FILE…, --overlay and --var, as one argument `topologies: TopologyFiles`."""
    return _with_topologies(command, FILE_VARIABLE, (DEFAULT_FILE,))


def optional_topologies(command: Command) -> Command:
    """The same where a command can do without: `topologies: TopologyFiles | None`, None without FILE."""
    return _with_topologies(command, None, ())


def _with_topologies(command: Command, variable: str | None, default: tuple[str, ...]) -> Command:
    @click.argument("file", nargs=-1, envvar=variable, type=click.Path(allow_dash=True))
    @overlay_and_variables
    @functools.wraps(command)
    def with_topologies(
        *args: Any, file: tuple[str, ...], overlays: tuple[str, ...], variables: Mapping[str, str], **options: Any
    ) -> Any:
        files = file or default
        topologies = TopologyFiles(files, overlays, variables, topology_variables(os.environ)) if files else None
        return command(*args, topologies=topologies, **options)

    return with_topologies  # type: ignore[return-value]  # click replaces it by a command in any case
