"""While policies change, each queue has the limits that it had or those that it is to have."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from letrade_topo.apply.taking_over import in_turn
from letrade_topo.broker.objects import Attributes, Policy
from letrade_topo.broker.order import Stage
from letrade_topo.expand.desired import DesiredState
from letrade_topo.plan.change import Action, Change, ChangeReason
from tests.topologies import expanded, loaded, orders

Policies = Mapping[str, Policy]
QUEUES = [f"clerk.q{number}" for number in range(7)]
LIMITS = st.sampled_from([{}, {"max_length": 5}, {"max_length": 6}, {"delivery_limit": -1}, {"delivery_limit": 9}])


def state(limits: Mapping[str, Mapping[str, int]], delivery_limit: int = 30) -> DesiredState:
    """What a topology implies in which queues have these limits."""
    queue = {"service": "clerk", "messages": ["order.placed"], "dead_letter": "none"}
    document = orders(
        queues={name: {**queue, **more} for name, more in limits.items()}, limits={"delivery_limit": delivery_limit}
    )
    return expanded(loaded(document))


def policies(desired: DesiredState) -> dict[str, Policy]:
    """All policies by name."""
    things = (one.object for one in desired.objects.values())
    return {thing.name: thing for thing in things if isinstance(thing, Policy)}


def in_force(found: Policies, queue: str) -> list[Attributes | None]:
    """The definitions that RabbitMQ may choose from: of those that match, all of the highest priority."""
    matching = [policy for policy in found.values() if re.search(policy.pattern, queue)]
    highest = max((policy.priority for policy in matching), default=0)
    return [dict(policy.definition) for policy in matching if policy.priority == highest] or [None]


def transition(before: Policies, after: Policies, queues: list[str]) -> None:
    """Perform it, each step by itself and those of a group in either order, and look at every queue each time."""
    allowed = {name: [*in_force(before, name), *in_force(after, name)] for name in queues}
    makes = [
        Change(
            Action.UPDATE if name in before else Action.CREATE,
            before.get(name),
            policy,
            ChangeReason.DIFFERS,
            Stage.POLICIES,
        )
        for name, policy in after.items()
        if before.get(name) != policy
    ]
    deletes = [name for name in before if name not in after]
    for turn in (1, -1):
        now = dict(before)

        def look() -> None:
            for name in queues:
                assert all(one in allowed[name] for one in in_force(now, name)), (name, now)  # noqa: B023

        for group in in_turn(makes, queues):
            for change in group[::turn]:
                assert isinstance(change.after, Policy)
                now[change.after.name] = change.after
                look()
        for name in deletes[::turn]:
            del now[name]
            look()
        assert now == after


@given(before=st.dictionaries(st.sampled_from(QUEUES), LIMITS), edits=st.dictionaries(st.sampled_from(QUEUES), LIMITS))
def test_an_edit_of_limits_leaves_no_queue_without_them(
    before: dict[str, dict[str, int]], edits: dict[str, dict[str, int]]
) -> None:
    """Whatever limits queues had and get, whoever comes and goes."""
    after = before | edits
    if after:
        transition(policies(state(before)), policies(state(after)), [name for name in before if name in after])


def test_two_policies_exchange_queues() -> None:
    """Neither can wait for the other, so one holds both queues for a moment."""
    one, other = {"max_length": 5}, {"delivery_limit": -1}
    before = {"clerk.q0": one, "clerk.q1": one, "clerk.q2": other, "clerk.q3": other}
    after = before | {"clerk.q1": other, "clerk.q3": one}
    transition(policies(state(before)), policies(state(after)), QUEUES[:4])


@pytest.mark.parametrize("delivery_limit", [20, 30])
@pytest.mark.parametrize("ownership", ["exclusive", "shared"])
def test_from_policies_that_list_every_queue(delivery_limit: int, ownership: str) -> None:
    """What earlier versions of this tool left on a broker: 64 names to a policy, and one for each queue with limits."""
    queue: dict[str, Any] = {"service": "clerk", "messages": ["order.placed"]}
    own = {"max_length": 5, "delivery_limit": -1}
    queues = {f"clerk.q{number}": {**queue, **(own if number % 9 == 0 else {})} for number in range(100)}
    document = orders(queues=queues, ownership=ownership, limits={"delivery_limit": delivery_limit})
    now = expanded(loaded(document))
    shared = [name for number, name in enumerate(queues) if number % 9]
    waiting = [*(f"{name}.rejected" for name in queues), "letrade.dlq"]
    before: dict[str, Policy] = {}
    for role, members, limit in (("consumer", shared, delivery_limit), ("waiting", waiting, -1)):
        for number in range(2):
            name = f"orders.{role}.{number}" if number else f"orders.{role}"
            pattern = f"^(?:{'|'.join(map(re.escape, members[number::2]))})$"
            before[name] = Policy(name, pattern, "queues", {"delivery-limit": limit}, 1)
    for name in list(queues)[::9]:
        definition = {"delivery-limit": -1, "max-length": 5}
        before[f"orders.queue.{name}"] = Policy(
            f"orders.queue.{name}", f"^(?:{re.escape(name)})$", "queues", definition, 2
        )
    transition(before, policies(now), [*queues, *waiting, *(f"{name}.retry.1" for name in queues)])
