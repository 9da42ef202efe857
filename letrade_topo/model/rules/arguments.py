"""Arguments of queues and exchanges that belong to a field of their own, or mean nothing."""

from __future__ import annotations

from collections.abc import Iterator

from letrade_topo.model.rules.problem import Breach, Rule, Severity, did_you_mean, rule
from letrade_topo.model.topology import Topology

QUEUE_FIELDS = {
    "x-queue-type": "type",
    "x-message-ttl": "message_ttl",
    "x-expires": "expires",
    "x-max-length": "max_length",
    "x-max-length-bytes": "max_length_bytes",
    "x-delivery-limit": "delivery_limit",
    "x-dead-letter-exchange": "dead_letter",
    "x-dead-letter-routing-key": "dead_letter",
    "x-dead-letter-strategy": "dead_letter",
    "x-overflow": "guarantee",
    "x-single-active-consumer": "single_active_consumer",
    "x-max-priority": "max_priority",
}
EXCHANGE_FIELDS = {"alternate-exchange": "alternate_exchange"}

OTHER_QUEUE_ARGUMENTS = frozenset(
    {
        "x-consumer-disconnected-timeout",
        "x-consumer-timeout",
        "x-delayed-retry-max",
        "x-delayed-retry-min",
        "x-delayed-retry-type",
        "x-initial-cluster-size",
        "x-max-age",
        "x-max-in-memory-bytes",
        "x-max-in-memory-length",
        "x-member-placement-tag",
        "x-queue-leader-locator",
        "x-queue-master-locator",
        "x-queue-mode",
        "x-queue-version",
        "x-quorum-initial-group-size",
        "x-quorum-target-group-size",
        "x-stream-filter-size-bytes",
        "x-stream-max-segment-size-bytes",
    }
)
"""What some queue type of RabbitMQ 3.10 to 4.3 reads beside `QUEUE_FIELDS` (rabbit_amqqueue, queue_arguments)."""


@rule(
    "argument-with-a-field",
    "argument that has a field of its own",
    "What decides about retries, limits and dead letters has a field of its own, which is checked and judged together "
    "with the others. As a bare argument it would contradict them silently.",
)
def argument_with_a_field(topology: Topology) -> Iterator[Breach]:
    """Arguments that a field stands for."""
    for section, fields in (("queues", QUEUE_FIELDS), ("exchanges", EXCHANGE_FIELDS)):
        for name, entry in getattr(topology, section).items():
            for argument in entry.arguments:
                if argument in fields:
                    path = (section, name, "arguments", argument)
                    why = f"{argument!r} is decided by `{fields[argument]}`."
                    yield Breach(path, why, f"Write `{fields[argument]}` instead.", at_key=True)


@rule(
    "unknown-argument",
    "argument that the broker does not know",
    "RabbitMQ stores an argument that it does not know, and does nothing with it.",
    severity=Severity.WARNING,
)
def unknown_argument(topology: Topology) -> Iterator[Breach]:
    """Queue arguments with `x-` that no queue type reads."""
    known = {*OTHER_QUEUE_ARGUMENTS, *QUEUE_FIELDS}
    for queue in topology.queues.values():
        for argument in queue.arguments:
            if argument.startswith("x-") and argument not in known:
                path = ("queues", queue.name, "arguments", argument)
                why = f"No queue type of RabbitMQ 3.10 to 4.3 reads {argument!r}."
                yield Breach(
                    path, why, did_you_mean(argument, known, "Remove it, unless a plugin reads it."), at_key=True
                )


RULES: tuple[Rule, ...] = (argument_with_a_field, unknown_argument)
