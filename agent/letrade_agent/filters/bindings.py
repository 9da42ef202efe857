"""Whether a binding that a client asks for is one that the topology has, or one that its service may make itself."""

from __future__ import annotations

import re
from collections import defaultdict
from functools import lru_cache

from letrade_agent.filters.declared import Declared
from letrade_topo.model import names
from letrade_topo.model.topology import DestinationType, ExchangeType, Topology

_Target = tuple[DestinationType, str]


class Bindings:
    """The bindings of a topology, and what one service may bind run-time queues to.

    Args:
        declared: the topology's names.
    """

    def __init__(self, declared: Declared) -> None:
        self._topology = declared.topology
        self._service = declared.service
        self._keys = _declared_bindings(declared.topology)

    def has(self, exchange: str, target: _Target, key: str) -> bool:
        """Whether the topology's bindings already give the target everything that this one would."""
        keys = self._keys.get((exchange, target))
        if not keys:
            return False
        match self._type(exchange):
            case ExchangeType.TOPIC:
                return any(covers(bound, key) for bound in keys)
            case ExchangeType.DIRECT:
                return key in keys
            case _:
                return True

    def may_listen(self, exchange: str, key: str) -> bool:
        """Whether the service may bind a queue of its own there: the same rule that its topic permission has."""
        topology, service = self._topology, self._service
        templates = [
            topology.messages[name].key for name in service.consumes if topology.messages[name].exchange == exchange
        ]
        if any(message.exchange == exchange for message in topology.messages.values()):
            templates += service.patterns
        if self._type(exchange) not in (ExchangeType.TOPIC, ExchangeType.DIRECT):
            return bool(templates)  # the key decides nothing there; what the service may not have, is not verified
        return any(_expression(template.bind_expression).fullmatch(key) for template in templates)

    def _type(self, exchange: str) -> ExchangeType | str:
        declared = self._topology.exchanges.get(exchange)
        return ExchangeType.TOPIC if declared is None else declared.type


def covers(bound: str, asked: str) -> bool:
    """Whether every key that a binding key `asked` matches is matched by `bound`; in doubt not."""
    if bound in (asked, "#"):
        return True
    mine, theirs = bound.split("."), asked.split(".")
    if mine[-1] == "#" and "#" not in mine[:-1]:
        mine = mine[:-1]
        if len(theirs) < len(mine):
            return False
        theirs = theirs[: len(mine)]
    return len(mine) == len(theirs) and all(
        own == other or (own == "*" and other != "#") for own, other in zip(mine, theirs, strict=True)
    )


@lru_cache(maxsize=1024)
def _expression(text: str) -> re.Pattern[str]:
    return re.compile(text, re.DOTALL)


def _declared_bindings(topology: Topology) -> dict[tuple[str, _Target], set[str]]:
    found: defaultdict[tuple[str, _Target], set[str]] = defaultdict(set)
    queue_type, dead_letter = DestinationType.QUEUE, topology.dead_letter
    found[dead_letter.exchange, (queue_type, dead_letter.queue)].add("#")
    for queue in topology.queues.values():
        for name in queue.messages:
            message = topology.messages[name]
            found[message.exchange, (queue_type, queue.name)].add(message.key.binding_key)
        if queue.has_rejected_queue:
            rejected = names.rejected_queue(queue.name)
            found[dead_letter.retry_exchange, (queue_type, rejected)].add(rejected)
    for binding in topology.bindings:
        found[binding.source, (binding.destination_type, binding.destination)].add(binding.routing_key)
    return found
