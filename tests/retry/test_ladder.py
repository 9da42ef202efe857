"""What a service rejects comes back to its queue alone, as often and as late as the policy says, then it is dead."""

from __future__ import annotations

import time
from collections import Counter
from datetime import datetime

import pytest

from letrade_topo.keys import base64url
from letrade_topo.keys.claims import HopClaims, parse_hop_claims
from letrade_topo.keys.jws import Compact, parse_compact
from tests.retry.world import (
    EXCHANGE,
    LIMIT_SECONDS,
    Contract,
    RetryConsumer,
    RetryWorld,
    Seen,
    agent_parameters,
    always,
    never,
    pika_connection,
    until,
)

TOLERANCE = 0.2
EARLIEST = 1 - TOLERANCE
# A moment in which the machine does nothing hits some of them, not all.
IN_REAL_TIME = 4
DELIVERY_LIMIT = 20


@pytest.fixture(autouse=True)
def _in_real_time(world: RetryWorld) -> None:
    """The messages of the last test begin their 35 s with the first tests: other queues do not disturb them."""
    if world.contract is None:
        world.contract = Contract(world.consumer("clerk.contract", never))
    published = world.contract.published
    if len(published) < IN_REAL_TIME:
        began = time.time()
        published[world.publish("commands.execute_trade", len(published))] = began


def claims_of(letter: dict[str, object]) -> HopClaims:
    """What its hop token says."""
    properties = letter["properties"]
    assert isinstance(properties, dict)
    compact = parse_compact(properties["headers"]["letrade-hop"].encode())
    assert isinstance(compact, Compact)
    claims = parse_hop_claims(compact.payload)
    assert isinstance(claims, HopClaims)
    return claims


def since_first(seen: list[Seen]) -> list[float]:
    """Seconds of each delivery since the first."""
    return [one.at - seen[0].at for one in seen]


def test_what_is_accepted_later_is_done_with(world: RetryWorld) -> None:
    """A service that was down for a moment: the second attempt is taken, and nothing is left anywhere."""
    with world.consuming("clerk.orders", lambda seen: seen.attempt > 1) as service:
        message = world.publish("order.placed")
        until(lambda: message in service.accepted, "it is accepted")
    seen = service.of(message)
    assert [one.attempt for one in seen] == [0, 1, 2]
    assert all(one.body == seen[0].body for one in seen)
    second, third = since_first(seen)[1:]
    assert second >= EARLIEST * 0.2
    assert third - second >= EARLIEST * 0.4


def test_only_the_queue_that_rejected_it_sees_it_again(world: RetryWorld) -> None:
    """Two queues bound to one key: a retry is no second publish."""
    with world.consuming("clerk.orders", never) as rejecting, world.consuming("audit.orders", always) as other:
        message = world.publish("order.placed")
        letter = world.dead(message)
    assert [one.attempt for one in rejecting.of(message)] == [0, 1, 2, 3]
    assert [one.attempt for one in other.of(message)] == [0]
    assert claims_of(letter).queue == "clerk.orders"


def test_a_wildcard_queue_keeps_the_original_key(world: RetryWorld) -> None:
    """The key that it was published with, not the one it was bound with, on every attempt and when it is dead."""
    with world.consuming("clerk.changes", never) as service:
        messages = {world.publish(f"order.{name}.changed"): name for name in ("a17", "b18")}
        letters = {name: world.dead(message) for message, name in messages.items()}
    for message, name in messages.items():
        assert {one.routing_key for one in service.of(message)} == {f"order.{name}.changed"}
        assert letters[name]["routing_key"] == f"order.{name}.changed.dead"


def test_a_long_delay_does_not_hold_up_a_short_one(world: RetryWorld) -> None:
    """No head-of-line blocking: while one waits its 6 s, another comes back after 0.3."""
    messages: list[str] = []
    with world.consuming("clerk.ladder", lambda seen: seen.attempt > 1) as service:

        def comes_back_meanwhile() -> bool:
            first, second = (publish_and_wait(world, service) for _ in range(2))
            messages.extend((first, second))
            return len(service.of(first)) == 2

        # again where the machine did nothing for most of the long way
        assert any(comes_back_meanwhile() for _ in range(3)), "the long delay was over before the short one"
        until(lambda: set(messages) <= set(service.accepted), "all are accepted")
    for message in messages:
        at = since_first(service.of(message))
        assert at[2] - at[1] >= EARLIEST * 6


def publish_and_wait(world: RetryWorld, service: RetryConsumer) -> str:
    """A message that came back from the first step of `clerk.ladder`, and is on its long way."""
    message = world.publish("order.ladder")
    until(lambda: len(service.of(message)) >= 2, "it is on its long way")
    return message


def test_without_retries_it_is_dead_at_once(world: RetryWorld) -> None:
    """`retry: none`: its one delivery, then the dead letters."""
    with world.consuming("clerk.strict", never) as service:
        message = world.publish("order.strict")
        letter = world.dead(message)
    assert len(service.of(message)) == 1
    assert letter["properties"]["headers"]["letrade-attempt"] == 0
    assert claims_of(letter).reason == "rejected"


def test_what_expires_comes_back_once(world: RetryWorld) -> None:
    """A death of the broker's own enters the ladder once; nobody consumes, so it expires again, and is dead."""
    message = world.publish("order.brief")
    letter = world.dead(message)
    headers = letter["properties"]["headers"]
    assert (headers["letrade-reason"], headers["letrade-attempt"]) == ("expired", 1)
    assert letter["routing_key"] == "order.brief.dead"


def test_what_is_delivered_too_often_comes_back_once(world: RetryWorld) -> None:
    """The delivery limit is a death of the broker's own, too: a second time it is dead, two retries early."""
    parameters = agent_parameters(world.agents["clerk"])
    seen: Counter[int] = Counter()
    message = world.publish("order.placed")
    with pika_connection(parameters) as connection:
        channel = connection.channel()
        for method, properties, _ in channel.consume("clerk.orders", inactivity_timeout=LIMIT_SECONDS):
            assert method is not None, f"deliveries by attempt: {seen}"
            attempt = (properties.headers or {}).get("letrade-attempt", 0)
            seen[attempt] += 1
            channel.basic_reject(method.delivery_tag, requeue=True)
            if seen[1] > DELIVERY_LIMIT:
                break
    letter = world.dead(message)
    assert seen == {0: DELIVERY_LIMIT + 1, 1: DELIVERY_LIMIT + 1}
    headers = letter["properties"]["headers"]
    assert (headers["letrade-reason"], headers["letrade-attempt"]) == ("delivery_limit", 1)


def test_metrics_say_how_many_came_back_and_died(world: RetryWorld) -> None:
    """Retries by attempt, dead letters by reason, known queues at 0 from the start."""
    agent = world.agents["clerk"]
    assert 'letrade_agent_retries_total{attempt="2",queue="clerk.ladder"}' in agent.admin("/metrics").text
    before = {step: agent.metric("retries_total", queue="clerk.orders", attempt=step) for step in "123"}
    dead = agent.metric("dead_letters_total", queue="clerk.orders", reason="rejected")
    with world.consuming("clerk.orders", never):
        world.dead(world.publish("order.placed"))
    until(
        lambda: agent.metric("dead_letters_total", queue="clerk.orders", reason="rejected") == dead + 1, "it is counted"
    )
    expected = {step: count + 1 for step, count in before.items()}

    def after() -> dict[str, float]:
        return {step: agent.metric("retries_total", queue="clerk.orders", attempt=step) for step in "123"}

    until(lambda: after() == expected, "each retry is counted")  # over another connection than the dead letter
    assert agent.metric("hand_over_duration_seconds_count") > 0
    until(
        lambda: agent.metric("queue_messages", queue="clerk.orders.rejected", state="ready") == 0,
        "its rejected ones are counted when the router has them",
    )


def test_the_contracts_policy_in_real_time(world: RetryWorld) -> None:
    """C7: 5, 10 and 20 s after each rejection, then among the dead letters with everything that a person needs."""
    assert world.contract is not None
    service, published = world.contract.service, world.contract.published
    letters = {message: world.dead(message, 100) for message in published}
    found = [since_first(service.of(message)) for message in published]
    for expected, *times in zip((0, 5, 15, 35), *found, strict=True):
        assert EARLIEST * expected <= min(times) <= (1 + TOLERANCE) * expected
    message, began = min(published.items(), key=lambda item: since_first(service.of(item[0]))[-1])
    letter, seen = letters[message], service.of(message)
    assert [one.attempt for one in seen] == [0, 1, 2, 3]
    assert {(one.exchange, one.routing_key) for one in seen} == {(EXCHANGE, "commands.execute_trade")}
    assert (letter["exchange"], letter["routing_key"]) == ("letrade.dlq", "commands.execute_trade.dead")
    assert letter["payload"].encode() == seen[0].body
    headers = letter["properties"]["headers"]
    assert (headers["letrade-reason"], headers["letrade-attempt"]) == ("rejected", 3)
    to = (EXCHANGE.encode(), b"commands.execute_trade")
    assert headers["letrade-to"] == ".".join(base64url.encode(one).decode() for one in to)
    hop = claims_of(letter)
    assert (hop.attempt, hop.queue, hop.reason) == (3, "clerk.contract", "rejected")
    assert (hop.exchange, hop.routing_key) == (EXCHANGE, "commands.execute_trade")
    assert int(began) <= hop.first_failure <= began + LIMIT_SECONDS
    assert hop.issued_at - hop.first_failure == pytest.approx(35, rel=TOLERANCE)
    assert datetime.fromtimestamp(hop.first_failure).year >= 2024
