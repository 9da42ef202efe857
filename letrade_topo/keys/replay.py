"""What has been processed already: the memory against repeats.

The identity of a delivery is (issuer, jti, index, attempt), remembered for each queue by itself, because one
message arrives once in every queue that it is routed to. A repeat of what was processed is a repeat; one of what
is still open is the broker delivering again. One of what was rejected may be either: the broker may have lost the
connection before it heard of the rejection, and then nobody else has the message. Pure: the time is passed in.

What it cannot know: another replica's memory, and its own before a restart. Hence short lifetimes for commands.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from enum import Enum
from typing import NamedTuple

from letrade_topo.keys.token import Accepted

WINDOW_SECONDS = 300
"""Nothing is remembered for longer."""

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

    __slots__ = ("_capacity", "_ledgers", "_swept_until", "_tokens", "_window")

    def __init__(self, *, capacity: int = CAPACITY, window_seconds: float = WINDOW_SECONDS) -> None:
        self._capacity = capacity
        self._window = window_seconds
        self._ledgers: defaultdict[tuple[str, str], _Ledger] = defaultdict(_Ledger)
        self._tokens = 0
        self._swept_until = 0

    def __len__(self) -> int:
        """Tokens that are remembered."""
        return self._tokens

    def arrive(self, queue: str, identity: Identity, *, valid_until: float, now: float) -> Arrived:
        """A delivery arrives.

        Args:
            queue: the queue that it was consumed from.
            identity: which delivery it is.
            valid_until: `Accepted.valid_until`; nothing needs to be remembered for longer.
            now: seconds since the epoch.

        Returns:
            NEW and OPEN: deliver it. REPEAT: acknowledge and count it. REJECTED: reject and count it. FULL: there
            is no room to remember it; keep it and stop consuming until something is forgotten.
        """
        self._sweep(now)
        ledger, key = self._ledgers[queue, identity.issuer], _key(identity)
        seen = ledger.bits.get(key)
        open_bit, settled_bit = _bits(identity.leaf_index)
        if seen is None:
            if self._tokens >= self._capacity:
                return Arrived.FULL
            self._remember(ledger, key, open_bit, valid_until, now)
            return Arrived.NEW
        if seen & settled_bit:
            return Arrived.REPEAT if seen & open_bit else Arrived.REJECTED
        ledger.bits[key] = seen | open_bit
        return Arrived.OPEN if seen & open_bit else Arrived.NEW

    def settle(self, queue: str, identity: Identity, *, valid_until: float, now: float) -> None:
        """A delivery is done with: acknowledged. The arguments are those of `arrive`.

        A delivery that goes back to the queue is not.
        """
        open_bit, settled_bit = _bits(identity.leaf_index)
        self._end(queue, identity, open_bit | settled_bit, 0, valid_until, now)

    def reject(self, queue: str, identity: Identity, *, valid_until: float, now: float) -> None:
        """The service rejected a delivery, and does not want it again under this attempt; otherwise like `settle`."""
        open_bit, settled_bit = _bits(identity.leaf_index)
        self._end(queue, identity, settled_bit, open_bit, valid_until, now)

    def _end(self, queue: str, identity: Identity, set_: int, clear: int, valid_until: float, now: float) -> None:
        ledger, key = self._ledgers[queue, identity.issuer], _key(identity)
        seen = ledger.bits.get(key)
        if seen is not None:
            ledger.bits[key] = (seen | set_) & ~clear
        else:
            # it was open for longer than the window; as many as are unacknowledged may go beyond the capacity
            self._remember(ledger, key, set_, valid_until, now)

    def _remember(self, ledger: _Ledger, key: bytes, bits: int, valid_until: float, now: float) -> None:
        end = int(min(valid_until, now + self._window)) + 1
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

    The bits of a message: 1 open, 3 settled, 2 rejected.
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
    return 1 << 2 * leaf_index, 2 << 2 * leaf_index
