"""What failed, as it is handed over to the dead letters: the message as it came, and who gave it up, where and why."""

from __future__ import annotations

from letrade_agent.filters.copies import DeadLetter
from letrade_agent.filters.failures import TOKEN_HEADERS, Failure, FailureOutcome, Failures, is_dropped
from letrade_agent.filters.verdicts import Delivery, Failed
from letrade_topo.amqp.frames import FRAME_OVERHEAD, MIN_FRAME_MAX
from letrade_topo.amqp.header_table import Entry, HeaderTable
from letrade_topo.amqp.properties import ContentHeader
from letrade_topo.model.names import DEAD_KEY_SUFFIX, LONGEST_NAME_BYTES

_SUFFIX = DEAD_KEY_SUFFIX.encode()
_UNPRINTABLE = bytes(range(0x20)) + b"\x7f"
_PRINTABLE = bytes.maketrans(_UNPRINTABLE, b"_" * len(_UNPRINTABLE))


class DeadLetters:
    """Makes dead letters.

    Args:
        exchange: where they go.
        failures: reads what failed, and signs what is said of it.
    """

    def __init__(self, exchange: str, failures: Failures) -> None:
        self._exchange = exchange.encode()
        self._failures = failures

    def make(self, delivery: Delivery, failed: Failed, now: float) -> DeadLetter:
        """The dead letter of a delivery that was refused; of any delivery, whatever is wrong with it."""
        return self.bury(self._failures.read(delivery, now), failed.reason, failed.detail, now)

    def bury(self, failure: Failure, reason: str, detail: str, now: float) -> DeadLetter:
        """The dead letter of what failed.

        Args:
            failure: what is known of it.
            reason: the word.
            detail: what was wrong; not in the message, for logs.
            now: seconds since the epoch.
        """
        delivery, hop = failure.delivery, failure.hop
        attempt, first_failure = (0, int(now)) if hop is None else (hop.attempt, hop.first_failure)
        ours = self._failures.said(failure, FailureOutcome(reason, attempt, first_failure), now)
        payload, *shorter = _headers(delivery.header, failure.entries, ours)
        key = dead_key(failure.message.routing_key or delivery.queue.encode())
        return DeadLetter(self._exchange, key, payload, delivery.body, delivery.queue, reason, detail, tuple(shorter))


def _headers(header: ContentHeader, entries: list[Entry], ours: list[Entry]) -> list[bytes]:
    """What it may be published with, the longest first, down to one that every connection has a frame for.

    Its own headers are left behind before the tokens. Which one it is is known when it is published: until then the
    connection, and with it the size of frames, may be another.
    """
    replace: dict[str, bytes | None] = {"user_id": None, "expiration": None}
    tokens = [entry for entry in entries if entry[0] in TOKEN_HEADERS]
    kept = [entry for entry in entries if not is_dropped(entry[0])]
    payloads: list[bytes] = []
    for some in (kept, tokens, []):
        payloads.append(header.rewrite(HeaderTable((*some, *ours)).encode(), replace=replace))
        if len(payloads[-1]) <= MIN_FRAME_MAX - FRAME_OVERHEAD:
            break
    return payloads


def dead_key(routing_key: bytes) -> bytes:
    """The key of a dead letter: the original one with `.dead`, at most 255 bytes.

    Control characters become `_`: a topic permission's `.+` does not match a line break, and a dead letter that the
    broker refuses would be offered for ever.
    """
    return routing_key[: LONGEST_NAME_BYTES - len(_SUFFIX)].translate(_PRINTABLE) + _SUFFIX
