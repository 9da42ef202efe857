"""Options that several commands share."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import click

Command = TypeVar("Command", bound=Callable[..., Any])

DEFAULT_LOCK_TIMEOUT_SECONDS = 30.0
"""Twice the lease: a run that died is waited for, a run that goes on is not waited for long."""

allow_option = click.option(
    "--allow",
    metavar="KIND[=ADDRESS]",
    multiple=True,
    envvar="LETRADE_TOPO_ALLOW",
    show_envvar=True,
    help="Allow what a guard refuses: adopt, replace, migrate, delete-unmanaged, delete-many, leaderless; with an "
    "address only: delete-messages, delete-consumed. Of several topologies TOPOLOGY/KIND for one. Repeatable.",
)
yes_option = click.option(
    "--yes", is_flag=True, envvar="LETRADE_TOPO_YES", show_envvar=True, help="Do not ask; for pipelines."
)
lock_timeout_option = click.option(
    "--lock-timeout",
    type=click.FloatRange(min=0),
    default=DEFAULT_LOCK_TIMEOUT_SECONDS,
    show_default=True,
    metavar="SECONDS",
    envvar="LETRADE_TOPO_LOCK_TIMEOUT",
    show_envvar=True,
    help="How long to wait for another run to end.",
)


def format_option(*formats: str) -> Callable[[Command], Command]:
    """`--format` with these choices; the first is the default."""
    return click.option(
        "--format",
        "output_format",
        type=click.Choice(formats),
        default=formats[0],
        show_default=True,
        envvar="LETRADE_TOPO_FORMAT",
        show_envvar=True,
        help="How to print the result on stdout.",
    )
