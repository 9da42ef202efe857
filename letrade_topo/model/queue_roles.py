"""Every queue that a topology brings to the broker, with its role and the limits that are kept by a policy."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from enum import Enum, auto

from letrade_topo.model import names
from letrade_topo.model.topology import (
    DeadLetterStrategy,
    DeadLetterTarget,
    DeclaredQueue,
    Guarantee,
    Overflow,
    QueueLimits,
    QueueType,
    Topology,
)

SHARED_PRIORITY = 1
OWN_PRIORITY = 2
"""Of the policies that hold the limits: of all queues alike, and of queues with limits of their own."""

UNLIMITED_DELIVERIES = -1


class QueueRole(Enum):
    """What a queue is for."""

    CONSUMER = auto()
    """A declared one."""
    WAITING = auto()
    """What failed waits here for a person or for the router."""
    DELAY = auto()
    """A step of the retry ladder."""


@dataclass(frozen=True, slots=True)
class RoledQueue:
    """A queue of the topology.

    Args:
        name: as on the broker.
        type: its type.
        role: what it is for.
        limits: what its policy has to say, by the policy's keys; on some versions the broker has it by itself.
        priority: of that policy.
        is_on_bus: it belongs to a service, takes message types, or follows from a queue that does.
    """

    name: str
    type: QueueType
    role: QueueRole
    limits: Mapping[str, int] = field(default_factory=dict, hash=False)
    priority: int = SHARED_PRIORITY
    is_on_bus: bool = True

    @property
    def keeps_what_failed(self) -> bool:
        """Whether messages are in it that nothing may take away but who they wait for."""
        return self.role is not QueueRole.CONSUMER


def roled_queues(topology: Topology) -> Iterator[RoledQueue]:
    """The declared queues, each with what it brings, and the queue of dead letters."""
    unlimited = {"delivery-limit": UNLIMITED_DELIVERIES}
    if topology.has_dead_letters:
        yield RoledQueue(topology.dead_letter.queue, QueueType.QUORUM, QueueRole.WAITING, unlimited)
    for queue in topology.queues.values():
        priority = SHARED_PRIORITY if queue.limits == QueueLimits() else OWN_PRIORITY
        limits = _limits(queue, topology)
        yield RoledQueue(queue.name, queue.type, QueueRole.CONSUMER, limits, priority, queue.is_on_bus)
        if queue.has_rejected_queue:
            yield RoledQueue(names.rejected_queue(queue.name), QueueType.QUORUM, QueueRole.WAITING, unlimited)
            for attempt in range(1, (queue.retry.max_retries if queue.retry else 0) + 1):
                yield RoledQueue(names.retry_queue(queue.name, attempt), QueueType.QUORUM, QueueRole.DELAY)


def overflow_of(queue: DeclaredQueue) -> Overflow:
    """What a queue does when it is full."""
    if queue.overflow is not None:
        return queue.overflow
    if queue.type is QueueType.STREAM:
        return Overflow.NONE
    return Overflow.DROP_HEAD if queue.guarantee is Guarantee.AT_MOST_ONCE else Overflow.REJECT_PUBLISH


def strategy_of(queue: DeclaredQueue) -> DeadLetterStrategy:
    """How a queue that dead-letters hands over."""
    target = queue.dead_lettering
    if isinstance(target, DeadLetterTarget) and target.strategy is not None:
        return target.strategy
    return DeadLetterStrategy.AT_LEAST_ONCE if queue.type is QueueType.QUORUM else DeadLetterStrategy.NONE


def delivery_limit_of(queue: DeclaredQueue, topology: Topology) -> int | None:
    """How often a queue delivers a message; None where that is left to the broker."""
    if queue.type is not QueueType.QUORUM:
        return None
    if queue.limits.delivery_limit is not None:
        return queue.limits.delivery_limit
    is_limited = topology.limits.hold_for_all or queue.is_on_bus or queue.limits.redelivery_delay is not None
    return topology.limits.delivery_limit if is_limited else None


def _limits(queue: DeclaredQueue, topology: Topology) -> dict[str, int]:
    limits: dict[str, int] = {}
    if (deliveries := delivery_limit_of(queue, topology)) is not None:
        limits["delivery-limit"] = deliveries
        delay = queue.limits.redelivery_delay or topology.limits.redelivery_delay
        if delay is not None:
            limits["delayed-retry-min"] = max(delay.milliseconds, 1)
    if queue.limits.max_length is not None:
        limits["max-length"] = queue.limits.max_length
    if queue.limits.max_length_bytes is not None:
        limits["max-length-bytes"] = queue.limits.max_length_bytes.bytes
    if queue.limits.expires is not None:
        limits["expires"] = queue.limits.expires.milliseconds
    return limits
