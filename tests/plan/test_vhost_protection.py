"""A vhost that is protected from deletion: declared, left out where nobody knows it, and in the way of `destroy`."""

from __future__ import annotations

import pytest

from letrade_topo.broker.objects import Vhost
from tests.plan.worlds import PlanWorld, summary
from tests.topologies import expanded, loaded, orders

NEW = "4.3.6"


@pytest.mark.parametrize(
    ("declared", "live", "changes"),
    [
        (None, None, set()),
        (None, True, set()),
        (None, False, set()),
        (True, True, set()),
        (False, False, set()),
        (True, False, {"update vhost:orders"}),
        (False, True, {"update vhost:orders"}),
    ],
)
def test_it_is_as_declared_or_as_it_was(declared: bool | None, live: bool | None, changes: set[str]) -> None:
    """Where the topology says nothing, whatever somebody made it stays."""
    world = PlanWorld.in_sync(orders(vhost_protected=declared))
    world.version = NEW
    world.add(Vhost("orders", live))
    plan = world.plan()
    assert summary(plan.changes) == changes
    assert not plan.refusals


def test_somebody_elses_vhost_is_not_changed_without_the_word() -> None:
    """A vhost that this tool did not make is adopted like anything else."""
    world = PlanWorld.in_sync(orders(vhost_protected=True)).add(Vhost("orders", False))
    world.version = NEW
    assert world.record is not None
    object.__setattr__(world.record, "vhost_created", False)
    assert [refusal.allow for refusal in world.plan().refusals] == ["adopt"]


def test_where_nobody_knows_it_that_is_told() -> None:
    """Before 4.0.6 it is left out of what is desired."""
    topology = loaded(orders(vhost_protected=True))
    old, new = expanded(topology, "4.0.5"), expanded(topology, "4.0.6")
    assert [notice.name for notice in old.notices] == ["vhost-not-protected"]
    assert Vhost("orders").attributes == {}
    assert old.objects[Vhost("orders").address].object == Vhost("orders")
    assert new.objects[Vhost("orders").address].object == Vhost("orders", True)
    assert not new.notices


@pytest.mark.parametrize(("declared", "live"), [(True, None), (True, True), (None, True)])
def test_what_is_in_it_is_not_destroyed(declared: bool | None, live: bool | None) -> None:
    """By the broker's word, or by the topology's alone; nothing allows it but taking the protection back."""
    world = PlanWorld.in_sync(orders(vhost_protected=declared)).add(Vhost("orders", live))
    (refusal,) = world.plan(destroys=True).refusals
    assert (refusal.address, refusal.allow) == ("vhost:orders", "")
    assert "vhost_protected: false" in refusal.why
