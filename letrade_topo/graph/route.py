"""The way of one message: exchange by exchange to queues, for whom it is meant, and what becomes of it when it fails.

What the broker does is asked of a wiring, declared or live; what services and their agents do, of the topology.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from letrade_topo.graph.failing import FailurePath, failure_of
from letrade_topo.graph.wiring import Wiring
from letrade_topo.model.messages import Json, MessageType
from letrade_topo.model.overlap import KeyFamily
from letrade_topo.model.routes import Bound, PassedExchange
from letrade_topo.model.rules.problem import closest
from letrade_topo.model.topology import DestinationType, ExchangeType, Topology

BUILT_IN_TYPES = frozenset(map(str, ExchangeType))


@dataclass(frozen=True, slots=True)
class PublishedMessage:
    """A message as it is published.

    Args:
        exchange: where; the default exchange by its empty name.
        key: its routing key.
        headers: its headers, as JSON has them.
    """

    exchange: str
    key: str
    headers: Mapping[str, Json] = field(default_factory=dict, hash=False)


@dataclass(frozen=True, slots=True)
class ReachedQueue:
    """A queue that a message reaches.

    Args:
        queue: its name.
        bounds: the bindings that lead into it.
        service: the service that consumes from it, if the topology says so.
        failure: what becomes of the message when it is rejected there.
        milliseconds_to_live: after which it expires there; None for never.
    """

    queue: str
    bounds: tuple[Bound, ...]
    service: str | None
    failure: FailurePath
    milliseconds_to_live: int | None = None


@dataclass(frozen=True, slots=True)
class MessageRoute:
    """Where a message goes.

    Args:
        message: what is published.
        exchange_type: of its exchange; None where there is no such exchange.
        stops: the exchanges on its way.
        arrivals: the queues that it reaches, in the order of their names.
        may_publish: users with the right to publish it.
        in_doubt: likewise, where a permission cannot be judged here.
        choosing: exchanges on the way that choose by rules of their own, as plug-ins' do: it may go to some of theirs.
        meant: the exchange that may be meant where there is none of that name.
    """

    message: PublishedMessage
    exchange_type: str | None
    stops: tuple[PassedExchange, ...]
    arrivals: tuple[ReachedQueue, ...]
    may_publish: tuple[str, ...] = ()
    in_doubt: tuple[str, ...] = ()
    choosing: tuple[str, ...] = ()
    meant: str | None = None

    @property
    def queues(self) -> tuple[str, ...]:
        """The names of the queues that it reaches."""
        return tuple(arrival.queue for arrival in self.arrivals)


@dataclass(frozen=True, slots=True)
class MessagePurpose:
    """What the topology says of a message.

    Args:
        type: the declared type that it is of; None where it is of none.
        publishers: services that declare to publish it.
        consumers: services that declare to consume it, by type or by pattern.
    """

    type: MessageType | None = None
    publishers: tuple[str, ...] = ()
    consumers: tuple[str, ...] = ()


def route_of(message: PublishedMessage, wiring: Wiring, topology: Topology) -> MessageRoute:
    """Follow a message.

    Args:
        message: what is published.
        wiring: the topology's own, or the broker's.
        topology: what says which queue is whose, and how its messages are retried.
    """
    stops = tuple(wiring.routes.stops(message.exchange, message.key, message.headers))
    into: dict[str, list[Bound]] = {}
    for stop in stops:
        for bound in stop.matched:
            if bound.destination_type == DestinationType.QUEUE:
                into.setdefault(bound.destination, []).append(bound)
    arrivals = (_arrival(queue, bounds, message, wiring, topology) for queue, bounds in sorted(into.items()))
    kind = wiring.routes.type_of(message.exchange)
    types = ((stop.exchange, wiring.routes.type_of(stop.exchange)) for stop in stops)
    rights = tuple(wiring.may_publish(message.exchange, message.key))
    return MessageRoute(
        message,
        kind,
        stops,
        tuple(arrivals),
        tuple(user for user, is_sure in rights if is_sure),
        tuple(user for user, is_sure in rights if not is_sure),
        tuple(name for name, type_ in types if type_ is not None and type_ not in BUILT_IN_TYPES),
        None if kind is not None else closest(message.exchange, wiring.exchanges),
    )


def purpose_of(message: PublishedMessage, topology: Topology) -> MessagePurpose:
    """For whom a message is declared: what its key belongs to, on its exchange."""
    types = [one for one in topology.messages.values() if one.exchange == message.exchange]
    found = next((one for one in types if one.key.matches(message.key)), None)
    key = KeyFamily.of_key(message.key)
    carries_types = bool(types)
    publishers, consumers = [], []
    for service in topology.services.values():
        if found is not None and found.name in service.publishes:
            publishers.append(service.name)
        by_type = found is not None and found.name in service.consumes
        by_pattern = carries_types and any(KeyFamily.of_template(one).overlaps(key) for one in service.patterns)
        if by_type or by_pattern:
            consumers.append(service.name)
    return MessagePurpose(found, tuple(publishers), tuple(consumers))


def _arrival(
    queue: str, bounds: list[Bound], message: PublishedMessage, wiring: Wiring, topology: Topology
) -> ReachedQueue:
    declared = topology.queues.get(queue)
    return ReachedQueue(
        queue,
        tuple(bounds),
        declared.service if declared is not None else None,
        failure_of(queue, message.key, message.headers, wiring, topology),
        wiring.milliseconds_to_live(queue) if queue in wiring.queues else None,
    )
