"""Policies: the limits that may change without harm, so that a later edit needs no redeclare.

RabbitMQ applies at most one policy to a queue, and every policy is matched against every queue. So all
queues of one role share a policy, whose pattern lists them; a queue with limits of its own gets a policy of
its own, of higher priority. A policy's name never depends on its values: an edit is an update in place.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator

from letrade_topo.broker.capabilities import Capabilities
from letrade_topo.broker.objects import Attributes, Policy
from letrade_topo.expand.desired import Desired, DocumentPath
from letrade_topo.model import names
from letrade_topo.model.routing import escape
from letrade_topo.model.topology import PolicyTarget, Queue, QueueLimits, QueueType, Topology

SHARED_PRIORITY = 1
OWN_PRIORITY = 2
"""A queue that gets limits of its own is matched by both policies for a moment; the own one wins."""

QUEUES_PER_PATTERN = 64
"""64 names of 255 bytes stay well below PCRE's 64 KiB for a compiled pattern."""

UNLIMITED_DELIVERIES = -1


def expand_policies(topology: Topology, capabilities: Capabilities) -> tuple[list[Desired], dict[str, str | None]]:
    """The derived and the declared policies, and which one each queue should be under."""
    effect: dict[str, str | None] = {}
    shared = [queue.name for queue in topology.queues.values() if _is_shared(queue)]
    desired = [
        Desired(policy, ("limits", "delivery_limit"))
        for policy in _shared_policies(topology, "consumer", shared, topology.limits.delivery_limit, effect)
    ]
    waiting = [topology.dead_letter.queue, *_rejected_queues(topology)]
    if capabilities.unlimited_delivery_limit:
        shared_waiting = _shared_policies(topology, "waiting", waiting, UNLIMITED_DELIVERIES, effect)
        desired += [Desired(policy, ("dead_letter",)) for policy in shared_waiting]
    for queue in topology.queues.values():
        own = None if _is_shared(queue) else _own_policy(topology, queue)
        if own is not None:
            effect[queue.name] = own.name
            desired.append(Desired(own, ("queues", queue.name)))
    for name, declared in topology.policies.items():
        path: DocumentPath = ("policies", name)
        definition = dict(declared.definition)
        desired.append(Desired(Policy(name, declared.pattern, declared.apply_to, definition, declared.priority), path))
    return desired, effect


def _is_shared(queue: Queue) -> bool:
    return queue.limits == QueueLimits() and queue.type is QueueType.QUORUM


def _rejected_queues(topology: Topology) -> Iterator[str]:
    return (names.rejected_queue(queue.name) for queue in topology.queues.values() if queue.has_rejected_queue)


def _own_policy(topology: Topology, queue: Queue) -> Policy | None:
    limits, definition = queue.limits, Attributes()
    if queue.type is QueueType.QUORUM:
        own = limits.delivery_limit
        definition["delivery-limit"] = topology.limits.delivery_limit if own is None else own
    if limits.max_length is not None:
        definition["max-length"] = limits.max_length
    if limits.max_length_bytes is not None:
        definition["max-length-bytes"] = limits.max_length_bytes.bytes
    if limits.expires is not None:
        definition["expires"] = limits.expires.milliseconds
    if not definition:
        return None
    name = names.queue_policy(topology.name, queue.name)
    return Policy(name, _anchored([queue.name]), PolicyTarget.QUEUES, definition, OWN_PRIORITY)


def _shared_policies(
    topology: Topology, role: str, queues: Iterable[str], delivery_limit: int, effect: dict[str, str | None]
) -> Iterator[Policy]:
    for bucket, members in sorted(_buckets(list(queues)).items()):
        name = names.shared_policy(topology.name, role, bucket)
        effect.update(dict.fromkeys(members, name))
        definition: Attributes = {"delivery-limit": delivery_limit}
        yield Policy(name, _anchored(members), PolicyTarget.QUEUES, definition, SHARED_PRIORITY)


def _buckets(queues: list[str]) -> dict[int, list[str]]:
    """Spread names over a power of two of buckets, so that one more queue changes one policy, not all."""
    count = 1
    while count * QUEUES_PER_PATTERN < len(queues):
        count *= 2
    buckets: dict[int, list[str]] = {}
    for name in sorted(queues):
        digest = hashlib.sha256(name.encode()).digest()
        buckets.setdefault(int.from_bytes(digest[:4]) % count, []).append(name)
    return buckets


def _anchored(queues: Iterable[str]) -> str:
    return f"^(?:{'|'.join(escape(name) for name in queues)})$"
