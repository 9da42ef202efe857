"""Plans of several topologies, made together: what they share is made once, and goes with the last of them."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from letrade_topo.broker.objects import Address, Exchange, GlobalParameter, User
from letrade_topo.broker.state import LiveState
from letrade_topo.plan.beside import after
from letrade_topo.plan.change import Action
from letrade_topo.plan.fleet import beside_each_other
from letrade_topo.plan.ownership import OwnershipRecord
from letrade_topo.plan.plan import Plan
from letrade_topo.plan.prepare import PlanRequest, plan_for
from letrade_topo.plan.scope import Scope
from tests.plan.worlds import PlanWorld
from tests.topologies import loaded, state_of

SHARED = ("user:u", "global-parameter:p")


def request(name: str, vhost: str, *, destroys: bool = False, **sections: Any) -> PlanRequest:
    """For a topology with a user and a parameter that others have as well."""
    document = {
        "topology": 1,
        "name": name,
        "vhost": vhost,
        "ownership": "shared",
        "users": {"u": {}},
        "global_parameters": {"p": {"a": 1}},
        **sections,
    }
    topology = loaded(document)
    world = PlanWorld(topology)
    return replace(world.request(), scope=Scope.of(topology), destroys=destroys)


def planned(live: LiveState, *requests: PlanRequest) -> list[Plan]:
    """All plans, each on its own vhost of the same broker."""
    plans: list[Plan] = []
    for one in beside_each_other(requests):
        plans.append(plan_for(replace(live, vhost=one.scope.vhost), one, dict, plans))
    return plans


def changed(plan: Plan) -> set[tuple[Action, str]]:
    """What a plan does to what is shared."""
    return {(one.action, one.address) for one in plan.changes if one.address in {*SHARED, "exchange:x"}}


def done(live: LiveState, *plans: Plan) -> LiveState:
    """The broker once plans are done, without their vhosts' objects."""
    return replace(after(live, plans), vhost=live.vhost)


NOTHING = state_of([], "nowhere")


def test_what_two_share_is_made_once_and_goes_with_the_last() -> None:
    """Both own it; a destroy of one alone leaves it, of both together deletes it once."""
    first, second = planned(NOTHING, request("a", "a"), request("b", "b"))
    made = done(NOTHING, first, second)

    assert changed(first) == {(Action.CREATE, one) for one in SHARED}
    assert changed(second) == set()
    assert second.record.owned == frozenset()
    record = OwnershipRecord.parse("", made.records["letrade-topo.b.b"])
    assert all(record.owns(Address(one)) for one in SHARED)
    (alone,) = planned(made, request("a", "a", destroys=True))
    assert changed(alone) == set()
    (notice,) = alone.told
    assert notice.text == "topology 'b' of vhost 'b' owns these as well, so they stay: " + ", ".join(reversed(SHARED))
    last, one_before = planned(made, request("a", "a", destroys=True), request("b", "b", destroys=True))
    assert (last.scope.topology, one_before.scope.topology) == ("b", "a")
    assert changed(last) == set()
    assert changed(one_before) == {(Action.DELETE, one) for one in SHARED}


def test_what_moves_from_one_to_another_stays() -> None:
    """In whichever order they are planned: one lets go of what the other takes up."""
    made = done(NOTHING, *planned(NOTHING, request("a", "a"), request("b", "b", users={}, global_parameters={})))
    for requests in (
        [request("a", "a", users={}, global_parameters={}), request("b", "b")],
        [request("b", "b"), request("a", "a", users={}, global_parameters={})],
    ):
        plans = planned(made, *requests)
        assert [changed(plan) for plan in plans] == [set(), set()]
        assert [user.name for user in done(made, *plans).objects.values() if isinstance(user, User)] == ["u"]


@pytest.mark.parametrize("vhosts", [("v", "v"), ("v", "w")])
def test_an_exchange_that_two_claim_in_one_vhost_survives_one(vhosts: tuple[str, str]) -> None:
    """In another vhost it is another exchange."""
    exchange: dict[str, Any] = {"exchanges": {"x": {"type": "fanout"}}}
    one, other = request("a", vhosts[0], **exchange), request("b", vhosts[1], **exchange)
    first, second = planned(NOTHING, one, other)
    live = replace(done(NOTHING, first, second), vhost=vhosts[0])
    live = replace(live, objects={**live.objects, Address("exchange:x"): Exchange("x", "fanout")})
    (plan,) = planned(live, replace(one, destroys=True))

    is_shared = vhosts[0] == vhosts[1]
    assert ((Action.CREATE, "exchange:x") in changed(second)) is not is_shared
    assert ((Action.DELETE, "exchange:x") in changed(plan)) is not is_shared


def test_what_another_file_declares_is_declared() -> None:
    """In a vhost that one of them has for itself: alone it calls the other's exchange undeclared."""
    one = request("a", "v", ownership="exclusive")
    other = request("b", "v", exchanges={"x": {"type": "fanout"}})
    live = state_of([Exchange("x", "fanout"), User("u"), GlobalParameter("p", {"a": 1})], "v")

    assert [change.address for change in planned(live, one)[0].unmanaged] == ["exchange:x"]
    assert planned(live, one, other)[0].unmanaged == ()


def test_the_fingerprint_is_of_what_was_read() -> None:
    """What a plan before it makes, with a new salt each time, does not change it; what somebody else does, does."""
    requests = request("a", "a"), request("b", "b")
    once, again = planned(NOTHING, *requests)[1], planned(NOTHING, *requests)[1]
    meddled = state_of([User("u", ("monitoring",))], "nowhere")

    assert once.fingerprint == again.fingerprint
    assert planned(meddled, *requests)[1].fingerprint != once.fingerprint
