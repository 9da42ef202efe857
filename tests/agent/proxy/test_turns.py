"""Work for one client has a bound in each turn: others are served in between, and nothing is lost or out of order."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise

import pytest
from letrade_agent.relay.relay import Relay

from letrade_topo.amqp.channel_commands import ChannelOpen, ChannelOpenOk
from letrade_topo.amqp.frames import Frame
from tests.agent.proxy.test_connection import content, logged_in
from tests.agent.proxy.world import LIMIT_SECONDS, PATIENT, RunningProxy, broker_settings, running, wait_until
from tests.brokers import RunningBroker

pytestmark = pytest.mark.one_version

FRAMES_A_TURN = 7
SHORT_TURNS = replace(PATIENT, frames_a_turn=FRAMES_A_TURN, frames_a_turn_alone=FRAMES_A_TURN)
MESSAGES = 400


@pytest.fixture
def turns(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many frames of its client each call of a relay had."""
    return _noted(monkeypatch, "from_client")


@pytest.fixture
def turns_of_the_broker(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Likewise, of the broker."""
    return _noted(monkeypatch, "from_upstream")


def _noted(monkeypatch: pytest.MonkeyPatch, name: str) -> list[int]:
    seen: list[int] = []
    take = getattr(Relay, name)

    def noting(relay: Relay, frames: Sequence[Frame]) -> None:
        seen.append(len(frames))
        take(relay, frames)

    monkeypatch.setattr(Relay, name, noting)
    return seen


def _left(proxy: RunningProxy, queue: str) -> int:
    with proxy.pika() as connection:
        return int(connection.channel().queue_declare(queue, passive=True).method.message_count)


def test_a_large_read_is_worked_through_in_turns(broker: RunningBroker, turns: list[int]) -> None:
    """Far more frames than a turn has, in one write, and the client leaves at once: all arrives, in order."""
    settings, limits = broker_settings(broker), SHORT_TURNS
    with running(settings, username=broker.username, limits=limits) as proxy:
        with proxy.pika() as connection:
            queue = connection.channel().queue_declare("proxy-turns", durable=True).method.queue
        with logged_in(proxy.port) as client:
            client.say(ChannelOpen(), 1)
            client.hear(ChannelOpenOk)
            client.send(b"".join(content(queue, b"%d" % number) for number in range(MESSAGES)))
        wait_until("all have arrived", lambda: _left(proxy, queue) == MESSAGES)
        with proxy.pika() as connection:
            channel = connection.channel()
            bodies = [channel.basic_get(queue, auto_ack=True)[2] for _ in range(MESSAGES)]
            channel.queue_delete(queue)

        assert bodies == [b"%d" % number for number in range(MESSAGES)]
        while_it_was_there = turns[: len(turns) - turns[::-1].index(FRAMES_A_TURN)]
        assert while_it_was_there.count(FRAMES_A_TURN) > 10, "the read was cut"


def test_others_have_their_turn_in_between(broker: RunningBroker, turns: list[int]) -> None:
    """What is scheduled while a client's read is worked through does not wait for all of it."""
    settings, limits = broker_settings(broker), SHORT_TURNS
    seen: list[int] = []

    async def look_on() -> None:
        async with asyncio.timeout(LIMIT_SECONDS):
            while sum(turns) < 2 * MESSAGES:
                seen.append(len(turns))
                await asyncio.sleep(0)

    with running(settings, username=broker.username, limits=limits) as proxy, logged_in(proxy.port) as client:
        client.say(ChannelOpen(), 1)
        client.hear(ChannelOpenOk)
        done = proxy.begin(look_on())
        client.send(b"".join(content("nowhere", b"") for _ in range(MESSAGES)))
        done(LIMIT_SECONDS)

    assert max(turns) <= FRAMES_A_TURN
    assert max(after - before for before, after in pairwise(seen)) <= 1, "one turn, and then somebody else"


def test_what_the_broker_delivers_is_worked_through_in_turns(
    broker: RunningBroker, turns_of_the_broker: list[int]
) -> None:
    """A queue full of messages, all of them on offer: they arrive in order, and no turn has more than it may."""
    settings, limits = broker_settings(broker), SHORT_TURNS
    with running(settings, username=broker.username, limits=limits) as proxy, proxy.pika() as connection:
        channel = connection.channel()
        queue = channel.queue_declare("", exclusive=True).method.queue
        channel.confirm_delivery()
        for number in range(MESSAGES // 4):
            channel.basic_publish("", queue, b"%d" % number)
        bodies: list[bytes] = []
        for _, _, body in channel.consume(queue, auto_ack=True, inactivity_timeout=LIMIT_SECONDS):
            bodies.append(body)
            if len(bodies) == MESSAGES // 4:
                break

    assert bodies == [b"%d" % number for number in range(MESSAGES // 4)]
    assert max(turns_of_the_broker) == FRAMES_A_TURN


def test_who_is_alone_has_a_longer_turn(broker: RunningBroker, turns: list[int]) -> None:
    """A turn is as long as `frames_a_turn_alone` says until there is a second connection."""
    longer = 5 * FRAMES_A_TURN
    limits = replace(SHORT_TURNS, frames_a_turn_alone=longer)
    publishes = b"".join(content("nowhere", b"") for _ in range(MESSAGES))
    with (
        running(broker_settings(broker), username=broker.username, limits=limits) as proxy,
        logged_in(proxy.port) as client,
    ):
        client.say(ChannelOpen(), 1)
        client.hear(ChannelOpenOk)
        client.send(publishes)
        wait_until("all were worked through", lambda: sum(turns) > 2 * MESSAGES)
        longest_alone = max(turns)
        turns.clear()
        with logged_in(proxy.port):
            client.send(publishes)
            wait_until("all were worked through again", lambda: sum(turns) >= 2 * MESSAGES)
            longest_of_two = max(turns)

    assert (longest_alone, longest_of_two) == (longer, FRAMES_A_TURN)
