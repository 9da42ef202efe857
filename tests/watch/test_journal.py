"""The page of a controller that has not looked yet, or could not, and what is remembered."""

from __future__ import annotations

from letrade_topo.expand.expansion import expand
from letrade_topo.plan.prepare import PlanRequest
from letrade_topo.plan.scope import Scope
from letrade_topo.watch.journal import MOST_KEPT, Journal
from letrade_topo.watch.looks import Look
from letrade_topo.watch.page import ControllerFacts, ControllerPage
from letrade_topo.watch.schedule import PassOutcome
from letrade_topo.watch.source import Watched
from tests.plan.worlds import PlanWorld
from tests.topologies import loaded, orders

FACTS = ControllerFacts("pod-7", "repair", 60, "1.0.0")
TOPOLOGY = loaded(orders())
WATCHED = Watched(
    PlanRequest(Scope.of(TOPOLOGY), lambda able: expand(TOPOLOGY, able), lambda _: ""),
    None,
    "0123",
    (),
    topology=TOPOLOGY,
)


def test_before_the_first_look_the_page_has_the_topology_as_declared() -> None:
    """And says that nobody has looked, and why the last pass failed."""
    journal = Journal()
    journal.passed(0.0, PassOutcome.FAILED, "broker.example.com: connection refused\n  Is it running?")

    page = ControllerPage(FACTS, journal, lambda: WATCHED).render()

    assert "queue:clerk.orders" in page
    assert "not looked yet, or another controller leads" in page
    assert "broker.example.com: connection refused" in page
    assert "as declared" in page


def test_a_page_is_drawn_anew_when_something_has_happened() -> None:
    """A look, and a repair, with who did it and when; else it is the one from before."""
    journal = Journal()
    page = ControllerPage(FACTS, journal, lambda: WATCHED)
    first = page.render()
    assert page.render() is first

    plan = PlanWorld.in_sync(orders()).plan(leaves_blocked=True)
    journal.looked(WATCHED, Look(plan, [{"name": "clerk.orders", "messages": 7}]), 0.0)
    looked = page.render()
    assert "objects are as declared" in looked
    assert '"messages":7' in looked

    journal.told(1.0, "repaired", {"changes": 1, "objects": ["create queue:clerk.orders"]})
    journal.told(2.0, "topology_warning", {"warning": "left out"})
    repaired = page.render()
    assert "1970-01-01T00:00:01Z pod-7: repaired: 1 changes; create queue:clerk.orders" in repaired
    assert "left out" not in repaired


def test_only_the_last_events_are_kept() -> None:
    """The newest first."""
    journal = Journal()
    for number in range(MOST_KEPT + 5):
        journal.told(float(number), "drift", {})

    assert [entry.at for entry in journal.entries][:2] == [MOST_KEPT + 4, MOST_KEPT + 3]
    assert len(journal.entries) == MOST_KEPT
