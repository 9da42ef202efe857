"""Where a message goes: which queues an exchange routes a key to, decided without a broker.

Asked for a family of keys, the answer is every queue that some key of it reaches. Headers exchanges are
taken to route everything, because headers are not known here.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator

from letrade_topo.model import names
from letrade_topo.model.binding_tree import BindingTree
from letrade_topo.model.overlap import ALL_KEYS, KeyFamily
from letrade_topo.model.topology import DestinationType, ExchangeType, Topology

DEFAULT_EXCHANGE = ""
_PREDEFINED = {
    "amq.direct": ExchangeType.DIRECT,
    "amq.fanout": ExchangeType.FANOUT,
    "amq.headers": ExchangeType.HEADERS,
    "amq.match": ExchangeType.HEADERS,
    "amq.topic": ExchangeType.TOPIC,
}
_Destination = tuple[DestinationType, str]


class _Bindings:
    """What is bound to one exchange: by topic pattern, by the very key, and regardless of the key."""

    __slots__ = ("by_key", "by_pattern", "regardless")

    def __init__(self) -> None:
        self.by_pattern: BindingTree[_Destination] = BindingTree()
        self.by_key: dict[str, list[_Destination]] = defaultdict(list)
        self.regardless: list[_Destination] = []

    def matching(self, family: KeyFamily) -> Iterator[_Destination]:
        """Where some key of a family goes."""
        yield from self.regardless
        yield from self.by_pattern.find(family)
        if family.is_one_key:
            yield from self.by_key.get(family.text, ())
        else:
            for key, destinations in self.by_key.items():
                if KeyFamily.of_key(key).overlaps(family):
                    yield from destinations


class Routes:
    """The bindings of a topology, declared and derived, ready to be asked."""

    def __init__(self, topology: Topology) -> None:
        self._types = dict(_PREDEFINED)
        self._types[topology.dead_letter.exchange] = ExchangeType.TOPIC
        self._types[topology.dead_letter.retry_exchange] = ExchangeType.TOPIC
        self._types |= {name: exchange.type for name, exchange in topology.exchanges.items()}
        self._alternates = {name: exchange.alternate_exchange for name, exchange in topology.exchanges.items()}
        self._queues = {*topology.queues, topology.dead_letter.queue}
        self._bindings: dict[str, _Bindings] = defaultdict(_Bindings)
        self._keys: dict[str, list[KeyFamily]] = defaultdict(list)
        for source, destination, key in _all_bindings(topology):
            self._add(source, destination, key)

    def _add(self, source: str, destination: _Destination, key: str) -> None:
        bindings = self._bindings[source]
        match self._types.get(source, ExchangeType.TOPIC):
            case ExchangeType.TOPIC:
                bindings.by_pattern.add(key, destination)
                family = KeyFamily.of_binding(key)
            case ExchangeType.DIRECT:
                bindings.by_key[key].append(destination)
                family = KeyFamily.of_key(key)
            case ExchangeType.FANOUT | ExchangeType.HEADERS:
                bindings.regardless.append(destination)
                family = ALL_KEYS
        if destination[0] is DestinationType.QUEUE:
            self._keys[destination[1]].append(family)

    def keys_of(self, queue: str) -> list[KeyFamily]:
        """The keys under which messages arrive in a queue; its own name, where nothing is bound to it."""
        return self._keys.get(queue) or [KeyFamily.of_key(queue)]

    def is_bound(self, queue: str) -> bool:
        """Whether some binding leads to a queue."""
        return queue in self._keys

    def queues(self, exchange: str, family: KeyFamily) -> set[str]:
        """The queues that some key of a family reaches from an exchange, also over other exchanges."""
        if exchange == DEFAULT_EXCHANGE:
            return self._queues_named(family)
        reached: set[str] = set()
        todo, seen = [exchange], {exchange}
        while todo:
            source = todo.pop()
            matched = list(self._bindings[source].matching(family)) if source in self._bindings else []
            alternate = self._alternates.get(source)
            if not matched and alternate is not None:
                matched = [(DestinationType.EXCHANGE, alternate)]
            for kind, name in matched:
                if kind is DestinationType.QUEUE:
                    reached.add(name)
                elif name not in seen:
                    seen.add(name)
                    todo.append(name)
        return reached

    def _queues_named(self, family: KeyFamily) -> set[str]:
        if family.is_one_key:
            return {family.text} & self._queues
        return {queue for queue in self._queues if KeyFamily.of_key(queue).overlaps(family)}


def _all_bindings(topology: Topology) -> Iterator[tuple[str, _Destination, str]]:
    queue, exchange = DestinationType.QUEUE, DestinationType.EXCHANGE
    dead_letter = topology.dead_letter
    yield dead_letter.exchange, (queue, dead_letter.queue), "#"
    for declared in topology.queues.values():
        for name in declared.messages:
            if (message := topology.messages.get(name)) is not None:
                yield message.exchange, (queue, declared.name), message.key.binding_key
        if declared.has_rejected_queue:
            rejected = names.rejected_queue(declared.name)
            yield dead_letter.retry_exchange, (queue, rejected), rejected
    for binding in topology.bindings:
        to_queue = binding.destination_type is DestinationType.QUEUE
        destination = (queue if to_queue else exchange, binding.destination)
        yield binding.source, destination, binding.routing_key
