"""Which differences between a declared and a live object change nothing. Pure.

A queue's arguments never change, so a difference means to make it again: only for what a broker does otherwise. What is
left out of account was chosen by what it does on a queue that exists (RabbitMQ: queues.md, maxlength.md, dlx.md).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

from letrade_topo.broker.objects import BrokerObject, Exchange, Policy, Queue
from letrade_topo.broker.state import LiveState
from letrade_topo.expand.desired import DesiredState
from letrade_topo.model.messages import Json
from letrade_topo.model.names import ARGUMENT_QUEUE_TYPE
from letrade_topo.model.pcre import matcher
from letrade_topo.model.topology import QueueType
from letrade_topo.plan.change import same

_DEFAULTS: Final[Mapping[str, Json]] = {
    "x-dead-letter-strategy": "at-most-once",
    "x-overflow": "drop-head",
    "x-queue-mode": "default",
    "x-single-active-consumer": False,
}
"""What a queue does without the argument."""

_AT_DECLARATION: Final = frozenset(
    {
        "x-initial-cluster-size",
        "x-queue-leader-locator",
        "x-queue-master-locator",
        "x-quorum-initial-group-size",
    }
)
"""What is read once, when a queue is made: where it is put. A queue that is there stays where it is."""

_LENGTHS: Final = frozenset({"max-length", "max-length-bytes"})


def is_equal(desired: BrokerObject, live: BrokerObject, *, has_limit: bool) -> bool:
    """Whether a live object does what the declared one would.

    Args:
        desired, live: of one address.
        has_limit: some policy limits the length of the queue, or will.
    """
    if isinstance(desired, Queue) and isinstance(live, Queue):
        limited = has_limit or any(f"x-{name}" in one.arguments for name in _LENGTHS for one in (desired, live))
        return (desired.durable, desired.auto_delete) == (live.durable, live.auto_delete) and same(
            _in_force(desired.arguments, is_limited=limited), _in_force(live.arguments, is_limited=limited)
        )
    return same(desired.attributes, live.attributes)


def is_equal_as_found(desired: BrokerObject, live: BrokerObject) -> bool:
    """Whether a live object may stay as it is where the topology says so: of the same type, whatever else differs."""
    if isinstance(desired, Queue) and isinstance(live, Queue):
        return _type(desired.arguments) == _type(live.arguments)
    return isinstance(desired, Exchange) and isinstance(live, Exchange) and desired.type == live.type


def limits_of(desired: DesiredState, live: LiveState) -> frozenset[str]:
    """The queues whose length a policy limits, or an operator's, or will."""
    limiting = {
        thing.name
        for thing in (*live.objects.values(), *(one.object for one in desired.objects.values()))
        if isinstance(thing, Policy) and _LENGTHS & thing.definition.keys()
    }
    operators = {str(one.get("name")) for one in live.operator_policies if _LENGTHS & _definition(one).keys()}
    by_name = {queue for queue, policy in desired.policies.items() if policy in limiting}
    return frozenset(by_name) | {
        queue
        for queue, status in live.queues.items()
        if status.policy in limiting or status.operator_policy in operators
    }


def expiring(desired: DesiredState) -> Callable[[Queue], bool]:
    """Whether a queue goes by itself when nobody uses it: at once, by its arguments, or by a declared policy."""
    policies = [one.object for one in desired.objects.values() if isinstance(one.object, Policy)]
    patterns = [matcher(policy.pattern) for policy in policies if "expires" in policy.definition]
    matches = [one for one in patterns if one is not None]
    return lambda queue: queue.auto_delete or "x-expires" in queue.arguments or any(one(queue.name) for one in matches)


def _in_force(arguments: Mapping[str, Json], *, is_limited: bool) -> dict[str, Json]:
    """The arguments that make a difference."""
    found = {
        name: value
        for name, value in arguments.items()
        if name not in _AT_DECLARATION and not (name in _DEFAULTS and same(value, _DEFAULTS[name]))
    }
    found[ARGUMENT_QUEUE_TYPE] = _type(arguments)
    # Without a limit nothing overflows; but with it alone, dead letters are handed over at least once.
    if not is_limited and "x-dead-letter-strategy" not in found:
        found.pop("x-overflow", None)
    return found


def _type(arguments: Mapping[str, Json]) -> Json:
    return arguments.get(ARGUMENT_QUEUE_TYPE, str(QueueType.CLASSIC))


def _definition(policy: Mapping[str, Json]) -> Mapping[str, Json]:
    definition = policy.get("definition")
    return definition if isinstance(definition, Mapping) else {}
