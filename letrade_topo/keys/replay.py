"""What has been processed already: the memory against repeats.

The identity of a delivery is (issuer, jti, index, attempt), remembered for each queue by itself, because one
message arrives once in every queue that it is routed to. A repeat of what was processed is a repeat. What is with the
service is open: another delivery of the same has to wait until it is settled, and is a repeat then. What was given
back, or was with a consumer that is gone, is as if it had not come: so the broker's own redelivery passes, and of many
copies one. One of what was rejected may be a repeat, or the broker may have lost the connection before it heard of the
rejection, and then nobody else has the message. Pure: the time is passed in.

What it cannot know: another replica's memory, and its own before a restart. Hence short lifetimes for commands.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from enum import Enum
from math import inf
from typing import Final, NamedTuple

from letrade_topo.keys.token import Accepted

WINDOW_SECONDS = 300
"""Nothing is remembered for longer, but for retries, whose hops may be good for longer."""

MOST_GIVEN_BACK: Final = 10_000
"""Retries that are known to come again; of more than these, the oldest are forgotten."""

WITH_THE_SERVICE: Final = 0
"""The number of a delivery that nobody asks about again: it was shown at once."""

_ACKNOWLEDGED: Final = 3
"""Both bits of a message."""

CAPACITY = 1_000_000
"""Tokens that are remembered; about 110 bytes each."""


class Arrived(Enum):
    """What an arrival is to the memory."""

    NEW = "new"
    OPEN = "open"
    REPEAT = "repeat"
    REJECTED = "rejected"
    FULL = "full"


class Identity(NamedTuple):
    """Which delivery it is.

    Args:
        issuer: of the token.
        jti: of the token, 16 bytes.
        leaf_index: the message's place in the batch.
        attempt: 0 for the first.
    """

    issuer: str
    jti: bytes
    leaf_index: int
    attempt: int


def identity_of(accepted: Accepted) -> Identity:
    """The identity of an accepted delivery."""
    origin = accepted.origin
    return Identity(origin.token.claims.issuer, origin.token.claims.jti, origin.leaf_index, accepted.attempt)


class Replay:
    """The memory of one agent.

    Args:
        capacity: tokens that are remembered at most.
        window_seconds: for how long at most.
    """

    __slots__ = ("_capacity", "_given_back", "_ledgers", "_numbers", "_open", "_swept_until", "_tokens", "_window")

    def __init__(self, *, capacity: int = CAPACITY, window_seconds: float = WINDOW_SECONDS) -> None:
        self._capacity = capacity
        self._window = window_seconds
        self._ledgers: defaultdict[tuple[str, str], _Ledger] = defaultdict(_Ledger)
        self._open: dict[tuple[str, Identity], int] = {}
        """By queue and identity, the number of the delivery that is open."""
        self._numbers: dict[int, tuple[str, Identity, float]] = {}
        """Of open deliveries that are not with the service (yet): queue, identity, and how long to remember."""
        self._given_back: dict[tuple[str, Identity], float] = {}
        """Retries that come again, and until when they may."""
        self._tokens = 0
        self._swept_until = 0

    def __len__(self) -> int:
        """Tokens that are remembered."""
        return self._tokens

    def arrive(
        self,
        queue: str,
        identity: Identity,
        *,
        valid_until: float,
        now: float,
        number: int = WITH_THE_SERVICE,
    ) -> Arrived:
        """A delivery arrives.

        Args:
            queue: the queue that it was consumed from.
            identity: which delivery it is.
            valid_until: `Accepted.valid_until`; nothing needs to be remembered for longer.
            now: seconds since the epoch.
            number: of the delivery, by which it is known when it is asked about again.

        Returns:
            NEW: deliver it. OPEN: keep it, and ask again; it is no repeat yet. REPEAT: acknowledge and count it.
            REJECTED: reject and count it. FULL: there is no room to remember it; keep it and stop consuming until
            something is forgotten.
        """
        if now >= self._swept_until + 1:
            self._sweep(now)
        ledger, key = self._ledgers[queue, identity[0]], _key(identity) if identity[3] else identity[1]
        seen = ledger.bits.get(key)
        settled_bit, done_bit = _bits(identity.leaf_index)
        if seen is not None and seen & settled_bit:
            return Arrived.REPEAT if seen & done_bit else Arrived.REJECTED
        place = (queue, identity)
        opened = self._open.get(place)
        if opened is not None and (opened != number or number == WITH_THE_SERVICE):
            return Arrived.OPEN
        if seen is None:
            if self._tokens >= self._capacity:
                return Arrived.FULL
            self._remember(ledger, key, 0, self._until(identity, valid_until, now))
        self._open[place] = number
        self._given_back.pop(place, None)
        if number != WITH_THE_SERVICE:
            self._numbers[number] = (queue, identity, valid_until)
        return Arrived.NEW

    def settle(self, queue: str, identity: Identity, *, valid_until: float, now: float) -> None:
        """A delivery is done with: acknowledged. The arguments are those of `arrive`.

        A delivery that goes back to the queue is not: see `give_back`.
        """
        self._end(queue, identity, _ACKNOWLEDGED << 2 * identity[2], 0, valid_until, now)

    def reject(self, queue: str, identity: Identity, *, valid_until: float, now: float) -> None:
        """The service rejected a delivery, and does not want it again under this attempt; otherwise like `settle`."""
        settled_bit, done_bit = _bits(identity.leaf_index)
        self._end(queue, identity, settled_bit, done_bit, valid_until, now)

    def give_back(self, queue: str, identity: Identity, *, until: float) -> None:
        """A delivery that was with the service is not any more, and nothing is settled: it will come again.

        Args:
            queue, identity: as of `arrive`.
            until: seconds since the epoch; when it may come again at the latest, if it is a retry.
        """
        self._close(queue, identity)
        if identity.attempt:
            if len(self._given_back) >= MOST_GIVEN_BACK:
                del self._given_back[next(iter(self._given_back))]
            self._given_back[queue, identity] = until

    def _close(self, queue: str, identity: Identity) -> None:
        number = self._open.pop((queue, identity), WITH_THE_SERVICE)
        if number != WITH_THE_SERVICE:
            self._numbers.pop(number, None)

    def is_open(self, number: int) -> bool:
        """Whether the delivery of this number arrived, and is not settled."""
        return number in self._numbers

    def let_go(self, number: int, *, until: float) -> None:
        """The delivery of this number is not shown, and will come again; nothing happens if it was not open."""
        known = self._numbers.get(number)
        if known is not None:
            self.give_back(*known[:2], until=until)

    def finish(self, number: int, now: float) -> None:
        """The delivery of this number is done with, without the service: among the dead letters."""
        known = self._numbers.get(number)
        if known is not None:
            queue, identity, valid_until = known
            self.settle(queue, identity, valid_until=valid_until, now=now)

    def is_unsettled(self, queue: str, identity: Identity, now: float) -> bool:
        """Whether a retry has come before and is open, or was given back and may come again."""
        place = (queue, identity)
        return place in self._open or now <= self._given_back.get(place, -inf)

    def _end(self, queue: str, identity: Identity, set_: int, clear: int, valid_until: float, now: float) -> None:
        self._close(queue, identity)
        ledger, key = self._ledgers[queue, identity[0]], _key(identity) if identity[3] else identity[1]
        seen = ledger.bits.get(key)
        if seen is not None:
            ledger.bits[key] = (seen | set_) & ~clear
        else:
            # it was open for longer than the window; as many as are unacknowledged may go beyond the capacity
            self._remember(ledger, key, set_, self._until(identity, valid_until, now))

    def _until(self, identity: Identity, valid_until: float, now: float) -> float:
        """Until when to remember it. A retry that is late may be good for longer than its hop says."""
        window = now + self._window
        return max(valid_until, window) if identity.attempt else min(valid_until, window)

    def _remember(self, ledger: _Ledger, key: bytes, bits: int, until: float) -> None:
        end = int(until) + 1
        ledger.bits[key] = bits
        ledger.by_end[max(end, self._swept_until + 1)].append(key)  # never where no sweep comes again
        self._tokens += 1

    def _sweep(self, now: float) -> None:
        """Forget what is over, at most once a second."""
        second = int(now)
        if second <= self._swept_until:
            return
        for owner in list(self._ledgers):
            ledger = self._ledgers[owner]
            for end in ledger.over(self._swept_until, second):
                keys = ledger.by_end.pop(end)
                for key in keys:
                    del ledger.bits[key]
                self._tokens -= len(keys)
            if not ledger.bits:
                del self._ledgers[owner]
        self._swept_until = second


class _Ledger:
    """One queue and issuer: a bitmap for each token, two bits a message, and which tokens end when.

    The bits of a message: 0 came, 3 acknowledged, 2 rejected.
    """

    __slots__ = ("bits", "by_end")

    def __init__(self) -> None:
        self.bits: dict[bytes, int] = {}
        self.by_end: defaultdict[int, list[bytes]] = defaultdict(list)

    def over(self, since: int, until: int) -> Iterator[int]:
        """The seconds up to `until` at which something ends."""
        if until - since < len(self.by_end):
            return (end for end in range(since, until + 1) if end in self.by_end)
        return iter([end for end in self.by_end if end <= until])


def _key(identity: Identity) -> bytes:
    """A retry is another delivery. A jti has a fixed length, so the two parts cannot be mixed up."""
    return identity.jti + identity.attempt.to_bytes(4, "big") if identity.attempt else identity.jti


def _bits(leaf_index: int) -> tuple[int, int]:
    """That it is settled, and that it was not rejected."""
    return 2 << 2 * leaf_index, 1 << 2 * leaf_index
