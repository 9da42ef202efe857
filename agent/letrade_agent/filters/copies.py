"""Messages that the agent publishes itself: dead letters and copies for a retry, as values."""

from __future__ import annotations

from typing import NamedTuple, TypeAlias


class DeadLetter(NamedTuple):
    """A message as it is handed over to the dead letters: everything needed to publish it.

    Attributes:
        exchange: where to.
        routing_key: the original one with `.dead`, at most 255 bytes.
        header: content header payload; properties kept but for `user_id` and `expiration`, with hop and reason.
        body: as it was delivered, byte for byte.
        queue: what it was consumed from, for logs.
        reason: the word, for logs and metrics.
        detail: what was wrong.
        shorter: of a long header what may go instead, where a frame of the connection does not hold it; the longest
            first.
    """

    exchange: bytes
    routing_key: bytes
    header: bytes
    body: bytes
    queue: str
    reason: str
    detail: str
    shorter: tuple[bytes, ...] = ()


class RetryCopy(NamedTuple):
    """A message that failed, as it is put on its way back: everything needed to publish it.

    Attributes:
        exchange: of retries.
        routing_key: the name of the delay queue.
        header: content header payload, with the hop that counts its attempts.
        body: byte for byte.
        queue: that it failed in, and comes back to.
        reason: the word, for logs.
        step: which delay of the ladder, from 1, for metrics.
    """

    exchange: bytes
    routing_key: bytes
    header: bytes
    body: bytes
    queue: str
    reason: str
    step: int


Copy: TypeAlias = DeadLetter | RetryCopy
"""What agents publish themselves, to hand a message over."""
