"""Whatever the topology names is declared in it."""

from __future__ import annotations

from collections.abc import Iterator

from letrade_topo.model.rules.problem import Breach, Path, Rule, did_you_mean, rule
from letrade_topo.model.topology import DeadLetterTarget, DestinationType, Topology

DEFAULT_EXCHANGE = ""
PREDEFINED_EXCHANGES = frozenset({"amq.direct", "amq.fanout", "amq.headers", "amq.match", "amq.topic"})
"""Every vhost has them (AMQP 0-9-1, 3.1.3; `amq.match` is RabbitMQ's second name of `amq.headers`)."""


def known_exchanges(topology: Topology) -> set[str]:
    """The exchanges that bindings and dead-letter targets may name."""
    derived = {topology.dead_letter.exchange, topology.dead_letter.retry_exchange}
    return {*topology.exchanges, *derived, *PREDEFINED_EXCHANGES}


def known_queues(topology: Topology) -> set[str]:
    """The queues that bindings may name."""
    return {*topology.queues, topology.dead_letter.queue}


def _named_exchanges(topology: Topology) -> Iterator[tuple[Path, str]]:
    for name, message in topology.messages.items():
        yield ("messages", name, "exchange"), message.exchange
    for name, exchange in topology.exchanges.items():
        if exchange.alternate_exchange is not None:
            yield ("exchanges", name, "alternate_exchange"), exchange.alternate_exchange
    for name, queue in topology.queues.items():
        target = queue.dead_lettering
        if isinstance(target, DeadLetterTarget) and target.exchange != DEFAULT_EXCHANGE:
            yield ("queues", name, "dead_letter", "exchange"), target.exchange
    for index, binding in enumerate(topology.bindings):
        yield ("bindings", index, "source"), binding.source
        if binding.destination_type is DestinationType.EXCHANGE:
            yield ("bindings", index, "exchange"), binding.destination
    for name, user in topology.users.items():
        for index, permission in enumerate(user.topic_permissions):
            yield ("users", name, "topic_permissions", index, "exchange"), permission.exchange


@rule(
    "undeclared-exchange",
    "undeclared exchange",
    "Message types, alternate exchanges, dead-letter targets, bindings and topic permissions name an exchange. It is "
    "declared under `exchanges`, or one of the two of `dead_letter`, or one that every vhost has (`amq.topic` and its "
    "like). The broker would refuse the binding; a dead-letter exchange that is missing loses messages silently.",
    looks_up="exchanges",
)
def undeclared_exchange(topology: Topology) -> Iterator[Breach]:
    """Exchanges that are named but not declared."""
    known = known_exchanges(topology)
    for path, name in _named_exchanges(topology):
        if name not in known:
            otherwise = f"Declare it under `exchanges`: `{name}: {{}}`."
            yield Breach(path, f"{name!r} is not under `exchanges`.", did_you_mean(name, known, otherwise))


@rule(
    "undeclared-message",
    "undeclared message type",
    "What services publish and consume and what queues receive are message types by name, declared under `messages`. A "
    "word of a service's `consumes` that is `*` or `#` makes it a pattern, which needs no declaration.",
    looks_up="messages",
)
def undeclared_message(topology: Topology) -> Iterator[Breach]:
    """Message types that are named but not declared."""
    for path, name in _named_messages(topology):
        if name not in topology.messages:
            yield Breach(path, f"{name!r} is not under `messages`.", _declare_message(name, topology))


def _named_messages(topology: Topology) -> Iterator[tuple[Path, str]]:
    for service in topology.services.values():
        for name in service.publishes:
            yield ("services", service.name, "publishes", name), name
        for name in service.consumes:
            yield ("services", service.name, "consumes", name), name
    for queue in topology.queues.values():
        for name in queue.messages:
            yield ("queues", queue.name, "messages", name), name


def _declare_message(name: str, topology: Topology) -> str:
    for message in topology.messages.values():
        if message.key.has_variables and message.key.matches(name):
            return f"It is a key of {message.name!r}: name that type, with its variables."
    if "*" in name or "#" in name:
        return "In AMQP a wildcard is a whole word: * for one word, # for any number. Name the types one by one."
    return did_you_mean(name, topology.messages, "Declare it under `messages`, with an exchange and a lifetime.")


@rule(
    "undeclared-service",
    "undeclared service",
    "A queue's `service` is the one that consumes from it and may read it; it is declared under `services`.",
    looks_up="services",
)
def undeclared_service(topology: Topology) -> Iterator[Breach]:
    """Services that are named but not declared."""
    for name, queue in topology.queues.items():
        if queue.service is not None and queue.service not in topology.services:
            fix = did_you_mean(queue.service, topology.services, "Declare it under `services`.")
            yield Breach(("queues", name, "service"), f"{queue.service!r} is not under `services`.", fix)


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
                yield Breach(("queues", name, "dead_letter", "routing_key"), why, fix)


RULES: tuple[Rule, ...] = (undeclared_exchange, undeclared_message, undeclared_service, undeclared_queue)
