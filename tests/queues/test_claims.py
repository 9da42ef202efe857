"""Dead letters whose bodies lie in the object store: how long still, and how that is shown."""

from __future__ import annotations

import time

from letrade_topo.messages.claim import CONTENT_TYPE, Claim
from letrade_topo.model.claim_check import ClaimCheck
from letrade_topo.model.units import Duration
from letrade_topo.queues.claims import ClaimedBody, claimed_body
from letrade_topo.queues.content import Properties
from letrade_topo.queues.letter import Letter
from letrade_topo.queues.link import Depth
from letrade_topo.queues.sessions import Looked
from letrade_topo.queues.summary import Summary
from letrade_topo.render.dead_letters import render_summary
from letrade_topo.render.dead_letters_json import letter_to_json

NOW = float(int(time.time()))
DAY = 86_400
CHECK = ClaimCheck(retention=Duration(30 * DAY * 1000))


def claimed(seconds_left: float) -> ClaimedBody:
    """A body that is kept for so long."""
    name = f"test/t/shop/2026-01-01/{'0' * 32}"
    stub = Claim(name, "0" * 64, 10_485_760, int(NOW + seconds_left)).encode()
    raw = b"\x80\x00" + bytes((len(CONTENT_TYPE),)) + CONTENT_TYPE
    found = claimed_body(Properties.parse(raw), stub, CHECK)
    assert found is not None
    return found


def letter(number: int, body: ClaimedBody | None) -> Letter:
    """A dead letter."""
    return Letter(f"id-{number}", "orders", "order.placed", "clerk.orders", "rejected", 1, NOW, NOW, None, 300, body)


def test_near_its_end() -> None:
    """In the last tenth of the retention, and after it."""
    assert not claimed(3 * DAY + 1).is_near_end(NOW)
    assert claimed(3 * DAY).is_near_end(NOW)
    assert claimed(-1).is_near_end(NOW)


def test_what_is_no_stub() -> None:
    """By its content type, or because its body is none that an agent makes."""
    json = b"\x80\x00\x10application/json"
    assert claimed_body(Properties.parse(json), b"{}", CHECK) is None
    raw = b"\x80\x00" + bytes((len(CONTENT_TYPE),)) + CONTENT_TYPE
    assert claimed_body(Properties.parse(raw), b"{}", CHECK) is None


def test_how_they_are_marked() -> None:
    """Counted at the top, and each with the time that is left; for programs, too."""
    summary = Summary(20)
    for number, body in enumerate((claimed(20 * DAY), claimed(2 * DAY), claimed(-5), None)):
        summary.add(letter(number, body), NOW)
    text = render_summary("letrade.dlq", Looked(Depth(4, 0), 4, 0), summary, NOW, is_filtered=False)

    assert "3 messages with a body in the object store, 2 of them near the end of their time" in text
    claims = [letter_to_json(each, NOW)["claim"] for each in summary.letters]
    marks = [claim["near_end"] for claim in claims if isinstance(claim, dict)]
    assert marks == [False, True, True]
    assert letter_to_json(summary.letters[3], NOW)["claim"] is None
    lines = [line for line in text.splitlines() if line.startswith("id-")]
    assert ["!" in line for line in lines] == [False, True, True, False]


def test_without_any() -> None:
    """Nothing is said of an object store."""
    summary = Summary(20)
    summary.add(letter(1, None), NOW)
    text = render_summary("letrade.dlq", Looked(Depth(1, 0), 1, 0), summary, NOW, is_filtered=False)
    assert "object" not in text.lower()
