"""What is bound is reached: no binding waits for keys that nobody sends, no exchange leads back to where it began."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from letrade_topo.model.overlap import KeyFamily
from letrade_topo.model.passages import passages_of
from letrade_topo.model.pcre import matcher
from letrade_topo.model.routes import PREDEFINED_TYPES, Routes, alternates_of
from letrade_topo.model.rules.problem import Breach, Path, Rule, Severity, rule
from letrade_topo.model.topology import DeclaredBinding, DestinationType, ExchangeType, Ownership, Topology


@rule(
    "binding-without-messages",
    "binding that no message takes",
    "Where the vhost is exclusive, what arrives at an exchange that carries message types, and to which no declared "
    "user may write, are those types. A binding whose key fits none of theirs waits for ever; maybe it is misspelt.",
    severity=Severity.WARNING,
    needs_whole=True,
)
def binding_without_messages(topology: Topology) -> Iterator[Breach]:
    """Bindings of exchanges where all that arrives is known, and does not fit."""
    if topology.ownership is not Ownership.EXCLUSIVE or not topology.bindings:
        return  # somebody else may publish there
    arriving = _arriving(topology)
    for index, binding in enumerate(topology.bindings):
        families = arriving.get(binding.source)
        own = _taken(binding, topology)
        if families and own is not None and not any(own.overlaps(family) for family in families):
            why = f"No message type that arrives at {binding.source!r} has a key that {binding.routing_key!r} takes."
            fix = "Correct the key, declare the type that is meant, or remove the binding."
            yield Breach(("bindings", index, "routing_key"), why, fix, otherwise=("bindings", index))


@rule(
    "queue-unreachable",
    "queue that no message can reach",
    "Nobody may publish to an internal exchange. Where none of the exchanges that a queue is bound to is open, or "
    "behind another exchange, an alternate or a dead letter, the queue stays empty.",
    severity=Severity.WARNING,
    needs_whole=True,
)
def queue_unreachable(topology: Topology) -> Iterator[Breach]:
    """Queues behind internal exchanges to which nothing leads."""
    closed = {name for name, exchange in topology.exchanges.items() if exchange.internal} - _entered(topology)
    if not closed:
        return
    bound = [one for one in topology.bindings if one.destination_type is DestinationType.QUEUE]
    routes = Routes(topology)
    named = {passage.key for passages in passages_of(topology).values() for passage in passages if not passage.exchange}
    for name, queue in topology.queues.items():
        sources = {one.source for one in bound if one.destination == name}
        if sources and sources <= closed and not queue.messages and name not in named and routes.is_bound(name):
            alone = ", ".join(map(repr, sorted(sources)))
            why = f"{name!r} is bound to {alone} alone: internal, and nothing leads there."
            fix = "Bind that exchange to one that is published to, or remove its `internal: true`."
            yield Breach(("queues", name), why, fix, at_key=True)


@rule(
    "alternate-cycle",
    "alternate exchanges that go round in a circle",
    "What no binding of an exchange takes goes to its alternate. RabbitMQ goes through each exchange once: where the "
    "alternates lead back, such a message is dropped in the end, as if there were none.",
    severity=Severity.WARNING,
    needs_whole=True,
)
def alternate_cycle(topology: Topology) -> Iterator[Breach]:
    """Alternates, declared and by policy, that lead back to where they began; each circle once."""
    alternates = alternates_of(topology)
    reported: set[str] = set()
    for name in topology.exchanges:
        circle = _circle(name, alternates)
        if circle is None or reported & {*circle}:
            continue
        reported.update(circle)
        way = " → ".join(map(repr, [*circle, name]))
        path: Path = ("exchanges", name, "alternate_exchange")
        fix = "Let the last of them lead to an exchange of type fanout with a queue, or have none."
        yield Breach(path, f"What nothing takes goes {way}, and is dropped.", fix, otherwise=("exchanges", name))


def _arriving(topology: Topology) -> dict[str, list[KeyFamily]]:
    """The keys that arrive at each exchange, of those where nothing else can."""
    routes = Routes(topology)
    arriving: dict[str, list[KeyFamily]] = {}
    for message in topology.messages.values():
        family = KeyFamily.of_template(message.key)
        for stop in routes.ways(message.exchange, family):
            arriving.setdefault(stop.exchange, []).append(family)
    others = {passage.exchange for passages in passages_of(topology).values() for passage in passages}
    return {
        name: families
        for name, families in arriving.items()
        if name in topology.exchanges and name not in others and not _may_be_written(name, topology)
    }


def _may_be_written(exchange: str, topology: Topology) -> bool:
    """Whether a declared user may publish there, or one cannot tell."""
    for user in topology.users.values():
        matches = matcher(user.write) if user.write else None
        if user.write and (matches is None or matches(exchange)):
            return True
    return False


def _taken(binding: DeclaredBinding, topology: Topology) -> KeyFamily | None:
    """The keys that a binding takes; None where others than keys decide."""
    source = topology.exchanges.get(binding.source)
    match source.type if source is not None else None:
        case ExchangeType.TOPIC if not _is_misread(binding.routing_key):
            return KeyFamily.of_binding(binding.routing_key)
        case ExchangeType.DIRECT:
            return KeyFamily.of_key(binding.routing_key)
        case _:
            return None


def _is_misread(key: str) -> bool:
    """Whether a wildcard is part of a word: `binding-key` says that better."""
    return any(len(word) > 1 and ("*" in word or "#" in word) for word in key.split("."))


def _entered(topology: Topology) -> set[str]:
    """The exchanges at which a message may arrive: open ones, and those behind them."""
    entered = {name for name, exchange in topology.exchanges.items() if not exchange.internal}
    entered |= {*PREDEFINED_TYPES, *topology.failure_exchanges}
    entered |= {passage.exchange for passages in passages_of(topology).values() for passage in passages}
    leads: dict[str, set[str]] = {}
    for binding in topology.bindings:
        if binding.destination_type is DestinationType.EXCHANGE:
            leads.setdefault(binding.source, set()).add(binding.destination)
    for name, alternate in alternates_of(topology).items():
        if alternate is not None:
            leads.setdefault(name, set()).add(alternate)
    todo = [*entered]
    while todo:
        for name in leads.get(todo.pop(), ()):
            if name not in entered:
                entered.add(name)
                todo.append(name)
    return entered


def _circle(start: str, alternates: Mapping[str, str | None]) -> list[str] | None:
    circle, name = [start], alternates.get(start)
    while name is not None and name not in circle:
        circle.append(name)
        name = alternates.get(name)
    return circle if name == start else None


RULES: tuple[Rule, ...] = (binding_without_messages, queue_unreachable, alternate_cycle)
