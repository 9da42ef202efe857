"""The memory against repeats: what passes, what does not, and that it stays small."""

from __future__ import annotations

import gc
import os
import tracemalloc

import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from letrade_topo.keys.replay import Arrived, Identity, Replay, identity_of
from tests.keys.world import JTI, NOW, accepted, hop_arrival, signed_arrival, verify

ID = Identity("strategy", JTI, 0, 0)


def arrive(
    replay: Replay,
    identity: Identity = ID,
    *,
    queue: str = "q",
    now: float = NOW,
    lasts: float = 60,
    number: int = 0,
) -> Arrived:
    """A delivery that is valid for a minute from the beginning of the test."""
    return replay.arrive(queue, identity, valid_until=NOW + lasts, now=now, number=number)


def settle(replay: Replay, identity: Identity = ID, *, queue: str = "q", now: float = NOW, lasts: float = 60) -> None:
    """It is acknowledged."""
    replay.settle(queue, identity, valid_until=NOW + lasts, now=now)


def test_redelivery_passes_and_a_repeat_does_not() -> None:
    """Copies of what is open wait; what is settled is a repeat."""
    replay = Replay()

    assert arrive(replay) is Arrived.NEW
    assert [arrive(replay) for _ in range(9)] == [Arrived.OPEN] * 9
    settle(replay)
    assert arrive(replay) is Arrived.REPEAT


def test_what_was_given_back_may_come_again() -> None:
    """Once: who comes first is open then, and all others wait again."""
    replay = Replay()
    arrive(replay)
    replay.give_back("q", ID, until=NOW)

    assert (arrive(replay), arrive(replay)) == (Arrived.NEW, Arrived.OPEN)


def test_who_is_asked_about_again_is_no_copy_of_itself() -> None:
    """A delivery waits for a key or for the object store, and is examined many times, by its number."""
    replay = Replay()

    assert [arrive(replay, number=7) for _ in range(3)] == [Arrived.NEW] * 3
    assert arrive(replay, number=8) is Arrived.OPEN
    assert replay.is_open(7)
    replay.let_go(8, until=NOW)
    assert arrive(replay, number=8) is Arrived.OPEN, "it was never open"
    replay.let_go(7, until=NOW)
    assert arrive(replay, number=8) is Arrived.NEW
    replay.finish(8, NOW)
    assert arrive(replay, number=9) is Arrived.REPEAT
    assert not any(map(replay.is_open, (7, 8, 9)))


def test_open_for_longer_than_the_memory_lasts() -> None:
    """A service may take its time: copies of what it has wait all the same."""
    replay, late = Replay(window_seconds=10), NOW + 1000
    arrive(replay)

    assert arrive(replay, now=late, lasts=2000) is Arrived.OPEN
    settle(replay, now=late, lasts=2000)
    assert arrive(replay, now=late + 1, lasts=2000) is Arrived.REPEAT


def test_a_retry_is_remembered_for_as_long_as_its_hop_is_good() -> None:
    """Not only for the window: its delay may be longer, and a copy may have come before it was over."""
    replay, retry = Replay(), ID._replace(attempt=1)
    arrive(replay, retry, lasts=3900)
    settle(replay, retry, lasts=3900)

    assert arrive(replay, retry, now=NOW + 3899) is Arrived.REPEAT


def test_a_retry_that_was_given_back_is_known() -> None:
    """For the outage that is tolerated; a first delivery needs no such thing, it has a lifetime."""
    replay, retry = Replay(), ID._replace(attempt=1)
    for identity in (ID, retry):
        arrive(replay, identity)
        assert replay.is_unsettled("q", identity, NOW)
        replay.give_back("q", identity, until=NOW + 604_800)

    assert replay.is_unsettled("q", retry, NOW + 604_800)
    assert not replay.is_unsettled("q", retry, NOW + 604_801)
    assert not replay.is_unsettled("other", retry, NOW)
    assert not replay.is_unsettled("q", ID, NOW)
    arrive(replay, retry, now=NOW + 1)
    settle(replay, retry, now=NOW + 1)
    assert not replay.is_unsettled("q", retry, NOW + 1)


def test_what_comes_again_is_known_within_bounds(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of too many the oldest are forgotten."""
    monkeypatch.setattr("letrade_topo.keys.replay.MOST_GIVEN_BACK", 3)
    replay = Replay()
    retries = [ID._replace(attempt=attempt) for attempt in range(1, 6)]
    for retry in retries:
        arrive(replay, retry)
        replay.give_back("q", retry, until=NOW + 10)

    assert [replay.is_unsettled("q", retry, NOW) for retry in retries] == [False, False, True, True, True]


def test_what_was_rejected_is_known_as_such() -> None:
    """Whoever has it again must not acknowledge it: the broker may not have heard of the rejection."""
    replay = Replay()
    other = ID._replace(leaf_index=1)
    for identity in (ID, other):
        arrive(replay, identity)
        replay.reject("q", identity, valid_until=NOW + 60, now=NOW)

    assert arrive(replay) is Arrived.REJECTED
    assert arrive(replay) is Arrived.REJECTED
    settle(replay)
    assert (arrive(replay), arrive(replay, other)) == (Arrived.REPEAT, Arrived.REJECTED)


@pytest.mark.parametrize(
    "other",
    [ID._replace(issuer="core_engine"), ID._replace(jti=bytes(16)), ID._replace(leaf_index=1), ID._replace(attempt=1)],
)
def test_every_part_of_the_identity_counts(other: Identity) -> None:
    """Another issuer, jti, place in the batch or attempt is another delivery."""
    replay = Replay()
    arrive(replay)
    settle(replay)

    assert arrive(replay, other) is Arrived.NEW


def test_queues_are_apart() -> None:
    """One message arrives once in every queue that it is routed to."""
    replay = Replay()
    arrive(replay)
    settle(replay)

    assert arrive(replay, queue="other") is Arrived.NEW


def test_identity_of_a_verdict() -> None:
    """The identity comes from the token and the hop."""
    assert identity_of(accepted(verify(signed_arrival()))) == ID
    assert identity_of(accepted(verify(hop_arrival(attempt=2), now=NOW + 20))) == ID._replace(attempt=2)


def test_remembered_as_long_as_it_is_valid() -> None:
    """A repeat is known until the message would be refused by its age alone, and forgotten soon after."""
    replay = Replay()
    arrive(replay)
    settle(replay)

    assert arrive(replay, now=NOW + 60) is Arrived.REPEAT
    assert arrive(replay, now=NOW + 62) is Arrived.NEW


def test_remembered_for_five_minutes_at_most() -> None:
    """What is valid for a day is remembered for five minutes."""
    replay = Replay()
    arrive(replay, lasts=86_400)
    settle(replay, lasts=86_400)

    assert arrive(replay, now=NOW + 300, lasts=86_400) is Arrived.REPEAT
    assert arrive(replay, now=NOW + 302, lasts=86_400) is Arrived.NEW


def test_settled_after_the_window() -> None:
    """What was open for longer than the window is remembered from its acknowledgement on."""
    replay = Replay()
    arrive(replay, lasts=86_400)
    arrive(replay, ID._replace(jti=bytes(16)), now=NOW + 400, lasts=86_400)
    settle(replay, now=NOW + 400, lasts=86_400)

    assert arrive(replay, now=NOW + 500, lasts=86_400) is Arrived.REPEAT


def test_bound() -> None:
    """When the memory is full nothing new passes; what is known does, and time makes room."""
    replay = Replay(capacity=2)
    others = [ID._replace(jti=bytes([i] * 16)) for i in range(3)]
    assert [arrive(replay, other) for other in others] == [Arrived.NEW, Arrived.NEW, Arrived.FULL]
    settle(replay, others[0])

    assert arrive(replay, others[0]) is Arrived.REPEAT
    assert arrive(replay, others[1]._replace(leaf_index=7)) is Arrived.NEW
    assert arrive(replay, others[2], now=NOW + 30) is Arrived.FULL
    assert arrive(replay, others[2], now=NOW + 62) is Arrived.NEW


def test_clock_that_goes_back() -> None:
    """A clock that is set back forgets nothing that it should know, and keeps nothing for ever."""
    replay = Replay()
    arrive(replay, now=NOW + 1000, lasts=2000)
    assert arrive(replay, ID._replace(jti=bytes(16)), now=NOW) is Arrived.NEW
    settle(replay, ID._replace(jti=bytes(16)), now=NOW)

    assert arrive(replay, ID._replace(jti=bytes(16)), now=NOW) is Arrived.REPEAT
    arrive(replay, ID._replace(jti=b"\1" * 16), now=NOW + 5000, lasts=9000)
    assert len(replay) == 1


@pytest.mark.wide
def test_memory_of_a_token() -> None:
    """A remembered token takes about as many bytes as the documentation says."""
    count = 20_000
    replay = Replay()
    jtis = [os.urandom(16) for _ in range(count)]
    gc.collect()
    tracemalloc.start()
    for jti in jtis:
        identity = ID._replace(jti=bytes(bytearray(jti)))
        arrive(replay, identity)
        settle(replay, identity)
    used = tracemalloc.get_traced_memory()[0]
    tracemalloc.stop()

    assert used / count < 170


class AgainstAPlainModel(RuleBasedStateMachine):
    """The memory against a dictionary of what was settled when."""

    def __init__(self) -> None:
        super().__init__()
        self.replay = Replay(capacity=20, window_seconds=30)
        self.now = NOW
        self.settled: dict[tuple[str, Identity], float] = {}
        self.open: set[tuple[str, Identity]] = set()

    identities = st.builds(
        Identity,
        st.just("s"),
        st.integers(0, 9).map(lambda i: bytes([i] * 16)),
        st.integers(0, 40),
        st.integers(0, 1),
    )

    @rule(seconds=st.integers(0, 20))
    def wait(self, seconds: int) -> None:
        """Time goes by."""
        self.now += seconds

    @rule(identity=identities, queue=st.sampled_from(["a", "b"]), is_settled=st.booleans())
    def deliver(self, identity: Identity, queue: str, is_settled: bool) -> None:
        """A delivery arrives, and may be settled."""
        arrived = self.replay.arrive(queue, identity, valid_until=self.now + 1000, now=self.now)
        since = self.settled.get((queue, identity))
        if since is not None and self.now - since < 1:
            assert arrived is Arrived.REPEAT
        if arrived is Arrived.REPEAT:
            assert since is not None
            assert self.now - since <= (1001 if identity.attempt else 31)
        assert (arrived is Arrived.OPEN) == ((queue, identity) in self.open)
        if arrived is Arrived.NEW:
            self.open.add((queue, identity))
        if is_settled and arrived in (Arrived.NEW, Arrived.OPEN):
            self.open.discard((queue, identity))
            self.replay.settle(queue, identity, valid_until=self.now + 1000, now=self.now)
            self.settled[queue, identity] = self.now

    @invariant()
    def never_beyond_its_bound(self) -> None:
        """The memory does not grow over its capacity."""
        assert 0 <= len(self.replay) <= 20


TestAgainstAPlainModel = AgainstAPlainModel.TestCase


@given(st.lists(st.integers(0, 1023), unique=True, max_size=50))
def test_places_of_a_batch_are_apart(places: list[int]) -> None:
    """In one bitmap, each message of a batch has its own state."""
    replay = Replay()
    for place in places:
        assert arrive(replay, ID._replace(leaf_index=place)) is Arrived.NEW
        settle(replay, ID._replace(leaf_index=place))

    assert all(arrive(replay, ID._replace(leaf_index=place)) is Arrived.REPEAT for place in places)
    assert len(replay) == (1 if places else 0)
