"""A failure as JSON, for programs that asked for `--format json`."""

from __future__ import annotations

import json

import click

from letrade_topo.errors import TopoError
from letrade_topo.exit_codes import ExitCode
from letrade_topo.model.messages import Json
from letrade_topo.program import words_of

FORMAT_VERSION = 1


def document(error: BaseException, code: ExitCode) -> str:
    """One object: `format_version` and `error`; of an invalid topology also its `diagnostics`."""
    from letrade_topo.load.diagnostics import InvalidTopology
    from letrade_topo.render.diagnostics_json import to_json

    report: dict[str, Json] = {"format_version": FORMAT_VERSION, "error": error_to_json(error, code)}
    if isinstance(error, InvalidTopology):
        report["diagnostics"] = [to_json(item) for item in error.diagnostics]
    return json.dumps(report, indent=2, ensure_ascii=False)


def error_to_json(error: BaseException, code: ExitCode) -> dict[str, Json]:
    """What went wrong: `kind` (the error's class), `exit_code`, `what`, `why`, `fix`; null where nothing is known."""
    what, why, fix = str(error), "", ""
    match error:
        case TopoError():
            what, why, fix = error.what, error.why, error.fix
        case click.exceptions.NoArgsIsHelpError():
            what = "a command is missing"
        case click.ClickException():
            what = error.format_message()
        case OSError():
            what = words_of(error)
        case _:
            what, fix = "interrupted", "run the command again"
    kind = type(error).__name__ if isinstance(error, TopoError | click.ClickException | OSError) else "Interrupted"
    return {"kind": kind, "exit_code": int(code), "what": what, "why": why or None, "fix": fix or None}
