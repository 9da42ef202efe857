"""Who is kept from an exchange until its topic permissions are there."""

from __future__ import annotations

import re

import pytest

from letrade_topo.broker.objects import Exchange, Permission
from letrade_topo.plan.closing import without
from tests.plan.worlds import PlanWorld
from tests.topologies import orders


def test_users_of_an_exchange_that_is_made_again_are_shut_out_of_it() -> None:
    """Those with a topic permission on it and a right to use it; the plan says so."""
    world = PlanWorld.in_sync(orders()).add(Exchange("orders", "fanout"))
    plan = world.plan("replace")
    assert plan.closing.exchanges == {"exchange:orders"}
    assert {before.user for before, _ in plan.closing.shut} == {"orders-shop", "orders-clerk"}
    assert {one.user for one in plan.closing.topic_permissions} == {"orders-shop", "orders-clerk"}
    assert [notice.name for notice in plan.notices] == ["closed-meanwhile"]


def test_so_are_they_of_one_that_was_deleted_by_hand() -> None:
    """With Khepri its topic permissions went with it, and the users' permissions are still there."""
    plan = PlanWorld.in_sync(orders()).remove("exchange:letrade.retry").plan()
    assert [before.user for before, _ in plan.closing.shut] == ["orders-clerk"]


@pytest.mark.parametrize("how", ["made again", "deleted by hand"])
def test_so_are_they_where_topic_permissions_outlive_their_exchange(how: str) -> None:
    """Mnesia: who binds while the exchange is missing is not checked against them, and may meet the new one."""
    world = PlanWorld.in_sync(orders())
    world.version = "3.10.8"
    if how == "made again":
        world.add(Exchange("orders", "fanout"))
    else:
        del world.objects[Exchange("orders", "topic").address]
    plan = world.plan("replace")
    assert plan.closing.topic_permissions == ()
    assert plan.closing.exchanges == {"exchange:orders"}
    assert [before.user for before, _ in plan.closing.shut] == ["orders-clerk", "orders-shop"]


@pytest.mark.parametrize("kind", ["first apply", "nothing new", "may not use it"])
def test_nobody_is_shut_out_for_nothing(kind: str) -> None:
    """Users without a permission, exchanges that stay, users who have no right there."""
    world = PlanWorld.in_sync(orders())
    match kind:
        case "first apply":
            world = PlanWorld(world.topology)
        case "may not use it":
            world.add(Exchange("orders", "direct"))
            for user in ("orders-shop", "orders-clerk"):
                world.add(Permission(user, "", "^(?!orders$)", ""))
    assert not world.plan("replace", "adopt").closing.shut


@pytest.mark.parametrize("expression", [".*", "orders", "^orders$", "^(?:orders|letrade\\.dlq)$", "dlq$|^ord", "a|"])
def test_an_expression_without_some_names(expression: str) -> None:
    """It finds what it found before, but for exactly these names."""
    shut = without(Permission("u", expression, expression, expression), {"orders", "letrade.retry"})
    assert shut.configure == expression
    names = ("orders", "orders.x", "xorders", "letrade.retry", "letradexretry", "letrade.dlq", "b", "", "x\norders")
    for name in names:
        found = re.search(expression, name) is not None and name not in {"orders", "letrade.retry"}
        assert (re.search(shut.write, name) is not None) == found, name
        assert (re.search(shut.read, name) is not None) == found, name


def test_no_right_stays_none() -> None:
    """An empty expression is none at all for the broker."""
    assert without(Permission("u", "", "", ""), {"orders"}) == Permission("u", "", "", "")
