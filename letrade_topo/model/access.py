"""What each service may do on a broker, as the regular expressions that say so: exactly what the topology says of it.

RabbitMQ judges three expressions on resource names (configure, write, read) and, for a topic exchange, two on keys. A
run-time queue is declared, bound and consumed by the service itself, so it appears in all three; a durable queue is
declared and bound by somebody else, so it is only read. No expression grows with the number of names:
see `name_patterns`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache

from letrade_topo.model import names
from letrade_topo.model.messages import MessageType
from letrade_topo.model.name_patterns import Found, NamePattern, Others, Precision, Wanted, find_pattern
from letrade_topo.model.routing import KeyTemplate, escape
from letrade_topo.model.security import Enforcement
from letrade_topo.model.services import Service
from letrade_topo.model.topology import DeclaredQueue, Topology

NOTHING = NamePattern("", Precision.LISTED)
"""RabbitMQ reads an empty expression as `^$`, which no resource of ours is called."""

ANY_KEY = NamePattern(".*", Precision.LISTED)
"""Mode `warn` delivers what it would refuse, so the broker may not refuse it either."""

NO_HASH = "[^#]*"
"""What may follow in a binding key: whatever does not ask for any number of words."""


@dataclass(frozen=True, slots=True)
class TopicAccess:
    """Which keys of one topic exchange a service may publish to (write) and bind with (read)."""

    exchange: str
    write: Found
    read: Found = NOTHING


@dataclass(frozen=True, slots=True)
class ServiceAccess:
    """What a service may do.

    Args:
        configure: names of queues that it may declare and delete.
        write: names of exchanges that it may publish to, and of queues that it may bind.
        read: names of queues that it may consume from, and of exchanges that it may bind to.
        topics: what it may do on topic exchanges, each of them once.
    """

    configure: Found
    write: Found
    read: Found
    topics: tuple[TopicAccess, ...]


@lru_cache(maxsize=2)  # the rules ask first, whoever writes permissions asks again
def access_of(topology: Topology) -> Mapping[str, ServiceAccess]:
    """What each service may do, by its name.

    Args:
        topology: what refers to nothing is left out.
    """
    queues: dict[str, list[DeclaredQueue]] = {}
    for queue in topology.queues.values():
        if queue.service is not None:
            queues.setdefault(queue.service, []).append(queue)
    known = _Known(topology)
    return {name: _Asking(known, service, queues.get(name, [])).access for name, service in topology.services.items()}


class _Known:
    """All names and keys of a topology, sorted once for everybody."""

    def __init__(self, topology: Topology) -> None:
        self.topology = topology
        dead_letter = topology.dead_letter
        retried = [queue.name for queue in topology.queues.values() if queue.has_rejected_queue]
        rejected = [names.rejected_queue(name) for name in retried]
        own = (dead_letter.exchange, dead_letter.retry_exchange, dead_letter.queue)
        resources = {*topology.exchanges, *topology.queues, *rejected, *own}
        self._resources = sorted(name for name in resources if not names.is_delay_queue(name))
        self._retried = sorted(retried)
        self._messages: dict[str, list[MessageType]] = {}
        for message in topology.messages.values():
            self._messages.setdefault(message.exchange, []).append(message)

    def resources_beyond(self, own: Iterable[str], service: str) -> Others:
        """The names of queues and exchanges that are not a service's; delay queues are left out of it."""
        beginnings = [names.RESERVED_PREFIX, names.OWNERSHIP_RECORD_PREFIX]
        for other in self.topology.services:
            if other != service:
                beginnings += names.run_time_beginnings(other)
        mine = frozenset(own)
        return Others((name for name in self._resources if name not in mine), beginnings)

    def retried_beyond(self, own: Iterable[str]) -> Others:
        """The other queues that have a ladder."""
        mine = frozenset(own)
        return Others(name for name in self._retried if name not in mine)

    def keys_beyond(self, own: Iterable[MessageType], exchange: str) -> Others:
        """The keys of the other message types of an exchange."""
        mine = frozenset(message.name for message in own)
        others = [message.key for message in self._messages.get(exchange, ()) if message.name not in mine]
        return Others(
            (key.text for key in others if not key.has_variables),
            (key.literal_beginning for key in others if key.has_variables),
        )


class _Asking:
    """One service, and the questions that lead to what it may do."""

    def __init__(self, known: _Known, service: Service, own: Sequence[DeclaredQueue]) -> None:
        self._known = known
        self._topology = known.topology
        self._service = service
        self._queues = own
        self._retried = [queue.name for queue in own if queue.has_rejected_queue]
        self._listens = bool(service.consumes or service.patterns)

    @property
    def access(self) -> ServiceAccess:
        """What the service may do."""
        return ServiceAccess(
            configure=self._resources([]),
            write=self._resources(self._writable()),
            read=self._resources(self._readable()),
            topics=tuple(self._topics()),
        )

    def _writable(self) -> list[str]:
        dead_letter = self._topology.dead_letter
        writable = self._published_exchanges()
        if self._retried:
            writable.append(dead_letter.retry_exchange)
        if self._listens or self._retried:
            writable.append(dead_letter.exchange)
        if self._service.direct_reply_to:
            writable.append(names.DEFAULT_EXCHANGE_RESOURCE)
        return writable

    def _readable(self) -> list[str]:
        readable = self._consumed_exchanges()
        for queue in self._queues:
            readable.append(queue.name)
            if queue.has_rejected_queue:
                readable.append(names.rejected_queue(queue.name))
        return readable

    def _resources(self, own: Sequence[str]) -> Found:
        name = self._service.name
        run_time = [names.run_time_queues_expression(name)] if self._listens else []
        if not own and not run_time:
            return NOTHING
        return find_pattern(
            Wanted(
                own,
                lambda: self._known.resources_beyond(own, name),
                namespaces=[names.namespace(name)],
                suffix=names.REJECTED_SUFFIX,
                derived=names.DELAY_QUEUES_EXPRESSION,
                further=run_time,
            )
        )

    def _topics(self) -> list[TopicAccess]:
        published, consumed = self._published_exchanges(), self._consumed_exchanges()
        topics = [
            TopicAccess(
                exchange,
                write=self._write(exchange) if exchange in published else NOTHING,
                read=self._keys(self._service.consumes, exchange, reads=True) if exchange in consumed else NOTHING,
            )
            for exchange in dict.fromkeys([*published, *consumed])
        ]
        dead_letter = self._topology.dead_letter
        if self._retried:
            retried = Wanted(
                self._retried,
                lambda: self._known.retried_beyond(self._retried),
                namespaces=[names.namespace(self._service.name)],
                tail=names.RETRY_KEYS_EXPRESSION,
            )
            topics.append(TopicAccess(dead_letter.retry_exchange, find_pattern(retried)))
        if self._listens or self._retried:
            dead = NamePattern(f"^(?:.+{escape(names.DEAD_KEY_SUFFIX)})$", Precision.LISTED)
            topics.append(TopicAccess(dead_letter.exchange, dead))
        return topics

    def _write(self, exchange: str) -> Found:
        if self._topology.mode_of(exchange) is Enforcement.WARN:
            return ANY_KEY
        return self._keys(self._service.publishes, exchange, reads=False)

    def _keys(self, types: Iterable[str], exchange: str, *, reads: bool) -> Found:
        messages = [message for message in self._messages(types) if message.exchange == exchange]
        templates: list[KeyTemplate] = [message.key for message in messages]
        if reads:
            templates += self._service.patterns
        if not templates:
            return NOTHING
        return find_pattern(
            Wanted(
                [template.bind_text if reads else template.publish_text for template in templates],
                lambda: self._known.keys_beyond(messages, exchange),
                namespaces=[names.namespace(self._service.name)],
                anything=NO_HASH if reads else ".*",
            )
        )

    def _published_exchanges(self) -> list[str]:
        return list(dict.fromkeys(message.exchange for message in self._messages(self._service.publishes)))

    def _consumed_exchanges(self) -> list[str]:
        """A pattern may match on every exchange that carries messages."""
        named = [message.exchange for message in self._messages(self._service.consumes)]
        if self._service.patterns:
            named += [message.exchange for message in self._topology.messages.values()]
        return list(dict.fromkeys(named))

    def _messages(self, types: Iterable[str]) -> Iterator[MessageType]:
        return (self._topology.messages[name] for name in types if name in self._topology.messages)
