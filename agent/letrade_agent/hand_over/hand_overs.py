"""The hand-over: copies of messages that failed are published by the agent, over a connection of its own.

A connection of its own, because a broker under alarm blocks whoever publishes: a service that only consumes must not
be blocked for it. Nothing is dropped: what is not confirmed is published again, so a copy may come twice.

Theory of operation. An entry waits, is in flight, or comes later (after a failure, each with its own back-off). A
return says that a message reached no queue, but not which one of those with that exchange and key; so all of them in
flight count as returned. A channel that the broker closes names no culprit either: from there on one message at a
time is in flight, until one is confirmed, so that one bad message delays nobody but itself.
"""

from __future__ import annotations

import asyncio
import random
from collections import deque
from collections.abc import Callable

from letrade_agent.back_off import back_off
from letrade_agent.filters.copies import Copy, DeadLetter
from letrade_agent.hand_over.publisher import ConfirmedPublisher, HeaderTooLong
from letrade_agent.limits import DEFAULT_LIMITS, HandOverLimits
from letrade_agent.log import Log
from letrade_agent.measures import Measures
from letrade_agent.tracing.contexts import DEAD_LETTER, RETRY
from letrade_agent.tracing.recorder import Recorder
from letrade_agent.transport.leg import LegLost
from letrade_agent.upstream.broken import UpstreamBroken, from_error
from letrade_agent.upstream.upstream import Upstream
from letrade_topo.amqp.faults import AmqpFault


class HandingOver:
    """One copy on its way.

    Attributes:
        copy: what is published.
        since: when it was submitted, by the monotonic clock.
        failures: attempts that were not confirmed.
        too_long: told how many bytes a content header may have, where the copy has more; it is done with then. None:
            it is kept, like everything that fails.
        returned: it may be one that the broker returned.
        is_abandoned: nobody waits for it any more, and it is still in its queue.
    """

    __slots__ = (
        "confirmed",
        "copy",
        "failures",
        "is_abandoned",
        "is_overdue",
        "retry_at",
        "returned",
        "since",
        "too_long",
    )

    def __init__(
        self, copy: Copy, confirmed: Callable[[], None], too_long: Callable[[int], None] | None, since: float
    ) -> None:
        self.copy = copy
        self.confirmed = confirmed
        self.too_long = too_long
        self.since = since
        self.failures = 0
        self.retry_at = 0.0
        self.returned = False
        self.is_abandoned = False
        self.is_overdue = False


class HandOvers:
    """Publishes copies until the broker has confirmed each.

    Args:
        upstream: where its connection comes from.
        service: for the name of the connection at the broker.
        what: is handed over: for that name, and for the log.
        measures: what becomes of hand-overs.
        log: told about the first failure, and the first success after it.
        monotonic: seconds.
        jitter: a number between its two arguments.
        limits: of handing over.
        recorder: traces what the broker has confirmed; None: nothing is traced.
    """

    def __init__(
        self,
        upstream: Upstream,
        *,
        service: str,
        what: str = "dead letters",
        measures: Measures,
        log: Log,
        monotonic: Callable[[], float],
        jitter: Callable[[float, float], float] = random.uniform,
        limits: HandOverLimits = DEFAULT_LIMITS.hand_over,
        recorder: Recorder | None = None,
    ) -> None:
        self._recorder = recorder
        self._upstream = upstream
        self._name = f"{what} via letrade-agent/{service}"
        self._what = what
        self._measures = measures
        self._log = log
        self._monotonic = monotonic
        self._jitter = jitter
        self._waiting: deque[HandingOver] = deque()
        self._later: list[HandingOver] = []
        self._in_flight: dict[int, HandingOver] = {}
        self._limits = limits
        self._window = self._limits.in_flight
        self._publisher: ConfirmedPublisher | None = None
        self._task: asyncio.Task[None] | None = None
        self._wanted = asyncio.Event()
        self._idle = asyncio.Event()
        self._idle.set()
        self._is_failing = False
        self._has_worked = False
        self._counted = 0

    def submit(
        self, copy: Copy, confirmed: Callable[[], None], too_long: Callable[[int], None] | None = None
    ) -> HandingOver:
        """Publish it, now or later.

        Args:
            copy: what to publish.
            confirmed: called once, when the broker has it.
            too_long: see `HandingOver`.
        """
        entry = HandingOver(copy, confirmed, too_long, self._monotonic())
        self._waiting.append(entry)
        self._idle.clear()
        self._wanted.set()
        if self._task is None:
            self._task = asyncio.get_running_loop().create_task(self._run())
        self._pump()
        return entry

    def abandon(self, entry: HandingOver) -> None:
        """Its connection is gone, so the broker has the message in its queue again: publishing it would be a copy."""
        entry.is_abandoned = True
        self._pump()

    @property
    def unconfirmed(self) -> int:
        """How many are not confirmed."""
        return len(self._waiting) + len(self._later) + len(self._in_flight)

    @property
    def is_connected(self) -> bool:
        """Whether its channel is open."""
        return self._publisher is not None and self._publisher.is_open

    def tick(self, now: float) -> None:
        """More than once a second: heartbeats, and what is due again."""
        if self._publisher is not None:
            self._publisher.tick(now)
        if self._later:
            due = [entry for entry in self._later if entry.retry_at <= now or entry.is_abandoned]
            self._later = [entry for entry in self._later if entry.retry_at > now and not entry.is_abandoned]
            self._waiting.extend(due)
        for entry in self._in_flight.values():
            if not entry.is_overdue and now - entry.since > self._limits.overdue_seconds:
                entry.is_overdue = True
                self._failing("no confirm from the broker", entry)
        self._pump()

    async def finish(self, timeout_seconds: float) -> bool:
        """Wait until all are confirmed; whether they are."""
        try:
            async with asyncio.timeout(timeout_seconds):
                await self._idle.wait()
        except TimeoutError:
            return False
        return True

    async def close(self) -> None:
        """End its connection. What is not confirmed stays with the broker, unacknowledged."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait([self._task])
            self._task = None
        if self._publisher is not None:
            self._publisher.close()
            self._publisher = None

    # The connection.

    async def _run(self) -> None:
        failures = 0
        while True:
            await self._wanted.wait()
            try:
                publisher = await ConfirmedPublisher.open(self._upstream, self._name, self, self._limits.reopen_seconds)
            except (UpstreamBroken, AmqpFault, LegLost, OSError, TimeoutError) as error:
                broken = error if isinstance(error, UpstreamBroken) else from_error(error)
                self._failing(str(broken), None)
                failures += 1
                await asyncio.sleep(self._back_off(failures, self._limits.longest_redial_seconds))
                continue
            failures = 0
            self._publisher = publisher
            self._pump()
            problem = await publisher.until_lost()
            self._publisher = None
            if self._in_flight:
                self._failing(problem, None)
                self._again(list(self._in_flight.values()))
                self._in_flight.clear()
            self._pump()
            if self._waiting or self._later:
                await asyncio.sleep(self._back_off(1, self._limits.longest_redial_seconds))

    def _back_off(self, failures: int, longest: float) -> float:
        seconds = back_off(self._limits.first_retry_seconds, failures, longest)
        return self._jitter(seconds / 2, seconds)

    # What the publisher calls.

    def acknowledged(self, tag: int, *, multiple: bool, positive: bool) -> None:
        """The broker confirmed, or refused, what was published under this number (and, `multiple`, before it)."""
        tags = [each for each in self._in_flight if each <= tag] if multiple else [tag]
        for each in tags:
            entry = self._in_flight.pop(each, None)
            if entry is None:
                continue
            if positive and not entry.returned:
                self._confirmed(entry)
            else:
                why = "it reached no queue" if entry.returned else "the broker refused it"
                self._failing(why, entry)
                self._put_off(entry)
        self._pump()

    def returned(self, exchange: bytes, routing_key: bytes) -> None:
        """A message with this exchange and key reached no queue."""
        for entry in self._in_flight.values():
            if entry.copy.exchange == exchange and entry.copy.routing_key == routing_key:
                entry.returned = True

    def channel_closed(self, problem: str) -> None:
        """The broker closed the channel over one of those in flight."""
        entries = list(self._in_flight.values())
        self._in_flight.clear()
        self._window = 1
        self._failing(problem, entries[0] if len(entries) == 1 else None)
        if len(entries) == 1:
            self._put_off(entries[0])
        else:
            self._again(entries)
        self._pump()

    def writable(self) -> None:
        """The socket takes more, or the channel is open again."""
        self._pump()

    # Entries.

    def _again(self, entries: list[HandingOver]) -> None:
        for entry in reversed(entries):
            entry.failures += 1
            entry.returned = False
            self._waiting.appendleft(entry)

    def _put_off(self, entry: HandingOver) -> None:
        entry.failures += 1
        entry.returned = False
        entry.retry_at = self._monotonic() + self._back_off(entry.failures, self._limits.longest_retry_seconds)
        self._later.append(entry)

    def _confirmed(self, entry: HandingOver) -> None:
        seconds, copy = self._monotonic() - entry.since, entry.copy
        self._measures.hand_over_seconds.observe(seconds)
        if self._recorder is not None and self._publisher is not None:
            role = DEAD_LETTER if isinstance(copy, DeadLetter) else RETRY
            about = (copy.exchange, copy.routing_key), copy.header, len(copy.body), copy.queue, copy.reason
            self._recorder.handed_over(role, *about, seconds=seconds, server=self._publisher.server)
        if isinstance(copy, DeadLetter):
            self._measures.dead_letters[copy.queue, copy.reason] += 1
        else:
            self._measures.retries[copy.queue, str(copy.step)] += 1
        self._window = min(self._limits.in_flight, self._window * 2)
        if self._is_failing or not self._has_worked:
            self._is_failing, self._has_worked = False, True
            self._log("info", "hand_over_works", {"queue": copy.queue, "what": self._what})
        if not entry.is_abandoned:
            entry.confirmed()

    def _failing(self, problem: str, entry: HandingOver | None) -> None:
        self._measures.hand_over_failures += 1
        if not self._is_failing:
            self._is_failing = True
            particulars: dict[str, object] = {"problem": problem, "what": self._what, "waiting": self.unconfirmed}
            if entry is not None:
                copy = entry.copy
                particulars |= {"queue": copy.queue, "cause": copy.reason, "destination": copy.routing_key}
            self._log("error", "hand_over_fails", particulars)

    def _pump(self) -> None:
        publisher = self._publisher
        while self._waiting:
            if self._waiting[0].is_abandoned:
                self._waiting.popleft()
            elif publisher is not None and publisher.can_publish and len(self._in_flight) < self._window:
                self._publish(publisher, self._waiting.popleft())
            else:
                break
        self._measures.hand_overs_in_flight += self.unconfirmed - self._counted
        self._counted = self.unconfirmed
        if self.unconfirmed:
            self._idle.clear()
        else:
            self._idle.set()
            self._wanted.clear()

    def _publish(self, publisher: ConfirmedPublisher, entry: HandingOver) -> None:
        try:
            tag = publisher.publish(entry.copy)
        except HeaderTooLong as error:
            if entry.too_long is not None:
                # not at once: whoever submits it has no entry yet
                asyncio.get_running_loop().call_soon(entry.too_long, error.largest)
                return
            self._failing(str(error), entry)
            self._put_off(entry)
            return
        self._in_flight[tag] = entry
