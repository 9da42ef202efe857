"""What agents say, put together: sums, differences, and what was met twice."""

from __future__ import annotations

from typing import Any

import pytest
from letrade_agent.filters.words import Undelivered, Word
from letrade_agent.rehearsal import OTHER, Place, Rehearsal

from letrade_topo.keys.reasons import Reason
from letrade_topo.rehearsal.advice import ADVICE
from letrade_topo.rehearsal.report import report_of
from letrade_topo.render.rehearsal import render, summary

NEVER_WARNED = {
    Word.FRAME_SIZE,
    Word.CLAIM_STUB,
    Word.CLAIM_STORE,
    Word.DRAIN,
    Word.DECLARE,
    Word.BIND,
    Word.DELETE,
    Word.CONSUME,
    Undelivered.FRAME_SIZE,
    Undelivered.UNDELIVERABLE,
}
"""Refused in every mode, or no message."""


def row(reason: str, count: int, **changes: Any) -> dict[str, Any]:
    """A line of an agent's answer."""
    found = {
        "direction": "publish",
        "exchange": "orders",
        "queue": None,
        "message_type": "order.placed",
        "routing_key": "order.placed",
        "reason": reason,
        "count": count,
        "message_id": None,
        "text": f"text of {reason}",
    }
    return found | changes


def status(
    service: str, *rows: dict[str, Any], published: int = 10, delivered: int = 0, mode: str = "warn", started: str = "t"
) -> dict[str, Any]:
    """An agent's answer."""
    destinations = [
        {"direction": "publish", "destination": "orders", "outcome": "forwarded", "count": published},
        {"direction": "deliver", "destination": "clerk.orders", "outcome": "forwarded", "count": delivered},
    ]
    return {
        "service": service,
        "started_at": started,
        "messages": {"by_destination": destinations},
        "rehearsal": {"modes": {"orders": mode}, "would_refuse": list(rows)},
    }


def test_there_is_advice_for_every_reason() -> None:
    """And for no other."""
    assert ADVICE.keys() == ({*Word, *Undelivered, *Reason} - NEVER_WARNED)


def test_agents_of_one_service_are_summed() -> None:
    """Each kind once; the most frequent first."""
    first, second = status("shop", row("schema", 2), row("envelope", 3)), status("shop", row("schema", 5))
    report = report_of(None, [first, second], None)
    assert [(one.reason, one.count) for one in report.findings] == [("schema", 7), ("envelope", 3)]
    assert [(one.agents, one.judged) for one in report.services] == [(2, 20)]


def test_a_period_counts_what_came_in_it() -> None:
    """What was there before is left out; after a restart everything counts, and that is said."""
    before = status("shop", row("schema", 2), row("envelope", 3), published=5)
    after = status("shop", row("schema", 2), row("envelope", 4), published=8)
    report = report_of([before], [after], 60.0)
    assert [(one.reason, one.count) for one in report.findings] == [("envelope", 1)]
    assert report.judged == 3
    anew = report_of([before], [status("shop", row("schema", 1), published=1, started="later")], 60.0)
    assert [(one.reason, one.count) for one in anew.findings] == [("schema", 1)]
    assert "note: an agent of shop was restarted" in render(anew, "text")


@pytest.mark.parametrize(
    ("published", "met", "is_folded"),
    [
        ("schema", "schema", True),
        ("undeclared", "token_missing", True),
        ("not_allowed", "token_missing", True),
        ("copies", "not_allowed", True),
        ("encrypt", "decrypt", True),
        ("schema", "token_missing", False),
        ("schema", "expired", False),
    ],
)
def test_what_a_consumer_met_again_is_said_at_the_publisher(published: str, met: str, is_folded: bool) -> None:
    """The publisher is who has something to change."""
    arrived = row(met, 2, direction="deliver", queue="clerk.orders")
    report = report_of(None, [status("clerk", arrived), status("shop", row(published, 2))], None)
    assert [one.service for one in report.findings] == (["shop"] if is_folded else ["clerk", "shop"])
    assert report.findings[-1].met_again_by == (("clerk",) if is_folded else ())


def test_of_another_exchange_or_key_it_is_something_else() -> None:
    """Nothing is folded away that the publisher's agent did not see."""
    arrived = row("token_missing", 1, direction="deliver", queue="q", message_type=None, routing_key="a")
    for published in (row("undeclared", 1, message_type=None, routing_key="b"), row("undeclared", 1, exchange="other")):
        report = report_of(None, [status("clerk", arrived), status("shop", published)], None)
        assert len(report.findings) == 2


def test_what_passed_unjudged_is_said() -> None:
    """A report that finds nothing is no proof where nobody looked."""
    report = report_of(None, [status("shop", published=7, mode="off")], None)
    assert report.judged == 0
    assert "note: 7 messages of shop to orders passed in mode `off`: not judged" in render(report, "text")
    assert summary(report).startswith("enforce would refuse nothing of 0 messages")


def test_names_cannot_steer_a_terminal() -> None:
    """They are somebody else's."""
    found = row("schema", 1, message_type=None, routing_key="\x1b[31m", text="\n\x1b]0;x\x07")
    assert "\x1b" not in render(report_of(None, [status("shop", found)], None), "text")


def test_an_agent_keeps_so_many_places() -> None:
    """However many keys there are; none is lost, the first of each is the example."""
    rehearsal = Rehearsal(most=3)
    for number in range(10):
        place = Place("publish", "orders", "", f"key.{number}", False, "undeclared")
        rehearsal.note(place, b"key.%d" % number, b"\xff", "x" * 1000)
    kept = list(rehearsal)
    place, count, _ = kept[0]
    assert (place.about, count) == (OTHER, 7)
    assert len(kept) == 4
    assert {len(example.text) for _, _, example in kept} == {300}
