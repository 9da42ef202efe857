"""What of a broker belongs to migrations that are under way."""

from __future__ import annotations

from collections.abc import Collection

from letrade_topo.broker.objects import Binding, BrokerObject, Exchange, Queue
from letrade_topo.migration.layout import names_of
from letrade_topo.model.names import MIGRATING_SUFFIX


def belongs_to_migration(thing: BrokerObject, queues: Collection[str]) -> bool:
    """Whether an object is one that a migration made, its queue, or a binding of either.

    Args:
        thing: an object.
        queues: names of queues whose migrations are under way.
    """
    if not queues:
        return False
    match thing:
        case Queue(name=name):
            return name in queues or _is_made(name, queues)
        case Exchange(name=name):
            return _is_made(name, queues)
        case Binding(source=source, destination_type=kind, destination=destination):
            is_of_queue = kind == "queue" and destination in queues
            return is_of_queue or _is_made(source, queues) or _is_made(destination, queues)
        case _:
            return False


def _is_made(name: str, queues: Collection[str]) -> bool:
    queue, suffix, _ = name.rpartition(MIGRATING_SUFFIX)
    return bool(suffix) and queue in queues and name in names_of(queue)
