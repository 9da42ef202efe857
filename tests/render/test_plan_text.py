"""Plans for people: what a name may do to the lines that somebody reviews."""

from __future__ import annotations

from letrade_topo.broker.objects import Binding, Queue
from letrade_topo.render.plan_text import Style, render_plan
from tests.plan.worlds import PlanWorld
from tests.topologies import orders


def test_a_name_is_no_line_of_its_own_and_steers_no_terminal() -> None:
    """Whoever may make a queue or a binding could else hide what stands above it, or add what nobody plans."""
    tricky = "x\x1b[1A\x1b[2K\n  + harmless"
    world = PlanWorld.in_sync(orders()).add(Queue(tricky, arguments={"x-queue-type": "quorum"}))
    world = world.add(Binding("orders", "queue", "clerk.orders", f"key{tricky}"))

    text = render_plan(world.plan(), Style())

    assert "\x1b" not in text
    lines = text.splitlines()
    assert "  + harmless" not in lines
    assert r"  ? queue:x\u001b[1A\u001b[2K\n  + harmless" in lines


def test_what_would_be_created_is_shown_with_its_attributes() -> None:
    """All that is on or has a value, arguments by their names, on lines that fit; with `brief` the names alone."""
    world = PlanWorld.in_sync(orders(users={"ops": {"tags": ["monitoring"]}}))
    for address in list(world.live.objects):
        world = world.remove(address)
    plan = world.plan()

    text = render_plan(plan, Style())

    assert '  + orders\n      type: "topic", durable: true\n' in text
    retry = text.partition("  + clerk.orders.retry.1\n")[2].partition("  + ")[0]
    assert 'x-dead-letter-exchange: ""' in retry
    assert "x-message-ttl: 1000" in retry
    assert 'tags: ["monitoring"]' in text
    policy = text.partition("  + orders.waiting\n")[2].partition("  + ")[0]
    assert "…" not in policy
    assert "delivery-limit: -1" in policy
    assert "auto_delete" not in text
    brief = render_plan(plan, Style(brief=True)).splitlines()
    assert [line for line in text.splitlines() if line.startswith("  + ")] == [one for one in brief if "  + " in one]
    assert not any(line.startswith("      ") for line in brief)


def test_changes_that_are_alike_are_folded() -> None:
    """So many of each kind are listed, with how many there are besides; what is one more line is no fold."""
    names = [f"clerk.queue{number}" for number in range(30)]
    queues = {name: {"service": "clerk", "messages": ["order.placed"], "retry": "none"} for name in names}
    world = PlanWorld.in_sync(orders(queues=queues))
    for name in names[:10]:
        world = world.remove(f"queue:{name}")
    world = world.remove("exchange:orders")
    plan = world.plan()

    text = render_plan(plan, Style(most=3, unfold=" (--all shows them)"))

    lines = text.splitlines()
    assert sum(line.startswith("  + clerk.queue") for line in lines) == 3
    assert "  … and 7 more to create (--all shows them)" in lines
    assert "  … and 7 more" not in render_plan(plan, Style(most=9))
    assert "more to" not in render_plan(plan, Style())


def test_nothing_that_deletes_or_replaces_is_folded() -> None:
    """Whoever reviews has to see it."""
    names = [f"old{number}" for number in range(30)]
    world = PlanWorld.in_sync(orders())
    for name in names:
        world = world.add(Queue(name, arguments={"x-queue-type": "quorum"}))
    text = render_plan(world.plan("delete-unmanaged", "delete-many"), Style(most=3))
    assert all(f"  - {name}" in text for name in names)
