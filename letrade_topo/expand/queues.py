"""Queues: their arguments, their `<queue>.rejected`, their ladder of delays, and all bindings.

Whatever decides where a failed message goes is a queue argument, never a policy: while a policy is
exchanged for another, a queue without its dead-letter target loses messages and a delay queue without its
TTL keeps them.
"""

from __future__ import annotations

from collections.abc import Iterator

from letrade_topo.broker.objects import Attributes, Binding, Exchange, Queue
from letrade_topo.expand.desired import Desired, DocumentPath
from letrade_topo.model import names
from letrade_topo.model.queue_roles import overflow_of, strategy_of
from letrade_topo.model.topology import (
    DeadLettering,
    DeadLetterPolicy,
    DeadLetterStrategy,
    DeadLetterTarget,
    DeclaredQueue,
    DestinationType,
    Overflow,
    QueueType,
    Topology,
)

DEFAULT_EXCHANGE = ""


def expand_exchanges(topology: Topology) -> Iterator[Desired]:
    """The declared exchanges, and the two through which failed messages travel where any may fail."""
    for name, exchange in topology.exchanges.items():
        arguments = dict(exchange.arguments)
        if exchange.alternate_exchange is not None:
            arguments["alternate-exchange"] = exchange.alternate_exchange
        yield Desired(
            Exchange(
                name,
                exchange.type,
                durable=exchange.durable,
                auto_delete=exchange.auto_delete,
                internal=exchange.internal,
                arguments=arguments,
            ),
            ("exchanges", name),
            exchange.as_found,
        )
    for name in topology.failure_exchanges:
        yield Desired(Exchange(name, "topic"), ("dead_letter",))


def expand_queues(topology: Topology) -> Iterator[Desired]:
    """The declared queues, what each brings with it, and the queue of dead letters."""
    if topology.has_dead_letters:
        yield from _dead_letter_queue(topology.dead_letter)
    for name, queue in topology.queues.items():
        path: DocumentPath = ("queues", name)
        arguments = _arguments(queue, topology.dead_letter)
        made = Queue(name, durable=queue.durable, auto_delete=queue.auto_delete, arguments=arguments)
        yield Desired(made, path, queue.as_found)
        yield from _message_bindings(topology, queue, path)
        if queue.has_rejected_queue:
            yield from _rejected(queue, topology.dead_letter, path)
            yield from _ladder(queue, topology.dead_letter, path)


def expand_bindings(topology: Topology) -> Iterator[Desired]:
    """The bindings that the topology declares by themselves."""
    for index, binding in enumerate(topology.bindings):
        yield Desired(
            Binding(
                binding.source,
                binding.destination_type,
                binding.destination,
                binding.routing_key,
                arguments=dict(binding.arguments),
            ),
            ("bindings", index),
        )


def _dead_letter_queue(dead_letter: DeadLetterPolicy) -> Iterator[Desired]:
    path: DocumentPath = ("dead_letter",)
    yield Desired(Queue(dead_letter.queue, arguments=_waiting_arguments()), path)
    yield Desired(Binding(dead_letter.exchange, DestinationType.QUEUE, dead_letter.queue, "#"), path)


def _arguments(queue: DeclaredQueue, dead_letter: DeadLetterPolicy) -> Attributes:
    arguments: Attributes = {names.ARGUMENT_QUEUE_TYPE: str(queue.type)}
    if (overflow := overflow_of(queue)) is not Overflow.NONE:
        arguments["x-overflow"] = str(overflow)
    match queue.dead_lettering:
        case DeadLettering.RETRY:
            key = names.rejected_queue(queue.name)
            arguments |= _dead_letter_arguments(strategy_of(queue), dead_letter.retry_exchange, key)
        case DeadLetterTarget(exchange=exchange, routing_key=routing_key):
            arguments |= _dead_letter_arguments(strategy_of(queue), exchange, routing_key)
        case DeadLettering.NONE:
            pass
    if queue.message_ttl is not None:
        arguments["x-message-ttl"] = queue.message_ttl.milliseconds
    if queue.single_active_consumer is not None:
        arguments["x-single-active-consumer"] = queue.single_active_consumer
    if queue.max_priority is not None:
        arguments["x-max-priority"] = queue.max_priority
    return arguments | dict(queue.arguments)


def _dead_letter_arguments(strategy: DeadLetterStrategy, exchange: str, routing_key: str | None) -> Attributes:
    arguments: Attributes = {"x-dead-letter-exchange": exchange}
    if routing_key is not None:
        arguments["x-dead-letter-routing-key"] = routing_key
    if strategy is not DeadLetterStrategy.NONE:
        arguments["x-dead-letter-strategy"] = str(strategy)
    return arguments


def _waiting_arguments() -> Attributes:
    """A queue in which messages wait for a person or for the router: nothing expires, nothing is dropped."""
    return {names.ARGUMENT_QUEUE_TYPE: str(QueueType.QUORUM), "x-overflow": str(Overflow.REJECT_PUBLISH)}


def _message_bindings(topology: Topology, queue: DeclaredQueue, path: DocumentPath) -> Iterator[Desired]:
    for index, name in enumerate(queue.messages):
        message = topology.messages[name]
        yield Desired(
            Binding(message.exchange, DestinationType.QUEUE, queue.name, message.key.binding_key),
            (*path, "messages", index),
        )


def _rejected(queue: DeclaredQueue, dead_letter: DeadLetterPolicy, path: DocumentPath) -> Iterator[Desired]:
    rejected = names.rejected_queue(queue.name)
    yield Desired(Queue(rejected, arguments=_waiting_arguments()), path)
    yield Desired(Binding(dead_letter.retry_exchange, DestinationType.QUEUE, rejected, rejected), path)


def _ladder(queue: DeclaredQueue, dead_letter: DeadLetterPolicy, path: DocumentPath) -> Iterator[Desired]:
    """One queue per delay: messages expire only at a queue's head, so delays must not be mixed."""
    for attempt, delay in enumerate(queue.retry.delays if queue.retry else (), start=1):
        name = names.retry_queue(queue.name, attempt)
        arguments = _waiting_arguments() | {"x-message-ttl": delay.milliseconds}
        arguments |= _dead_letter_arguments(DeadLetterStrategy.AT_LEAST_ONCE, DEFAULT_EXCHANGE, queue.name)
        yield Desired(Queue(name, arguments=arguments), (*path, "retry"))
        yield Desired(Binding(dead_letter.retry_exchange, DestinationType.QUEUE, name, name), (*path, "retry"))
