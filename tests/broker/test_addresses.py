"""Addresses: one object each, whatever the names; and what records of 0.1.0 hold under the old spelling."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from letrade_topo.broker.objects import (
    Address,
    Binding,
    BrokerObject,
    Exchange,
    Policy,
    Queue,
    TopicPermission,
    User,
    UserLimit,
    old_address,
)
from letrade_topo.plan.ownership import OwnershipRecord

PIECES = st.lists(st.sampled_from(["a", "b", " -> ", "queue:", "exchange:", " [", "]", " ", '"', " {", "}", "/", "\\"]))
NAMES = PIECES.map("".join)
VALUES = st.recursive(
    st.one_of(st.booleans(), st.integers(-2, 2), st.sampled_from([1.0, 0.0, "1", "true", ""])),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.sampled_from("ab"), inner, max_size=2),
    max_leaves=4,
)
OBJECTS: st.SearchStrategy[BrokerObject] = st.one_of(
    st.builds(
        Binding,
        NAMES,
        st.sampled_from(["queue", "exchange"]),
        NAMES,
        NAMES,
        st.dictionaries(st.sampled_from("ab"), VALUES, max_size=2),
    ),
    st.builds(TopicPermission, NAMES, NAMES, st.just(""), st.just("")),
    st.builds(UserLimit, NAMES, st.sampled_from(["max-connections", "a/b"]), st.just(1)),
    st.builds(Queue, NAMES),
    st.builds(Exchange, NAMES, st.just("topic")),
    st.builds(User, NAMES),
    st.builds(Policy, NAMES, st.just(""), st.just("all"), st.just({})),
)


def identity(thing: BrokerObject) -> str:
    """What the broker tells objects apart by, as text: 1, 1.0 and true are three."""
    values: dict[str, Any] = {"kind": thing.kind}
    match thing:
        case Binding():
            values |= thing.attributes
        case TopicPermission():
            values |= {"user": thing.user, "exchange": thing.exchange}
        case UserLimit():
            values |= {"user": thing.user, "name": thing.name}
        case Queue(name=name) | Exchange(name=name) | User(name=name) | Policy(name=name):
            values |= {"name": name}
    return json.dumps(values, sort_keys=True)


@given(st.lists(OBJECTS, min_size=2, max_size=8))
def test_two_objects_never_have_one_address(things: list[BrokerObject]) -> None:
    """Names may hold whatever addresses are made of."""
    by_address: dict[Address, str] = {}
    for thing in things:
        assert by_address.setdefault(thing.address, identity(thing)) == identity(thing)


TWINS = [
    (
        Binding("a", "queue", "b", "x] -> queue:c [y"),
        Binding("a -> queue:b [x]", "queue", "c", "y"),
    ),
    (Binding("a", "queue", "b [x]", "y"), Binding("a", "queue", "b", "x] [y")),
    (Binding("a", "queue", "b", "x] {0"), Binding("a", "queue", "b", "x", {"y": 1})),
    (TopicPermission("a/b", "c", "", ""), TopicPermission("a", "b/c", "", "")),
    (UserLimit("a/b", "c", 1), UserLimit("a", "b/c", 1)),
    (Binding("a", "queue", "b", "", {"x": 1}), Binding("a", "queue", "b", "", {"x": "1"})),
    (Binding("a", "queue", "b", "", {"x": 1}), Binding("a", "queue", "b", "", {"x": 1.0})),
    (Binding("a", "queue", "b", "", {"x": 1}), Binding("a", "queue", "b", "", {"x": True})),
    (Binding("a", "queue", "b", "", {"x": [1, {"y": 2}]}), Binding("a", "queue", "b", "", {"x": [1, {"y": 2.0}]})),
]


@pytest.mark.parametrize(("one", "other"), TWINS)
def test_look_alikes_have_addresses_of_their_own(one: BrokerObject, other: BrokerObject) -> None:
    """Cases that have been seen, or were built to collide."""
    assert one.address != other.address


def test_ordinary_names_are_spelled_as_ever() -> None:
    """People type them; ownership records of old hold them."""
    assert Binding("a.b", "queue", "c d", "e.*.#").address == "binding:a.b -> queue:c d [e.*.#]"
    assert TopicPermission("a", "b", "", "").address == "topic-permission:a/b"
    assert Binding("a", "exchange", "b").address == "binding:a -> exchange:b []"


def old_record(*things: BrokerObject, pending: tuple[BrokerObject, ...] = ()) -> OwnershipRecord:
    """As 0.1.0 wrote it."""
    return OwnershipRecord.parse(
        "letrade-topo.t.v",
        {
            "format": 1,
            "owned": [old_address(thing) for thing in things],
            "pending": [old_address(thing) for thing in pending],
            "operators": [],
            "vhost_created": False,
            "generation": 1,
        },
    )


@pytest.mark.parametrize(("one", "other"), TWINS)
def test_an_old_record_still_says_whose_an_object_is(one: BrokerObject, other: BrokerObject) -> None:
    """Under the old address; of two that had the same, what is declared is meant, and never somebody else's."""
    record = old_record(one, pending=(one,))
    assert record.respelled([one], []).owned == {one.address}
    assert record.respelled([], [one]).pending == {one.address}
    if old_address(one) == old_address(other):
        assert record.respelled([one, other], [one]).owned == {one.address}
        assert record.respelled([one, other], []).owned == set()


def test_a_record_of_today_is_taken_at_its_word() -> None:
    """Its addresses mean one object each, also when another object's old address looks the same."""
    one, other = Binding("a", "queue", "b", "x] -> queue:c [y"), Binding("a -> queue:b [x]", "queue", "c", "y")
    record = OwnershipRecord.parse("r", OwnershipRecord(owned=frozenset({one.address})).to_json())
    assert record.respelled([one, other], []).owned == {one.address}
