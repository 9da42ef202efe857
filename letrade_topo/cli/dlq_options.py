"""Options that the commands of `letrade-topo dlq` share: which letters, which keys."""

from __future__ import annotations

import functools
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from letrade_topo.completion import queue_names
from letrade_topo.model.units import Duration, UnitError

if TYPE_CHECKING:
    from letrade_topo.queues.selection import Selection


def seconds(context: click.Context, parameter: click.Parameter, text: str | None) -> float | None:
    """A duration with a unit, as in the topology."""
    if text is None:
        return None
    try:
        return Duration.parse(text).seconds
    except UnitError as error:
        raise click.BadParameter(str(error), context, parameter) from None


def selection_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add the filters; the command gets them as `selection`."""

    @click.option(
        "--queue",
        "queues",
        multiple=True,
        metavar="NAME",
        shell_complete=queue_names,
        help="Only what failed in this queue. Repeatable.",
    )
    @click.option("--reason", "reasons", multiple=True, metavar="WORD", help="Only for this reason. Repeatable.")
    @click.option(
        "--key",
        "keys",
        multiple=True,
        metavar="PATTERN",
        help="Only with an original routing key like this: * is one word, # any number. Repeatable.",
    )
    @click.option("--older", callback=seconds, metavar="DURATION", help="Only what died longer ago, for example 2h.")
    @click.option("--newer", callback=seconds, metavar="DURATION", help="Only what died more recently.")
    @click.option("--id", "ids", multiple=True, metavar="MESSAGE_ID", help="Only the message of this id. Repeatable.")
    @functools.wraps(command)
    def wrapper(
        *args: Any,
        queues: tuple[str, ...],
        reasons: tuple[str, ...],
        keys: tuple[str, ...],
        older: float | None,
        newer: float | None,
        ids: tuple[str, ...],
        **options: Any,
    ) -> Any:
        from letrade_topo.queues.selection import Selection

        selection: Selection = Selection(
            frozenset(queues), frozenset(reasons), keys, frozenset(ids), older_seconds=older, newer_seconds=newer
        )
        return command(*args, selection=selection, **options)

    return wrapper


from_option = click.option(
    "--from",
    "from_queue",
    metavar="QUEUE",
    shell_complete=queue_names,
    envvar="LETRADE_TOPO_DLQ_FROM",
    show_envvar=True,
    help="A <queue>.rejected of the topology, instead of the queue of dead letters.",
)
keys_option = click.option(
    "--keys",
    "keys_folder",
    type=click.Path(file_okay=False, path_type=Path),
    metavar="DIR",
    envvar="LETRADE_TOPO_KEYS",
    show_envvar=True,
    help="Key folder, as `letrade-topo keys init` makes it.",
)
