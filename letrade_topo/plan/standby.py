"""Policies that a topology needs only because of somebody else's. Pure.

Where the broker has by itself what a topology wants, its queues have no policy. But then a policy that somebody else
made for all queues would apply to them, with limits that nobody wanted there; ours is stronger than most.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace

from letrade_topo.broker.addresses import Address
from letrade_topo.broker.objects import Policy
from letrade_topo.broker.state import LiveState
from letrade_topo.expand.desired import DesiredState
from letrade_topo.model.policy_keys import targets_queues
from letrade_topo.model.topology import QueueType
from letrade_topo.plan.ownership import OwnershipRecord


def with_standby(
    desired: DesiredState, live: LiveState, record: OwnershipRecord, goes: Callable[[Address], bool]
) -> DesiredState:
    """The desired state, with the policies on standby if one of somebody else might apply in their place.

    Args:
        desired: as expanded.
        live: as read.
        record: what this topology owns.
        goes: whether an undeclared object is deleted by the same run, and so is no reason.
    """
    standby = desired.standby
    for policy in _of_others(desired, live, record):
        if not goes(policy.address) and any(
            live.matches(policy.pattern, queue) is not False for queue in standby.policies
        ):
            return replace(
                desired,
                objects={**desired.objects, **standby.objects},
                policies={**desired.policies, **standby.policies},
            )
    return desired


def _of_others(desired: DesiredState, live: LiveState, record: OwnershipRecord) -> Iterator[Policy]:
    for address, thing in live.objects.items():
        is_known = address in desired.objects or address in desired.standby.objects or record.owns(address)
        if isinstance(thing, Policy) and not is_known and targets_queues(thing.apply_to, QueueType.QUORUM):
            yield thing
