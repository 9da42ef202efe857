"""What becomes of a message that its queue gave up: back after a delay, or dead. A pure function, defined everywhere.

An attempt is counted by the hop token alone. Numbers never repeat: whoever remembers deliveries by their attempt
would take a second one with the same number for a repeat, and drop it. So a message that an operator replays goes on
counting, and begins its ladder anew: with `max_retries` 3 the numbers 0 to 3 are the first life, 4 (or whatever the
operator's hop says) is the replay, and its retries are 5, 6 and 7. A message that moves with its queue stays in the
life that it is in.
"""

from __future__ import annotations

from typing import NamedTuple, TypeAlias

from letrade_agent.filters.words import Cause
from letrade_topo.keys.claims import HopClaims, HopRole
from letrade_topo.model.names import retry_queue
from letrade_topo.model.topology import RetryPolicy
from letrade_topo.model.units import Duration


class Case(NamedTuple):
    """What the decision is made of.

    Attributes:
        queue: that gave the message up.
        policy: its retry policy; None: no retries.
        hop: how it came into the queue, proven; None: straight from its publisher, or by a way that proves nothing.
        cause: of its death.
        is_acceptable: whether its consumer would be shown it: its token is good, or nobody asks for one.
        is_over: whether it was too old when it first failed; its consumer would not be shown it again.
    """

    queue: str
    policy: RetryPolicy | None
    hop: HopClaims | None
    cause: Cause
    is_acceptable: bool
    is_over: bool


class Retry(NamedTuple):
    """It comes back.

    Attributes:
        attempt: its number.
        step: which delay of the ladder, from 1.
        delay_queue: where it waits; also the routing key.
        delay: for how long.
    """

    attempt: int
    step: int
    delay_queue: str
    delay: Duration


class Bury(NamedTuple):
    """It is dead.

    Attributes:
        reason: the word: the cause of its death.
        detail: why it does not come back.
    """

    reason: str
    detail: str


Decision: TypeAlias = Retry | Bury


def decide(case: Case) -> Decision:
    """Retry or bury.

    What a service rejects comes back as often as the policy says. What the broker gave up by itself (expired, more
    deliveries than the limit) comes back once at most, and only if it never was in the ladder: it has brought its
    consumer down, or waited too long, and would do so again.
    """
    reason = case.cause.value
    delays = case.policy.delays if case.policy is not None else ()
    if not delays:
        return Bury(reason, "the queue has no retries")
    step = _step(case.hop, len(delays))
    if step >= len(delays):
        return Bury(reason, f"it came back {len(delays)} times")
    if step and case.cause is not Cause.REJECTED:
        return Bury(reason, "the broker gave it up, and it was retried before")
    if not case.is_acceptable:
        return Bury(reason, "no agent would let it through: its origin is not proven")
    if case.is_over:
        return Bury(reason, "its lifetime was over when it first failed")
    return Retry(_next_attempt(case.hop, len(delays)), step + 1, retry_queue(case.queue, step + 1), delays[step])


def _step(hop: HopClaims | None, max_retries: int) -> int:
    """How many of the ladder's delays are behind it in this life."""
    if hop is None or hop.role is HopRole.REPLAY:
        return 0
    return hop.attempt % (max_retries + 1)


def _next_attempt(hop: HopClaims | None, max_retries: int) -> int:
    if hop is None:
        return 1
    if hop.role is not HopRole.REPLAY:
        return hop.attempt + 1
    lives = -(-hop.attempt // (max_retries + 1))
    return lives * (max_retries + 1) + 1
