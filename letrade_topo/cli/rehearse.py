"""`letrade-topo rehearse`: what mode `enforce` would refuse, by what agents in mode `warn` have counted."""

from __future__ import annotations

import contextlib
import sys
import time

import click

from letrade_topo.cli.options import format_option
from letrade_topo.cli.terminal import say
from letrade_topo.exit_codes import ExitCode, epilog
from letrade_topo.model.units import Duration, UnitError
from letrade_topo.program import print_document

_CODES = {
    ExitCode.OK: "nothing would be refused",
    ExitCode.FAILED: "no message was seen to judge",
    ExitCode.CHANGES: "something would be refused",
    ExitCode.UNREACHABLE: "an agent does not answer",
}


def _seconds(context: click.Context, parameter: click.Parameter, text: str | None) -> float | None:
    if text is None:
        return None
    try:
        seconds = Duration.parse(text).seconds
    except UnitError as error:
        raise click.BadParameter(str(error), context, parameter) from None
    if seconds <= 0:
        raise click.BadParameter("longer than nothing", context, parameter)
    return seconds


@click.command(epilog=epilog(_CODES))
@click.option(
    "--agent",
    "agents",
    metavar="URL",
    multiple=True,
    required=True,
    envvar="LETRADE_TOPO_AGENTS",
    show_envvar=True,
    help="The admin port of an agent, for example http://127.0.0.1:9464. Repeatable: of several services, or several "
    "pods of one.",
)
@click.option(
    "--period",
    metavar="DURATION",
    callback=_seconds,
    envvar="LETRADE_TOPO_PERIOD",
    show_envvar=True,
    help="Watch for so long, for example 10m; Ctrl-C ends it earlier. By default what was counted since each agent was "
    "started.",
)
@format_option("text", "json")
def rehearse(agents: tuple[str, ...], period: float | None, output_format: str) -> int:
    """Say what mode `enforce` would refuse, out of what agents in mode `warn` let through. Changes nothing.

    Names the service, the type of message, the reason, an example without its body, and what to do.
    """
    from letrade_topo.agent_status import agent_status
    from letrade_topo.rehearsal.report import counted_of, report_of
    from letrade_topo.render.rehearsal import render, summary

    urls = tuple(dict.fromkeys(agents))
    before, seconds = None, None
    if period is not None:
        before = [counted_of(agent_status(url), url) for url in urls]
        seconds = _watch(period)
    report = report_of(before, [counted_of(agent_status(url), url) for url in urls], seconds)
    print_document(render(report, output_format))
    if output_format != "text":
        say(summary(report))
    if report.findings:
        return ExitCode.CHANGES
    if not report.judged:
        say("error: nothing was rehearsed: no message passed an exchange that is in mode `warn` or `enforce`")
        return ExitCode.FAILED
    return ExitCode.OK


def _watch(period: float) -> float:
    """Wait, or until Ctrl-C; how long it was, in seconds."""
    say(f"watching for {period:g} s; Ctrl-C ends it earlier, with the report")
    start = time.monotonic()
    with contextlib.suppress(KeyboardInterrupt):
        if sys.stderr.isatty():
            while (left := start + period - time.monotonic()) > 0:
                click.echo(f"\r{left:.0f} s left \x1b[K", err=True, nl=False)
                time.sleep(min(left, 1.0))
            click.echo("\r\x1b[K", err=True, nl=False)
        else:
            time.sleep(period)
    return time.monotonic() - start
