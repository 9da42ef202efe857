"""`letrade-topo export`: the topology of a broker that has one already, and a topology in other formats."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import click

from letrade_topo.broker.passwords import SALT_BYTES
from letrade_topo.cli.connection import ConnectionOptions, Usage, connection_options
from letrade_topo.cli.options import format_option
from letrade_topo.cli.terminal import say, waiting
from letrade_topo.cli.topology_files import TopologyFiles, optional_topologies
from letrade_topo.exit_codes import ExitCode, epilog

if TYPE_CHECKING:
    from letrade_topo.export.definitions import Definitions
    from letrade_topo.export.exporting import Exported

LARGEST_FILE_BYTES = 1 << 30
_NAMES = {"definitions": "definitions.json", "asyncapi": "asyncapi.json"}
MOST_UNSAID = 20
"""Lines of what a topology cannot say; of more, the number."""
SHOWN_TO_ALL = 0o644
"""A topology holds no secret, and is there to be read."""


@dataclass(frozen=True, slots=True)
class _Choice:
    """What is exported."""

    vhosts: tuple[str, ...]
    only: tuple[str, ...]
    without: tuple[str, ...]
    has_secrets: bool


@click.command(epilog=epilog((ExitCode.INVALID_FILE, ExitCode.UNREACHABLE)))
@optional_topologies
@connection_options
@click.option(
    "--from",
    "definitions",
    type=click.Path(path_type=Path, allow_dash=True),
    metavar="FILE",
    envvar="LETRADE_TOPO_FROM",
    show_envvar=True,
    help="A definitions file of RabbitMQ 3.8 or newer instead of a broker; `-` for standard input.",
)
@click.option(
    "--vhost",
    "vhosts",
    multiple=True,
    metavar="NAME",
    envvar="LETRADE_TOPO_VHOST",
    show_envvar=True,
    help="Only this vhost; may be repeated.  [default: all]",
)
@click.option(
    "--only",
    multiple=True,
    metavar="GLOB",
    envvar="LETRADE_TOPO_ONLY",
    show_envvar=True,
    help="Only objects of such an address, for example queue:orders.*, and what they need; may be repeated.",
)
@click.option(
    "--without",
    multiple=True,
    type=click.Choice(["users", "policies", "bindings", "parameters"]),
    envvar="LETRADE_TOPO_WITHOUT",
    show_envvar=True,
    help="Leave these out; may be repeated.",
)
@click.option(
    "--no-secrets",
    is_flag=True,
    envvar="LETRADE_TOPO_NO_SECRETS",
    show_envvar=True,
    help="No password hashes: each user gets `password: {env: NAME}` to fill.",
)
@click.option(
    "--rabbitmq",
    "version",
    metavar="VERSION",
    envvar="LETRADE_TOPO_RABBITMQ",
    show_envvar=True,
    help="The version that definitions made of a topology are for.  [default: the newest that is known]",
)
@format_option("yaml", "definitions", "asyncapi")
@click.option(
    "-o",
    "--output",
    type=click.Path(file_okay=False, path_type=Path),
    metavar="DIR",
    envvar="LETRADE_TOPO_EXPORT_OUTPUT",
    show_envvar=True,
    help="The folder to write to: a file for each vhost, and password hashes below it, readable by you alone.",
)
@click.option("--force", is_flag=True, envvar="LETRADE_TOPO_FORCE", show_envvar=True, help="Replace files.")
def export(
    topologies: TopologyFiles | None,
    connection: ConnectionOptions,
    definitions: Path | None,
    vhosts: tuple[str, ...],
    only: tuple[str, ...],
    without: tuple[str, ...],
    no_secrets: bool,
    version: str | None,
    output_format: str,
    output: Path | None,
    force: bool,
) -> int:
    """Write the topology of a broker as a person would: one file for each vhost, with what deserves a look.

    The broker, or a definitions file, is only read. `plan` of what was written finds nothing to do on that broker.
    With FILE, a topology file, no broker is asked: it is written as a definitions file that RabbitMQ imports, also of
    several, or as an AsyncAPI 3 document.
    """
    if topologies is not None:
        if definitions is not None or vhosts or only or without:
            raise Usage("of a topology file all is written: leave out --from, --vhost, --only and --without")
        text = _of_topologies(topologies, output_format, version, no_secrets=no_secrets)
        _write_or_print({_NAMES[output_format]: text}, output, force=force)
        return ExitCode.OK
    if output_format == "asyncapi":
        raise Usage("a broker knows no message types: name a topology file, `export FILE --format asyncapi`")
    found = _read(connection, definitions, vhosts)
    has_place = output is not None or output_format == "definitions"
    choice = _Choice(vhosts, only, without, has_secrets=has_place and not no_secrets)
    exported = _exported(found, choice, definitions)
    if only and not any(one.topology.queues or one.topology.exchanges or one.topology.policies for one in exported):
        raise Usage(f"nothing has an address such as {' or '.join(only)}, for example queue:orders.*")
    if output_format == "definitions":
        from letrade_topo.export.exporting import as_definitions

        files = {_NAMES[output_format]: as_definitions(exported, found.version, lambda: os.urandom(SALT_BYTES))}
    else:
        files = {f"{one.topology.name}.yaml": one.text for one in exported}
    if output is None and len(files) > 1:
        names = ", ".join(repr(one.topology.vhost) for one in exported)
        raise Usage(f"there are {len(files)} vhosts ({names}): give -o DIR, or one of them as --vhost")
    secrets = {} if output_format == "definitions" else _secrets(exported)
    _write_or_print(files, output, secrets, force=force)
    _tell(exported)
    return ExitCode.OK


def _of_topologies(topologies: TopologyFiles, output_format: str, version: str | None, *, no_secrets: bool) -> str:
    from letrade_topo.broker.capabilities import NEWEST
    from letrade_topo.cli.session import password_references
    from letrade_topo.export.asyncapi import asyncapi_text
    from letrade_topo.export.exporting import made_of
    from letrade_topo.secrets import resolve

    models = [loaded.topology for loaded in topologies.load()]
    match output_format:
        case "asyncapi":
            if len(models) > 1:
                raise Usage("an AsyncAPI document is of one topology: name one FILE")
            return asyncapi_text(models[0])
        case "definitions":
            references = [reference for model in models for reference in password_references(model)]
            secrets = None if no_secrets else resolve(references, os.environ)
            return made_of(models, secrets, lambda: os.urandom(SALT_BYTES), version or NEWEST)
        case _:
            raise Usage("a topology file is YAML already: give --format definitions or --format asyncapi")


def _write_or_print(
    files: Mapping[str, str], folder: Path | None, secrets: Mapping[str, str] | None = None, *, force: bool
) -> None:
    if folder is None:
        for text in files.values():
            click.echo(text, nl=False)
    else:
        _write(folder, files, secrets or {}, force=force)


def _read(connection: ConnectionOptions, file: Path | None, vhosts: tuple[str, ...]) -> Definitions:
    from letrade_topo.broker.objects import Kind
    from letrade_topo.export.definitions import by_name, parse_definitions, read_definitions
    from letrade_topo.management.listed_definitions import listed_definitions
    from letrade_topo.plan.out_of_reach import PLURALS
    from letrade_topo.reading import Trust, read_file

    if file is None:
        with connection.connect(None) as client, waiting("reading the broker"):
            url, reach = client.endpoint.url, client.reach()
            listed = client.definitions() if reach.is_everything else listed_definitions(client, vhosts)
            found = by_name(parse_definitions(listed, url))
        if not reach.is_everything:
            unseen = ", ".join(PLURALS[kind] for kind in Kind if not reach.reads(kind))
            say(f"scope: the vhost alone; not looked at: {unseen}")
    elif str(file) == "-":
        found = read_definitions(sys.stdin.buffer.read(), "<stdin>", *vhosts[:1])
    else:
        content = read_file(file, trust=Trust.SHOWN, most=LARGEST_FILE_BYTES, streams=True)
        found = read_definitions(content, str(file), *vhosts[:1])
    if not found.vhosts:
        raise Usage("there is no vhost at all, and nothing to export")
    for vhost in vhosts:
        if vhost not in found.vhosts:
            known = ", ".join(map(repr, found.vhosts)) or "none"
            raise Usage(f"there is no vhost {vhost!r}; there are: {known}")
    return found


def _exported(found: Definitions, choice: _Choice, file: Path | None) -> tuple[Exported, ...]:
    from letrade_topo.export.exporting import export_vhosts

    source = f"RabbitMQ {found.version}".strip()
    return export_vhosts(
        found,
        vhosts=choice.vhosts or tuple(found.vhosts),
        only=choice.only,
        without=frozenset(choice.without),
        has_secrets=choice.has_secrets,
        source=f"{source}, {'standard input' if str(file) == '-' else file}" if file else source,
    )


def _secrets(exported: Iterable[Exported]) -> dict[str, str]:
    return {name: text for one in exported for name, text in one.secrets.items()}


def _write(folder: Path, files: Mapping[str, str], secrets: Mapping[str, str], *, force: bool) -> None:
    from letrade_topo import files as writing

    paths = [folder / name for name in (*files, *secrets)]
    if not force and (there := [str(path) for path in paths if path.exists()]):
        raise Usage(f"{there[0]} is there already; give another folder, or --force to replace it")
    for path in paths:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700 if path.parent != folder else 0o777)
    for name, text in secrets.items():
        writing.write(folder / name, text.encode())
    for name, text in files.items():
        is_secret = name == _NAMES["definitions"]  # with the hashes of passwords
        writing.write(folder / name, text.encode(), mode=writing.PRIVATE if is_secret else SHOWN_TO_ALL)
    say(f"written: {', '.join(str(folder / name) for name in files)}")
    if secrets:
        say(f"secrets, readable by you alone: {len(secrets)} files; keep them out of version control")


def _tell(exported: Iterable[Exported]) -> None:
    for one in exported:
        for line in one.unsaid[:MOST_UNSAID]:
            say(f"left out of vhost {one.topology.vhost!r}: {line}")
        if len(one.unsaid) > MOST_UNSAID:
            say(f"left out of vhost {one.topology.vhost!r}: {len(one.unsaid) - MOST_UNSAID} more")
        if one.errors:
            say(
                f"vhost {one.topology.vhost!r}: {one.errors} things that a topology may not have; "
                "each is a comment beside its entry"
            )
