"""Queues: what their type and guarantee allow."""

from __future__ import annotations

from collections.abc import Iterator

from letrade_topo.model.rules.problem import Breach, Path, Rule, Severity, rule
from letrade_topo.model.settings import LONGEST_EXPIRY_MILLISECONDS
from letrade_topo.model.topology import (
    DeadLettering,
    DeadLetterTarget,
    DeclaredQueue,
    Guarantee,
    Overflow,
    QueueType,
    Topology,
)
from letrade_topo.model.units import Duration

LONGEST_TTL_MILLISECONDS = LONGEST_EXPIRY_MILLISECONDS
_LENGTHS = frozenset({"x-max-length", "x-max-length-bytes"})


@rule(
    "quorum-max-priority",
    "priorities on a quorum queue",
    "Quorum queues refuse `x-max-priority` on every version of RabbitMQ. From 4.0 on they have priorities without "
    "being asked for them.",
)
def quorum_max_priority(topology: Topology) -> Iterator[Breach]:
    """Quorum queues with `max_priority`."""
    for queue in topology.queues.values():
        if queue.type is QueueType.QUORUM and queue.max_priority is not None:
            fix = "Remove it; give urgent messages a queue of their own, and `priority: high`."
            yield Breach(("queues", queue.name, "max_priority"), "The broker would refuse the queue.", fix, at_key=True)


@rule(
    "stream-feature",
    "not a feature of streams",
    "A stream keeps what it has and lets consumers read it again: nothing is rejected, retried, dead-lettered or "
    "expired, and the broker refuses what asks for it. It is bounded by `max_length_bytes`, or by `x-max-age` in its "
    "arguments.",
)
def stream_feature(topology: Topology) -> Iterator[Breach]:
    """Streams with what only queues have."""
    for queue in topology.queues.values():
        if queue.type is QueueType.STREAM:
            for field in _not_of_streams(queue):
                why = f"A stream has no {field}."
                fix = f"Remove `{field}`, or make it a quorum queue."
                yield Breach(("queues", queue.name, field), why, fix, at_key=True)


def _not_of_streams(queue: DeclaredQueue) -> Iterator[str]:
    if isinstance(queue.dead_lettering, DeadLetterTarget):
        yield "dead_letter"
    if queue.dead_lettering is DeadLettering.RETRY:
        yield "retry"
    if queue.guarantee is Guarantee.AT_MOST_ONCE:
        yield "guarantee"
    if queue.overflow not in (None, Overflow.NONE):
        yield "overflow"
    given = {
        "max_length": queue.limits.max_length,
        "expires": queue.limits.expires,
        "message_ttl": queue.message_ttl,
        "max_priority": queue.max_priority,
        "single_active_consumer": queue.single_active_consumer or None,
    }
    yield from (field for field, value in given.items() if value is not None)


@rule(
    "delivery-limit-type",
    "delivery limit on a queue that does not count deliveries",
    "Only quorum queues count how often a message was delivered.",
)
def delivery_limit_type(topology: Topology) -> Iterator[Breach]:
    """Classic queues and streams with a delivery limit."""
    for queue in topology.queues.values():
        if queue.type is not QueueType.QUORUM and queue.limits.delivery_limit is not None:
            why = f"A {queue.type} queue would deliver a message again and again in spite of it."
            fix = "Remove it, or make it a quorum queue."
            yield Breach(("queues", queue.name, "delivery_limit"), why, fix, at_key=True)


@rule(
    "redelivery-delay-type",
    "redelivery delay on a queue that holds nothing back",
    "Only quorum queues hold back what a consumer gives back.",
)
def redelivery_delay_type(topology: Topology) -> Iterator[Breach]:
    """Classic queues and streams with a redelivery delay."""
    for queue in topology.queues.values():
        if queue.type is not QueueType.QUORUM and queue.limits.redelivery_delay is not None:
            why = f"A {queue.type} queue would deliver a message again at once in spite of it."
            fix = "Remove it, or make it a quorum queue."
            yield Breach(("queues", queue.name, "redelivery_delay"), why, fix, at_key=True)


@rule(
    "classic-retry",
    "retries on a classic queue",
    "What a queue rejects must reach its `<queue>.rejected` whatever happens in between. Only quorum queues "
    "dead-letter at least once.",
)
def classic_retry(topology: Topology) -> Iterator[Breach]:
    """Classic queues with the retry ladder."""
    for queue in topology.queues.values():
        if queue.type is QueueType.CLASSIC and queue.dead_lettering is DeadLettering.RETRY:
            why = "A classic queue loses rejected messages when the broker stops at the wrong moment."
            fix = "Make it a quorum queue, or write `dead_letter: none`: then what is rejected is gone."
            yield Breach(("queues", queue.name, "type"), why, fix)


@rule(
    "classic-dead-letter",
    "dead letters of a classic queue may get lost",
    "A classic queue hands its dead letters over without waiting for an answer.",
    severity=Severity.WARNING,
)
def classic_dead_letter(topology: Topology) -> Iterator[Breach]:
    """Classic queues with a dead-letter target."""
    for queue in topology.queues.values():
        if queue.type is QueueType.CLASSIC and isinstance(queue.dead_lettering, DeadLetterTarget):
            why = "A dead letter is lost when its target is missing or full, or the broker stops at the wrong moment."
            yield Breach(("queues", queue.name, "type"), why, "Make it a quorum queue.")


@rule(
    "at-most-once-needs-limit",
    "no limit after which the oldest goes",
    "`guarantee: at_most_once` drops the oldest message when the queue is full, which takes a limit to be full at. "
    "Without one it fills the broker's disk, and then all publishers stand still.",
)
def at_most_once_needs_limit(topology: Topology) -> Iterator[Breach]:
    """At-most-once queues without a length limit."""
    for queue in topology.queues.values():
        limits = queue.limits
        by_argument = _LENGTHS & set(queue.arguments)
        unlimited = limits.max_length is None and limits.max_length_bytes is None and not by_argument
        if queue.guarantee is Guarantee.AT_MOST_ONCE and unlimited and queue.type is not QueueType.STREAM:
            fix = "Add `max_length` or `max_length_bytes`."
            yield Breach(("queues", queue.name, "guarantee"), "The queue would never be full.", fix)


@rule(
    "at-most-once-dead-letter",
    "dead letters of a queue that drops the oldest",
    "A queue with `guarantee: at_most_once` drops messages whenever it is full: each of them would be dead-lettered, "
    "and the flood would drown the dead letters that matter.",
)
def at_most_once_dead_letter(topology: Topology) -> Iterator[Breach]:
    """At-most-once queues with retries or a dead-letter target."""
    for queue in topology.queues.values():
        if queue.guarantee is Guarantee.AT_MOST_ONCE and queue.type is not QueueType.STREAM:
            field = "retry" if queue.dead_lettering is DeadLettering.RETRY else "dead_letter"
            if queue.dead_lettering is not DeadLettering.NONE:
                fix = f"Remove `{field}`, or the guarantee."
                why = "Every message that is dropped would be dead-lettered."
                yield Breach(("queues", queue.name, field), why, fix, at_key=True)


@rule(
    "queue-limit",
    "limit that the broker refuses",
    "RabbitMQ takes expiry times of up to ten years (of 365 days); `expires` is at least 1 ms.",
)
def queue_limit(topology: Topology) -> Iterator[Breach]:
    """Expiry times out of range."""
    for queue in topology.queues.values():
        for field, value, least in (("expires", queue.limits.expires, 1), ("message_ttl", queue.message_ttl, 0)):
            if value is not None and not least <= value.milliseconds <= LONGEST_TTL_MILLISECONDS:
                why = f"{value} is not between {least} ms and {LONGEST_TTL_MILLISECONDS} ms (ten years)."
                yield Breach(("queues", queue.name, field), why, "Write another duration.")


@rule(
    "queue-expires",
    "queue that is deleted with its messages",
    "`expires` deletes a queue that nobody has used for that long, whatever is in it.",
    severity=Severity.WARNING,
)
def queue_expires(topology: Topology) -> Iterator[Breach]:
    """Queues that promise to keep everything, and expire."""
    for queue in topology.queues.values():
        if (
            queue.limits.expires is not None
            and queue.guarantee is Guarantee.AT_LEAST_ONCE
            and queue.service is not None
        ):
            why = f"When {queue.service!r} is down for {queue.limits.expires}, its waiting messages are gone."
            yield Breach(("queues", queue.name, "expires"), why, "Remove it, or write `guarantee: at_most_once`.")


@rule(
    "retry-delay",
    "unusable retry delay",
    "Each retry waits in a queue of its own; its delay is longer than nothing and, after all multiplications, at most "
    "ten years, the longest that RabbitMQ takes.",
)
def retry_delay(topology: Topology) -> Iterator[Breach]:
    """Ladders with delays out of range."""
    places: list[tuple[Path, DeclaredQueue]] = [
        (("queues", queue.name, "retry"), queue) for queue in topology.queues.values()
    ]
    reported_default = False
    for path, queue in places:
        if queue.retry is None:
            continue
        if queue.retry == topology.retry:
            if reported_default:
                continue
            path, reported_default = ("retry",), True
        if queue.retry.max_retries and queue.retry.delay.milliseconds <= 0:
            yield Breach(
                (*path, "delay"), "A retry without a delay fails for the same reason again.", "Write 1s or more."
            )
        longest = max(queue.retry.delays, default=Duration(0))
        if longest.milliseconds > LONGEST_TTL_MILLISECONDS:
            why = (
                f"The last retry would wait {longest.milliseconds} ms, over {LONGEST_TTL_MILLISECONDS} ms (ten years)."
            )
            yield Breach(path, why, "Lower `max_retries`, `delay` or `multiplier`.", at_key=True)


@rule(
    "retry-and-dead-letter",
    "retries that never happen",
    "`dead_letter` replaces the retry ladder: a queue has one or the other.",
)
def retry_and_dead_letter(topology: Topology) -> Iterator[Breach]:
    """Queues with retries of their own and another dead-letter target."""
    for queue in topology.queues.values():
        if queue.retry is not None and queue.dead_lettering is not DeadLettering.RETRY:
            why = "What is rejected goes where `dead_letter` says, and never comes back."
            yield Breach(("queues", queue.name, "retry"), why, "Remove `retry` or `dead_letter`.", at_key=True)


@rule(
    "retry-without-service",
    "retries that nobody works off",
    "What is rejected waits in `<queue>.rejected` until the agent of the queue's service takes it further.",
    severity=Severity.WARNING,
)
def retry_without_service(topology: Topology) -> Iterator[Breach]:
    """Queues with retries but without a service."""
    for queue in topology.queues.values():
        if queue.service is None and queue.has_rejected_queue:
            why = "The queue has no service, so nobody brings what it rejected back or to the dead letters."
            yield Breach(("queues", queue.name, "retry"), why, "Add `service`, or remove `retry`.", at_key=True)


RULES: tuple[Rule, ...] = (
    quorum_max_priority,
    stream_feature,
    delivery_limit_type,
    redelivery_delay_type,
    classic_retry,
    classic_dead_letter,
    at_most_once_needs_limit,
    at_most_once_dead_letter,
    queue_limit,
    queue_expires,
    retry_delay,
    retry_and_dead_letter,
    retry_without_service,
)
