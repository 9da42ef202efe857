"""A program of subcommands: each is imported when it is called; every error becomes one message and an exit code.

What `letrade-topo` and `letrade-agent` have in common as programs; knows no subcommand.
"""

from __future__ import annotations

import importlib
import io
import os
import sys
from collections.abc import Mapping
from typing import Any, TypeAlias

import click

from letrade_topo.errors import TopoError
from letrade_topo.exit_codes import ExitCode, exit_code_of

Subcommands: TypeAlias = Mapping[str, tuple[str, str]]
"""By name: where it is (`module:attribute`), and what `--help` says of it."""

SETTINGS = {"help_option_names": ["-h", "--help"], "max_content_width": 100}


class Commands(click.Group):
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


def run(program: click.Group, name: str, arguments: list[str] | None) -> int:
    """Run a program, and say in one message what went wrong.

    Args:
        program: the group of its subcommands.
        name: as it is called.
        arguments: without the program's name; None takes the process's own.

    Returns:
        The exit code.
    """
    _prepare_streams()
    try:
        # An output whose reader has gone (`| head`) is click's business: it ends the process with 1, silently.
        code = program.main(args=arguments, prog_name=name, standalone_mode=False)
    except click.exceptions.NoArgsIsHelpError as error:
        click.echo(error.format_message(), err=True)
        return ExitCode.USAGE
    except click.ClickException as error:
        error.show()
        return ExitCode.USAGE
    except click.exceptions.Exit as error:
        return error.exit_code
    except (click.exceptions.Abort, KeyboardInterrupt):
        click.echo("interrupted", err=True)
        return ExitCode.INTERRUPTED
    except TopoError as error:
        click.echo(f"error: {error}", err=True)
        return exit_code_of(error)
    except OSError as error:  # a full disk, a folder that may not be written: never the program's own mistake
        _give_up_unwritten()
        where = f"{error.filename}: " if error.filename else ""
        click.echo(f"error: {where}{error.strerror or error}", err=True)
        return ExitCode.FAILED
    return code if isinstance(code, int) else ExitCode.OK


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
