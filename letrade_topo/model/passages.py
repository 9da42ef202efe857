"""Every way out of a topology's queues for what fails there, on the broker and through agents."""

from __future__ import annotations

from collections.abc import Iterator

from letrade_topo.model import names
from letrade_topo.model.cycles import Passage
from letrade_topo.model.policies_in_force import JudgedPolicy, judged_policies
from letrade_topo.model.routes import DEFAULT_EXCHANGE
from letrade_topo.model.topology import DeadLettering, DeadLetterPolicy, DeadLetterTarget, DeclaredQueue, Topology


def passages_of(topology: Topology) -> dict[str, list[Passage]]:
    """The ways out, by queue."""
    passages: dict[str, list[Passage]] = {}
    for name, queue in topology.queues.items():
        passages[name] = [*_of_broker(queue, topology.dead_letter), *agent_passages(queue, topology.dead_letter)]
        for attempt in range(1, steps_of(queue) + 1):
            passages[names.retry_queue(name, attempt)] = [Passage(DEFAULT_EXCHANGE, name)]
    for one in sorted(judged_policies(topology), key=lambda one: one.policy.priority, reverse=True):
        _by_policy(one, passages)
    return passages


def agent_passages(queue: DeclaredQueue, dead_letter: DeadLetterPolicy) -> Iterator[Passage]:
    """What the agent of a queue's service does with what it refuses, and its router with what was rejected."""
    for attempt in range(1, steps_of(queue) + 1):
        step = names.retry_queue(queue.name, attempt)
        yield Passage(dead_letter.retry_exchange, step, meant_for=step)
    if queue.service is not None:
        yield Passage(dead_letter.exchange, is_dead=True)


def steps_of(queue: DeclaredQueue) -> int:
    """How many steps a queue's ladder has."""
    return queue.retry.max_retries if queue.retry is not None and queue.has_rejected_queue else 0


def _of_broker(queue: DeclaredQueue, dead_letter: DeadLetterPolicy) -> Iterator[Passage]:
    match queue.dead_lettering:
        case DeadLettering.RETRY:
            yield Passage(dead_letter.retry_exchange, names.rejected_queue(queue.name))
        case DeadLetterTarget(exchange=exchange, routing_key=routing_key):
            yield Passage(exchange, routing_key)
        case DeadLettering.NONE:
            named, key = (queue.arguments.get(f"x-dead-letter-{part}") for part in ("exchange", "routing-key"))
            if isinstance(named, str):
                yield Passage(named, key if isinstance(key, str) else None)


def _by_policy(one: JudgedPolicy, passages: dict[str, list[Passage]]) -> None:
    """Add what the strongest policy with a dead-letter exchange says of queues that have none as an argument."""
    exchange, key = (one.policy.definition.get(f"dead-letter-{part}") for part in ("exchange", "routing-key"))
    if isinstance(exchange, str):
        for queue in one.applied:
            if not any(not passage.is_dead for passage in passages.get(queue.name, ())):
                passages.setdefault(queue.name, []).append(Passage(exchange, key if isinstance(key, str) else None))
