"""What does not stay, and what a full queue gives away: as RabbitMQ has it, and against what this format promises."""

from __future__ import annotations

from collections.abc import Iterator

from letrade_topo.model.queue_roles import overflow_of, strategy_of
from letrade_topo.model.rules.problem import Breach, Rule, Severity, rule
from letrade_topo.model.topology import (
    DeadLetterStrategy,
    DeadLetterTarget,
    DeclaredQueue,
    Guarantee,
    Overflow,
    QueueType,
    Topology,
)


@rule(
    "replicated-not-durable",
    "quorum queue or stream that would not stay",
    "Quorum queues and streams keep their messages on several nodes, so they are durable and stay until somebody "
    "deletes them: RabbitMQ refuses any other.",
)
def replicated_not_durable(topology: Topology) -> Iterator[Breach]:
    """Quorum queues and streams with `durable: false` or `auto_delete: true`."""
    for queue in topology.queues.values():
        if queue.type is QueueType.CLASSIC:
            continue
        for field, is_wrong in (("durable", not queue.durable), ("auto_delete", queue.auto_delete)):
            if is_wrong:
                why = "The broker would refuse the queue."
                fix = f"Remove `{field}`, or write `type: classic`."
                yield Breach(("queues", queue.name, field), why, fix)


@rule(
    "not-durable",
    "lost when the broker restarts",
    "What is not durable is gone when its node restarts: a queue with all its messages, an exchange with its bindings. "
    "RabbitMQ calls queues that are neither durable nor exclusive deprecated; from 4.3 on a broker may deny them, and "
    "removes those that it finds when it starts.",
    severity=Severity.WARNING,
)
def not_durable(topology: Topology) -> Iterator[Breach]:
    """Queues and exchanges with `durable: false`."""
    for section, entries in (("queues", topology.queues), ("exchanges", topology.exchanges)):
        for name, entry in entries.items():
            if not entry.durable and not (section == "queues" and _is_replicated(topology.queues[name])):
                lost = "It and its messages are" if section == "queues" else "It and its bindings are"
                why = f"{lost} gone when the broker restarts, and `drift` then finds it missing."
                yield Breach((section, name, "durable"), why, "Remove the line, if what is there can be made again.")


def _is_replicated(queue: DeclaredQueue) -> bool:
    return queue.type is not QueueType.CLASSIC


@rule(
    "auto-delete",
    "deleted by the broker itself",
    "An auto-delete queue goes, with all its messages, when its last consumer goes; an auto-delete exchange with the "
    "last binding that leaves from it. Neither before there was a first one. `drift` does not count one that went so, "
    "and `apply` makes it again.",
    severity=Severity.WARNING,
)
def auto_delete(topology: Topology) -> Iterator[Breach]:
    """Queues and exchanges with `auto_delete: true`."""
    for queue in topology.queues.values():
        if queue.auto_delete and not _is_replicated(queue):
            why = "When its last consumer is gone, even for a moment, so are the messages that wait in it."
            fix = "Remove the line, or write `expires: 1h` instead, which leaves time to come back."
            yield Breach(("queues", queue.name, "auto_delete"), why, fix)
    for exchange in topology.exchanges.values():
        if exchange.auto_delete:
            why = "When the last binding that leaves from it is gone, so is the exchange, and publishing to it fails."
            yield Breach(("exchanges", exchange.name, "auto_delete"), why, "Remove the line.")


@rule(
    "overflow-and-guarantee",
    "two answers to a full queue",
    "`guarantee` decides what a full queue does, and `overflow` says it in RabbitMQ's own words: a queue has one or "
    "the other.",
)
def overflow_and_guarantee(topology: Topology) -> Iterator[Breach]:
    """Queues with `guarantee: at_most_once` and `overflow`."""
    for queue in topology.queues.values():
        if queue.guarantee is Guarantee.AT_MOST_ONCE and queue.overflow is not None:
            why = "`guarantee: at_most_once` drops the oldest when the queue is full."
            yield Breach(("queues", queue.name, "overflow"), why, "Remove `overflow` or `guarantee`.", at_key=True)


@rule(
    "retry-needs-reject-publish",
    "retries that a full queue would lose",
    "What a queue rejects is handed over at least once only while it refuses what it cannot take "
    "(`x-overflow: reject-publish`); with any other overflow RabbitMQ silently hands over at most once.",
)
def retry_needs_reject_publish(topology: Topology) -> Iterator[Breach]:
    """Queues with the retry ladder and another overflow."""
    for queue in topology.queues.values():
        if queue.has_rejected_queue and _gives_away(queue) and queue.guarantee is Guarantee.AT_LEAST_ONCE:
            fix = "Remove `overflow`, or write `dead_letter: none`: then what is rejected is gone."
            why = "What it rejects could get lost on the way to `<queue>.rejected`."
            yield Breach(("queues", queue.name, "overflow"), why, fix)


@rule(
    "dead-letter-falls-back",
    "dead letters handed over at most once all the same",
    "RabbitMQ hands dead letters over at least once only from a queue with `x-overflow: reject-publish`; with any "
    "other overflow it silently does so at most once.",
    severity=Severity.WARNING,
)
def dead_letter_falls_back(topology: Topology) -> Iterator[Breach]:
    """Quorum queues with a target at least once, and another overflow."""
    for queue in topology.queues.values():
        is_target = isinstance(queue.dead_lettering, DeadLetterTarget)
        is_safe = strategy_of(queue) is DeadLetterStrategy.AT_LEAST_ONCE
        if is_target and is_safe and _gives_away(queue) and queue.guarantee is Guarantee.AT_LEAST_ONCE:
            why = "Its `overflow` makes the strategy `at-least-once` one of at most once."
            fix = "Remove `overflow`, or write `strategy: at-most-once` in `dead_letter`."
            yield Breach(("queues", queue.name, "overflow"), why, fix)


def _gives_away(queue: DeclaredQueue) -> bool:
    return queue.overflow is not None and overflow_of(queue) is not Overflow.REJECT_PUBLISH


@rule(
    "dead-letter-strategy-type",
    "strategy of a queue that has none",
    "Only quorum queues hand dead letters over by a strategy; other types refuse the argument.",
)
def dead_letter_strategy_type(topology: Topology) -> Iterator[Breach]:
    """Classic queues with a strategy."""
    for queue in topology.queues.values():
        target = queue.dead_lettering
        if not isinstance(target, DeadLetterTarget) or queue.type is not QueueType.CLASSIC:
            continue
        if target.strategy not in (None, DeadLetterStrategy.NONE):
            path = ("queues", queue.name, "dead_letter", "strategy")
            yield Breach(path, "The broker would refuse the queue.", "Remove it, or make it a quorum queue.")


RULES: tuple[Rule, ...] = (
    replicated_not_durable,
    not_durable,
    auto_delete,
    overflow_and_guarantee,
    retry_needs_reject_publish,
    dead_letter_falls_back,
    dead_letter_strategy_type,
)
