"""Which settings of a policy keep the whole of it off a queue, by the queue's type.

RabbitMQ applies a policy to a queue only if the queue's type supports every key of it
(rabbit_policy:is_applicable, `unsupported_policies` of each type); one key that it does not take leaves the queue with
the next policy, or with none. Tried key by key on 3.10.8, 4.0.5 and 4.3.6; exchanges take a policy whatever is in it.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Final

from letrade_topo.model.topology import PolicyTarget, QueueType

_MIRRORING: Final = frozenset(
    {"ha-mode", "ha-params", "ha-promote-on-failure", "ha-promote-on-shutdown", "ha-sync-batch-size", "ha-sync-mode"}
)

_KEPT_OFF: Final[Mapping[str, frozenset[str]]] = {
    QueueType.CLASSIC: frozenset(
        {
            "dead-letter-strategy",
            "delivery-limit",
            "initial-cluster-size",
            "max-age",
            "stream-max-segment-size-bytes",
            "target-group-size",
        }
    ),
    QueueType.QUORUM: _MIRRORING
    | {
        "initial-cluster-size",
        "max-age",
        "queue-master-locator",
        "queue-mode",
        "stream-max-segment-size-bytes",
    },
    QueueType.STREAM: _MIRRORING
    | {
        "dead-letter-exchange",
        "dead-letter-routing-key",
        "dead-letter-strategy",
        "delivery-limit",
        "expires",
        "max-in-memory-bytes",
        "max-in-memory-length",
        "max-length",
        "message-ttl",
        "overflow",
        "queue-master-locator",
        "queue-mode",
        "target-group-size",
    },
}
"""On every version. By version differ `queue-leader-locator` (classic queues refuse it on 3.10, not on 4.0) and
`max-in-memory-…` (classic queues refuse them on 4.0, not on 3.10): of those the broker's own word is taken."""

LOSING_KEYS: Final = frozenset({"expires", "max-length", "max-length-bytes", "message-ttl"})
"""What must not be set where failed messages wait: they would expire, be refused, or go with the whole queue."""

_TARGETS: Final[Mapping[str, PolicyTarget]] = {
    QueueType.CLASSIC: PolicyTarget.CLASSIC_QUEUES,
    QueueType.QUORUM: PolicyTarget.QUORUM_QUEUES,
    QueueType.STREAM: PolicyTarget.STREAMS,
}


def keys_that_keep_off(queue_type: str, keys: Collection[str]) -> tuple[str, ...]:
    """The keys of a policy for whose sake none of it applies to a queue of this type."""
    return tuple(key for key in keys if key in _KEPT_OFF.get(queue_type, ()))


def targets_queues(apply_to: str, queue_type: str) -> bool:
    """Whether `apply-to` includes queues of a type; by the type's name from 3.12 on."""
    return apply_to in (PolicyTarget.ALL, PolicyTarget.QUEUES, _TARGETS.get(queue_type))


def targets_exchanges(apply_to: str) -> bool:
    """Whether `apply-to` includes exchanges."""
    return apply_to in (PolicyTarget.ALL, PolicyTarget.EXCHANGES)
