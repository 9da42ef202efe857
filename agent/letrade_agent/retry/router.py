"""The router: takes what a service's queues gave up, publishes its copy, and only then acknowledges.

Theory of operation. A message is taken (unacknowledged), judged, and its copy is submitted to one of two hand-overs,
one for retries and one for dead letters, each with a connection of its own: a missing dead-letter exchange must not
hold up retries. Their confirm is followed by the acknowledgement. Killed between the two, the router publishes a
second copy: with the same attempt, so that the consumer's memory against repeats can drop it. While a hand-over
fails its message stays unacknowledged, at most as many of a queue as are prefetched; it is never given back.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable
from functools import partial
from typing import Final

from letrade_agent.back_off import back_off
from letrade_agent.filters.copies import Copy, DeadLetter, RetryCopy
from letrade_agent.filters.verdicts import Delivery, Held
from letrade_agent.hand_over.hand_overs import HandingOver, HandOvers
from letrade_agent.log import Log
from letrade_agent.measures import Measures
from letrade_agent.retry.intake import DeliveryPlace, Intake
from letrade_agent.retry.routing import Routing
from letrade_agent.tracing.recorder import Recorder
from letrade_agent.transport.leg import LegLost
from letrade_agent.upstream.broken import UpstreamBroken, from_error
from letrade_agent.upstream.upstream import Upstream
from letrade_topo.amqp.faults import AmqpFault, readable

BEAT_SECONDS: Final = 0.5
"""Heartbeats of one second, the shortest there are, need two a second."""


class _Taken:
    """A message that is not acknowledged yet."""

    __slots__ = ("delivery", "entry", "held_until")

    def __init__(self, delivery: Delivery) -> None:
        self.delivery = delivery
        self.entry: HandingOver | None = None
        self.held_until: float | None = None


class Router:
    """Routes the rejected messages of one service.

    Args:
        upstream: where its connections come from, and the limits.
        routing: decides; replaced by `switch`.
        dead_letters: where dead letters are handed over; its owner ticks and closes it.
        service: for the names of its connections at the broker.
        measures: counts.
        log: level, event, particulars.
        now: seconds since the epoch.
        monotonic: seconds.
        jitter: a number between its two arguments.
        recorder: traces what is retried; None: nothing is traced.
    """

    def __init__(
        self,
        upstream: Upstream,
        routing: Routing,
        dead_letters: HandOvers,
        *,
        service: str,
        measures: Measures,
        log: Log,
        now: Callable[[], float],
        monotonic: Callable[[], float],
        jitter: Callable[[float, float], float] = random.uniform,
        recorder: Recorder | None = None,
    ) -> None:
        self._upstream = upstream
        self._limits = upstream.limits.retry
        self._routing = routing
        self._dead_letters = dead_letters
        self._retries = HandOvers(
            upstream,
            service=service,
            what="retry copies",
            measures=measures,
            log=log,
            monotonic=monotonic,
            limits=upstream.limits.hand_over,
            recorder=recorder,
        )
        self._service = service
        self._measures = measures
        self._log = log
        self._now = now
        self._monotonic = monotonic
        self._jitter = jitter
        self._intake: Intake | None = None
        self._taken: dict[DeliveryPlace, _Taken] = {}
        self._unusable: set[str] = set()
        self._is_failing = False
        self._is_stopping = False
        self._idle = asyncio.Event()
        self._wanted = asyncio.Event()
        self._note_wanted()

    @property
    def unacknowledged(self) -> int:
        """Messages that were taken and are not acknowledged."""
        return len(self._taken)

    def switch(self, routing: Routing) -> None:
        """Decide by another topology or other keys from now on."""
        self._routing = routing
        self._note_wanted()
        if self._intake is not None:
            self._intake.consume(routing.queues)
        self._look_again()

    async def run(self) -> None:
        """Route, until it is cancelled."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._beat())
            await self._route()

    async def _beat(self) -> None:
        while True:
            await asyncio.sleep(BEAT_SECONDS)
            self.tick(self._monotonic())

    async def _route(self) -> None:
        failures = 0
        while not self._is_stopping:
            await self._wanted.wait()
            try:
                intake = await Intake.open(self._upstream, self._service, self)
            except (UpstreamBroken, AmqpFault, LegLost, OSError, TimeoutError) as error:
                broken = error if isinstance(error, UpstreamBroken) else from_error(error)
                failures += 1
                self._failing(str(broken))
                await asyncio.sleep(self._back_off(failures))
                continue
            failures = 0
            self._intake = intake
            intake.consume(self._routing.queues)
            try:
                problem = await intake.until_lost()
            finally:
                self._intake = None
                intake.close()
            if self._is_stopping:
                break
            self._failing(problem)
            await asyncio.sleep(self._back_off(0))

    def tick(self, now: float) -> None:
        """Every `BEAT_SECONDS`: heartbeats, what is due again.

        Args:
            now: seconds by the monotonic clock.
        """
        if self._intake is not None:
            self._intake.tick(now)
        self._retries.tick(now)
        self._look_again()

    async def finish(self) -> None:
        """Take nothing more, let what is under way be confirmed and acknowledged, then close."""
        self._is_stopping = True
        intake = self._intake
        if intake is not None:
            intake.stop()
            self._note_idle()
            try:
                async with asyncio.timeout(self._limits.finish_seconds):
                    await self._idle.wait()
            except TimeoutError:
                pass  # the broker has them, and the next router gets them
            intake.close()
        await self._retries.close()

    # What the intake says.

    def delivered(self, place: DeliveryPlace, delivery: Delivery) -> None:
        """A rejected message."""
        taken = self._taken[place] = _Taken(delivery)
        self._idle.clear()
        self._judge(place, taken)

    def taken_back(self, queue: str) -> None:
        """The broker has what was not acknowledged; copies that are not published yet would be doubles."""
        self._note_consuming(queue, consuming=False)
        for place in [place for place in self._taken if place.queue == queue]:
            entry = self._taken.pop(place).entry
            if entry is not None:
                self._of(entry.copy).abandon(entry)
        self._note_idle()

    def consuming(self, queue: str) -> None:
        """Messages of a queue come from now on."""
        self._note_consuming(queue, consuming=True)
        self._unusable.discard(queue)
        self._is_failing = False
        self._log("info", "router_consumes", {"queue": queue})

    def unusable(self, queue: str, problem: str) -> None:
        """The rejected messages of a queue cannot be read for now."""
        if queue not in self._unusable:
            self._unusable.add(queue)
            self._log("error", "router_cannot_consume", {"queue": queue, "problem": problem})

    # Messages.

    def _judge(self, place: DeliveryPlace, taken: _Taken, largest_header: int | None = None) -> None:
        now, delivery = self._now(), taken.delivery
        may_hold = taken.held_until is None or now < taken.held_until
        try:
            judged = self._routing.judge(delivery, now, may_hold=may_hold, largest_header=largest_header)
        except Exception as error:  # noqa: BLE001  # one message must not keep all others from being routed
            self._measures.internal_errors["router"] += 1
            self._log("error", "this_is_a_bug", {"job": "routing", "queue": place.queue, "problem": repr(error)})
            return
        if isinstance(judged, Held):
            if taken.held_until is None:
                taken.held_until = now + judged.until_over
            return
        taken.held_until = None
        confirmed, too_long = partial(self._handed_over, place), partial(self._too_long, place)
        taken.entry = self._of(judged).submit(judged, confirmed, too_long if isinstance(judged, RetryCopy) else None)

    def _too_long(self, place: DeliveryPlace, largest_header: int) -> None:
        """The connection that its copy is for has smaller frames than the one that it came over."""
        taken = self._taken.get(place)
        if taken is not None:
            taken.entry = None
            self._judge(place, taken, largest_header)

    def _handed_over(self, place: DeliveryPlace) -> None:
        taken = self._taken.pop(place, None)
        if taken is None or taken.entry is None:
            return
        if self._intake is not None:
            self._intake.acknowledge(place)
        self._tell(taken.entry.copy)
        self._note_idle()

    def _look_again(self) -> None:
        """What waits for keys."""
        for place, taken in list(self._taken.items()):
            if taken.entry is None:
                self._judge(place, taken)

    def _of(self, copy: Copy) -> HandOvers:
        return self._dead_letters if isinstance(copy, DeadLetter) else self._retries

    def _tell(self, copy: Copy) -> None:
        about: dict[str, object] = {"queue": copy.queue, "routing_key": readable(copy.routing_key)}
        if isinstance(copy, DeadLetter):
            self._log("warning", "dead_lettered", {"reason": copy.reason, "text": copy.detail, **about})
        else:
            self._log("info", "retried", {"cause": copy.reason, "step": copy.step, **about})

    def _note_idle(self) -> None:
        if all(taken.entry is None for taken in self._taken.values()):
            self._idle.set()

    def _note_consuming(self, queue: str, *, consuming: bool) -> None:
        if queue in self._measures.router_consuming:
            self._measures.router_consuming[queue] = consuming

    def _note_wanted(self) -> None:
        """A service without rejected messages needs no connection."""
        before = self._measures.router_consuming
        self._measures.router_consuming = {queue: before.get(queue, False) for queue in self._routing.queues}
        if self._routing.queues:
            self._wanted.set()
        else:
            self._wanted.clear()

    def _failing(self, problem: str) -> None:
        if not self._is_failing:
            self._is_failing = True
            self._log("error", "router_lost_broker", {"problem": problem})

    def _back_off(self, failures: int) -> float:
        seconds = back_off(self._limits.first_redial_seconds, failures, self._limits.longest_redial_seconds)
        return self._jitter(seconds / 2, seconds)
