"""What a broker's version cannot take and need not: left out, and said.

Unlike what a version refuses for good, leaving it out means the same there.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from letrade_topo.broker.capabilities import Capabilities
from letrade_topo.broker.objects import Attributes, Policy
from letrade_topo.expand.desired import Desired, Notice
from letrade_topo.model.pcre import matcher

UNLIMITED = -1
_PRACTICALLY_UNLIMITED = 2**31
"""Deliveries of one message: for a policy that says nothing else, and without which another one would apply."""
_LIMIT = "delivery-limit"


def fit_policies(
    policies: Iterable[Desired], effect: dict[str, str | None], capabilities: Capabilities
) -> tuple[list[Desired], dict[str, str | None], list[Notice]]:
    """Policies as a broker takes them.

    Before 4.0 a quorum queue has no delivery limit unless it is given one, and `-1` is refused.

    Args:
        policies: as expanded.
        effect: which policy each queue should be under.
        capabilities: of the broker's version.
    """
    policies = list(policies)
    if capabilities.unlimited_delivery_limit:
        return policies, effect, []
    fitted: list[Desired] = []
    notices: list[Notice] = []
    gone: set[str] = set()
    for one in policies:
        policy = one.object
        if not isinstance(policy, Policy) or policy.definition.get(_LIMIT) != UNLIMITED:
            fitted.append(one)
            continue
        rest: Attributes = {key: value for key, value in policy.definition.items() if key != _LIMIT}
        under = [queue for queue, name in effect.items() if name == policy.name]
        if not rest and any(_matches(other.object, under) for other in policies if other is not one):
            rest = {_LIMIT: _PRACTICALLY_UNLIMITED}
        if rest:
            fitted.append(replace(one, object=replace(policy, definition=rest)))
        else:
            gone.add(policy.name)
        notices.append(
            Notice(
                "no-unlimited-deliveries",
                f"{policy.address}: `delivery-limit: -1` is left out, as RabbitMQ {capabilities.series} does not know "
                "it; a queue there has no limit unless it is given one",
                one.path,
            )
        )
    return fitted, {queue: None if name in gone else name for queue, name in effect.items()}, notices


def _matches(thing: object, queues: Iterable[str]) -> bool:
    """Whether a policy would apply to one of some queues; one that cannot be judged here might."""
    if not isinstance(thing, Policy):
        return False
    matches = matcher(thing.pattern)
    return matches is None or any(map(matches, queues))
