"""The roles and limits by which declared policies are judged are those that the expansion makes."""

from __future__ import annotations

from typing import Any

import pytest

from letrade_topo.broker.objects import Address, Policy, Queue
from letrade_topo.model.queue_roles import QueueRole, roled_queues
from tests.topologies import expanded, loaded, orders, shipped

LIMITS: dict[str, dict[str, Any]] = {
    "none": {},
    "own": {"max_length": 9, "delivery_limit": 7, "expires": "1d"},
    "delay": {"redelivery_delay": "2s"},
    "classic": {"type": "classic", "dead_letter": "none", "max_length_bytes": "1MB"},
    "stream": {"type": "stream", "max_length_bytes": "1MB"},
    "plain": {"type": "classic", "dead_letter": "none"},
}


@pytest.mark.parametrize("limits", LIMITS.values(), ids=LIMITS)
def test_a_queue_has_the_limits_of_its_policy(limits: dict[str, Any]) -> None:
    """With the policy's priority; on a version that has none of them by itself."""
    document = orders(limits={"delivery_limit": 11})
    document["queues"]["clerk.orders"] |= limits
    topology = loaded(document)
    desired = expanded(topology, "4.3.6")
    for queue in roled_queues(topology):
        name = desired.policies[queue.name]
        policy = desired.objects[Address(f"policy:{name}")].object if name else None
        assert (policy is None) == (not queue.limits)
        if isinstance(policy, Policy):
            assert policy.priority == queue.priority
            assert queue.limits.items() <= policy.definition.items()
            assert {key for key in policy.definition if not key.startswith("delayed")} <= queue.limits.keys()


def test_every_queue_of_a_topology_has_a_role() -> None:
    """And no other has."""
    topology = shipped()
    made = {one.object.name for one in expanded(topology).objects.values() if isinstance(one.object, Queue)}
    assert {queue.name for queue in roled_queues(topology)} == made
    assert {queue.role for queue in roled_queues(topology)} == set(QueueRole)
