"""Where a message goes: which queues an exchange routes a key to, decided without a broker.

Asked for a family of keys, the answer is every queue that some key of it reaches. A headers exchange is taken to route
everything where the headers are not known, and so are exchanges of types that are not RabbitMQ's own.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field

from letrade_topo.model import names
from letrade_topo.model.binding_tree import BindingTree
from letrade_topo.model.header_match import headers_match
from letrade_topo.model.messages import Json
from letrade_topo.model.overlap import ALL_KEYS, KeyFamily
from letrade_topo.model.policies_in_force import judged_policies
from letrade_topo.model.queue_roles import roled_queues
from letrade_topo.model.topology import DeclaredBinding, DestinationType, ExchangeType, Topology

DEFAULT_EXCHANGE = ""
_ALTERNATE = "alternate-exchange"
PREDEFINED_TYPES = {
    "amq.direct": ExchangeType.DIRECT,
    "amq.fanout": ExchangeType.FANOUT,
    "amq.headers": ExchangeType.HEADERS,
    "amq.match": ExchangeType.HEADERS,
    "amq.topic": ExchangeType.TOPIC,
}


@dataclass(frozen=True, slots=True)
class Bound:
    """A binding as routing sees it."""

    source: str
    destination_type: DestinationType
    destination: str
    routing_key: str
    arguments: Mapping[str, Json] = field(default_factory=dict, hash=False)


@dataclass(frozen=True, slots=True)
class PassedExchange:
    """An exchange on the way of a message.

    Args:
        exchange: its name; empty for the default exchange.
        matched: the bindings that took the message.
        alternate: where it goes since none did.
    """

    exchange: str
    matched: tuple[Bound, ...]
    alternate: str | None = None


class _Bindings:
    """What is bound to one exchange: by topic pattern, by the very key, by headers, and regardless of all."""

    __slots__ = ("by_headers", "by_key", "by_pattern", "numbers_typed", "regardless")

    def __init__(self, *, numbers_typed: bool) -> None:
        self.numbers_typed = numbers_typed
        self.by_pattern: BindingTree[Bound] = BindingTree()
        self.by_key: dict[str, list[Bound]] = defaultdict(list)
        self.by_headers: list[Bound] = []
        self.regardless: list[Bound] = []

    def matching(self, family: KeyFamily, headers: Mapping[str, Json] | None = None) -> Iterator[Bound]:
        """Where some key of a family goes, under some headers where they are not known."""
        yield from self.regardless
        for one in self.by_headers:
            if headers is None or headers_match(one.arguments, headers, numbers_typed=self.numbers_typed):
                yield one
        yield from self.by_pattern.find(family)
        if family.is_one_key:
            yield from self.by_key.get(family.text, ())
        else:
            for key, destinations in self.by_key.items():
                if KeyFamily.of_key(key).overlaps(family):
                    yield from destinations


class RoutingTable:
    """Exchanges, their bindings and queues, ready to be asked.

    Args:
        types: of exchanges, by name; RabbitMQ's own need not be among them.
        alternates: alternate exchanges, by name.
        queues: the names of all queues.
        bindings: all but those of the default exchange.
        numbers_typed: to a headers exchange 1 and 1.0 are two values, as from RabbitMQ 3.13 on.
    """

    def __init__(
        self,
        types: Mapping[str, str],
        alternates: Mapping[str, str | None],
        queues: Collection[str],
        bindings: Iterable[Bound],
        *,
        numbers_typed: bool = True,
    ) -> None:
        self._types: dict[str, str] = {**PREDEFINED_TYPES, **types}
        self._alternates = alternates
        self._queues = frozenset(queues)
        self._bindings: dict[str, _Bindings] = defaultdict(lambda: _Bindings(numbers_typed=numbers_typed))
        self._keys: dict[str, list[KeyFamily]] = defaultdict(list)
        for binding in bindings:
            self._add(binding)

    def _add(self, bound: Bound) -> None:
        bindings = self._bindings[bound.source]
        match self._types.get(bound.source, ExchangeType.TOPIC):
            case ExchangeType.TOPIC:
                bindings.by_pattern.add(bound.routing_key, bound)
                family = KeyFamily.of_binding(bound.routing_key)
            case ExchangeType.DIRECT:
                bindings.by_key[bound.routing_key].append(bound)
                family = KeyFamily.of_key(bound.routing_key)
            case ExchangeType.HEADERS:
                bindings.by_headers.append(bound)
                family = ALL_KEYS
            case _:
                bindings.regardless.append(bound)
                family = ALL_KEYS
        if bound.destination_type == DestinationType.QUEUE:
            self._keys[bound.destination].append(family)

    def keys_of(self, queue: str) -> list[KeyFamily]:
        """The keys under which messages arrive in a queue; its own name, where nothing is bound to it."""
        return self._keys.get(queue) or [KeyFamily.of_key(queue)]

    def is_bound(self, queue: str) -> bool:
        """Whether some binding leads to a queue."""
        return queue in self._keys

    def queues(self, exchange: str, family: KeyFamily) -> set[str]:
        """The queues that some key of a family reaches from an exchange, also over other exchanges.

        Over an alternate exchange only where no key of the family has a binding.
        """
        return set(self._walk(exchange, family, lambda _, matched: bool(matched)))

    def reached(self, exchange: str, family: KeyFamily) -> dict[str, Bound]:
        """Likewise, each with the last binding on the way, and over alternate exchanges wherever a key may go there."""
        return self._walk(exchange, family, lambda source, matched: self._all_routed(source, family, matched))

    def stops(self, exchange: str, key: str, headers: Mapping[str, Json]) -> list[PassedExchange]:
        """The way of one message, exchange by exchange, as RabbitMQ goes it (rabbit_exchange:route).

        Each exchange is gone through once. Its alternate exchange gets the message where none of its own bindings
        takes it, whether or not those would have led to a queue.

        Args:
            exchange: where it is published; the default exchange by its empty name.
            key: its routing key.
            headers: its headers.
        """
        family = KeyFamily.of_key(key)
        if exchange == DEFAULT_EXCHANGE:
            found = (Bound("", DestinationType.QUEUE, name, name) for name in self._queues_named(family))
            return [PassedExchange(exchange, tuple(found))]
        return [*self._stops(exchange, family, headers, lambda _, matched: bool(matched))]

    def ways(self, exchange: str, family: KeyFamily) -> list[PassedExchange]:
        """Every exchange that some key of a family may pass, whatever the headers."""
        return [*self._stops(exchange, family, None, lambda source, matched: self._all_routed(source, family, matched))]

    def type_of(self, exchange: str) -> str | None:
        """The type of an exchange; None for one that is not there."""
        return ExchangeType.DIRECT if exchange == DEFAULT_EXCHANGE else self._types.get(exchange)

    def _walk(
        self, exchange: str, family: KeyFamily, is_routed: Callable[[str, Collection[Bound]], bool]
    ) -> dict[str, Bound]:
        if exchange == DEFAULT_EXCHANGE:
            return {name: Bound("", DestinationType.QUEUE, name, name) for name in self._queues_named(family)}
        reached: dict[str, Bound] = {}
        for stop in self._stops(exchange, family, None, is_routed):
            for bound in stop.matched:
                if bound.destination_type == DestinationType.QUEUE:
                    reached.setdefault(bound.destination, bound)
        return reached

    def _stops(
        self,
        exchange: str,
        family: KeyFamily,
        headers: Mapping[str, Json] | None,
        is_routed: Callable[[str, Collection[Bound]], bool],
    ) -> Iterator[PassedExchange]:
        todo, seen = [exchange], {exchange}
        while todo:
            source = todo.pop()
            matched = [*self._bindings[source].matching(family, headers)] if source in self._bindings else []
            alternate = self._alternates.get(source)
            if alternate is not None and is_routed(source, matched):
                alternate = None
            yield PassedExchange(source, tuple(matched), alternate)
            exchanges = [one.destination for one in matched if one.destination_type == DestinationType.EXCHANGE]
            for name in exchanges if alternate is None else [*exchanges, alternate]:
                if name not in seen:
                    seen.add(name)
                    todo.append(name)

    def _all_routed(self, source: str, family: KeyFamily, matched: Collection[Bound]) -> bool:
        """Whether no key of a family is left for the alternate exchange."""
        if family.is_one_key or not matched:
            return bool(matched)
        kind = self._types.get(source, ExchangeType.TOPIC)
        if kind == ExchangeType.TOPIC:
            return any(KeyFamily.of_binding(bound.routing_key) in (ALL_KEYS, family) for bound in matched)
        return kind != ExchangeType.DIRECT

    def _queues_named(self, family: KeyFamily) -> set[str]:
        if family.is_one_key:
            return {family.text} & self._queues
        return {queue for queue in self._queues if KeyFamily.of_key(queue).overlaps(family)}


class Routes(RoutingTable):
    """The bindings of a topology, declared and derived."""

    def __init__(self, topology: Topology) -> None:
        types: dict[str, str] = {name: exchange.type for name, exchange in topology.exchanges.items()}
        types |= dict.fromkeys(topology.failure_exchanges, ExchangeType.TOPIC)
        super().__init__(
            types,
            alternates_of(topology),
            [queue.name for queue in roled_queues(topology)],
            _all_bindings(topology),
        )


def alternates_of(topology: Topology) -> dict[str, str | None]:
    """Alternate exchanges by exchange: the declared ones, and those of policies that can be judged."""
    alternates = {name: exchange.alternate_exchange for name, exchange in topology.exchanges.items()}
    if not any(_ALTERNATE in policy.definition for policy in topology.policies.values()):
        return alternates
    for one in sorted(judged_policies(topology), key=lambda one: one.policy.priority, reverse=True):
        alternate = one.policy.definition.get(_ALTERNATE)
        if isinstance(alternate, str):
            for exchange in one.exchanges:
                if alternates.get(exchange) is None:
                    alternates[exchange] = alternate
    return alternates


def _all_bindings(topology: Topology) -> Iterator[Bound]:
    queue = DestinationType.QUEUE
    dead_letter = topology.dead_letter
    if topology.has_dead_letters:
        yield Bound(dead_letter.exchange, queue, dead_letter.queue, "#")
    for declared in topology.queues.values():
        for name in declared.messages:
            if (message := topology.messages.get(name)) is not None:
                yield Bound(message.exchange, queue, declared.name, message.key.binding_key)
        if declared.has_rejected_queue:
            rejected = names.rejected_queue(declared.name)
            yield Bound(dead_letter.retry_exchange, queue, rejected, rejected)
            for attempt in range(1, (declared.retry.max_retries if declared.retry else 0) + 1):
                delay = names.retry_queue(declared.name, attempt)
                yield Bound(dead_letter.retry_exchange, queue, delay, delay)
    for binding in topology.bindings:
        yield bound_of(binding)


def bound_of(binding: DeclaredBinding) -> Bound:
    """A declared binding as routing sees it."""
    return Bound(binding.source, binding.destination_type, binding.destination, binding.routing_key, binding.arguments)
