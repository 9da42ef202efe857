"""What the commands of `letrade-topo dlq` do between their options and `letrade_topo.queues`."""

from __future__ import annotations

import asyncio
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import click

from letrade_topo.cli.amqp_connection import AmqpOptions
from letrade_topo.cli.connection import Usage
from letrade_topo.cli.terminal import PacedProgress, TerminalProgress, say
from letrade_topo.exit_codes import ExitCode, exit_code_of

if TYPE_CHECKING:
    from letrade_topo.keys.keyset import KeySet
    from letrade_topo.model.topology import Topology
    from letrade_topo.queues.decide import Intent
    from letrade_topo.queues.letter import Letter
    from letrade_topo.queues.replay import Replayed, ReplayPace
    from letrade_topo.queues.selection import Selection
    from letrade_topo.queues.sessions import LetterPlace


def place_of(model: Topology, connection: AmqpOptions, from_queue: str | None) -> LetterPlace:
    """Where the letters are that a command works on.

    Raises:
        Usage: the queue is none of failed messages.
    """
    from letrade_topo.queues.letter import LetterReader, waiting_queue
    from letrade_topo.queues.sessions import LetterPlace

    waiting = waiting_queue(model, from_queue)
    if waiting is None and not model.has_dead_letters:
        raise Usage(
            f"the topology {model.name!r} has no queue of dead letters: it has neither services nor message types, and "
            "no section `dead_letter`"
        )
    if waiting is None:
        raise Usage(
            f"{from_queue} is neither the queue of dead letters ({model.dead_letter.queue}) nor a <queue>.rejected of "
            "this topology: looking into another queue would count against its delivery limit"
        )
    progress = PacedProgress(TerminalProgress())
    return LetterPlace(connection.endpoint(model), LetterReader(model, waiting), waiting.name, progress, time.time)


def run_replay(
    place: LetterPlace, model: Topology, keys: KeySet | None, selection: Selection, intent: Intent, pace: ReplayPace
) -> Replayed:
    """Replay on a connection of its own."""
    import secrets

    from letrade_topo.queues.decide import Decider
    from letrade_topo.queues.provenance import Prover
    from letrade_topo.queues.sessions import replay

    prover = Prover(model, keys, place.clock())

    def make_decider(largest_properties: int) -> Decider:
        key_at = (lambda _: None) if keys is None else keys.signing_key
        return Decider(model, prover, key_at, secrets.token_bytes, intent, largest_properties)

    return asyncio.run(replay(place, selection, pace, make_decider))


def dead_letter_keys(folder: Path | None) -> KeySet | None:
    """The keys of the role that reads dead letters, if they are there."""
    from letrade_topo.keys.folder import DEAD_LETTER_OWNER
    from letrade_topo.keys.keyset import load_keyset

    if folder is None or not (folder / DEAD_LETTER_OWNER).is_dir():
        return None
    return load_keyset(folder, DEAD_LETTER_OWNER)


def whole_body(letter: Letter, body: bytes, model: Topology) -> bytes:
    """The body itself, fetched from the object store if it lies there; else what came, and why is said."""
    from letrade_topo.queues.claims import fetched

    if letter.claimed is None:
        return body
    found = fetched(letter.claimed.claim, model.claim_check)
    if isinstance(found, bytes):
        return found
    say(f"the body cannot be fetched: {found}")
    return body


def question(result: Replayed) -> str:
    """What is asked before a replay."""
    from letrade_topo.render.wording import counted, duration

    return f"Replay {counted(result.done, 'message')}, the oldest dead for {duration(result.oldest)}?"


async def ask_number(text: str) -> int | None:
    """What a person types at the terminal; None for what is no number.

    The connection is kept alive meanwhile, so this does not wait in `input`, nor in a thread that Ctrl-C cannot end.
    """
    click.echo(text, nl=False, err=True)
    loop = asyncio.get_running_loop()
    typed: asyncio.Future[str] = loop.create_future()

    def read() -> None:
        if not typed.done():
            typed.set_result(sys.stdin.readline())

    loop.add_reader(sys.stdin.fileno(), read)
    try:
        answer = await typed
    finally:
        loop.remove_reader(sys.stdin.fileno())
    return int(answer) if answer.strip().isdecimal() else None


def exit_code(result: Replayed) -> ExitCode:
    """What the process's exit code says of a replay; an error that ended it is said."""
    if result.interrupted:
        return ExitCode.INTERRUPTED
    if result.error is not None:
        say(f"error: {result.error}")
        return ExitCode.PARTLY_APPLIED if result.done else exit_code_of(result.error)
    if not result.left and not result.failed:
        return ExitCode.OK
    if result.done:
        return ExitCode.PARTLY_APPLIED
    return ExitCode.FAILED if result.failed else ExitCode.REFUSED


def write_raw(path: Path, bodies: list[bytes]) -> None:
    """Save the body of the messages of one id, for this user alone.

    Raises:
        TopoError: the bodies differ, or the file cannot be written.
    """
    from letrade_topo import files
    from letrade_topo.errors import TopoError

    if len(set(bodies)) > 1:
        raise TopoError(f"{len(bodies)} messages have this id, with different bodies", fix="choose one with --queue")
    files.write(path, bodies[0])
    say(f"wrote {len(bodies[0]):,} bytes to {path}")
