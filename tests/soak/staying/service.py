"""A service that consumes one queue through its agent, whatever ends its connection; and what it has seen."""

from __future__ import annotations

import itertools
import threading
import time
from collections import Counter
from typing import Any, NamedTuple

import pika
import pika.exceptions

from tests.soak.retries.fates import identity

PREFETCH = 50
_AGAIN_SECONDS = 0.1


class Order(NamedTuple):
    """A delivery: its number, its message, and when it came, in monotonic seconds."""

    number: int
    message_id: str
    at: float


class StayingService(threading.Thread):
    """Acknowledges everything; connects again whenever its connection ends.

    Args:
        parameters: where it connects.
        queue: what it consumes.

    Attributes:
        seen: in order.
        cancels: how often it was cancelled.
        losses: how often it lost its connection or channel.
    """

    def __init__(self, parameters: pika.ConnectionParameters, queue: str) -> None:
        super().__init__(daemon=True)
        self.seen: list[Order] = []
        self.cancels = self.losses = 0
        self._parameters = parameters
        self._queue = queue
        self._told_to_stop = threading.Event()

    def run(self) -> None:
        """Consume until it is told to stop."""
        while not self._told_to_stop.is_set():
            try:
                self._consume()
            except (pika.exceptions.AMQPError, OSError):
                self.losses += 1
                self._told_to_stop.wait(_AGAIN_SECONDS)

    def finish(self) -> None:
        """Stop."""
        self._told_to_stop.set()
        self.join(60)

    @property
    def numbers(self) -> set[int]:
        """All that have come."""
        return {order.number for order in self.seen}

    @property
    def doubles(self) -> int:
        """Messages that came more than once."""
        return sum(count - 1 for count in Counter(order.message_id for order in self.seen).values())

    @property
    def longest_pause(self) -> float:
        """Between two deliveries, in seconds."""
        return max((later.at - earlier.at for earlier, later in itertools.pairwise(self.seen)), default=0.0)

    def _consume(self) -> None:
        connection = pika.BlockingConnection(self._parameters)
        channel = connection.channel()
        channel.basic_qos(prefetch_count=PREFETCH)
        channel.add_on_cancel_callback(self._cancelled)
        channel.basic_consume(self._queue, self._on_message)
        cancels = self.cancels
        while not self._told_to_stop.is_set() and self.cancels == cancels:
            connection.process_data_events(0.05)
        connection.close()

    def _cancelled(self, _: Any) -> None:
        self.cancels += 1

    def _on_message(self, channel: Any, method: Any, properties: Any, body: bytes) -> None:
        self.seen.append(Order(*identity(body), time.monotonic()))
        channel.basic_ack(method.delivery_tag)
