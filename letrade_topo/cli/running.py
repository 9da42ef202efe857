"""Running a job that writes: show the plan, ask, do it, say what became of it."""

from __future__ import annotations

import sys
from dataclasses import dataclass

import click

from letrade_topo.apply.applying import Broken, Interrupted, Result, Run, apply
from letrade_topo.apply.outcome import Status
from letrade_topo.cli.connection import ConnectionOptions, Usage
from letrade_topo.cli.session import Job
from letrade_topo.cli.terminal import MOST_CREATES_SHOWN, TerminalProgress, say, wants_colour
from letrade_topo.exit_codes import ExitCode, exit_code_of
from letrade_topo.plan.plan import Plan
from letrade_topo.render import plan_json, plan_markdown, plan_text


@dataclass(frozen=True, slots=True)
class Asking:
    """Whether a person is asked, and what.

    Args:
        yes: do not ask.
        question: what is asked.
    """

    yes: bool
    question: str

    def agrees(self) -> bool:
        """Ask, unless told not to.

        Raises:
            Usage: nobody can be asked.
        """
        if self.yes:
            return True
        if not sys.stdin.isatty():
            raise Usage("nobody can be asked here (stdin is no terminal): give --yes")
        return click.confirm(self.question, err=True)


def run_job(
    job: Job, connection: ConnectionOptions, asking: Asking, lock_timeout_seconds: float, output_format: str
) -> int:
    """Run a job and print what became of it.

    Returns:
        The exit code.
    """

    def review(plan: Plan) -> bool:
        if output_format == "text":
            style = plan_text.Style(wants_colour(sys.stdout), MOST_CREATES_SHOWN)
            click.echo(plan_text.render_plan(plan, style) + "\n")
        elif plan.refusals:
            _print(Result(plan), output_format)
        return plan.is_empty or bool(plan.refusals) or asking.agrees()

    run = Run(
        review=review,
        progress=TerminalProgress(),
        reviewed=not asking.yes,
        fingerprint=job.fingerprint,
        lock_timeout_seconds=lock_timeout_seconds,
    )
    with connection.connect(job.access) as client:
        try:
            result = apply(client, job.request, run)
        except Broken as broken:
            _print(broken.result, output_format)
            say(f"error: {broken}")
            partly = broken.result.count(Status.DONE) > 0
            return ExitCode.PARTLY_APPLIED if partly else exit_code_of(broken.cause)
        except Interrupted as interrupted:
            _print(interrupted.result, output_format)
            say("interrupted; the lock is released, run it again to finish")
            return ExitCode.INTERRUPTED
    _print(result, output_format)
    return _exit_code(result)


def _print(result: Result, output_format: str) -> None:
    match output_format:
        case "json":
            click.echo(plan_json.dumps(plan_json.result_to_json(result)))
        case "markdown":
            click.echo(plan_markdown.render_result(result))
        case _ if result.outcomes:
            click.echo(plan_text.render_result(result, plan_text.Style(wants_colour(sys.stdout))))
    if output_format != "text":
        say(plan_text.result_summary(result))


def _exit_code(result: Result) -> ExitCode:
    done, left = result.count(Status.DONE), len(result.outcomes) - result.count(Status.DONE)
    if not left:
        return ExitCode.OK
    return ExitCode.PARTLY_APPLIED if done else ExitCode.FAILED
