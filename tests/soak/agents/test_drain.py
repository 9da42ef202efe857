"""SIGTERM while clients publish with confirms: they go on, each message is answered, and the agent ends in time."""

from __future__ import annotations

import signal
import time
from functools import partial

import pytest

from bench.agents.client import Ended, RawClient
from tests.agents import RunningAgent
from tests.soak.agents.ends import Publisher
from tests.soak.agents.world import EXCHANGE, KEY, LIMIT_SECONDS, QUEUE, World, order, until
from tests.soak.conftest import Summarise

CLIENTS = 3
BEFORE = 300
"""Confirmed messages of each client before SIGTERM; as many again during the drain."""
WINDOW = 100
DRAIN_SECONDS = 3
GRACE_SECONDS = DRAIN_SECONDS + 5
"""Kubernetes' default is 30 s, the agent's drain 25 s of it."""


@pytest.mark.parametrize("leaves", [True, False], ids=["the clients leave", "the clients stay"])
def test_drain_under_load(leaves: bool, world: World, summarise: Summarise) -> None:
    """Who leaves has every answer; who stays gets 320 at the end, and what was confirmed is in the queue.

    With clients that stay, the agent answers what it has read, and takes no more: what a client had in flight when
    the close came, it knows to be unanswered, and none of that was published.
    """
    shop, clerk = world.agent("shop", "--drain-timeout", f"{DRAIN_SECONDS}s"), world.agent("clerk")
    consumer = world.consumer(clerk)
    publishers = [_numbered(world, shop, index) for index in range(CLIENTS)]
    until(lambda: min(one.confirmed.different for one in publishers) >= BEFORE, "messages flow")
    shop.signal(signal.SIGTERM)
    began = time.monotonic()
    until(lambda: not _lets_in(world, shop), "no further client is let in")
    marks = [(one, one.confirmed.different + BEFORE) for one in publishers]
    until(lambda: all(one.confirmed.different >= mark for one, mark in marks), "publishing goes on", DRAIN_SECONDS)
    if leaves:
        for one in publishers:
            one.finish()
    for one in publishers:
        one.wait()
    code = shop.wait(LIMIT_SECONDS)
    seconds = time.monotonic() - began
    assert code == 0
    assert seconds < (DRAIN_SECONDS if leaves else GRACE_SECONDS)

    confirmed = {_unique(number, index) for index, one in enumerate(publishers) for number in one.confirmed.numbers()}
    until(lambda: all(number in consumer.seen for number in confirmed), "what was confirmed has come")
    until(lambda: world.waiting(QUEUE) == 0, "the queue is empty")
    consumer.finish()
    consumer.wait()
    refused = sum(one.refused.total for one in publishers)
    unanswered = sum(len(one.unanswered) for one in publishers)
    assert consumer.seen.total == consumer.seen.different == len(confirmed), "published: just what was confirmed"
    if leaves:
        assert (refused, unanswered) == (0, 0)
        assert not any(one.ends for one in publishers)
    else:
        assert [dict(one.ends) for one in publishers] == [{"320": 1}] * CLIENTS
    summarise(
        "SIGTERM while publishing",
        world.broker.version,
        f"{CLIENTS} clients that {'leave' if leaves else 'stay'}: {len(confirmed)} confirmed, all consumed; {refused}"
        f" refused and {unanswered} unanswered at the 320, none of them published; exit code 0 after {seconds:.1f} s",
    )


def _numbered(world: World, shop: RunningAgent, index: int) -> Publisher:
    """A publisher on one connection, as fast as it can; its messages have numbers of their own."""
    body = partial(_body, index)
    return world.begun(Publisher(world.target(shop), EXCHANGE, KEY, body, rate=None, window=WINDOW, reconnects=False))


def _body(index: int, number: int) -> bytes:
    return order(_unique(number, index))


def _unique(number: int, index: int) -> int:
    return number * CLIENTS + index


def _lets_in(world: World, shop: RunningAgent) -> bool:
    try:
        RawClient(world.target(shop)).close()
    except (OSError, Ended):
        return False
    return True
