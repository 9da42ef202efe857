"""Running jobs that write: show the plans, ask, do it, say what became of it."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass

import click

from letrade_topo.apply.applying import Broken, Interrupted, Result, Run
from letrade_topo.apply.fleet import FleetResult, apply_all
from letrade_topo.apply.moves import Means
from letrade_topo.apply.outcome import Status
from letrade_topo.cli.connection import ConnectionOptions, Usage
from letrade_topo.cli.failures import error_to_json
from letrade_topo.cli.fleet import Fleet
from letrade_topo.cli.migration_options import MigrationOptions
from letrade_topo.cli.terminal import MOST_CREATES_SHOWN, TerminalProgress, say, wants_colour
from letrade_topo.exit_codes import ExitCode, exit_code_of
from letrade_topo.plan.guards import UnsafePlan
from letrade_topo.plan.plan import Plan
from letrade_topo.program import print_document
from letrade_topo.render import fleet as render
from letrade_topo.render import plan_json
from letrade_topo.render.plan_text import Style


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


def run_fleet(
    fleet: Fleet,
    connection: ConnectionOptions,
    asking: Asking,
    lock_timeout_seconds: float,
    output_format: str,
    *,
    closes_connections: bool = False,
    migration: MigrationOptions | None = None,
) -> int:
    """Run the jobs of a fleet and print what became of them.

    Returns:
        The exit code.
    """

    reviewed: list[Plan] = []

    def review(plans: Sequence[Plan]) -> bool:
        reviewed.extend(plans)
        if output_format == "text":
            style = Style(wants_colour(sys.stdout), MOST_CREATES_SHOWN, brief=True)
            click.echo(render.render_plans(plans, style) + "\n")
        return all(plan.is_empty for plan in plans) or any(plan.refusals for plan in plans) or asking.agrees()

    def means(plan: Plan) -> Means:
        loaded = fleet.loaded(plan.scope)
        if migration is None or loaded is None:
            raise UnsafePlan(
                "this run cannot migrate queues; nothing was changed",
                why="a saved plan does not hold what tokens of moved messages are made by",
                fix="apply the topology itself, with --allow migrate",
            )
        return migration.means(client, loaded.topology)

    run = Run(
        review=review,
        progress=TerminalProgress(),
        reviewed=not asking.yes,
        lock_timeout_seconds=lock_timeout_seconds,
        closes_connections=closes_connections,
        means=means,
    )
    with connection.connect(fleet.access) as client:
        try:
            done = apply_all(client, fleet.requests, run)
        except UnsafePlan as refused:
            if reviewed and output_format != "text":
                _print(_nothing_done(reviewed), output_format, refused, exit_code_of(refused))
            raise
    code = _exit_code(done)
    _print(done, output_format, done.error, code)
    match done.error:
        case Broken() as broken:
            say(f"error: {broken}")
        case Interrupted():
            locks = "the lock is" if len(fleet.jobs) == 1 else "the locks are"
            say(f"interrupted; {locks} released, run it again to finish")
    return code


def _nothing_done(plans: Sequence[Plan]) -> FleetResult:
    return FleetResult((Result(plans[0]),)) if len(plans) == 1 else FleetResult((), tuple(plans))


def _print(
    done: FleetResult, output_format: str, error: BaseException | None = None, code: ExitCode = ExitCode.FAILED
) -> None:
    match output_format:
        case "json":
            report = render.results_to_json(done)
            if error is not None:
                report["error"] = error_to_json(error, code)
            print_document(plan_json.dumps(report))
        case "markdown":
            click.echo(render.render_results_as_markdown(done))
        case _:
            if shown := render.render_results(done, Style(wants_colour(sys.stdout))):
                click.echo(shown)
    if output_format != "text":
        say(render.results_summary(done))


def _exit_code(done: FleetResult) -> ExitCode:
    outcomes = [outcome for result in done.results for outcome in result.outcomes]
    is_any_done = any(outcome.status is Status.DONE for outcome in outcomes)
    match done.error:
        case Broken() as broken:
            return ExitCode.PARTLY_APPLIED if is_any_done else exit_code_of(broken.cause)
        case Interrupted():
            return ExitCode.INTERRUPTED
    if any(one.failure for result in done.results for one in result.ended):
        return ExitCode.PARTLY_APPLIED
    if all(outcome.status is Status.DONE for outcome in outcomes):
        return ExitCode.OK
    return ExitCode.PARTLY_APPLIED if is_any_done else ExitCode.FAILED
