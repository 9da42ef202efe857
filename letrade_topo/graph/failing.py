"""What becomes of a message that is rejected: the ladder of retries, the dead letters, and when.

The broker's part (dead-letter exchanges, expiry) is asked of a wiring. The agents' part, which queue a rejected message
waits in next and when it is given up, is as the topology says (docs/explanation/retries-and-dead-letters.md).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum

from letrade_topo.graph.wiring import Wiring
from letrade_topo.model import names
from letrade_topo.model.messages import Json
from letrade_topo.model.passages import steps_of
from letrade_topo.model.topology import DeclaredQueue, DestinationType, Topology


class FailureCause(StrEnum):
    """Why a message leaves a queue for the next one."""

    REJECTED = "rejected"
    """Its consumer rejects it, or the broker gives it up."""
    RETRIED = "retried"
    """Its agent sends it on to wait for another attempt."""
    EXPIRED = "expired"
    """Its time in the queue is over."""
    DEAD = "dead"
    """Its agent gives it up: no attempt is left."""


@dataclass(frozen=True, slots=True)
class FailureStep:
    """One step of a message that fails.

    Args:
        cause: why it leaves the queue.
        queue: the queue.
        exchange: where it goes; the default exchange by its empty name; None: it is dropped.
        key: under which key.
        queues: which it reaches so.
        milliseconds: at the earliest so long after it was first delivered.
    """

    cause: FailureCause
    queue: str
    exchange: str | None
    key: str
    queues: tuple[str, ...]
    milliseconds: int = 0

    @property
    def is_loss(self) -> bool:
        """Whether the message is gone with this step."""
        return not self.queues


@dataclass(frozen=True, slots=True)
class FailurePath:
    """The way of a message that is rejected at every attempt.

    Args:
        steps: in the order of time.
        comes_back: it returns to where it was rejected without anybody counting.
    """

    steps: tuple[FailureStep, ...]
    comes_back: bool = False

    @property
    def retries(self) -> tuple[FailureStep, ...]:
        """The steps with which it comes back for another attempt, counted by its agent."""
        if not any(step.cause is FailureCause.RETRIED for step in self.steps):
            return ()
        return tuple(step for step in self.steps if step.cause is FailureCause.EXPIRED)

    @property
    def is_loss(self) -> bool:
        """Whether it is gone in the end."""
        return any(step.is_loss for step in self.steps)

    @property
    def last(self) -> FailureStep:
        """The step after which it rests, or is gone."""
        return self.steps[-1]


def failure_of(queue: str, key: str, headers: Mapping[str, Json], wiring: Wiring, topology: Topology) -> FailurePath:
    """Follow a message that is rejected wherever it is delivered.

    Args:
        queue: where it is rejected first.
        key: under which it was published.
        headers: of it; a headers exchange of dead letters asks for them.
        wiring: the topology's own, or the broker's.
        topology: whose agents retry.
    """
    follower = _Follower(key, headers, wiring)
    declared = topology.queues.get(queue)
    rejected = follower.rejected(queue)
    if declared is not None and declared.has_rejected_queue and names.rejected_queue(queue) in rejected.queues:
        return FailurePath((rejected, *follower.ladder(declared, topology)))
    return follower.onward(rejected)


class _Follower:
    """One message and the wiring that it travels on."""

    def __init__(self, key: str, headers: Mapping[str, Json], wiring: Wiring) -> None:
        self._key, self._headers, self._wiring = key, headers, wiring

    def rejected(self, queue: str) -> FailureStep:
        """The first step."""
        return self._passed_on(FailureCause.REJECTED, queue, self._key, 0)

    def ladder(self, queue: DeclaredQueue, topology: Topology) -> Iterator[FailureStep]:
        """The attempts that the queue's agent counts, and the end."""
        at, waiting = 0, names.rejected_queue(queue.name)
        for attempt in range(1, steps_of(queue) + 1):
            step = names.retry_queue(queue.name, attempt)
            yield self._published(FailureCause.RETRIED, waiting, topology.dead_letter.retry_exchange, step, at)
            at += self._milliseconds_to_live(step)
            yield self._passed_on(FailureCause.EXPIRED, step, self._key, at)
        key = self._key.removesuffix(names.DEAD_KEY_SUFFIX) + names.DEAD_KEY_SUFFIX
        yield self._published(FailureCause.DEAD, waiting, topology.dead_letter.exchange, key, at)

    def onward(self, rejected: FailureStep) -> FailurePath:
        """What the broker does by itself: to its dead-letter exchange, and on from queues in which it expires."""
        steps, seen, todo = [rejected], {rejected.queue}, [rejected]
        comes_back = False
        while todo:
            last = todo.pop(0)
            comes_back |= rejected.queue in last.queues
            for queue in last.queues:
                lives = self._wiring.milliseconds_to_live(queue) if queue in self._wiring.queues else None
                if queue in seen or lives is None:
                    continue
                seen.add(queue)
                todo.append(self._passed_on(FailureCause.EXPIRED, queue, last.key, last.milliseconds + lives))
                steps.append(todo[-1])
        return FailurePath(tuple(steps), comes_back)

    def _passed_on(self, cause: FailureCause, queue: str, key: str, milliseconds: int) -> FailureStep:
        """By the broker, over the queue's dead-letter exchange, under the key that it names or the message's own."""
        passage = self._wiring.dead_letters_of(queue)
        if passage is None:
            return FailureStep(cause, queue, None, key, (), milliseconds)
        return self._published(
            cause, queue, passage.exchange, key if passage.key is None else passage.key, milliseconds
        )

    def _published(self, cause: FailureCause, queue: str, exchange: str, key: str, milliseconds: int) -> FailureStep:
        stops = self._wiring.routes.stops(exchange, key, self._headers)
        bounds = (bound for stop in stops for bound in stop.matched)
        queues = {bound.destination for bound in bounds if bound.destination_type == DestinationType.QUEUE}
        return FailureStep(cause, queue, exchange, key, tuple(sorted(queues)), milliseconds)

    def _milliseconds_to_live(self, queue: str) -> int:
        return (self._wiring.milliseconds_to_live(queue) or 0) if queue in self._wiring.queues else 0
