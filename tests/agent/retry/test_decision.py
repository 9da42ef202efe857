"""Any case has a decision; whatever fails as often as it likes comes back as often as its policy says and no more."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from letrade_agent.filters.words import Cause
from letrade_agent.retry.decision import Bury, Case, Decision, Retry, decide

from letrade_topo.keys.claims import HopClaims, HopRole
from letrade_topo.model import names
from letrade_topo.model.topology import RetryPolicy
from letrade_topo.model.units import Duration

QUEUE = "exchange_connector.execute_trade"
CONTRACT = RetryPolicy()

policies = st.builds(
    RetryPolicy,
    max_retries=st.integers(0, 20),
    delay=st.builds(Duration, st.integers(1, 100_000)),
    multiplier=st.floats(1, 3),
)
causes = st.sampled_from(Cause)


def hop(attempt: int, role: HopRole = HopRole.SELF) -> HopClaims:
    """A hop token's claims; only attempt and role are decided by."""
    return HopClaims("s", "a", 0, 0, b"", b"", "e", "k", QUEUE, attempt, 0, "rejected", role)


def decided(
    policy: RetryPolicy | None = CONTRACT,
    came: HopClaims | None = None,
    cause: Cause = Cause.REJECTED,
    *,
    is_acceptable: bool = True,
    is_over: bool = False,
) -> Decision:
    """The decision on a case."""
    return decide(Case(QUEUE, policy, came, cause, is_acceptable, is_over))


def life(policy: RetryPolicy, deaths: list[Cause], came: HopClaims | None = None) -> list[Retry]:
    """What becomes of a message that dies of these causes, one after the other, until it is buried."""
    retries: list[Retry] = []
    for cause in deaths:
        decision = decided(policy, came, cause)
        if isinstance(decision, Bury):
            break
        retries.append(decision)
        came = hop(decision.attempt)
    return retries


def test_the_contracts_ladder() -> None:
    """C7: three times, after 5, 10 and 20 s, through the delay queues of the attempts."""
    retries = life(CONTRACT, [Cause.REJECTED] * 9)
    assert [(one.attempt, one.step, one.delay.seconds) for one in retries] == [(1, 1, 5), (2, 2, 10), (3, 3, 20)]
    assert [one.delay_queue for one in retries] == [f"{QUEUE}.retry.{number}" for number in (1, 2, 3)]
    assert decided(came=hop(3)) == Bury("rejected", "it came back 3 times")


@given(policies, st.lists(causes, min_size=22, max_size=30))
def test_never_more_often_than_the_policy_says(policy: RetryPolicy, deaths: list[Cause]) -> None:
    """Whatever it dies of; each time after the policy's delay, in the queue that has this delay."""
    retries = life(policy, deaths)
    assert len(retries) <= policy.max_retries
    for number, retry in enumerate(retries, start=1):
        assert (retry.attempt, retry.step) == (number, number)
        assert retry.delay == policy.delays[number - 1]
        assert retry.delay_queue == names.retry_queue(QUEUE, number)


@given(policies, st.lists(causes, min_size=22, max_size=30))
def test_deaths_of_the_brokers_own_enter_the_ladder_once_at_most(policy: RetryPolicy, deaths: list[Cause]) -> None:
    """Expired, too often delivered: once, and only before any other retry."""
    retries = life(policy, deaths)
    broker_made = [cause for cause in deaths[: len(retries)] if cause is not Cause.REJECTED]
    assert len(broker_made) <= 1
    assert broker_made == [cause for cause in deaths[: min(len(retries), 1)] if cause is not Cause.REJECTED]


@given(policies, st.none() | st.builds(hop, st.integers(1, 2**31 - 2)))
def test_a_move_changes_nothing(policy: RetryPolicy, came: HopClaims | None) -> None:
    """A message that moved with its queue goes on in the life that it is in, and one that never failed begins it."""
    moved = hop(0 if came is None else came.attempt, HopRole.MOVE)
    assert life(policy, [Cause.REJECTED] * 22, moved) == life(policy, [Cause.REJECTED] * 22, came)


@given(policies, st.integers(1, 2**31 - 1))
def test_a_replay_begins_a_new_ladder_under_new_numbers(policy: RetryPolicy, attempt: int) -> None:
    """The consumer's memory would take a number that was there before for a repeat, and drop the message."""
    retries = life(policy, [Cause.REJECTED] * 22, hop(attempt, HopRole.REPLAY))
    assert [one.step for one in retries] == list(range(1, policy.max_retries + 1))
    numbers = [one.attempt for one in retries]
    assert numbers == sorted(set(numbers))
    assert all(number > attempt for number in numbers)


@given(st.none() | policies, st.none() | st.builds(hop, st.integers(1, 2**31 - 1)), causes)
def test_what_its_consumer_would_not_be_shown_is_buried(
    policy: RetryPolicy | None, came: HopClaims | None, cause: Cause
) -> None:
    """Unproven, or too old when it first failed: it would only fail again. The cause of its death is kept."""
    for decision in (decided(policy, came, cause, is_acceptable=False), decided(policy, came, cause, is_over=True)):
        assert isinstance(decision, Bury)
        assert decision.reason == cause.value
        assert decision.detail


@given(causes)
def test_without_retries_everything_is_dead_at_once(cause: Cause) -> None:
    """`retry: none`, and `max_retries: 0`."""
    assert decided(None, cause=cause) == decided(RetryPolicy(0), cause=cause) == Bury(cause, "the queue has no retries")
