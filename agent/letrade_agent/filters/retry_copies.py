"""The copy of a failed message that waits in a delay queue and comes back to the queue that it failed in."""

from __future__ import annotations

from letrade_agent.filters.copies import RetryCopy
from letrade_agent.filters.failures import Failure, FailureOutcome, Failures, is_dropped
from letrade_topo.amqp.header_table import HeaderTable, long_string_entry
from letrade_topo.amqp.properties import ContentHeader
from letrade_topo.keys.headers import TO_HEADER, write_to


class RetryCopies:
    """Makes copies for retries.

    Args:
        exchange: of retries.
        failures: reads what failed, and signs what is said of it.
    """

    def __init__(self, exchange: str, failures: Failures) -> None:
        self._exchange = exchange.encode()
        self._failures = failures

    def make(
        self,
        failure: Failure,
        outcome: FailureOutcome,
        delay_queue: str,
        step: int,
        now: float,
        largest_header: int | None,
    ) -> RetryCopy | None:
        """The copy for a delay queue, or None where it would not be known again for what it is.

        That is so without a key to sign with, or when the hop does not fit into the message: its attempts could not
        be counted then, and it would come back for ever.

        Args:
            failure: what is known of it.
            outcome: with the delay, and the attempt that it comes back for.
            delay_queue: its name, which is the routing key.
            step: which delay of the ladder it is, from 1.
            now: seconds since the epoch.
            largest_header: bytes that a content header may have; None: as many as it likes.
        """
        delivery = failure.delivery
        kept = [entry for entry in failure.entries if not is_dropped(entry[0])]
        if not any(name == TO_HEADER for name, _ in kept):  # for a service without an agent, unsigned as it is
            message = failure.message
            kept.append(long_string_entry(TO_HEADER, write_to(message.exchange, message.routing_key)))
        table = HeaderTable((*kept, *self._failures.said(failure, outcome, now)))
        # The delay queue's own time is the delay; another user's id would be refused (406).
        payload = delivery.header.rewrite(table.encode(), replace={"user_id": None, "expiration": None})
        if largest_header is not None and len(payload) > largest_header:
            return None
        back = self._failures.read(delivery._replace(header=ContentHeader.parse(payload)), now)
        if back.hop is None or back.hop.attempt != outcome.attempt:
            return None
        return RetryCopy(
            self._exchange, delay_queue.encode(), payload, delivery.body, delivery.queue, outcome.reason, step
        )
