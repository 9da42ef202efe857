"""`letrade-topo dlq`: what lies among the dead letters, and what to do with it.

What these commands do lies in `letrade_topo.queues`, which is imported only when one of them runs.
"""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from letrade_topo.cli.amqp_connection import AmqpOptions, amqp_options
from letrade_topo.cli.connection import Usage
from letrade_topo.cli.dlq_errands import (
    ask_number,
    dead_letter_keys,
    exit_code,
    place_of,
    question,
    run_replay,
    whole_body,
    write_raw,
)
from letrade_topo.cli.dlq_options import from_option, keys_option, selection_options
from letrade_topo.cli.options import format_option, yes_option
from letrade_topo.cli.terminal import say
from letrade_topo.cli.topology_options import TopologyOptions, topology_options
from letrade_topo.completion import queue_names
from letrade_topo.exit_codes import ExitCode, epilog
from letrade_topo.program import CommandGroup, print_document

if TYPE_CHECKING:
    from letrade_topo.model.messages import Json
    from letrade_topo.queues.content import Properties
    from letrade_topo.queues.letter import Letter
    from letrade_topo.queues.link import DeliveredLetter
    from letrade_topo.queues.replay import Replayed, ReplayPace
    from letrade_topo.queues.selection import Selection
    from letrade_topo.queues.sessions import Looked

MOST_SHOWN = 10
"""Messages of one id: one for each queue that failed it."""


_CODES = (ExitCode.PARTLY_APPLIED, ExitCode.INVALID_FILE, ExitCode.UNREACHABLE, ExitCode.REFUSED)


@click.group(cls=CommandGroup, epilog=epilog(_CODES))
def dlq() -> None:
    """Look at dead letters, send them back, delete them.

    Looking leaves every message where it is; their order may change. While it lasts, others do not see them.
    """


@dlq.command(epilog=epilog(_CODES))
@topology_options
@amqp_options
@from_option
@selection_options
@click.option(
    "--limit",
    type=click.IntRange(min=0),
    default=20,
    show_default=True,
    metavar="N",
    envvar="LETRADE_TOPO_DLQ_LIMIT",
    show_envvar=True,
    help="Show so many messages one by one; all are counted.",
)
@click.option(
    "--metrics-file",
    type=click.Path(dir_okay=False, path_type=Path),
    metavar="FILE",
    envvar="LETRADE_TOPO_DLQ_METRICS_FILE",
    show_envvar=True,
    help="Write counts by reason and the age of the oldest to FILE as well, for Prometheus (textfile collector).",
)
@format_option("text", "json")
def ls(
    topology: TopologyOptions,
    connection: AmqpOptions,
    from_queue: str | None,
    selection: Selection,
    limit: int,
    metrics_file: Path | None,
    output_format: str,
) -> int:
    """Count dead letters by reason, queue, type and age.

    All of it is what the messages say of themselves; `show` checks one of them.
    """
    from letrade_topo.queues.sessions import look
    from letrade_topo.queues.summary import Summary
    from letrade_topo.render.dead_letter_metrics import write_metrics
    from letrade_topo.render.dead_letters import render_summary
    from letrade_topo.render.dead_letters_json import summary_to_json
    from letrade_topo.render.plan_json import dumps

    model = topology.load().topology
    place = place_of(model, connection, from_queue)
    now = place.clock()
    summary = Summary(limit)

    def visit(letter: Letter, _properties: Properties | None, _delivery: DeliveredLetter) -> None:
        if selection.matches(letter, now):
            summary.add(letter, now)

    looked = asyncio.run(look(place, visit))
    if metrics_file is not None:
        write_metrics(metrics_file, model.name, place.queue, looked, summary, now)
    if output_format == "json":
        print_document(dumps(summary_to_json(place.queue, looked, summary, now)))
    else:
        click.echo(render_summary(place.queue, looked, summary, now, is_filtered=not selection.is_everything))
    return ExitCode.OK


@dlq.command(epilog=epilog(_CODES))
@click.argument("message_id", metavar="ID")
@topology_options
@amqp_options
@from_option
@click.option(
    "--queue",
    "queues",
    multiple=True,
    metavar="NAME",
    shell_complete=queue_names,
    help="Only what failed in this queue. Repeatable.",
)
@keys_option
@click.option(
    "--reveal",
    is_flag=True,
    help="Show sensitive fields of the body, too, decrypted with the key DIR/dead-letter of --keys; and the body "
    "itself where it lies in the object store.",
)
@click.option(
    "--raw",
    type=click.Path(dir_okay=False, path_type=Path),
    metavar="FILE",
    help="Write the body to FILE, byte for byte, readable by you alone.",
)
@format_option("text", "json")
def show(
    message_id: str,
    topology: TopologyOptions,
    connection: AmqpOptions,
    from_queue: str | None,
    queues: tuple[str, ...],
    keys_folder: Path | None,
    reveal: bool,
    raw: Path | None,
    output_format: str,
) -> int:
    """Show the message ID: where from, why, whose, and what is in it."""
    from letrade_topo.keys.keyset import load_keyset
    from letrade_topo.queues.body import opened, readable
    from letrade_topo.queues.claims import state_of
    from letrade_topo.queues.errors import NoSuchMessage
    from letrade_topo.queues.provenance import Prover
    from letrade_topo.queues.selection import Selection
    from letrade_topo.queues.sessions import look
    from letrade_topo.render.dead_letters import render_letter, unseen
    from letrade_topo.render.dead_letters_json import letter_with_proof_to_json
    from letrade_topo.render.plan_json import dumps

    model = topology.load().topology
    place = place_of(model, connection, from_queue)
    prover = Prover(model, None if keys_folder is None else load_keyset(keys_folder, None), place.clock())
    selection = Selection(queues=frozenset(queues), ids=frozenset((message_id,)))
    found: list[tuple[Letter, Properties | None, bytes]] = []

    def visit(letter: Letter, properties: Properties | None, delivery: DeliveredLetter) -> None:
        if selection.matches(letter, 0) and len(found) < MOST_SHOWN:
            found.append((letter, properties, delivery.body))

    looked = asyncio.run(look(place, visit))
    if not found:
        raise NoSuchMessage(
            f"no message in {place.queue} has the id {message_id}",
            why=" ".join([f"{looked.seen:,} were looked at.", *unseen(looked)]),
            fix="`letrade-topo dlq ls` shows ids",
        )
    reader_keys = dead_letter_keys(keys_folder) if reveal else None
    documents: list[Json] = []
    for number, (letter, properties, body) in enumerate(found):
        shown = whole_body(letter, body, model) if reveal else body
        restored, note = opened(shown, reader_keys, place.clock()) if reveal else (shown, "")
        if note:
            say(note)
        state = "" if letter.claimed is None else state_of(letter.claimed.claim, model.claim_check)
        text = readable(restored, place.reader.message_type(letter.exchange, letter.routing_key), reveal=reveal)
        particulars = letter, prover.prove(properties, body), properties, text, place.clock(), state
        if output_format == "json":
            documents.append(letter_with_proof_to_json(*particulars))
        else:
            click.echo(("\n" + "─" * 80 + "\n" if number else "") + render_letter(*particulars))
    if output_format == "json":
        print_document(dumps({"format_version": 1, "queue": place.queue, "messages": documents}))
    if len(found) > 1:
        say(f"{len(found)} messages have this id: one for each queue that failed it; --queue chooses one")
    if raw is not None:
        write_raw(raw, [body for _, _, body in found])
    return ExitCode.OK


@dlq.command(epilog=epilog(_CODES))
@topology_options
@amqp_options
@from_option
@selection_options
@keys_option
@click.option(
    "--fan-out", is_flag=True, help="To every queue that it was published for, not to the one that failed it."
)
@click.option("--rate", type=click.FloatRange(min=0, min_open=True), metavar="N", help="At most N messages a second.")
@click.option("--limit", type=click.IntRange(min=1), metavar="N", help="At most N messages.")
@click.option(
    "--window",
    type=click.IntRange(1, 100),
    default=1,
    show_default=True,
    metavar="N",
    help="So many on their way at once; quicker, and so many may arrive twice when this run is killed.",
)
@click.option("--unproven", is_flag=True, help="Also messages whose origin is not proven.")
@click.option("--past-lifetime", is_flag=True, help="Also messages that were too old already when they first failed.")
@click.option("--dry-run", is_flag=True, help="Say what would be done.")
@yes_option
@format_option("text", "json")
def replay(
    topology: TopologyOptions,
    connection: AmqpOptions,
    from_queue: str | None,
    selection: Selection,
    keys_folder: Path | None,
    fan_out: bool,
    rate: float | None,
    limit: int | None,
    window: int,
    unproven: bool,
    past_lifetime: bool,
    dry_run: bool,
    yes: bool,
    output_format: str,
) -> int:
    """Send dead letters back to the queue that failed them.

    Each is published under a token of the operator's (DIR/replay of --keys), confirmed by the broker, and only then
    taken out. Killed half-way, a second run finishes.
    """
    from letrade_topo.keys.folder import REPLAY_OWNER
    from letrade_topo.keys.keyset import load_keyset
    from letrade_topo.queues.decide import Intent
    from letrade_topo.queues.replay import ReplayPace
    from letrade_topo.render.dead_letters import render_replayed
    from letrade_topo.render.dead_letters_json import replayed_to_json
    from letrade_topo.render.plan_json import dumps

    if keys_folder is None and not unproven:
        raise Usage("no key folder: give --keys or set LETRADE_TOPO_KEYS (or --unproven for what nobody signed)")
    if not (yes or dry_run or sys.stdin.isatty()):
        raise Usage("nobody can be asked here (stdin is no terminal): give --yes, or --dry-run")
    model = topology.load().topology
    place = place_of(model, connection, from_queue)
    keys = None if keys_folder is None else load_keyset(keys_folder, REPLAY_OWNER)
    intent = Intent(fan_out=fan_out, unproven=unproven, past_lifetime=past_lifetime)

    def run(pace: ReplayPace) -> Replayed:
        return run_replay(place, model, keys, selection, intent, pace)

    def show_result(result: Replayed, *, dry: bool) -> None:
        if output_format == "json":
            print_document(dumps(replayed_to_json(result, dry=dry)))
        else:
            click.echo(render_replayed(result, dry=dry))

    if dry_run or not yes:
        result = run(ReplayPace(limit=limit, dry=True))
        if dry_run or result.error or result.interrupted or not result.done:
            show_result(result, dry=True)
            return exit_code(result)
        say(render_replayed(result, dry=True))
        if not click.confirm(question(result), err=True):
            if output_format == "json":
                show_result(result, dry=True)
            return ExitCode.OK
        limit = result.done
    result = run(ReplayPace(window, rate, limit))
    show_result(result, dry=False)
    if result.interrupted:
        say("interrupted; run it again to finish")
    return exit_code(result)


@dlq.command(epilog=epilog(_CODES))
@topology_options
@amqp_options
@from_option
@selection_options
@click.option(
    "--count",
    type=click.IntRange(min=0),
    metavar="N",
    help="Delete only if exactly N messages match; without it, a person has to type the number.",
)
def purge(
    topology: TopologyOptions, connection: AmqpOptions, from_queue: str | None, selection: Selection, count: int | None
) -> int:
    """Delete the dead letters that filters choose, after their number was confirmed. They are gone for good."""
    from letrade_topo.queues.errors import NotForThis
    from letrade_topo.queues.sessions import purge as run_purge
    from letrade_topo.queues.summary import Summary
    from letrade_topo.render.dead_letters import render_summary

    if selection.is_everything:
        raise Usage("say which messages to delete: --queue, --reason, --key, --older, --newer or --id")
    if count is None and not sys.stdin.isatty():
        raise Usage("nobody can be asked here (stdin is no terminal): give --count")
    place = place_of(topology.load().topology, connection, from_queue)
    summary = Summary(MOST_SHOWN)

    def visit(letter: Letter, _properties: Properties | None, _delivery: DeliveredLetter) -> None:
        summary.add(letter, place.clock())

    async def agree(matched: int, looked: Looked) -> bool:
        say(render_summary(place.queue, looked, summary, place.clock(), is_filtered=True))
        if matched == 0 and not count:
            return True
        typed = count
        if typed is None:
            typed = await ask_number(f"Type {matched} to delete these messages for good: ")
        if typed != matched:
            raise NotForThis(
                f"{matched:,} messages match, and {'none' if typed is None else f'{typed:,}'} were confirmed",
                why="nothing was deleted",
                fix="look again, and confirm the number that match",
            )
        return True

    deleted = asyncio.run(run_purge(place, selection, agree, visit))
    click.echo(f"{deleted:,} messages deleted from {place.queue}")
    return ExitCode.OK
