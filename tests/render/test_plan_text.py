"""Plans for people: what a name may do to the lines that somebody reviews."""

from __future__ import annotations

from letrade_topo.broker.objects import Binding, Queue
from letrade_topo.render.plan_text import Style, render_plan
from tests.plan.worlds import World
from tests.topologies import orders


def test_a_name_is_no_line_of_its_own_and_steers_no_terminal() -> None:
    """Whoever may make a queue or a binding could else hide what stands above it, or add what nobody plans."""
    tricky = "x\x1b[1A\x1b[2K\n  + harmless"
    world = World.in_sync(orders()).add(Queue(tricky, arguments={"x-queue-type": "quorum"}))
    world = world.add(Binding("orders", "queue", "clerk.orders", f"key{tricky}"))

    text = render_plan(world.plan(), Style())

    assert "\x1b" not in text
    lines = text.splitlines()
    assert "  + harmless" not in lines
    assert r"  ? queue:x\u001b[1A\u001b[2K\n  + harmless" in lines
