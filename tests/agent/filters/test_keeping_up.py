"""Honest retries against kept ones: a queue, its service's absences and backlogs, in a simulation."""

from __future__ import annotations

from collections import deque
from math import inf

from hypothesis import given
from hypothesis import strategies as st
from letrade_agent.filters.keeping_up import LONGEST_GAP_SECONDS, STRETCH_SECONDS, KeepingUp

NOW = 1_750_000_000.0
TOLERANCE = 300.0
LEEWAY = 5.0


def test_a_stretch_takes_its_time() -> None:
    """Less than five minutes on end prove nothing; a gap begins another stretch."""
    keeping_up = KeepingUp()
    moment = NOW
    while moment < NOW + STRETCH_SECONDS - 1:
        keeping_up.keeps_up("q", moment)
        moment += LONGEST_GAP_SECONDS
    assert keeping_up.until("q") == -inf
    keeping_up.keeps_up("q", NOW + STRETCH_SECONDS)
    assert keeping_up.until("q") == NOW + STRETCH_SECONDS
    assert keeping_up.until("other") == -inf
    keeping_up.keeps_up("q", NOW + 2 * STRETCH_SECONDS)
    assert keeping_up.until("q") == NOW + STRETCH_SECONDS


def test_a_clock_that_is_set_back_proves_nothing_new() -> None:
    """Not until it is back where it was, or has a stretch of its own."""
    keeping_up = KeepingUp()
    for second in range(400):
        keeping_up.keeps_up("q", NOW + second)
    keeping_up.keeps_up("q", NOW - 3600)
    assert keeping_up.until("q") == NOW + 399
    for second in range(1, 300):
        keeping_up.keeps_up("q", NOW - 3600 + second)
    assert keeping_up.until("q") == NOW + 399


class WatchedQueue:
    """A queue, one consumer with room for `prefetch`, and the agent's second hand.

    Messages are moments at which they were put into the queue.
    """

    def __init__(self, prefetch: int) -> None:
        self.prefetch = prefetch
        self.waiting: deque[tuple[float, bool]] = deque()
        self.unsettled: list[tuple[float, bool]] = []
        self.is_up = True
        self.keeping_up = KeepingUp()
        self.last_delivery = -inf
        self.now = NOW
        self.arrived: list[tuple[float, float]] = []
        """Of retries: when each was put into the queue, and when it came to the agent."""

    def second(self, settles: int) -> None:
        """One second: the broker delivers, the service settles, the agent looks."""
        self.now += 1
        if not self.is_up:
            return
        self.deliver()
        del self.unsettled[:settles]
        self.deliver()
        has_room = len(self.unsettled) < self.prefetch
        if has_room and self.now - self.last_delivery >= 2:
            self.keeping_up.keeps_up("q", self.now)

    def deliver(self) -> None:
        """As much as there is room for."""
        while self.waiting and len(self.unsettled) < self.prefetch:
            put_at, is_retry = self.waiting.popleft()
            self.unsettled.append((put_at, is_retry))
            self.last_delivery = self.now
            if is_retry:
                self.arrived.append((put_at, self.now))
                assert not self.is_late(put_at), f"put there {self.now - put_at:.0f} s ago"
            else:
                self.keeping_up.arrived("q", put_at, self.now)

    def is_late(self, due_at: float) -> bool:
        """Whether a retry that was due then is refused; as `Verifier` does it."""
        ends = due_at + TOLERANCE + LEEWAY
        return self.now > ends and self.keeping_up.until("q") > ends

    def go_away(self) -> None:
        """The consumer is gone; what it had comes again."""
        self.is_up = False
        self.unsettled.clear()


PHASES = st.lists(
    st.tuples(
        st.sampled_from(["up", "away", "hangs", "slow"]),
        st.integers(1, 1500),
        st.integers(0, 3),
        st.integers(0, 40),
    ),
    max_size=8,
)


@given(prefetch=st.integers(1, 5), phases=PHASES)
def test_no_honest_retry_is_late(prefetch: int, phases: list[tuple[str, int, int, int]]) -> None:
    """Whatever the service does: it is away, hangs with what it has, is slower than what comes.

    Clocks that differ by less than the leeway change nothing: the margins are larger.
    """
    queue = WatchedQueue(prefetch)
    for state, seconds, messages, every in phases:
        if state == "away":
            queue.go_away()
        else:
            queue.is_up = True
        for second in range(seconds):
            if every and second % every == 0:
                queue.waiting.extend([(queue.now, False)] * messages)
                queue.waiting.append((queue.now, True))
            settles = {"up": prefetch, "away": 0, "hangs": 0, "slow": int(second % 7 == 0)}[state]
            queue.second(settles)
    queue.is_up = True
    for _ in range(len(queue.waiting) + 1):
        queue.second(prefetch)
    assert not queue.waiting


@given(
    prefetch=st.integers(1, 5), traffic=st.integers(0, 8), waited=st.integers(320, 5000), absence=st.integers(0, 900)
)
def test_a_kept_copy_is_late(prefetch: int, traffic: int, waited: int, absence: int) -> None:
    """After the hop's end and five minutes of keeping up, in a quiet queue and in a busy one; an absence of the
    service, then, does not make it good again."""
    queue = WatchedQueue(prefetch)
    due_at = queue.now + 5
    for second in range(waited):
        if traffic and second % traffic == 0:
            queue.waiting.append((queue.now, False))
        queue.second(prefetch)
    assert queue.is_late(due_at)
    queue.go_away()
    for _ in range(absence):
        queue.second(0)
    assert queue.is_late(due_at)
