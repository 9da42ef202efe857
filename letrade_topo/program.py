"""A program of subcommands: each is imported when it is called; every error becomes one message and an exit code.

What `letrade-topo` and `letrade-agent` have in common as programs; knows no subcommand.
"""

from __future__ import annotations

import contextlib
import importlib
import io
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from contextvars import ContextVar
from itertools import pairwise
from typing import Any, TypeAlias

import click

from letrade_topo.errors import TopoError
from letrade_topo.exit_codes import ExitCode, exit_code_of

Subcommands: TypeAlias = Mapping[str, tuple[str, str]]
"""By name: where it is (`module:attribute`), and what `--help` says of it."""

FORMAT_VARIABLE = "LETRADE_TOPO_FORMAT"
SETTINGS = {"help_option_names": ["-h", "--help"], "max_content_width": 100}


class CommandGroup(click.Group):
    """A group of commands that answers a misspelt one with those that may be meant."""

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Find the command that is called.

        Raises:
            UsageError: there is none of that name.
        """
        name = args[0]
        if self.get_command(ctx, name) is None and not ctx.resilient_parsing and not name.startswith("-"):
            from difflib import get_close_matches

            known = self.list_commands(ctx)
            close = get_close_matches(name.lower(), known, 1, 0.5) or [one for one in known if one.startswith(name)]
            meant = f"Did you mean {close[0]!r}?" if close else f"The commands are {', '.join(known)}."
            raise click.UsageError(f"No such command {name!r}. {meant}", ctx)
        return super().resolve_command(ctx, args)


class Commands(CommandGroup):
    """A group that imports a subcommand only when it is used, so that `--help` and probes stay quick.

    Args:
        subcommands: in the order in which people meet them.
    """

    def __init__(self, *arguments: Any, subcommands: Subcommands, **attributes: Any) -> None:
        super().__init__(*arguments, **attributes)
        self._subcommands = subcommands

    def list_commands(self, ctx: click.Context) -> list[str]:
        """All names, in their order."""
        return list(self._subcommands)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import one subcommand."""
        if cmd_name not in self._subcommands:
            return None
        place = self._subcommands[cmd_name][0]
        module, _, name = place.partition(":")
        command = getattr(importlib.import_module(module), name)
        if not isinstance(command, click.Command):
            raise TypeError(f"{place} is not a command")
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """The list in `--help`, without importing anything."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, text) for name, (_, text) in self._subcommands.items()])


_document_is_printed: ContextVar[bool] = ContextVar("document_is_printed", default=False)


def print_document(text: str) -> None:
    """Print what `--format json` promises: one document, after which a failure prints none of its own."""
    _document_is_printed.set(True)
    click.echo(text)


Describe: TypeAlias = Callable[[BaseException, ExitCode], str]
"""A failure as a document for programs."""


def run(program: click.Group, name: str, arguments: list[str] | None, describe: Describe | None = None) -> int:
    """Run a program, and say in one message what went wrong.

    Args:
        program: the group of its subcommands.
        name: as it is called.
        arguments: without the program's name; None takes the process's own.
        describe: where `--format json` is asked for, a failure is printed on stdout so.

    Returns:
        The exit code.
    """
    _prepare_streams()
    _document_is_printed.set(False)
    given = sys.argv[1:] if arguments is None else arguments
    try:
        # An output whose reader has gone (`| head`) is click's business: it ends the process with 1, silently.
        code = program.main(args=given, prog_name=name, standalone_mode=False)
    except click.exceptions.Exit as error:
        return error.exit_code
    except (click.ClickException, click.exceptions.Abort, KeyboardInterrupt, TopoError, OSError) as error:
        failed = _say(error)
        if describe is not None and not _document_is_printed.get() and _wants_json(program, given):
            with contextlib.suppress(OSError):  # whoever reads has gone, or the disk is full
                click.echo(describe(error, failed))
                sys.stdout.flush()
        return failed
    return code if isinstance(code, int) else ExitCode.OK


def _say(error: BaseException) -> ExitCode:
    """Say on stderr what went wrong."""
    match error:
        case click.exceptions.NoArgsIsHelpError():
            click.echo(error.format_message(), err=True)
            return ExitCode.USAGE
        case click.ClickException():
            error.show()
            return ExitCode.USAGE
        case TopoError():
            click.echo(f"error: {error}", err=True)
            return exit_code_of(error)
        case OSError():  # a full disk, a folder that may not be written: never the program's own mistake
            _give_up_unwritten()
            click.echo(f"error: {words_of(error)}", err=True)
            return ExitCode.FAILED
        case _:
            click.echo("interrupted", err=True)
            return ExitCode.INTERRUPTED


def words_of(error: OSError) -> str:
    """What the system said, and of which file."""
    where = f"{error.filename}: " if error.filename else ""
    return f"{where}{error.strerror or error}"


def _wants_json(program: click.Group, arguments: Sequence[str]) -> bool:
    """Whether `--format json` was asked for, also where the arguments are wrong and nobody has parsed them."""
    asked = None
    for argument, following in pairwise([*arguments, ""]):
        if argument == "--":
            break
        if argument == "--format":
            asked = following
        elif argument.startswith("--format="):
            asked = argument.partition("=")[2]
    if asked is not None:
        return asked == "json"
    return os.environ.get(FORMAT_VARIABLE) == "json" and _has_format(program, arguments)


def _has_format(program: click.Group, arguments: Sequence[str]) -> bool:
    """Whether the command that is called knows formats."""
    command: click.Command = program
    for argument in arguments:
        if isinstance(command, click.Group):
            command = command.get_command(click.Context(command), argument) or command
    return any(parameter.envvar == FORMAT_VARIABLE for parameter in command.params)


def _prepare_streams() -> None:
    """Make sure that there are three streams, and that any text can be written.

    A stream that was closed before the start (`>&-`) is None in Python, and its number would go to the next socket.
    Names of files, and what brokers say, may hold what the terminal's encoding has not.
    """
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, mode, encoding="utf-8"))  # noqa: SIM115  # for the life of the process
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")


def _give_up_unwritten() -> None:
    """Python would try to write the rest once more at exit, complain, and end with a code of its own."""
    try:
        sys.stdout.flush()
    except OSError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
