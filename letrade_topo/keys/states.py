"""How each key of a key set is doing at a moment, for people."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum

from letrade_topo.keys.jwk import PublicKey, Use

WARNING_SECONDS = 30 * 86_400
"""A key that ends sooner, and has no successor, is pointed out."""


class State(StrEnum):
    """What a key does."""

    NEXT = "next"
    CURRENT = "current"
    RETIRING = "retiring"
    RETIRED = "retired"
    EXPIRED = "expired"
    FORGOTTEN = "forgotten"

    @property
    def meaning(self) -> str:
        """What it means, in words."""
        return MEANINGS[self]


MEANINGS = {
    State.NEXT: "published, used from its activation on",
    State.CURRENT: "used",
    State.RETIRING: "its successor is used; what it still signs is accepted",
    State.RETIRED: "verifies and decrypts what is older than its retirement",
    State.EXPIRED: "retired, and there is no successor: its owner can do nothing",
    State.FORGOTTEN: "does nothing; deleted by the next rotation",
}


@dataclass(frozen=True, slots=True)
class KeyStatus:
    """One key and how it is doing.

    Args:
        key: the key.
        state: what it does.
        warning: what a person should do about it; empty for nothing.
    """

    key: PublicKey
    state: State
    warning: str = ""


def states_of(keys: Iterable[PublicKey], now: float) -> tuple[KeyStatus, ...]:
    """Every key with its state, in the given order.

    Args:
        keys: of one key set.
        now: seconds since the epoch.
    """
    keys = tuple(keys)
    siblings: defaultdict[tuple[str, Use], list[PublicKey]] = defaultdict(list)
    for key in keys:
        siblings[key.issuer, key.use].append(key)
    return tuple(_status(key, siblings[key.issuer, key.use], now) for key in keys)


def _status(key: PublicKey, siblings: list[PublicKey], now: float) -> KeyStatus:
    state = _state(key, siblings, now)
    if state is State.EXPIRED:
        return KeyStatus(key, state, f"{key.kid} has expired: rotate the keys of {key.issuer}")
    end = key.validity.retired_at
    has_successor = any(_state(other, siblings, now) is State.NEXT for other in siblings)
    if state is State.CURRENT and end is not None and end - now < WARNING_SECONDS and not has_successor:
        days = int((end - now) // 86_400)
        return KeyStatus(key, state, f"{key.kid} expires in {days} days: rotate the keys of {key.issuer}")
    return KeyStatus(key, state)


def _state(key: PublicKey, siblings: list[PublicKey], now: float) -> State:
    validity = key.validity
    if validity.is_forgotten(now):
        return State.FORGOTTEN
    if validity.active_from is not None and now < validity.active_from:
        return State.NEXT
    active = [other for other in siblings if other.validity.is_active(now)]
    newest = max(active or siblings, key=_age)
    if validity.is_retired(now):
        return State.EXPIRED if not active and key is newest else State.RETIRED
    return State.CURRENT if key is newest else State.RETIRING


def _age(key: PublicKey) -> tuple[int, int]:
    return key.validity.active_from or 0, key.validity.created_at
