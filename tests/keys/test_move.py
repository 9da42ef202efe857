"""The hop of a message that is moved with its queue: who may write it, what it changes, what it does not bring back."""

from __future__ import annotations

from dataclasses import replace
from math import inf

import pytest

from letrade_topo.keys.claims import HopClaims, HopRole, parse_hop_claims
from letrade_topo.keys.jwk import Role
from letrade_topo.keys.jws import Compact, parse_compact
from letrade_topo.keys.move import MoveSigner
from letrade_topo.keys.reasons import Reason, Refused
from letrade_topo.keys.replay import Arrived, Replay, identity_of
from letrade_topo.keys.token import Arrival, Verdict, Verifier
from tests.keys.world import (
    COMMAND,
    JTI,
    LIFETIME_SECONDS,
    NOW,
    QUEUE,
    accepted,
    hop_arrival,
    key_set,
    policy_of,
    public_key,
    reason,
    signed_arrival,
    signing_key,
    topology,
    verify,
)

SERVICE = "exchange_connector"
TOLERANCE = 300
LEEWAY = 5


def hop_of(arrival: Arrival, now: float, mover: str = "move") -> bytes | None:
    """What a mover writes on a message that it finds in the queue."""
    signer = MoveSigner(topology(), key_set(), signing_key(mover), lambda size: JTI[:size])
    body = bytes(arrival.body)
    return signer.hop(arrival.headers, arrival.properties, body, queue=QUEUE, service=SERVICE, now=now)


def moved(arrival: Arrival, now: float, mover: str = "move") -> Arrival:
    """The message in its queue again, where the default exchange has brought it."""
    hop = hop_of(arrival, now, mover)
    assert hop is not None
    headers = arrival.headers._replace(hop=(hop,))
    return arrival._replace(exchange=b"", routing_key=QUEUE.encode(), headers=headers)


def claims_in(arrival: Arrival) -> HopClaims:
    """What its hop says."""
    (value,) = arrival.headers.hop
    compact = parse_compact(value or b"")
    assert isinstance(compact, Compact)
    claims = parse_hop_claims(compact.payload)
    assert isinstance(claims, HopClaims)
    return claims


def judged(arrival: Arrival, now: float) -> Verdict:
    """Beside an agent that had not kept up with the queue."""
    outage = topology().security.jwt.outage_tolerance.seconds
    beside = Verifier(key_set(), policy_of(SERVICE), outage_seconds=outage)
    return beside.verify(arrival, now, kept_up_until=-inf)


def test_what_is_moved_is_the_delivery_that_it_was() -> None:
    """Its attempt is that of a message which never failed, and the memory knows one copy by the other."""
    straight, after = signed_arrival(), moved(signed_arrival(), NOW + 20)
    memory = Replay()
    first, second = accepted(verify(straight, now=NOW + 1)), accepted(verify(after, now=NOW + 21))
    assert memory.arrive(QUEUE, identity_of(first), valid_until=first.valid_until, now=NOW + 1) is Arrived.NEW
    assert memory.arrive(QUEUE, identity_of(second), valid_until=second.valid_until, now=NOW + 21) is Arrived.OPEN
    memory.settle(QUEUE, identity_of(first), valid_until=first.valid_until, now=NOW + 22)
    assert memory.arrive(QUEUE, identity_of(second), valid_until=second.valid_until, now=NOW + 23) is Arrived.REPEAT


def test_moved_twice() -> None:
    """Out of the way and back again: the second hop takes the place of the first and says the same."""
    once = moved(signed_arrival(), NOW + 20)
    twice = moved(once, NOW + 90)
    assert claims_in(twice) == replace(claims_in(once), expires_at=NOW + 90 + TOLERANCE)
    assert accepted(verify(twice, now=NOW + 91)).attempt == 0


@pytest.mark.parametrize(
    ("key", "role", "judged_at"),
    [(SERVICE, HopRole.SELF, "first_failure"), ("replay", HopRole.REPLAY, "issued_at")],
)
def test_a_retry_or_a_replay_goes_on(key: str, role: HopRole, judged_at: str) -> None:
    """Attempt, first failure and reason stay, and so does the moment at which the lifetime is judged."""
    end = NOW + LIFETIME_SECONDS + LEEWAY
    for moment, is_late in ((end, False), (end + 1, True)):
        before = hop_arrival(signing_key(key), role=role, attempt=3, **{judged_at: moment})
        after = moved(before, NOW + 400)
        was, now = claims_in(before), claims_in(after)
        assert (now.attempt, now.first_failure, now.reason) == (3, was.first_failure, was.reason)
        verdict = judged(after, NOW + 500)
        assert isinstance(verdict, Refused) is is_late
        assert isinstance(verdict, Refused) or verdict.attempt == 3


def test_the_time_of_the_move_does_not_count_and_all_other_does() -> None:
    """In time when it was moved: five minutes for the way, and then it grows older as any other message."""
    after = moved(signed_arrival(), NOW + 40)
    ends = NOW + 40 + TOLERANCE + (LIFETIME_SECONDS - 40) + LEEWAY
    accepted(judged(after, ends))
    assert reason(judged(after, ends + 1)) is Reason.EXPIRED


def test_what_was_too_late_stays_so() -> None:
    """A message that had outlived its type before it was moved is as late afterwards."""
    after = moved(signed_arrival(), NOW + LIFETIME_SECONDS + LEEWAY + 1)
    assert reason(judged(after, NOW + LIFETIME_SECONDS + LEEWAY + 2)) is Reason.EXPIRED


def test_a_hop_that_was_over_is_over() -> None:
    """A copy of a retry that somebody kept and puts into the queue before a migration gains nothing by it."""
    old = hop_arrival(expires_at=NOW + 60)
    after = moved(old, NOW + 60 + LEEWAY + 1)
    assert claims_in(after).expires_at == NOW + 60
    assert reason(verify(after, now=NOW + 60 + LEEWAY + 2)) is Reason.EXPIRED


def test_what_is_not_proven_moves_as_it_is() -> None:
    """No token, a foreign one, another body, another queue, the hop of a dead letter: nothing is vouched for."""
    good = signed_arrival()
    stripped = good._replace(headers=good.headers._replace(jws=()))
    altered = good._replace(body=b"{}")
    elsewhere = hop_arrival(queue="exchange_connector.cancel_order")
    other_message = hop_arrival(routing_key="commands.cancel_order")
    dead = hop_arrival(expires_at=NOW + 10)
    foreign = hop_arrival(signing_key("strategy"))
    for arrival in (stripped, altered, elsewhere, other_message, dead, foreign):
        assert hop_of(arrival, NOW + 20) is None


def test_a_mover_has_to_be_named() -> None:
    """A key for moving whose owner the topology does not name moves nothing, nor does one that is for replaying."""
    other = key_set(public_key(signing_key("move-ci"), Role.MOVE))
    by_other = moved(signed_arrival(), NOW + 20, "move-ci")
    by_replayer = moved(signed_arrival(), NOW + 20, "replay")
    assert reason(verify(by_other, now=NOW + 21, keys=other)) is Reason.HOP_ROLE
    assert reason(verify(by_replayer, now=NOW + 21)) is Reason.HOP_ROLE


def test_a_moved_message_is_for_one_queue() -> None:
    """A hop of a move opens no other queue, and no other message."""
    after = moved(signed_arrival(), NOW + 20)
    assert reason(verify(after._replace(queue="exchange_connector.cancel_order"), now=NOW + 21)) is Reason.HOP_QUEUE
    changed = signed_arrival(COMMAND._replace(body=b"other"))
    other = changed._replace(
        exchange=b"", routing_key=QUEUE.encode(), headers=changed.headers._replace(hop=after.headers.hop)
    )
    assert reason(verify(other, now=NOW + 21)) is Reason.CONTENT
