"""A message from `<queue>.rejected` in, what is to be published instead of it out. No socket, no clock."""

from __future__ import annotations

from dataclasses import dataclass

from letrade_agent.filters.build import Rejected
from letrade_agent.filters.copies import Copy
from letrade_agent.filters.failures import Failure, FailureOutcome
from letrade_agent.filters.verdicts import Delivery, Failed, Held
from letrade_agent.filters.words import Cause
from letrade_agent.limits import DEFAULT_LIMITS
from letrade_agent.retry.deaths import newest_death
from letrade_agent.retry.decision import Bury, Case, Retry, decide
from letrade_topo.keys.reasons import Refused
from letrade_topo.model.security import Enforcement
from letrade_topo.model.topology import DeclaredQueue


@dataclass(frozen=True, slots=True)
class Routing:
    """Decides on the rejected messages of one service.

    Args:
        rejected: reads them and writes their copies.
        hold_seconds: that one is kept while the keys that it needs may be on their way.
    """

    rejected: Rejected
    hold_seconds: float = DEFAULT_LIMITS.relay.hold_seconds

    @property
    def queues(self) -> list[str]:
        """The service's own queues whose rejected messages wait for it."""
        declared = self.rejected.declared
        return [queue.name for queue in declared.topology.queues.values() if self._is_own(queue)]

    def judge(
        self, delivery: Delivery, now: float, *, may_hold: bool, largest_header: int | None = None
    ) -> Copy | Held:
        """What is to be published before the delivery may be acknowledged.

        Args:
            delivery: from `<queue>.rejected`, with the name of the queue itself in it.
            now: seconds since the epoch.
            may_hold: whether it may be kept for a while, because keys seem to be on their way.
            largest_header: bytes that the content header of a retry copy may have; None: as many as it likes.
        """
        rejected = self.rejected
        death = newest_death(delivery.header, delivery.queue)
        exchange, routing_key = death.exchange, death.routing_key
        placed = delivery._replace(exchange=exchange or b"", routing_key=routing_key or delivery.queue.encode())
        failure = rejected.failures.read(placed, now)
        if may_hold and failure.is_doubtful:
            return Held(Failed(death.cause.value, _doubt(failure), "", delivery.queue), self.hold_seconds)
        first_failure = int(now) if failure.hop is None else failure.hop.first_failure
        decision = self._decide(failure, death.cause, first_failure)
        if isinstance(decision, Retry):
            outcome = FailureOutcome(death.cause.value, decision.attempt, first_failure, decision.delay.seconds)
            copy = rejected.retry_copies.make(
                failure, outcome, decision.delay_queue, decision.step, now, largest_header
            )
            if copy is not None:
                return copy
            decision = Bury(death.cause.value, "its attempts could not be counted: no key, or no room for the hop")
        return rejected.dead_letters.bury(failure, decision.reason, decision.detail, now)

    def _decide(self, failure: Failure, cause: Cause, first_failure: int) -> Retry | Bury:
        declared, queue = self.rejected.declared, failure.delivery.queue
        enforced = declared.mode_of(queue, failure.message.exchange.decode(errors="replace")) is Enforcement.ENFORCE
        policy = declared.topology.queues[queue].retry if queue in declared.topology.queues else None
        return decide(
            Case(
                queue,
                policy,
                failure.hop,
                cause,
                is_acceptable=not enforced or not isinstance(failure.origin, Refused),
                is_over=enforced and self.rejected.failures.is_over(failure, first_failure),
            )
        )

    def _is_own(self, queue: DeclaredQueue) -> bool:
        return queue.has_rejected_queue and queue.service == self.rejected.declared.service.name


def _doubt(failure: Failure) -> str:
    refused = failure.origin if isinstance(failure.origin, Refused) else failure.hop_refused
    return refused.detail if refused is not None else ""
