"""Whatever the topology names is declared in it."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass

from letrade_topo.model.rules.problem import Breach, Path, Rule, Severity, closest, did_you_mean, rule
from letrade_topo.model.topology import DeadLetterTarget, DestinationType, Topology

DEFAULT_EXCHANGE = ""
PREDEFINED_EXCHANGES = frozenset({"amq.direct", "amq.fanout", "amq.headers", "amq.match", "amq.topic"})
"""Every vhost has them (AMQP 0-9-1, 3.1.3; `amq.match` is RabbitMQ's second name of `amq.headers`)."""


def known_exchanges(topology: Topology) -> set[str]:
    """The exchanges that bindings and dead-letter targets may name."""
    return {*topology.exchanges, *topology.failure_exchanges, *PREDEFINED_EXCHANGES}


def known_queues(topology: Topology) -> set[str]:
    """The queues that bindings may name."""
    return {*topology.queues, *([topology.dead_letter.queue] if topology.has_dead_letters else [])}


def _nothing_special(name: str) -> str:
    return ""


@dataclass(frozen=True, slots=True)
class _References:
    """What names the entries of one section.

    Args:
        section: in which they are declared.
        declared: the names there.
        known: those, and the names that need no declaration.
        uses: every place that names one, with the name.
        advice: what to do about a name that is nowhere and like no other.
        special: what to do about a name that is something else, or nothing.
    """

    section: str
    declared: Sequence[str]
    known: AbstractSet[str]
    uses: Sequence[tuple[Path, str]]
    advice: Callable[[str], str]
    special: Callable[[str], str] = _nothing_special

    def breaches(self, topology: Topology) -> Iterator[Breach]:
        """One for each mistake: a misspelt use, a misspelt declaration, a section of which nothing is left."""
        missing = [(path, name) for path, name in self.uses if name not in self.known]
        if not self.declared and (named := [(path, name) for path, name in missing if name]):
            yield self._nothing_declared(named)
            return
        misspelt = self._misspelt_declarations(missing, topology)
        for path, name in missing:
            if name not in misspelt.values():
                why = f"{name!r} is not under `{self.section}`."
                similar = closest(name, self.declared)
                place: Path = (self.section, similar or "")
                related = (place, f"{similar!r} is declared here") if similar else None
                fix = self.special(name) or did_you_mean(name, self.known, self.advice(name))
                yield Breach(path, why, fix, related=related)
        for declared, name in misspelt.items():
            count = sum(one == name for _, one in missing)
            places = f"{count} places name" if count > 1 else "another place names"
            why = f"Nothing names {declared!r}, while {places} {name!r}, which is not under `{self.section}`."
            first = next(path for path, one in missing if one == name)
            here: tuple[Path, str] = (first, f"{name!r} is named here")
            yield Breach((self.section, declared), why, f"Rename it to {name!r}.", at_key=True, related=here)

    def _nothing_declared(self, missing: Sequence[tuple[Path, str]]) -> Breach:
        names = list(dict.fromkeys(name for _, name in missing))
        others = f" and {len(names) - 1} more" if len(names) > 1 else ""
        why = f"Nothing is declared under `{self.section}`, and other sections name {names[0]!r}{others}."
        return Breach((self.section,), why, self.advice(names[0]), at_key=True, otherwise=missing[0][0])

    def _misspelt_declarations(self, missing: Sequence[tuple[Path, str]], topology: Topology) -> dict[str, str]:
        """Declared names that nobody uses, by what is used and not declared instead."""
        used = {name for _, name in self.uses}
        unused = [name for name in self.declared if name not in used]
        misspelt: dict[str, str] = {}
        for name in dict.fromkeys(name for _, name in missing):
            candidate = closest(name, unused)
            if candidate is None or candidate in misspelt or closest(name, self.known) != candidate:
                continue
            if sum(one == name for _, one in missing) > 1 or _is_part_of_more(name, candidate, topology):
                misspelt[candidate] = name
        return misspelt


def _is_part_of_more(name: str, than: str, topology: Topology) -> bool:
    """Whether other names are made with one spelling rather than with the other: `billing.orders` of `billing`."""
    entries = (topology.queues, topology.messages, topology.exchanges, topology.services)
    others = [text for one in entries for name, entry in one.items() for text in (name, entry.description)]

    def count(text: str) -> int:
        whole = re.compile(rf"(?<![A-Za-z0-9_]){re.escape(text)}(?![A-Za-z0-9_])")
        return sum(whole.search(other) is not None for other in others if other and other not in (name, than))

    return count(name) > count(than)


def _named_exchanges(topology: Topology) -> Iterator[tuple[Path, str]]:
    for name, message in topology.messages.items():
        yield ("messages", name, "exchange"), message.exchange
    for name, exchange in topology.exchanges.items():
        if exchange.alternate_exchange is not None:
            yield ("exchanges", name, "alternate_exchange"), exchange.alternate_exchange
    for name, queue in topology.queues.items():
        target = queue.dead_lettering
        if isinstance(target, DeadLetterTarget) and target.exchange != DEFAULT_EXCHANGE and queue.is_on_bus:
            yield ("queues", name, "dead_letter", "exchange"), target.exchange
    for index, binding in enumerate(topology.bindings):
        yield ("bindings", index, "source"), binding.source
        if binding.destination_type is DestinationType.EXCHANGE:
            yield ("bindings", index, "exchange"), binding.destination


@rule(
    "undeclared-exchange",
    "undeclared exchange",
    "Message types, alternate exchanges, dead-letter targets and bindings name an exchange. It is "
    "declared under `exchanges`, or one of the two of `dead_letter`, or one that every vhost has (`amq.topic` and its "
    "like). The broker would refuse the binding; a dead-letter exchange that is missing loses messages silently.",
    looks_up="exchanges",
)
def undeclared_exchange(topology: Topology) -> Iterator[Breach]:
    """Exchanges that are named but not declared."""

    def advice(name: str) -> str:
        return f"Declare it under `exchanges`: `{name}: {{}}`."

    known, uses = known_exchanges(topology), list(_named_exchanges(topology))
    yield from _References("exchanges", list(topology.exchanges), known, uses, advice).breaches(topology)
    for name, queue in topology.queues.items():
        target = queue.dead_lettering
        if queue.is_on_bus or not isinstance(target, DeadLetterTarget) or target.exchange in {*known, DEFAULT_EXCHANGE}:
            continue
        why = f"{target.exchange!r} is not under `exchanges`: where there is none, dead letters are lost."
        fix = did_you_mean(target.exchange, topology.exchanges, advice(target.exchange))
        yield Breach(("queues", name, "dead_letter", "exchange"), why, fix, severity=Severity.WARNING)


@rule(
    "undeclared-message",
    "undeclared message type",
    "What services publish and consume and what queues receive are message types by name, declared under `messages`. A "
    "word of a service's `consumes` that is `*` or `#` makes it a pattern, which needs no declaration.",
    looks_up="messages",
)
def undeclared_message(topology: Topology) -> Iterator[Breach]:
    """Message types that are named but not declared."""
    declared, uses = list(topology.messages), list(_named_messages(topology))

    def advice(name: str) -> str:
        return f"Declare it under `messages`: `{name}: {{exchange: NAME, lifetime: 60s}}`."

    def special(name: str) -> str:
        return _no_message(name, topology)

    known = topology.messages.keys()
    yield from _References("messages", declared, known, uses, advice, special).breaches(topology)


def _named_messages(topology: Topology) -> Iterator[tuple[Path, str]]:
    for service in topology.services.values():
        for name in service.publishes:
            yield ("services", service.name, "publishes", name), name
        for name in service.consumes:
            yield ("services", service.name, "consumes", name), name
    for queue in topology.queues.values():
        for name in queue.messages:
            yield ("queues", queue.name, "messages", name), name


def _no_message(name: str, topology: Topology) -> str:
    for message in topology.messages.values():
        if message.key.has_variables and message.key.matches(name):
            return f"It is a key of {message.name!r}: name that type, with its variables."
    if "*" in name or "#" in name:
        return "In AMQP a wildcard is a whole word: * for one word, # for any number. Name the types one by one."
    return ""


@rule(
    "undeclared-service",
    "undeclared service",
    "A queue's `service` is the one that consumes from it and may read it; it is declared under `services`.",
    looks_up="services",
)
def undeclared_service(topology: Topology) -> Iterator[Breach]:
    """Services that are named but not declared."""
    uses: list[tuple[Path, str]] = [
        (("queues", name, "service"), queue.service)
        for name, queue in topology.queues.items()
        if queue.service is not None
    ]

    def advice(name: str) -> str:
        return f"Declare it under `services`: `{name}: {{consumes: [...]}}`."

    known = topology.services.keys()
    yield from _References("services", list(topology.services), known, uses, advice).breaches(topology)


@rule(
    "undeclared-queue",
    "undeclared queue",
    "A binding leads to a queue that is declared under `queues`, or to the queue of dead letters. A dead-letter target "
    'on the default exchange (`exchange: ""`) has the name of such a queue as its routing key.',
    looks_up="queues",
)
def undeclared_queue(topology: Topology) -> Iterator[Breach]:
    """Queues that are named but not declared."""
    known = known_queues(topology)
    for index, binding in enumerate(topology.bindings):
        if binding.destination_type is DestinationType.QUEUE and binding.destination not in known:
            fix = did_you_mean(binding.destination, known, "Declare it under `queues`.")
            yield Breach(("bindings", index, "queue"), f"{binding.destination!r} is not under `queues`.", fix)
    for name, queue in topology.queues.items():
        target = queue.dead_lettering
        if isinstance(target, DeadLetterTarget) and target.exchange == DEFAULT_EXCHANGE:
            key = target.routing_key
            if key is not None and key not in known:
                why = f"The default exchange leads to the queue whose name is the routing key, and {key!r} is none."
                fix = did_you_mean(key, known, "Declare it under `queues`.")
                severity = None if queue.is_on_bus else Severity.WARNING
                yield Breach(("queues", name, "dead_letter", "routing_key"), why, fix, severity=severity)


RULES: tuple[Rule, ...] = (undeclared_exchange, undeclared_message, undeclared_service, undeclared_queue)
