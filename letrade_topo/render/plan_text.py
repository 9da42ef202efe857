"""Plans and results as text, for people at a terminal."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import groupby

from letrade_topo.apply.applying import Result
from letrade_topo.apply.outcome import Outcome, Status
from letrade_topo.broker.objects import Kind
from letrade_topo.model.messages import Json
from letrade_topo.plan.change import Action, Change, public_attributes
from letrade_topo.plan.drift import DriftKind, of_kind
from letrade_topo.plan.finding import Finding
from letrade_topo.plan.guards import count
from letrade_topo.plan.plan import Plan
from letrade_topo.render.plan_json import failures
from letrade_topo.render.wording import on_one_line, visible

LONGEST_VALUE = 100
WIDEST_LINE = 108
_IN_ADDRESS = frozenset({"source", "destination", "destination_type", "routing_key"})


@dataclass(frozen=True, slots=True)
class Style:
    """How much to show, and whether in colour.

    Args:
        colour: use ANSI colours.
        most: of changes of one stage that are alike, at most so many are listed; None lists all. Whatever deletes
            or replaces is listed.
        unfold: what to write to see all, behind the number of those that are left out.
        brief: of what is created, show the name alone.
    """

    colour: bool = False
    most: int | None = None
    brief: bool = False
    unfold: str = ""

    def paint(self, code: str, text: str) -> str:
        """`text` in a colour, if colours are wanted."""
        return f"\x1b[{code}m{text}\x1b[0m" if self.colour else text


COLOURS = {Action.CREATE: "32", Action.UPDATE: "33", Action.REPLACE: "35", Action.MIGRATE: "35", Action.DELETE: "31"}


OF_FINDINGS = {
    DriftKind.DIFFERS: "in effect otherwise than declared",
    DriftKind.UNDECLARED: "at work here, and not declared",
}
"""Titles."""


def render_plan(plan: Plan, style: Style, sums: str = "") -> str:
    """A plan: changes by stage, what is left alone, what stands against it, and the sums.

    Args:
        plan: the plan.
        style: how.
        sums: the last line, if it is another than `summary`.
    """
    lines = [
        f"Topology {plan.scope.topology!r} on vhost {plan.scope.vhost!r} of {on_one_line(plan.broker.cluster)} "
        f"(RabbitMQ {plan.broker.version}), as user {plan.broker.username!r}",
        *plan.remarks,
    ]
    for title, changes in groupby(plan.changes, key=_title):
        lines += ["", title, *_stage(list(changes), style)]
    if plan.unmanaged:
        lines += ["", "not declared, left alone (--allow delete-unmanaged deletes them)"]
        lines += [style.paint("36", f"  ? {on_one_line(change.address)}") for change in plan.unmanaged]
    for kind, title in OF_FINDINGS.items():
        if findings := of_kind(plan.findings, kind, plan.desired):
            lines += ["", title, *_findings(findings, style)]
    if plan.refusals:
        lines += ["", "refused"]
        lines += [style.paint("31", f"  x {on_one_line(refusal.text)}") for refusal in plan.refusals]
    notices = plan.told if plan.destroys else plan.notices
    if notices and plan.changes:
        lines += ["", "to know"]
        lines += [f"  * {notice.text}" for notice in notices]
    return "\n".join([*lines, "", sums or summary(plan)])


def summary(plan: Plan) -> str:
    """One line: what would be done, and how many of everything else."""
    text = planned(plan)
    if plan.unmanaged:
        text += f" {len(plan.unmanaged):,} not declared."
    if plan.findings:
        text += f" {len(plan.findings):,} in effect otherwise than declared."
    if plan.refusals:
        text += f" {len(plan.refusals):,} refused."
    return f"{text} {plan.unseen.line}".rstrip()


def planned(plan: Plan) -> str:
    """How many changes of each kind, or that there is nothing to do."""
    if plan.changes:
        sums = ", ".join(f"{count:,} to {action}" for action, count in plan.counts.items() if count)
        return f"Plan: {sums}."
    return "Nothing to do." if not plan.destroys else "Nothing to destroy."


def render_result(result: Result, style: Style) -> str:
    """What did not get done, each with the reason, and the sums."""
    lines = [
        style.paint("31", f"  {outcome.status}: {outcome.change.action} {_told(outcome)}")
        for outcome in failures(result.outcomes)
    ]
    lines += [f"  migrated {on_one_line(one.change.address)}: {one.note}" for one in result.outcomes if one.note]
    lines += _connections(result, style)
    if result.new_findings:
        lines += ["in effect otherwise than declared, read back", *_findings(result.new_findings, style)]
    return "\n".join([*lines, result_summary(result)])


def _connections(result: Result, style: Style) -> Iterator[str]:
    """What became of open connections of users that may do less than before, or log in otherwise."""
    for one in result.ended:
        closed = f"closed {count(one.connections, 'connection')} of {one.user!r}: {one.reason}"
        if one.failure:
            closed = style.paint("31", f"connections of {one.user!r} are still open: {visible(one.failure)}")
        yield f"  {closed}"
    if result.outlived:
        users = ", ".join(f"{on_one_line(user)} ({reason})" for user, reason in result.outlived.items())
        yield f"  open connections go on as before: {users}; --close-connections ends them"


def _findings(findings: Iterable[Finding], style: Style) -> Iterator[str]:
    for finding in findings:
        yield style.paint("33", f"  ! {on_one_line(f'{finding.address}: {finding.text}')}")
        yield f"      {finding.fix}"


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
    if style.most is None:
        for change in changes:
            yield from _change(change, style)
        return
    alike: dict[tuple[str, ...], list[Change]] = {}
    for change in changes:
        alike.setdefault(_likeness(change), []).append(change)
    for likeness, group in alike.items():
        # What is folded into a line of its own has to be more than one line.
        shown_ones = group[: style.most] if likeness and len(group) > style.most + 1 else group
        for change in shown_ones:
            yield from _change(change, style)
        if left := len(group) - len(shown_ones):
            likewise = "" if group[0].action is Action.CREATE else " likewise"
            yield f"  … and {left:,} more to {group[0].action}{likewise}{style.unfold}"


def _likeness(change: Change) -> tuple[str, ...]:
    """Changes with the same one do the same to objects of one kind; empty for what is shown in any case."""
    if change.action not in (Action.CREATE, Action.UPDATE):
        return ()
    differences = (json.dumps([one.attribute, one.before, one.after]) for one in change.differences)
    return (change.action, change.kind, change.reason, *differences)


def _change(change: Change, style: Style) -> Iterable[str]:
    is_named = change.kind in (Kind.OPERATOR_POLICY, Kind.GLOBAL_PARAMETER)  # which share a stage with others
    address = on_one_line(change.address if is_named else change.address.partition(":")[2])
    origin = f"  ({change.origin})" if change.origin and change.action is not Action.CREATE else ""
    why = f"  {change.reason.text}" if change.action is not Action.CREATE or change.reason == "rebind" else ""
    yield style.paint(COLOURS[change.action], f"  {change.action.symbol} {address}") + why + origin
    if change.action is Action.CREATE and not style.brief:
        yield from _attributes(change)
    for difference in change.differences:
        yield f"      {on_one_line(difference.attribute)}: {shown(difference.before)} → {shown(difference.after)}"
    if change.removes_queue and (change.messages, change.consumers) != (0, 0):
        held = f"{count(change.messages, 'message')}, {count(change.consumers, 'consumer')}"
        yield style.paint("31", f"      holds {held}")


def _attributes(change: Change) -> Iterator[str]:
    """What a new object has besides its name, several on a line; nothing that is off or empty."""
    if change.after is None:
        return
    attributes = _flat(public_attributes(change.after))
    parts = [f"{on_one_line(name)}: {visible(json.dumps(value, ensure_ascii=False))}" for name, value in attributes]
    line = ""
    for part in parts:
        if line and len(line) + len(part) > WIDEST_LINE:
            yield f"      {line},"
            line = ""
        line = f"{line}, {part}" if line else part
    if line:
        yield f"      {line}"


def _flat(attributes: dict[str, Json]) -> Iterator[tuple[str, Json]]:
    """Attributes that say something and are not in the address; arguments by their own names, also the empty ones."""
    for name, value in attributes.items():
        if isinstance(value, dict):
            yield from value.items()
        elif value and name not in _IN_ADDRESS:
            yield name, value


def shown(value: Json) -> str:
    """A value on one line, cut when it is long."""
    text = "(none)" if value is None else visible(json.dumps(value, ensure_ascii=False))
    return text if len(text) <= LONGEST_VALUE else f"{text[: LONGEST_VALUE - 1]}…"
