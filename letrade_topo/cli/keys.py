"""`letrade-topo keys`: the keys with which messages are signed and encrypted.

What these commands do lies in `letrade_topo.keys`, which is imported only when one of them runs.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from letrade_topo.cli.connection import Usage
from letrade_topo.cli.options import format_option
from letrade_topo.cli.terminal import say
from letrade_topo.cli.topology_files import TopologyFiles, topology_files
from letrade_topo.completion import service_names
from letrade_topo.exit_codes import ExitCode, epilog
from letrade_topo.model.units import Duration, UnitError
from letrade_topo.program import CommandGroup, print_document
from letrade_topo.render.wording import moment

if TYPE_CHECKING:
    from letrade_topo.keys.jwk import PublicKey
    from letrade_topo.keys.states import KeyStatus

NEVER = "never"

Command = TypeVar("Command", bound=Callable[..., Any])


def _seconds(context: click.Context, parameter: click.Parameter, text: str) -> int:
    """A duration with a unit, as in the topology, in whole seconds, rounded up."""
    try:
        return -(-Duration.parse(text).milliseconds // 1000)
    except UnitError as error:
        raise click.BadParameter(str(error), context, parameter) from None


def _seconds_or_never(context: click.Context, parameter: click.Parameter, text: str) -> int | None:
    return None if text == NEVER else _seconds(context, parameter, text)


folder_argument = click.argument(
    "folder", metavar="DIR", envvar="LETRADE_TOPO_KEYS", type=click.Path(file_okay=False, path_type=Path)
)
valid_for_option = click.option(
    "--valid-for",
    callback=_seconds_or_never,
    default="365d",
    show_default=True,
    metavar="DURATION|never",
    envvar="LETRADE_TOPO_KEYS_VALID_FOR",
    show_envvar=True,
    help="After which new keys end by themselves, unless they are rotated before.",
)


_CODES = (ExitCode.INVALID_FILE, ExitCode.REFUSED)


@click.group(cls=CommandGroup, epilog=epilog(_CODES))
def keys() -> None:
    """Make, rotate and show the keys with which messages are signed and encrypted.

    DIR/public/jwks.json holds every public key and is for everyone; DIR/SERVICE holds the private keys of one
    service and is for its agent alone. DIR/replay and DIR/dead-letter are for the people who replay and read
    dead letters; DIR/move is for whoever applies a topology and moves the messages of queues that are migrated.
    """


@keys.command(epilog=epilog(_CODES))
@folder_argument
@topology_files
@valid_for_option
def init(folder: Path, topologies: TopologyFiles, valid_for: int | None) -> None:
    """Make the keys of every service of the topology FILE, or of several, that has none yet.

    A signing and an encryption key for each service, a signing key for replaying and one for each mover of the
    topology, an encryption key for dead letters, and the public file. What exists is never overwritten, so it can
    be run again for new services.
    """
    from letrade_topo.keys.making import make_keys

    loaded = [one.topology for one in topologies.load()]
    algorithms = {one.security.jwt.algorithm for one in loaded}
    if len(algorithms) > 1:
        raise Usage(
            f"the topologies sign by different algorithms ({', '.join(sorted(algorithms))}): name them one by one"
        )
    made = make_keys(
        folder,
        list(dict.fromkeys(service for one in loaded for service in one.services)),
        tuple(dict.fromkeys(mover for one in loaded for mover in one.security.jwt.movers)),
        algorithm=algorithms.pop(),
        now=int(time.time()),
        valid_for_seconds=valid_for,
    )
    for purpose in made.existing:
        say(f"exists    {folder / purpose.owner / purpose.file_name}")
    _print_keys("published", made.published)
    _print_keys("made", made.created)
    say(
        f"{len(made.created)} made, {len(made.published)} published, {len(made.existing)} left as they are; "
        f"public keys in {folder / 'public' / 'jwks.json'}"
    )


@keys.command(epilog=epilog(_CODES))
@folder_argument
@click.option(
    "--service",
    "services",
    multiple=True,
    metavar="NAME",
    shell_complete=service_names,
    envvar="LETRADE_TOPO_KEYS_SERVICE",
    show_envvar=True,
    help="Rotate the keys of this service (or of a mover, replay, dead-letter) only. Repeatable.",
)
@click.option(
    "--publish-for",
    callback=_seconds,
    default="10m",
    show_default=True,
    metavar="DURATION",
    envvar="LETRADE_TOPO_KEYS_PUBLISH_FOR",
    show_envvar=True,
    help="How long the new public key is known before it is used: at least what it takes until every agent has "
    "the new files. As long again, what a late signer still signs with the old key is accepted.",
)
@click.option(
    "--retire-after",
    callback=_seconds,
    default="30d",
    show_default=True,
    metavar="DURATION",
    envvar="LETRADE_TOPO_KEYS_RETIRE_AFTER",
    show_envvar=True,
    help="How long the old key then still verifies and decrypts what is older: as long as messages may wait in "
    "queues and among the dead letters.",
)
@valid_for_option
@click.option(
    "--algorithm",
    type=click.Choice(["ES256", "EdDSA"]),
    envvar="LETRADE_TOPO_KEYS_ALGORITHM",
    show_envvar=True,
    help="Of the new signing keys; by default the same as before.",
)
def rotate(
    folder: Path,
    services: tuple[str, ...],
    publish_for: int,
    retire_after: int,
    valid_for: int | None,
    algorithm: str | None,
) -> None:
    """Give keys successors, without refusing a message on the way.

    The new public key is published first; when --publish-for has passed, every agent switches to the new key by
    itself. The old one verifies what it signed until --retire-after has passed, too, and is deleted by the next
    rotation. Give the agents the changed files at once.
    """
    from letrade_topo.keys.rotation import Timing, rotate_keys
    from letrade_topo.model.security import JwtAlgorithm

    rotated = rotate_keys(
        folder,
        services,
        algorithm=JwtAlgorithm(algorithm) if algorithm else None,
        now=int(time.time()),
        timing=Timing(publish_for, retire_after, valid_for),
    )
    _print_keys("made", rotated.successors)
    for key in rotated.left_alone:
        say(f"left alone: {key.kid} is published and used from {_moment(key.validity.active_from)} on")
    for kid in rotated.forgotten:
        click.echo(f"deleted   {kid}")
    if rotated.successors:
        say(f"they are used from {_moment(rotated.successors[0].validity.active_from)} on; deploy the files before")


@keys.command(epilog=epilog({ExitCode.FAILED: "a key has expired", ExitCode.INVALID_FILE: ""}))
@folder_argument
@format_option("text", "json")
def show(folder: Path, output_format: str) -> int:
    """Show every public key, how it is doing and until when. Exit code 1 when a key has expired."""
    from letrade_topo.keys.keyset import load_public
    from letrade_topo.keys.states import State, states_of

    now = int(time.time())
    statuses = states_of(load_public(folder).values(), now)
    if output_format == "json":
        print_document(_as_json(statuses))
    else:
        click.echo(_as_table(statuses, now))
    for status in statuses:
        if status.warning:
            say(f"warning: {status.warning}")
    return ExitCode.FAILED if any(status.state is State.EXPIRED for status in statuses) else ExitCode.OK


def _print_keys(what: str, made: Sequence[PublicKey]) -> None:
    for key in made:
        click.echo(f"{what:<9} {key.kid}  ({key.algorithm})")


def _as_json(statuses: Sequence[KeyStatus]) -> str:
    rows = [
        {
            "kid": status.key.kid,
            "issuer": status.key.issuer,
            "role": status.key.role.value,
            "use": status.key.use.value,
            "algorithm": str(status.key.algorithm),
            "state": status.state.value,
            "created_at": _moment(status.key.validity.created_at),
            "active_from": _moment(status.key.validity.active_from),
            "retired_at": _moment(status.key.validity.retired_at),
            "forgotten_at": _moment(status.key.validity.forgotten_at),
            "warning": status.warning or None,
        }
        for status in statuses
    ]
    return json.dumps({"format_version": 1, "keys": rows}, indent=2)


def _as_table(statuses: Sequence[KeyStatus], now: int) -> str:
    rows = [("KEY", "USE", "ALGORITHM", "STATE", "AGE", "ACTIVE FROM", "RETIRED", "FORGOTTEN")]
    for status in statuses:
        key, validity = status.key, status.key.validity
        rows.append(
            (
                key.kid,
                key.use.value,
                str(key.algorithm),
                status.state.value,
                f"{max(now - validity.created_at, 0) // 86_400}d",
                _moment(validity.active_from) or "-",
                _moment(validity.retired_at) or "never",
                _moment(validity.forgotten_at) or "-",
            )
        )
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows
    )


def _moment(seconds: int | None) -> str | None:
    return None if seconds is None else moment(seconds)
