"""The reference pages of the command line and of the exit codes, from the commands themselves."""

from __future__ import annotations

from collections.abc import Iterator

import click

from letrade_topo.cli.main import letrade_topo
from letrade_topo.exit_codes import BY_ERROR, ExitCode

WIDTH = 100


def command_line() -> str:
    """The commands of `letrade-topo`, as Markdown."""
    return help_page("The command line", letrade_topo, "letrade-topo")


def help_page(title: str, program: click.Command, name: str) -> str:
    """The `--help` of every command of a program, as Markdown."""
    parts = [f"# {title}", "", "Generated from the code by `script/reference`.", ""]
    for path, command in _commands(program, [name]):
        context = click.Context(command, info_name=" ".join(path), terminal_width=WIDTH, max_content_width=WIDTH)
        parts += [f"## `{' '.join(path)}`", "", "```text", command.get_help(context), "```", ""]
    return "\n".join(parts)


def exit_codes() -> str:
    """Every exit code with its meaning and the errors behind it, as Markdown."""
    lines = [
        "# Exit codes",
        "",
        "Generated from the code by `script/reference`. The same for every command.",
        "",
        "| code | meaning |",
        "|---|---|",
    ]
    lines += [f"| {int(code)} | {code.meaning} |" for code in ExitCode]
    lines += ["", "Errors by class:", "", "| error | code |", "|---|---|"]
    lines += [f"| `{name}` | {int(code)} |" for name, code in BY_ERROR.items()]
    return "\n".join([*lines, ""])


def _commands(command: click.Command, path: list[str]) -> Iterator[tuple[list[str], click.Command]]:
    yield path, command
    if isinstance(command, click.Group):
        context = click.Context(command, info_name=path[-1])
        for name in command.list_commands(context):
            found = command.get_command(context, name)
            if found is not None:
                yield from _commands(found, [*path, name])
