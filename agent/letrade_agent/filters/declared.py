"""What the topology says about a name on the wire: whether it knows it, whose it is, how strictly it is judged.

Built once for a topology and a service, asked by every filter. No decision about a message is made here.
"""

from __future__ import annotations

from collections import defaultdict
from enum import Enum
from functools import lru_cache
from typing import Final

from letrade_topo.keys.policy import RUN_TIME_QUEUE_KINDS
from letrade_topo.model import names
from letrade_topo.model.messages import EnvelopeMode
from letrade_topo.model.security import Enforcement
from letrade_topo.model.services import Service
from letrade_topo.model.topology import DestinationType, Topology

OTHER_LABEL: Final = "_other"
"""The label of everything that the topology does not name, so that labels stay bounded."""

DIRECT_REPLY_TO: Final = "amq.rabbitmq.reply-to"
"""RabbitMQ's pseudo queue; what is answered there has its name and more as routing key."""

KEPT_NAMES: Final = 4_096
"""Decisions about names that are kept, in each of several memories."""

_STRICTNESS: Final = {Enforcement.OFF: 0, Enforcement.WARN: 1, Enforcement.ENFORCE: 2}


class QueueKind(Enum):
    """What a queue is to this service."""

    OWN = "own"
    """Declared in the topology for this service."""
    FOREIGN = "foreign"
    """Declared, for another service, for nobody, or for messages on their way through retries."""
    RUN_TIME = "run-time"
    """Made by an instance of this service for itself."""
    REPLY_TO = "reply-to"
    UNKNOWN = "unknown"


class Declared:
    """The names of a topology, as one service sees them.

    Args:
        topology: a valid one.
        service: one of its services.

    Attributes:
        topology, service: as given.
        run_time_prefixes: of the names of queues that this service may make for itself.
    """

    def __init__(self, topology: Topology, service: Service) -> None:
        self.topology: Final = topology
        self.service: Final = service
        self.run_time_prefixes: Final = tuple(f"{service.name}.{kind}." for kind in RUN_TIME_QUEUE_KINDS)
        self._internal_exchanges = frozenset((topology.dead_letter.exchange, topology.dead_letter.retry_exchange))
        self._internal_queues = frozenset(_internal_queues(topology))
        self._sources = _sources(topology)
        self.mode_of = lru_cache(maxsize=KEPT_NAMES)(self._mode_of)

    def is_internal(self, exchange: str) -> bool:
        """Whether only agents publish there: the exchanges of retries and dead letters."""
        return exchange in self._internal_exchanges

    def knows_exchange(self, exchange: str) -> bool:
        """Whether the topology has such an exchange."""
        return exchange in self.topology.exchanges or exchange in self._internal_exchanges

    def mode_of_exchange(self, exchange: str) -> Enforcement | None:
        """How strictly messages of an exchange are judged; None: the topology declares no such exchange."""
        return self.topology.mode_of(exchange) if exchange in self.topology.exchanges else None

    def completes(self, exchange: str) -> bool:
        """Whether what this service publishes there gets what its envelope lacks; the service's word goes first."""
        declared = self.topology.exchanges.get(exchange)
        of_exchange = EnvelopeMode.REQUIRE if declared is None else declared.envelope
        return (self.service.envelope or of_exchange) is EnvelopeMode.COMPLETE

    def queue_kind(self, queue: str) -> QueueKind:
        """What a queue is to this service."""
        declared = self.topology.queues.get(queue)
        if declared is not None:
            return QueueKind.OWN if declared.service == self.service.name else QueueKind.FOREIGN
        if queue in self._internal_queues:
            return QueueKind.FOREIGN
        if self.is_run_time(queue):
            return QueueKind.RUN_TIME
        return QueueKind.REPLY_TO if queue == DIRECT_REPLY_TO else QueueKind.UNKNOWN

    def is_run_time(self, queue: str) -> bool:
        """Whether an instance of this service may make a queue of this name."""
        return queue.startswith(self.run_time_prefixes) and queue not in self.run_time_prefixes

    def _mode_of(self, queue: str, exchange: str) -> Enforcement:
        """How strictly a delivery is judged.

        By the exchange that the broker says it came from, which nobody can forge who may not publish there. What
        came another way (a retry, a replay, the default exchange) is judged as strictly as anything that may be in
        this queue: what such a message says of itself is not proven yet.
        """
        mode = self.mode_of_exchange(exchange)
        if mode is not None:
            return mode
        modes = [self.mode_of_exchange(source) for source in self._sources_of(queue)]
        known = [mode for mode in modes if mode is not None]
        return max(known, key=_STRICTNESS.__getitem__, default=self.topology.security.jwt.mode)

    def _sources_of(self, queue: str) -> set[str]:
        """The exchanges from which a message may come into a queue."""
        if queue in self.topology.queues:
            return self._sources[DestinationType.QUEUE, queue]
        if self.service.patterns or not self.is_run_time(queue):
            return set(self.topology.exchanges)
        return {self.topology.messages[name].exchange for name in self.service.consumes}


def _internal_queues(topology: Topology) -> list[str]:
    found = [topology.dead_letter.queue]
    for queue in topology.queues.values():
        if queue.has_rejected_queue:
            found.append(names.rejected_queue(queue.name))
            attempts = len(queue.retry.delays) if queue.retry else 0
            found += [names.retry_queue(queue.name, attempt) for attempt in range(1, attempts + 1)]
    return found


def _sources(topology: Topology) -> defaultdict[tuple[DestinationType, str], set[str]]:
    """For each queue every exchange that leads to it, also over other exchanges."""
    direct: defaultdict[tuple[DestinationType, str], set[str]] = defaultdict(set)
    for queue in topology.queues.values():
        for name in queue.messages:
            direct[DestinationType.QUEUE, queue.name].add(topology.messages[name].exchange)
    for binding in topology.bindings:
        direct[binding.destination_type, binding.destination].add(binding.source)
    for exchange in topology.exchanges.values():
        if exchange.alternate_exchange is not None:
            direct[DestinationType.EXCHANGE, exchange.alternate_exchange].add(exchange.name)
    found: defaultdict[tuple[DestinationType, str], set[str]] = defaultdict(set)
    for queue in topology.queues.values():
        target = (DestinationType.QUEUE, queue.name)
        todo = list(direct[target])
        while todo:
            source = todo.pop()
            if source not in found[target]:
                found[target].add(source)
                todo += direct[DestinationType.EXCHANGE, source]
    return found
