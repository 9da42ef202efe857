"""While a queue is migrated, its services may read the queue beside it, and that is no drift."""

from __future__ import annotations

import re

import pytest

from letrade_topo.broker.capabilities import for_version
from letrade_topo.broker.objects import Permission
from letrade_topo.broker.state import BrokerInfo, LiveState
from letrade_topo.expand.desired import Desired, DesiredState, by_address
from letrade_topo.plan.migration_rights import permissions_of, seeing, with_seeing

CLERK = Permission("clerk", "", "^orders$", r"^(?:clerk\.(?:orders|stock))$")
HIDING = for_version("4.3.6")


def wanted(permission: Permission) -> DesiredState:
    """With one permission."""
    return DesiredState(by_address([Desired(permission, ("services", "clerk"))]), {}, frozenset(), ())


def live(permission: Permission) -> LiveState:
    """Likewise."""
    return LiveState(BrokerInfo("4.3.6", "c", "admin"), "/", {permission.address: permission})


def test_who_reads_a_queue_sees_its_migration_alone() -> None:
    """Of no other queue, and nothing where a right is not wanted, or is there."""
    wider = seeing(CLERK, ["clerk.orders", "shop.orders"], HIDING)
    assert re.search(wider.read, "clerk.orders.migrating")
    for other in (
        "clerk.stock.migrating",
        "shop.orders.migrating",
        "clerk.orders.migrating.kept",
        "clerkXorders.migrating",
    ):
        assert not re.search(wider.read, other)
    assert (wider.configure, wider.write) == (CLERK.configure, CLERK.write)
    assert seeing(CLERK, ["clerk.orders"], for_version("4.0.5")) == CLERK
    everything = Permission("ops", "", "", ".*")
    assert seeing(everything, ["clerk.orders"], HIDING) == everything


def test_a_pattern_that_would_be_too_long_stays() -> None:
    """The agent waits a moment then, as it does for any broker that does not say."""
    long = Permission("clerk", "", "", "^(?:" + "|".join(["clerk.orders", "x" * 1_000]) + ")$")
    assert seeing(long, ["clerk.orders"], HIDING) == long


@pytest.mark.parametrize("under_way", [{"clerk.orders"}, {"clerk.orders", "clerk.stock"}])
def test_what_was_widened_is_no_difference_while_it_lasts(under_way: set[str]) -> None:
    """And one when it is over, or when somebody adds something else."""
    wider = seeing(CLERK, ["clerk.orders"], HIDING)
    assert list(permissions_of(with_seeing(wanted(CLERK), live(wider), under_way))) == [wider]
    assert list(permissions_of(with_seeing(wanted(CLERK), live(wider), ()))) == [CLERK]
    more = Permission("clerk", "", CLERK.write, wider.read + "|.*")
    assert list(permissions_of(with_seeing(wanted(CLERK), live(more), under_way))) == [CLERK]
