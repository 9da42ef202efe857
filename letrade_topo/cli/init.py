"""`letrade-topo init`: from an empty folder to a topology that can be applied."""

from __future__ import annotations

import shlex
import time
from pathlib import Path
from typing import TYPE_CHECKING

import click

from letrade_topo.cli.terminal import say
from letrade_topo.errors import TopoError
from letrade_topo.exit_codes import ExitCode, epilog

if TYPE_CHECKING:
    from letrade_topo.scaffold.scaffold import NewFile

SHOWN_TO_ALL = 0o644
KEYS_VALID_SECONDS = 365 * 86_400


class WouldOverwrite(TopoError):
    """What is to be written is there already."""


@click.command(epilog=epilog({ExitCode.REFUSED: "a file is there already; nothing was written"}))
@click.argument(
    "folder", metavar="[DIR]", required=False, default=".", type=click.Path(file_okay=False, path_type=Path)
)
@click.option(
    "--template",
    type=click.Choice(["minimal", "requests", "letrade"]),
    default="minimal",
    show_default=True,
    envvar="LETRADE_TOPO_TEMPLATE",
    show_envvar=True,
    help="What it begins with: one event and who consumes it; a question and its answer; a whole trading platform.",
)
@click.option(
    "--name",
    envvar="LETRADE_TOPO_NAME",
    show_envvar=True,
    help="Name of the topology and its vhost.  [default: that of DIR; the template letrade has its own]",
)
@click.option(
    "--ci",
    "forge",
    type=click.Choice(["github", "gitlab"]),
    envvar="LETRADE_TOPO_CI",
    show_envvar=True,
    help="Add the recipe of a pipeline that checks, plans, applies and looks for drift.",
)
def init(folder: Path, template: str, name: str | None, forge: str | None) -> None:
    """Write a topology into DIR, by default this folder, with everything that is needed to try it.

    The topology, its JSON Schema for editors, keys for signing in DIR/.letrade, which .gitignore leaves out, and
    on request a pipeline. What exists is never overwritten.
    """
    from letrade_topo.keys.making import make_keys
    from letrade_topo.load.shape_validator import TOPOLOGY_NAME
    from letrade_topo.load.topology_file import load_topology
    from letrade_topo.render.topology_schema import text
    from letrade_topo.scaffold import scaffold

    chosen = scaffold.name_of(folder.resolve().name) if name is None else name
    if not TOPOLOGY_NAME.fullmatch(chosen):
        why = "a lower-case letter first, then lower-case letters, digits, _ and -, 63 at most"
        raise click.BadParameter(f"{chosen!r} cannot be one: {why}", param_hint="--name")
    new = scaffold.new_files(
        scaffold.Template(template), chosen, text(), scaffold.Forge(forge) if forge is not None else None
    )
    _write(folder, new)
    _ignore(folder / scaffold.IGNORED)
    topology = load_topology(folder / scaffold.TOPOLOGY).topology
    made = make_keys(
        folder / scaffold.KEYS,
        list(topology.services),
        topology.security.jwt.movers,
        algorithm=topology.security.jwt.algorithm,
        now=int(time.time()),
        valid_for_seconds=KEYS_VALID_SECONDS,
    )
    say(f"made   {len(made.created)} keys in {folder / scaffold.KEYS}")
    _say_what_is_next(folder)


def _write(folder: Path, new: tuple[NewFile, ...]) -> None:
    """Write all, or nothing where one is there already."""
    from letrade_topo.files import write_new

    there = [folder / one.path for one in new if (folder / one.path).exists()]
    if there:
        raise _would_overwrite(there)
    for one in new:
        path = folder / one.path
        path.parent.mkdir(parents=True, exist_ok=True)
        if not write_new(path, one.content, mode=SHOWN_TO_ALL):
            raise _would_overwrite([path])
        say(f"wrote  {path}")


def _would_overwrite(paths: list[Path]) -> WouldOverwrite:
    names = ", ".join(map(str, paths))
    verb = "is" if len(paths) == 1 else "are"
    fix = "name another folder, or move it away"
    return WouldOverwrite(f"{names} {verb} there already", why="what exists is never overwritten", fix=fix)


def _ignore(path: Path) -> None:
    """Add to the list of what git shall not keep; lines that are there stay as they are."""
    from letrade_topo.files import write
    from letrade_topo.scaffold.scaffold import ignored

    existing = path.read_bytes().decode("utf-8", "surrogateescape") if path.exists() else ""
    wanted = ignored(existing)
    if wanted != existing:
        write(path, wanted.encode("utf-8", "surrogateescape"), mode=SHOWN_TO_ALL)
        say(f"wrote  {path}")


def _say_what_is_next(folder: Path) -> None:
    lines = [] if folder == Path() else [f"cd {shlex.quote(str(folder))}"]
    lines += ["letrade-topo broker start --topology topology.yaml", "letrade-topo apply --yes", "letrade-topo drift"]
    click.echo("\n".join(lines))
