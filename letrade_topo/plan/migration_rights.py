"""Who may see that a queue is migrated: while it is, its services may read the queue beside it. Pure.

An agent knows a migration by that queue (`letrade_topo.model.names.side_queue`): a queue that is gone comes back if
there is one. From 4.2.7 and 4.3.1 on RabbitMQ says to nobody without a right on a name whether there is such a queue.
What a service sees there is what it may read in its queue anyway.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator
from dataclasses import replace

from letrade_topo.broker.capabilities import Capabilities
from letrade_topo.broker.objects import Permission
from letrade_topo.broker.state import LiveState
from letrade_topo.expand.desired import DesiredState
from letrade_topo.model.names import side_queue
from letrade_topo.model.routing import escape


def seeing(permission: Permission, queues: Iterable[str], capabilities: Capabilities) -> Permission:
    """A permission that lets its user see the migrations of those queues that it may read.

    Args:
        permission: as declared.
        queues: that are migrated.
        capabilities: of the broker: which right it wants, and how long an expression may be.
    """
    if not capabilities.hides_queues:
        return permission
    longest = capabilities.max_pattern_bytes
    for queue in sorted(queues):
        longer = permission.read + _part(queue)
        fits = longest is None or len(longer.encode()) <= longest
        if fits and _covers(permission.read, queue) and not _covers(permission.read, side_queue(queue)):
            permission = replace(permission, read=longer)
    return permission


def permissions_of(desired: DesiredState) -> Iterator[Permission]:
    """All that are declared."""
    return (one.object for one in desired.objects.values() if isinstance(one.object, Permission))


def with_seeing(desired: DesiredState, live: LiveState, queues: Collection[str]) -> DesiredState:
    """What is wanted while migrations are under way: a permission that was widened for them is as it should be.

    Args:
        desired: as declared.
        live: as read.
        queues: whose migrations are under way.
    """
    if not queues:
        return desired
    parts = {_part(queue) for queue in queues}
    objects = dict(desired.objects)
    for address, one in desired.objects.items():
        found = live.objects.get(address)
        if isinstance(one.object, Permission) and isinstance(found, Permission):
            added = found.read.removeprefix(one.object.read)
            is_wider = found.read.startswith(one.object.read) and _consists_of(added, parts)
            if is_wider:
                objects[address] = replace(one, object=replace(one.object, read=found.read))
    return replace(desired, objects=objects)


def _part(queue: str) -> str:
    return f"|^{escape(side_queue(queue))}$"


def _consists_of(text: str, parts: Collection[str]) -> bool:
    while text:
        part = next((each for each in parts if text.startswith(each)), None)
        if part is None:
            return False
        text = text.removeprefix(part)
    return True


def _covers(expression: str, name: str) -> bool:
    try:
        return bool(expression) and re.search(expression, name) is not None
    except re.error:  # Erlang's alone
        return False
