"""SIGTERM while clients publish with confirms: they go on, each message is answered, and the agent ends in time."""

from __future__ import annotations

import signal
import time
from dataclasses import dataclass
from functools import partial

from bench.agents.client import BenchClient, OtherSideClosed
from tests.agents import RunningAgent
from tests.soak.agents.ends import LoadPublisher
from tests.soak.agents.world import DEAD, EXCHANGE, KEY, LIMIT_SECONDS, QUEUE, CampaignWorld, order, until
from tests.soak.conftest import Summarise

CLIENTS = 3
"""Of each of two agents."""
BEFORE = 200
"""Confirmed messages of each client before SIGTERM; as many again during the drain."""
WINDOW = 100
LEAVE_SECONDS, STAY_SECONDS = 60, 12
"""Drain timeouts. Clients that leave do so long before theirs; who stays has to be able to publish until it is over,
also where the machine does nothing for some seconds."""
GRACE_SECONDS = 20
"""Within which an agent ends after its drain timeout; Kubernetes' default leaves 5 s, on a machine with time for it."""


@dataclass(frozen=True, slots=True)
class Drained:
    """An agent with clients that publish as fast as they can, each on one connection.

    Args:
        shop: the agent.
        publishers: the clients, by the number that makes theirs unique.
    """

    shop: RunningAgent
    publishers: dict[int, LoadPublisher]

    @property
    def fewest(self) -> int:
        """Messages confirmed to the slowest client."""
        return min(one.confirmed.different for one in self.publishers.values())

    @property
    def confirmed(self) -> set[int]:
        """The unique numbers of all confirmed messages."""
        return {_unique(number, index) for index, one in self.publishers.items() for number in one.confirmed.numbers()}

    @property
    def refused(self) -> int:
        """Messages that were nacked."""
        return sum(one.refused.total for one in self.publishers.values())

    @property
    def unanswered(self) -> int:
        """Messages that had no answer when the close came."""
        return sum(len(one.unanswered) for one in self.publishers.values())


def test_drain_under_load(world: CampaignWorld, summarise: Summarise) -> None:
    """Clients that leave have every answer; those that stay get 320; what was confirmed, and only that, is published.

    With clients that stay, the agent answers what it has read, and takes no more: what a client had in flight when
    the close came, it knows to be unanswered.
    """
    leaving = _begun(world, range(CLIENTS), LEAVE_SECONDS)
    staying = _begun(world, range(CLIENTS, 2 * CLIENTS), STAY_SECONDS)
    both = (leaving, staying)
    consumer = world.consumer(world.agent("clerk"))
    until(lambda: all(one.fewest >= BEFORE for one in both), "messages flow")
    began = time.monotonic()
    for one in both:
        one.shop.signal(signal.SIGTERM)
    until(lambda: not any(_lets_in(world, one.shop) for one in both), "no further client is let in")
    marks = [(one, one.fewest + BEFORE) for one in both]
    until(lambda: all(one.fewest >= mark for one, mark in marks), "publishing goes on")
    seconds = []
    for publisher in leaving.publishers.values():
        publisher.finish()
    for one, limit in ((leaving, LEAVE_SECONDS), (staying, STAY_SECONDS + GRACE_SECONDS)):
        for publisher in one.publishers.values():
            publisher.wait()
        assert one.shop.wait(LIMIT_SECONDS) == 0
        seconds.append(time.monotonic() - began)
        assert seconds[-1] < limit

    confirmed = leaving.confirmed | staying.confirmed
    until(lambda: all(number in consumer.seen for number in confirmed), "what was confirmed has come")
    consumer.finish()
    consumer.wait()
    assert world.is_empty(QUEUE, DEAD)
    assert consumer.seen.total == consumer.seen.different == len(confirmed), "published: just what was confirmed"
    assert (leaving.refused, leaving.unanswered) == (0, 0)
    assert [dict(one.ends) for one in leaving.publishers.values()] == [{}] * CLIENTS
    assert [dict(one.ends) for one in staying.publishers.values()] == [{"320": 1}] * CLIENTS
    for name, one, spent in zip(("leave", "stay"), both, seconds, strict=True):
        summarise(
            "SIGTERM while publishing",
            world.broker.version,
            f"{CLIENTS} clients that {name}: {len(one.confirmed)} confirmed, all consumed; {one.refused} refused and"
            f" {one.unanswered} unanswered at the end, none of them published; exit code 0 after {spent:.1f} s",
        )


def _begun(world: CampaignWorld, indexes: range, drain_seconds: int) -> Drained:
    shop = world.agent("shop", "--drain-timeout", f"{drain_seconds}s")
    return Drained(
        shop,
        {
            index: world.begun(
                LoadPublisher(
                    world.target(shop),
                    EXCHANGE,
                    KEY,
                    partial(_body, index),
                    rate=None,
                    window=WINDOW,
                    reconnects=False,
                )
            )
            for index in indexes
        },
    )


def _body(index: int, number: int) -> bytes:
    return order(_unique(number, index))


def _unique(number: int, index: int) -> int:
    return number * 2 * CLIENTS + index


def _lets_in(world: CampaignWorld, shop: RunningAgent) -> bool:
    try:
        BenchClient(world.target(shop)).close()
    except (OSError, OtherSideClosed):
        return False
    return True
