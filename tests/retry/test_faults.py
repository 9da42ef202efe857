"""What goes wrong on the way: forged headers, things deleted by hand, processes killed. Nothing is lost."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.retry.test_ladder import claims_of
from tests.retry.world import EXCHANGE, RetryWorld, Seen, always, never, pika_connection, until

CRASHES = 10
ROUTER_CRASHES = 25
"""More than the delivery limit of 20, which consumer queues have."""
INNOCENT = 50
CROWD = Path(__file__).with_name("crashing.py")

FORGED_DEATHS = [
    {"queue": queue, "reason": reason, "count": 99, "exchange": "x", "routing-keys": ["forged"], "time": 1}
    for queue, reason in (("till.orders", "rejected"), ("till.orders.rejected", "rejected"), ("till.orders", "expired"))
]
FORGED = {
    "x-death": FORGED_DEATHS,
    "x-first-death-queue": "till.orders",
    "x-last-death-reason": "expired",
    "x-delivery-count": 99,
    "letrade-attempt": 3,
    "letrade-reason": "forged",
    "letrade-hop": "a.b.c",
}


def attempts(seen: list[Seen]) -> list[int]:
    """The attempts of deliveries, in order."""
    return [one.attempt for one in seen]


def test_a_consumer_without_an_agent_and_the_router_beside_it(world: RetryWorld) -> None:
    """`letrade-agent route`: the same ladder; what was published where is readable in `letrade-to`."""
    with world.agent("till", subcommand="route") as router:
        assert router.admin("/readyz").status_code == 200
        with world.consuming("till.orders", never, straight=True) as service:
            message = world.publish("order.till")
            letter = world.dead(message)
        seen = service.of(message)
        assert attempts(seen) == [0, 1, 2, 3]
        assert len({one.headers["letrade-to"] for one in seen}) == 1
        assert len({one.headers["letrade-jws"] for one in seen}) == 1
        assert letter["routing_key"] == "order.till.dead"
        until(lambda: router.metric("dead_letters_total", queue="till.orders", reason="rejected") == 1, "it is counted")
        assert router.stop() == 0


@pytest.mark.one_version
def test_a_router_that_crashes_again_and_again(world: RetryWorld) -> None:
    """Without one, what is rejected waits; however often one takes it and dies, all of it is there for the next."""
    with world.consuming("till.orders", never, straight=True) as service:
        messages = world.publish_all([("order.till", number) for number in range(3)])
        until(lambda: all(service.of(message) for message in messages), "all are rejected")
    with pika_connection(world.straight("till")) as connection:
        for _ in range(ROUTER_CRASHES):
            channel = connection.channel()
            for _ in messages:
                until(lambda: channel.basic_get("till.orders.rejected")[0], "it is there again")  # noqa: B023  # asked at once
            channel.close()
    with (
        world.agent("till", subcommand="route"),
        world.consuming("till.orders", lambda seen: seen.attempt > 0, straight=True) as service,
    ):
        until(lambda: set(messages) <= set(service.accepted), "all come back")
    assert [attempts(service.of(message)) for message in messages] == [[1]] * len(messages)


@pytest.mark.one_version
def test_forged_headers_change_nothing_for_a_client_of_an_agent(world: RetryWorld) -> None:
    """S4: its own agent strips them; the message has its full ladder."""
    with world.consuming("clerk.orders", never) as service:
        message = world.publish("order.placed", headers={**FORGED, "mine": "stays"})
        letter = world.dead(message)
    assert attempts(service.of(message)) == [0, 1, 2, 3]
    assert all(one.headers["mine"] == "stays" for one in service.of(message))
    assert claims_of(letter).attempt == 3


def test_forged_headers_past_all_agents_do_not_change_the_attempts(world: RetryWorld) -> None:
    """An honest message, caught, goes straight to the broker again: forged records on it, or another message's hop."""
    with (
        world.agent("till", subcommand="route"),
        world.consuming("till.orders", never, straight=True) as service,
        pika_connection(world.straight()) as connection,
    ):
        channel = connection.channel()
        message, _, _ = world.tapped(channel, "order.till")
        world.dead(message)
        assert attempts(service.of(message)) == [0, 1, 2, 3]
        hop_of_another = service.of(message)[3].headers["letrade-hop"]
        caught, properties, body = world.tapped(channel, "order.till")
        world.dead(caught)
        honest = dict(properties.headers)
        for number, more in enumerate(({}, {"letrade-hop": hop_of_another}), start=1):
            world.found.pop(caught)
            properties.headers = {**honest, **FORGED, **more}
            channel.basic_publish(EXCHANGE, "order.till", body, properties)
            letter = world.dead(caught)
            # the first one shows what it was sent with: no agent, no checks
            assert attempts(service.of(caught)[4 * number :])[1:] == [1, 2, 3]
            assert claims_of(letter).attempt == 3
            assert letter["routing_key"] == "order.till.dead"


@pytest.fixture
def small_frames(world: RetryWorld) -> Iterator[None]:
    """Connections that are made meanwhile have frames of 8,192 bytes, the smallest that RabbitMQ 4.1 takes."""
    before = world.broker.ctl("eval", "{ok, Size} = application:get_env(rabbit, frame_max), Size.").strip()
    world.broker.ctl("eval", "application:set_env(rabbit, frame_max, 8192).")
    yield
    world.broker.ctl("eval", f"application:set_env(rabbit, frame_max, {before}).")


@pytest.mark.usefixtures("small_frames")
def test_what_has_no_room_for_its_hop_is_a_dead_letter_of_the_size_that_was_agreed(world: RetryWorld) -> None:
    """Its header fits into a frame as it comes, and not with what a copy says: it goes, without its own headers.

    The other one fits, and with what the broker notes on it each time does not: the broker sends it nevertheless.
    """
    with world.agent("till", subcommand="route") as router:
        with world.consuming("till.orders", never, straight=True) as service:
            full, grown = (world.publish("order.till", headers={"stack": "x" * size}) for size in (7_000, 6_500))
            letters = world.dead(full), world.dead(grown)
        assert [attempts(service.of(message)) for message in (full, grown)] == [[0], [0, 1, 2, 3]]
        assert ["stack" in letter["properties"]["headers"] for letter in letters] == [False, True]
        assert router.metric("hand_over_failures_total") == 0
        assert not [line for line in router.log() if line.get("event") == "router_lost_broker"]
        assert router.stop() == 0


def test_a_delay_queue_deleted_by_hand(world: RetryWorld) -> None:
    """Nothing is lost and no other queue waits; there is a metric; when it is back, so is the message."""
    agent = world.agents["clerk"]
    failures = agent.metric("hand_over_failures_total")
    assert world.broker.api("DELETE", f"/api/queues/{world.vhost}/clerk.frail.retry.1").status_code == 204
    with (
        world.consuming("clerk.frail", lambda seen: seen.attempt > 0) as frail,
        world.consuming("clerk.orders", lambda seen: seen.attempt > 0) as orders,
    ):
        stuck = world.publish("order.frail")
        until(lambda: agent.metric("hand_over_failures_total") > failures, "the failure is counted")
        until(lambda: agent.metric("hand_overs_in_flight") == 1, "it is still to be handed over")
        free = world.publish("order.placed")
        until(lambda: free in orders.accepted, "another queue's message comes back meanwhile")
        world.tool.run("apply", "--yes").check(0)
        until(lambda: stuck in frail.accepted, "it comes back when its delay queue is there")
    assert attempts(frail.of(stuck)) == [0, 1]
    assert [line for line in agent.log() if line.get("event") == "hand_over_fails"]


def test_the_dead_letter_exchange_deleted_by_hand(world: RetryWorld) -> None:
    """Retries go on; what is dead waits in `<queue>.rejected` until the exchange is back."""
    agent = world.agents["clerk"]
    failures = agent.metric("hand_over_failures_total")
    assert world.broker.api("DELETE", f"/api/exchanges/{world.vhost}/letrade.dlq").status_code == 204
    with (
        world.consuming("clerk.strict", never) as strict,
        world.consuming("clerk.orders", lambda seen: seen.attempt > 0) as orders,
    ):
        stuck = [world.publish("order.strict", number) for number in range(3)]
        until(lambda: agent.metric("hand_over_failures_total") > failures, "the failure is counted")
        free = world.publish("order.placed")
        until(lambda: free in orders.accepted, "a retry of another queue")
        until(lambda: world.depth("clerk.strict.rejected") == 3, "they stay where they were, unacknowledged")
        world.tool.run("apply", "--yes").check(0)
        letters = [world.dead(message) for message in stuck]
    assert {letter["routing_key"] for letter in letters} == {"order.strict.dead"}
    assert [len(strict.of(message)) for message in stuck] == [1, 1, 1]
    until(lambda: world.depth("clerk.strict.rejected") == 0, "they are acknowledged")


@pytest.mark.one_version
def test_the_retry_exchange_deleted_by_hand(world: RetryWorld) -> None:
    """The router's publishes fail and are tried again; the message comes back when the exchange has."""
    agent = world.agents["clerk"]
    failures = agent.metric("hand_over_failures_total")
    with pika_connection(world.straight()) as connection:
        channel = connection.channel()
        message, properties, body = world.tapped(channel, "order.frail")
        assert world.broker.api("DELETE", f"/api/exchanges/{world.vhost}/letrade.retry").status_code == 204
        # The broker's own way to the rejected messages is gone as well, and opens again only minutes later.
        channel.basic_publish("", "clerk.frail.rejected", body, properties)
    until(lambda: agent.metric("hand_over_failures_total") > failures, "the failure is counted")
    world.tool.run("apply", "--yes").check(0)
    with world.consuming("clerk.frail", always) as service:
        until(lambda: sorted(attempts(service.of(message))) == [0, 1], "it comes back, beside the one that waited")


@pytest.mark.one_version
def test_a_rejected_queue_deleted_by_hand(world: RetryWorld) -> None:
    """The router takes it up again when it is back, and the other queues never noticed."""
    agent = world.agents["clerk"]
    until(lambda: agent.metric("router_consuming", queue="clerk.frail") == 1, "the router consumes")
    assert world.broker.api("DELETE", f"/api/queues/{world.vhost}/clerk.frail.rejected").status_code == 204
    until(lambda: [line for line in agent.log() if line.get("event") == "router_cannot_consume"], "the router says so")
    assert agent.metric("router_consuming", queue="clerk.frail") == 0
    with world.consuming("clerk.orders", lambda seen: seen.attempt > 0) as orders:
        free = world.publish("order.placed")
        until(lambda: free in orders.accepted, "a retry of another queue")
    world.tool.run("apply", "--yes").check(0)
    with world.consuming("clerk.frail", lambda seen: seen.attempt > 0) as frail:
        message = world.publish("order.frail")
        until(lambda: message in frail.accepted, "a retry of the queue itself")
    assert agent.metric("router_consuming", queue="clerk.frail") == 1


def test_one_poison_message_and_fifty_innocents(world: RetryWorld) -> None:
    """Ten crashes with all of them prefetched: under the delivery limit, so nobody is dead-lettered for it."""
    messages = [("order.crowd", number) for number in range(INNOCENT + 1)]
    poison, *innocent = world.publish_all(messages)
    for _ in range(CRASHES):
        process = subprocess.Popen(
            [sys.executable, str(CROWD), world.agents["clerk"].url, "clerk.crowd", str(INNOCENT + 1)],
            stdout=subprocess.PIPE,
        )
        assert process.stdout is not None
        assert process.stdout.readline() == b"all\n"
        process.send_signal(signal.SIGKILL)
        process.wait()
        process.stdout.close()
    with world.consuming("clerk.crowd", lambda seen: seen.message_id != poison) as service:
        until(lambda: set(innocent) <= set(service.accepted), "the innocents are taken")
        letter = world.dead(poison)
    assert attempts(service.of(poison)) == [0, 1]
    assert all(attempts(service.of(message)) == [0] for message in innocent)
    assert claims_of(letter).attempt == 1
    assert not set(innocent) & set(world.look())


@pytest.mark.one_version
def test_the_agent_is_killed_while_it_routes(world: RetryWorld) -> None:
    """SIGKILL between rejection, copy and acknowledgement: every message is taken in the end, doubles are few."""
    count = 60
    with world.agent("till", "--retry", "off") as quiet, world.agent("till", subcommand="route") as first:
        accepted: Counter[str] = Counter()
        service_world = RetryWorld(
            world.broker, world.folder, world.vhost, {**world.agents, "till": quiet}, world.found
        )
        with service_world.consuming("till.orders", lambda seen: seen.attempt > 0) as service:
            messages = world.publish_all([("order.till", number) for number in range(count)])
            until(lambda: first.metric("retries_total", queue="till.orders") > 5, "it routes")
            first.signal(signal.SIGKILL)
            first.wait()
            with world.agent("till", subcommand="route"):
                until(lambda: set(messages) <= set(service.accepted), "all are taken")
                until(lambda: world.under_way("till.orders") == 0, "nothing is left on the way")
        accepted.update(service.accepted)
    doubles = sum(accepted[message] - 1 for message in messages)
    assert set(messages) == set(accepted) & set(messages)
    assert doubles == 0, "the consumer's agent remembers each attempt"
    assert not set(messages) & set(world.look())
