"""The objects that a migration needs beside its queue, all named after it.

    exchange of a binding ──► junction ──┬─ bound:    the queue
                                         └─ unbound:  its alternate exchange ──► side queue

A message goes to an alternate exchange exactly when no binding takes it. So one binding, of the queue to the junction,
decides for all publishers at once where messages go: removing or making it is one write of the broker, after which
each message is in one queue and never in both or none. Through the other two exchanges messages are moved, because a
fanout exchange keeps their routing keys.

One more exchange is a mark: what is bound to it was found empty and is about to be deleted. A node that dies meanwhile
can leave a quorum queue's name without its members: nobody can be asked what it held. The mark goes with the name.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

from letrade_topo.broker.capabilities import Capabilities
from letrade_topo.broker.objects import Binding, Exchange, Queue
from letrade_topo.model import names
from letrade_topo.model.messages import Json
from letrade_topo.model.names import ARGUMENT_QUEUE_TYPE
from letrade_topo.model.topology import QueueType

_FANOUT = "fanout"
_QUEUE = "queue"
_HANDED_ON = ("x-dead-letter-exchange", "x-dead-letter-routing-key", "x-dead-letter-strategy")
"""Arguments of the new queue that a message may need before it is in there: it can expire on the way."""
_WITHOUT_LOSS = "reject-publish"


@dataclass(frozen=True, slots=True)
class MigrationLayout:
    """What a migration makes, and takes away again.

    Args:
        side: receives from the switch until the new queue does.
        kept: holds what the old queue held.
        junction: lets through to the queue while `opening` is there.
        side_exchange, kept_exchange, return_exchange: before side queue, kept queue and queue.
        empty_exchange: has the binding of a queue that was found empty; nobody can publish to it.
        opening: of the queue to the junction.
        to_side, to_kept, to_queue: the bindings behind the three exchanges.
    """

    side: Queue
    kept: Queue
    junction: Exchange
    side_exchange: Exchange
    kept_exchange: Exchange
    return_exchange: Exchange
    empty_exchange: Exchange
    opening: Binding
    to_side: Binding
    to_kept: Binding
    to_queue: Binding

    @classmethod
    def of(cls, queue: Queue, capabilities: Capabilities) -> Self:
        """The layout for a queue as it is to be: what waits is stored as safely as there.

        Args:
            queue: the new queue.
            capabilities: of the broker.
        """
        name = queue.name
        arguments = _waiting(queue, capabilities)
        side_exchange = Exchange(names.side_exchange(name), _FANOUT)
        kept, back = Exchange(names.kept_queue(name), _FANOUT), Exchange(names.return_exchange(name), _FANOUT)
        junction = Exchange(names.side_queue(name), _FANOUT, arguments={"alternate-exchange": side_exchange.name})
        side = Queue(names.side_queue(name), arguments=arguments)
        return cls(
            side=side,
            kept=Queue(names.kept_queue(name), arguments=arguments),
            junction=junction,
            side_exchange=side_exchange,
            kept_exchange=kept,
            return_exchange=back,
            empty_exchange=Exchange(names.empty_exchange(name), _FANOUT, internal=True),
            opening=Binding(junction.name, _QUEUE, name),
            to_side=Binding(side_exchange.name, _QUEUE, side.name),
            to_kept=Binding(kept.name, _QUEUE, names.kept_queue(name)),
            to_queue=Binding(back.name, _QUEUE, name),
        )


def names_of(queue: str) -> frozenset[str]:
    """The names of all queues and exchanges that a migration of a queue makes."""
    made = names.side_queue, names.side_exchange, names.kept_queue, names.return_exchange, names.empty_exchange
    return frozenset(name_of(queue) for name_of in made)


def _waiting(queue: Queue, capabilities: Capabilities) -> dict[str, Json]:
    kind = queue.arguments.get(ARGUMENT_QUEUE_TYPE, str(QueueType.CLASSIC))
    arguments: dict[str, Json] = {ARGUMENT_QUEUE_TYPE: kind}
    arguments |= {name: queue.arguments[name] for name in _HANDED_ON if name in queue.arguments}
    if kind == QueueType.QUORUM:
        arguments["x-overflow"] = _WITHOUT_LOSS
        if capabilities.unlimited_delivery_limit:
            arguments["x-delivery-limit"] = -1
    return arguments
