"""Plans and results as text, for people at a terminal."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import groupby

from letrade_topo.apply.applying import Result
from letrade_topo.apply.outcome import Outcome, Status
from letrade_topo.model.messages import Json
from letrade_topo.plan.change import Action, Change
from letrade_topo.plan.guards import count
from letrade_topo.plan.plan import Plan
from letrade_topo.render.plan_json import failures
from letrade_topo.render.wording import on_one_line, visible

LONGEST_VALUE = 100


@dataclass(frozen=True, slots=True)
class Style:
    """How much to show, and whether in colour.

    Args:
        colour: use ANSI colours.
        most: of one stage, at most so many creates are listed; None lists all.
    """

    colour: bool = False
    most: int | None = None

    def paint(self, code: str, text: str) -> str:
        """`text` in a colour, if colours are wanted."""
        return f"\x1b[{code}m{text}\x1b[0m" if self.colour else text


COLOURS = {Action.CREATE: "32", Action.UPDATE: "33", Action.REPLACE: "35", Action.DELETE: "31"}


def render_plan(plan: Plan, style: Style) -> str:
    """A plan: changes by stage, what is left alone, what stands against it, and the sums."""
    lines = [
        f"Topology {plan.scope.topology!r} on vhost {plan.scope.vhost!r} of {on_one_line(plan.broker.cluster)} "
        f"(RabbitMQ {plan.broker.version}), as user {plan.broker.username!r}",
    ]
    for title, changes in groupby(plan.changes, key=_title):
        lines += ["", title, *_stage(list(changes), style)]
    if plan.unmanaged:
        lines += ["", "not declared, left alone (--allow delete-unmanaged deletes them)"]
        lines += [style.paint("36", f"  ? {on_one_line(change.address)}") for change in plan.unmanaged]
    if plan.findings:
        lines += ["", "in effect otherwise than declared"]
        for finding in plan.findings:
            found = on_one_line(f"{finding.address}: {finding.text}")
            lines += [style.paint("33", f"  ! {found}"), f"      {finding.fix}"]
    if plan.refusals:
        lines += ["", "refused"]
        lines += [style.paint("31", f"  x {on_one_line(refusal.text)}") for refusal in plan.refusals]
    if plan.desired.notices and plan.changes and not plan.destroys:
        lines += ["", "to know"]
        lines += [f"  * {notice.text}" for notice in plan.desired.notices]
    return "\n".join([*lines, "", summary(plan)])


def summary(plan: Plan) -> str:
    """One line: how many changes of each kind, or that there is nothing to do."""
    if plan.changes:
        sums = ", ".join(f"{count:,} to {action}" for action, count in plan.counts.items() if count)
        text = f"Plan: {sums}."
    else:
        text = "Nothing to do." if not plan.destroys else "Nothing to destroy."
    if plan.unmanaged:
        text += f" {len(plan.unmanaged):,} not declared."
    if plan.findings:
        text += f" {len(plan.findings):,} in effect otherwise than declared."
    if plan.refusals:
        text += f" {len(plan.refusals):,} refused."
    return text


def render_result(result: Result, style: Style) -> str:
    """What did not get done, each with the reason, and the sums."""
    lines = [
        style.paint("31", f"  {outcome.status}: {outcome.change.action} {_told(outcome)}")
        for outcome in failures(result.outcomes)
    ]
    return "\n".join([*lines, result_summary(result)])


def result_summary(result: Result) -> str:
    """One line: how many done, failed, skipped."""
    if not result.outcomes:
        return "Nothing was to be done."
    sums = ", ".join(f"{result.count(status):,} {status}" for status in Status if result.count(status))
    verb = "Destroyed" if result.plan.destroys else "Applied"
    return f"{verb}: {sums}."


def _told(outcome: Outcome) -> str:
    return f"{on_one_line(outcome.change.address)}: {visible(outcome.why)}"


def _title(change: Change) -> str:
    return f"delete {change.stage.title}" if change.action is Action.DELETE else change.stage.title


def _stage(changes: list[Change], style: Style) -> Iterator[str]:
    creates = 0
    for change in changes:
        if change.action is Action.CREATE and style.most is not None:
            creates += 1
            if creates > style.most:
                continue
        yield from _change(change, style)
    if style.most is not None and creates > style.most:
        yield f"  … and {creates - style.most:,} more to create"


def _change(change: Change, style: Style) -> Iterable[str]:
    address = on_one_line(change.address.partition(":")[2])
    origin = f"  ({change.origin})" if change.origin and change.action is not Action.CREATE else ""
    why = f"  {change.reason.text}" if change.action is not Action.CREATE or change.reason == "rebind" else ""
    yield style.paint(COLOURS[change.action], f"  {change.action.symbol} {address}") + why + origin
    for difference in change.differences:
        yield f"      {on_one_line(difference.attribute)}: {shown(difference.before)} → {shown(difference.after)}"
    if change.removes_queue and (change.messages, change.consumers) != (0, 0):
        held = f"{count(change.messages, 'message')}, {count(change.consumers, 'consumer')}"
        yield style.paint("31", f"      holds {held}")


def shown(value: Json) -> str:
    """A value on one line, cut when it is long."""
    text = "(none)" if value is None else visible(json.dumps(value, ensure_ascii=False))
    return text if len(text) <= LONGEST_VALUE else f"{text[: LONGEST_VALUE - 1]}…"
