"""A rehearsal of mode `enforce`, for people and programs. Names and texts of others cannot steer a terminal."""

from __future__ import annotations

import json
from collections.abc import Iterator
from itertools import groupby
from typing import Any

from letrade_topo.rehearsal.advice import advice
from letrade_topo.rehearsal.report import PUBLISH, RehearsalFinding, RehearsalReport, ServiceRehearsal
from letrade_topo.render.wording import counted, duration, on_one_line

FORMAT_VERSION = 1


def render(report: RehearsalReport, output_format: str) -> str:
    """The whole report as `text` or `json`."""
    return as_json(report) if output_format == "json" else "\n".join(_lines(report))


def summary(report: RehearsalReport) -> str:
    """One line: what `enforce` would refuse."""
    period = "since the agents were started" if report.seconds is None else f"in {duration(report.seconds)}"
    agents = sum(one.agents for one in report.services)
    seen = f"{counted(report.judged, 'message')} {period}, by {counted(agents, 'agent')}"
    if not report.findings:
        return f"enforce would refuse nothing of {seen}"
    refused = sum(one.count for one in report.findings)
    return f"enforce would refuse {counted(len(report.findings), 'kind')} of messages, {refused:,} of {seen}"


def as_json(report: RehearsalReport) -> str:
    """The report as a document."""
    document = {
        "format_version": FORMAT_VERSION,
        "seconds": report.seconds,
        "judged": report.judged,
        "services": [_service_document(one) for one in report.services],
        "would_refuse": [_finding_document(one) for one in report.findings],
    }
    return json.dumps(document, indent=2, ensure_ascii=False)


def _service_document(one: ServiceRehearsal) -> dict[str, Any]:
    return {
        "service": one.service,
        "agents": one.agents,
        "published": {name: count for name, count in sorted(one.published.items()) if count},
        "delivered": one.delivered,
        "modes": dict(one.modes),
        "not_judged": dict(one.not_judged),
        "restarted": one.restarted,
    }


def _finding_document(one: RehearsalFinding) -> dict[str, Any]:
    return {
        "service": one.service,
        "direction": one.direction,
        "exchange": one.exchange,
        "queue": one.queue or None,
        "message_type": one.message_type or None,
        "reason": one.reason,
        "count": one.count,
        "example": {
            "routing_key": one.routing_key,
            "message_id": one.message_id or None,
            "text": one.text,
        },
        "met_again_by": list(one.met_again_by),
        "what_to_do": advice(one.reason),
    }


def _lines(report: RehearsalReport) -> Iterator[str]:
    yield summary(report)
    for service, findings in groupby(report.findings, key=lambda one: one.service):
        yield ""
        yield on_one_line(service)
        for one in findings:
            yield from _finding_lines(one)
    notes = [note for one in report.services for note in _notes(one)]
    if notes:
        yield ""
        yield from notes


def _finding_lines(one: RehearsalFinding) -> Iterator[str]:
    about = one.message_type or f"key {one.routing_key!r}"
    if one.direction == PUBLISH:
        where = f"publishes {about} to {one.exchange}"
    else:
        where = f"receives {about} of {one.exchange} from {one.queue}"
    yield f"  {on_one_line(where)}: {one.reason}, {counted(one.count, 'message')}"
    yield f"    {on_one_line(one.text)}"
    example = [f"key {one.routing_key!r}" if one.message_type else "", f"id {one.message_id}" if one.message_id else ""]
    shown = ", ".join(part for part in example if part)
    if shown:
        yield f"    for example: {on_one_line(shown)}"
    if one.met_again_by:
        yield f"    the same messages were found again by the agents of {on_one_line(', '.join(one.met_again_by))}"
    yield f"    → {advice(one.reason)}"


def _notes(one: ServiceRehearsal) -> Iterator[str]:
    name = on_one_line(one.service)
    if one.restarted:
        yield f"note: an agent of {name} was restarted: what it had counted before is not in this report"
    for exchange, count in sorted(one.not_judged.items()):
        what = f"{counted(count, 'message')} of {name} to {on_one_line(exchange)}"
        yield f"note: {what} passed in mode `off`: not judged"
    if not one.judged:
        yield f"note: the agent of {name} saw no message to judge"
