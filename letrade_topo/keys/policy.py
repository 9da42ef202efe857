"""What the topology says about a token: whether this may be published by them, and whether it may arrive here.

Built once from the topology; the answer for one (exchange, routing key) is kept.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import Protocol
from urllib.parse import quote

from letrade_topo.keys.topic_index import TopicIndex
from letrade_topo.model.messages import MessageType
from letrade_topo.model.topology import DeclaredBinding, DeclaredExchange, DestinationType, ExchangeType, Topology

KEPT_ROUTES = 16_384
"""Answers that are kept: some thousand symbols of market data, and room for what is refused."""

RUN_TIME_QUEUE_KINDS = ("reply", "sub")


@dataclass(frozen=True, slots=True)
class Route:
    """What the topology says about one (exchange, routing key).

    Args:
        message_type: the name of the type.
        lifetime_seconds: of the type.
        publishers: services that may publish it.
        queues: declared queues that it is routed to.
        listeners: services that may have it in a run-time queue of their own.
    """

    message_type: str
    lifetime_seconds: float
    publishers: frozenset[str]
    queues: frozenset[str]
    listeners: frozenset[str]


class TokenPolicy(Protocol):
    """What verifying needs to know of the topology."""

    @property
    def service(self) -> str:
        """The service that consumes."""

    @property
    def audience(self) -> str:
        """The audience of every token."""

    @property
    def movers(self) -> Collection[str]:
        """Who may move messages of queues that are migrated."""

    def route(self, exchange: bytes, routing_key: bytes) -> Route | None:
        """What is known of a destination; None: no message type of this topology has it."""

    def reaches(self, route: Route, queue: str) -> bool:
        """Whether a message of this route may be in a queue that the service consumes from."""


def audience_of(topology: Topology) -> str:
    """The audience of every token: `<environment>/<topology name>/<percent-encoded vhost>`."""
    return f"{topology.environment}/{topology.name}/{quote(topology.vhost, safe='')}"


class TopologyPolicy:
    """`TokenPolicy` of a topology, for one service.

    Args:
        topology: a valid one.
        service: the service that consumes.
    """

    def __init__(self, topology: Topology, service: str) -> None:
        self._service = service
        self._audience = audience_of(topology)
        self._topology = topology
        self._run_time_prefixes = tuple(f"{service}.{kind}." for kind in RUN_TIME_QUEUE_KINDS)
        self._types: defaultdict[str, TopicIndex[MessageType]] = defaultdict(TopicIndex)
        for message in topology.messages.values():
            self._types[message.exchange].add(message.key.binding_key, message)
        self._publishers: defaultdict[str, set[str]] = defaultdict(set)
        self._consumers: defaultdict[str, set[str]] = defaultdict(set)
        for declared in topology.services.values():
            for name in declared.publishes:
                self._publishers[name].add(declared.name)
            for name in declared.consumes:
                self._consumers[name].add(declared.name)
        self._bindings = _Bindings(topology)
        self._kept = lru_cache(maxsize=KEPT_ROUTES)(self._find)

    @property
    def service(self) -> str:
        """The service that consumes."""
        return self._service

    @property
    def audience(self) -> str:
        """The audience of every token."""
        return self._audience

    @property
    def movers(self) -> Collection[str]:
        """Who may move messages of queues that are migrated."""
        return self._topology.security.jwt.movers

    def route(self, exchange: bytes, routing_key: bytes) -> Route | None:
        """What the topology says of a destination; None: it has no such message type."""
        return self._kept(exchange, routing_key)

    def reaches(self, route: Route, queue: str) -> bool:
        """Whether the topology routes it to this queue, or lets this service have it in a run-time queue."""
        if queue in route.queues:
            return True
        return self._service in route.listeners and queue.startswith(self._run_time_prefixes)

    def _find(self, exchange: bytes, routing_key: bytes) -> Route | None:
        try:
            name, key = exchange.decode(), routing_key.decode()
        except UnicodeDecodeError:
            return None  # a topology is text
        types = self._types.get(name)
        if types is None:
            return None
        message = next((message for message in types.matches(key) if message.key.matches(key)), None)
        if message is None:
            return None
        by_pattern = {
            declared.name
            for declared in self._topology.services.values()
            if any(pattern.matches(key) for pattern in declared.patterns)
        }
        return Route(
            message.name,
            message.lifetime.seconds,
            frozenset(self._publishers[message.name]),
            frozenset(self._bindings.queues(name, key)),
            frozenset(self._consumers[message.name] | by_pattern),
        )


@dataclass(frozen=True, slots=True)
class _Target:
    destination_type: DestinationType
    name: str


class _Bindings:
    """Where exchanges lead, by the meaning that each exchange type gives its binding keys."""

    def __init__(self, topology: Topology) -> None:
        self._exchanges = topology.exchanges
        self._by_topic: defaultdict[str, TopicIndex[_Target]] = defaultdict(TopicIndex)
        self._by_key: defaultdict[tuple[str, str], list[_Target]] = defaultdict(list)
        self._always: defaultdict[str, list[_Target]] = defaultdict(list)
        for queue in topology.queues.values():
            target = _Target(DestinationType.QUEUE, queue.name)
            for name in queue.messages:
                message = topology.messages[name]
                self._by_topic[message.exchange].add(message.key.binding_key, target)
        for binding in topology.bindings:
            self._add(binding)

    def queues(self, exchange: str, routing_key: str) -> set[str]:
        """The queues that a message may reach."""
        found: set[str] = set()
        todo, seen = [exchange], {exchange}
        while todo:
            source = todo.pop()
            targets = list(self._targets(source, routing_key))
            for target in targets:
                if target.destination_type is DestinationType.QUEUE:
                    found.add(target.name)
            following = [target.name for target in targets if target.destination_type is DestinationType.EXCHANGE]
            following += self._alternate(source, is_routed=bool(targets))
            todo += [name for name in following if name not in seen]
            seen.update(following)
        return found

    def _alternate(self, source: str, *, is_routed: bool) -> Iterator[str]:
        """Where a message goes that no binding of an exchange took, or perhaps none."""
        declared = self._exchanges.get(source)
        if declared is None or declared.alternate_exchange is None:
            return
        if not is_routed or declared.type not in (ExchangeType.TOPIC, ExchangeType.DIRECT, ExchangeType.FANOUT):
            yield declared.alternate_exchange

    def _add(self, binding: DeclaredBinding) -> None:
        target = _Target(binding.destination_type, binding.destination)
        match self._type(self._exchanges.get(binding.source)):
            case ExchangeType.TOPIC:
                self._by_topic[binding.source].add(binding.routing_key, target)
            case ExchangeType.DIRECT:
                self._by_key[binding.source, binding.routing_key].append(target)
            case _:
                # a headers exchange decides by headers, which no token covers, and one of a plug-in by whatever it is:
                # it may lead anywhere it is bound to
                self._always[binding.source].append(target)

    @staticmethod
    def _type(exchange: DeclaredExchange | None) -> ExchangeType | str:
        """The exchanges of `dead_letter` are topic exchanges that are not declared among the others."""
        return ExchangeType.TOPIC if exchange is None else exchange.type

    def _targets(self, source: str, routing_key: str) -> Iterator[_Target]:
        if (topics := self._by_topic.get(source)) is not None:
            yield from topics.matches(routing_key)
        yield from self._by_key.get((source, routing_key), ())
        yield from self._always.get(source, ())
