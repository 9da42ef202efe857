"""`letrade-agent verify`: one message from a file, judged as the agent would judge it on arrival. No broker."""

from __future__ import annotations

import os
import time
from datetime import UTC, datetime
from math import inf
from pathlib import Path
from typing import TYPE_CHECKING

import click

from letrade_agent.cli.options import keys_option, service_option, topology_option
from letrade_agent.config import InvalidSetting
from letrade_topo.errors import TopoError
from letrade_topo.exit_codes import ExitCode, epilog

if TYPE_CHECKING:
    from collections.abc import Mapping

    from letrade_topo.keys.keyset import KeySet
    from letrade_topo.model.messages import Json

LARGEST_FILE_BYTES = 64 * 2**20


class InvalidMessageFile(TopoError):
    """A file does not hold a message."""


def _moment(context: click.Context, parameter: click.Parameter, text: str | None) -> float | None:
    if text is None:
        return None
    try:
        return float(text)
    except ValueError:
        pass
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise click.BadParameter(
            f"{text!r} is no time: write 2026-11-23T12:00:00Z, or seconds since the epoch", context, parameter
        ) from None
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()


@click.command(epilog=epilog({ExitCode.OK: "it would pass", ExitCode.FAILED: "refused", ExitCode.INVALID_FILE: ""}))
@click.argument("file", type=click.Path(allow_dash=True))
@service_option
@topology_option
@keys_option
@click.option("--at", metavar="TIME", callback=_moment, help="Judge as of then, RFC 3339 or seconds; by default: now.")
@click.option(
    "--kept-up-until",
    metavar="TIME",
    callback=_moment,
    help="Until when agents had taken what was due in the queue: a retry that came late since then is good for longer."
    " By default: they still do.",
)
def verify(
    file: str, service: str | None, topology: Path, keys: Path | None, at: float | None, kept_up_until: float | None
) -> int:
    """Check one message, offline: print the verdict and why. Exit code 1 when it is refused.

    FILE is JSON: exchange, routing_key, queue, properties, headers, and body or body_base64; `-` reads standard
    input. Public keys are enough, but that sensitive fields are only looked into with the service's private ones.
    Whether it is a repeat cannot be known here.
    """
    from letrade_agent.filters.offline import verify_message
    from letrade_topo.load.environment import topology_variables
    from letrade_topo.load.source_text import read_source
    from letrade_topo.load.topology_file import load_sources

    if not service or keys is None:
        raise InvalidSetting(f"no {'--keys' if service else '--service'}", fix="give --service NAME and --keys DIR")
    loaded = load_sources([read_source(topology)], environment=topology_variables(os.environ)).topology
    if service not in loaded.services:
        names = ", ".join(loaded.services)
        raise InvalidSetting(f"--service {service!r} is not a service of {topology}", why=f"its services are {names}")
    document = read_message(file)
    now = time.time() if at is None else at
    kept_up = inf if kept_up_until is None else kept_up_until
    judgement = verify_message(document, loaded, key_set(keys, service), service, now, kept_up_until=kept_up)
    click.echo(f"{judgement.verdict}: {judgement.why}")
    if judgement.held:
        click.echo(
            "an agent would keep it for up to a minute first, as keys or topologies may be on their way", err=True
        )
    return ExitCode.OK if judgement.is_accepted else ExitCode.FAILED


def key_set(folder: Path, service: str) -> KeySet:
    """The keys of a service; the public ones alone where no others are there for it.

    Raises:
        InvalidKeySet: of the public ones.
    """
    from letrade_topo.keys.folder import InvalidKeySet, private_folder
    from letrade_topo.keys.keyset import load_keyset, private_files

    try:
        if private_files(private_folder(folder, service)):
            return load_keyset(folder, service)
    except InvalidKeySet as error:
        click.echo(f"private keys are not used: {error}", err=True)
    return load_keyset(folder, None)


def read_message(file: str) -> Mapping[str, Json]:
    """The document in a file.

    Raises:
        InvalidMessageFile: it cannot be read, or is not one JSON object.
    """
    from letrade_topo.keys.strict_json import NotAnObject, parse_object

    try:
        with click.open_file(file, "rb") as stream:
            content = stream.read(LARGEST_FILE_BYTES + 1)
    except OSError as error:
        raise InvalidMessageFile(f"cannot read {file}", why=error.strerror or str(error)) from None
    if len(content) > LARGEST_FILE_BYTES:
        raise InvalidMessageFile(f"{file} is larger than {LARGEST_FILE_BYTES} bytes", why="no message is")
    try:
        return parse_object(content)
    except NotAnObject as error:
        raise InvalidMessageFile(
            f"{'standard input' if file == '-' else file} holds no message", why=str(error)
        ) from None
