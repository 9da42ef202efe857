"""A queue is migrated, and its consumers beside an agent notice nothing but a pause."""

from __future__ import annotations

from functools import partial

import pytest

from tests.retry.world import pika_connection, until
from tests.staying.migrating import Migration
from tests.staying.world import (
    WAYS,
    AioConsumer,
    BusConsumer,
    Consuming,
    PikaConsumer,
    StayingWorld,
    Way,
)

pytestmark = [pytest.mark.broker, pytest.mark.one_version]  # all: --every-version

LAST = 60


def migration(world: StayingWorld, name: str) -> Migration:
    """Of the queue of that name."""
    return Migration(world, f"clerk.{name}", f"order.{name}")


def consumer(world: StayingWorld, name: str) -> Consuming:
    """The program of that name."""
    queue = f"clerk.{name}"
    match name:
        case "aio":
            return AioConsumer(world.clerk.url, queue).begin()
        case "bus":
            return BusConsumer(world.clerk, world.folder / "topology.yaml", f"order.{name}").begin()
        case _:
            return PikaConsumer(world.clerk.parameters, queue, WAYS[name])


def has_seen(one: Consuming, numbers: range) -> bool:
    """Whether a program has all of these."""
    return set(numbers) <= {seen.number for seen in one.seen}


def waits(world: StayingWorld, queue: str, consumers: int) -> bool:
    """Whether so many consumers wait for a queue."""
    return world.waiting(queue) == consumers


def test_consumers_stay(world: StayingWorld) -> None:
    """row 51: by pika, aio-pika and the bus, one by one and a hundred at once, alone, together, acknowledging or not.

    Each gets every message once and in order, under rising tags, never more than its prefetch, and no cancel.
    """
    names = (*WAYS, "aio", "bus")
    programs = {name: consumer(world, name) for name in names}
    moves = {name: migration(world, name) for name in names}
    for name in names:
        world.publish(name, range(20))
    for name in names:
        until(partial(has_seen, programs[name], range(20)), f"{name} has what was there")
    until(lambda: world.clerk.metric("unsettled_deliveries") == 0, "all is settled")
    for name in names:
        moves[name].begin()
        world.publish(name, range(20, 40))
        moves[name].delete()
    for name in names:
        until(partial(waits, world, f"clerk.{name}", WAYS[name].consumers if name in WAYS else 1), f"{name} waits")
    for name in names:
        moves[name].make(**({"x-single-active-consumer": True} if name == "single" else {}))
        world.publish(name, range(40, 50))
        moves[name].bring_back()
        moves[name].end()
        world.publish(name, range(50, LAST))
    for name in names:
        until(partial(has_seen, programs[name], range(LAST)), f"{name} has all")
    for program in programs.values():
        program.finish()

    for name, program in programs.items():
        assert program.ended == "", name
        assert [seen.tag for seen in program.seen] == list(range(1, LAST + 1)), name
        numbers = [seen.number for seen in program.seen]
        assert (sorted(numbers) if name == "two" else numbers) == list(range(LAST)), name
        assert {seen.attempt for seen in program.seen} == {0}, name
        assert world.waiting(f"clerk.{name}") == 0
        if isinstance(program, PikaConsumer) and (prefetch := WAYS[name].prefetch):
            assert program.most_unsettled <= prefetch * WAYS[name].consumers
    log = [(line.get("event"), line.get("queue")) for line in world.clerk.log()]
    assert ("consumes_again", "clerk.one") in log
    assert ("queue_is_back", "clerk.one") in log


@pytest.mark.parametrize("end", ["basic_ack", "basic_nack", "basic_reject"])
def test_what_was_unsettled_is_settled_or_comes_once(world: StayingWorld, end: str) -> None:
    """The queue goes while the program has three messages of it, whose copies were moved: what it acknowledges does not
    come again, what it gives back comes once, and what it rejects goes the way of what is rejected."""
    step, queue = migration(world, "held"), "clerk.held"
    first = {"basic_ack": 0, "basic_nack": 10, "basic_reject": 20}[end]
    three, more = range(first, first + 3), range(first + 3, first + 5)
    with pika_connection(world.straight()) as connection:
        channel = connection.channel()
        copies = channel.queue_declare(
            "", exclusive=False, auto_delete=False, arguments={"x-expires": 120_000}
        ).method.queue
        channel.queue_bind(copies, "orders", "order.held")
    program = PikaConsumer(world.clerk.parameters, queue, Way(prefetch=10))
    program.keeps.set()
    world.publish("held", three)
    until(lambda: has_seen(program, three), "the program has them")
    repeats = world.clerk.metric("repeats_total", queue=queue)
    step.begin()
    step.delete()
    until(lambda: world.waiting(queue), "it waits")
    step.make(**{"x-dead-letter-exchange": "letrade.retry", "x-dead-letter-routing-key": f"{queue}.rejected"})
    step.move_from(copies)
    world.publish("held", more)
    step.bring_back()
    step.end()
    program.settle(*{"basic_ack": (), "basic_nack": ("basic_nack",), "basic_reject": ("basic_reject_for_good",)}[end])
    until(lambda: has_seen(program, more), "the program goes on")
    if end == "basic_ack":
        until(lambda: world.clerk.metric("repeats_total", queue=queue) == repeats + 3, "the copies are repeats")
    else:
        until(lambda: len(program.seen) == 8, "they come once more")
    program.finish()
    assert program.ended == ""
    assert [seen.tag for seen in program.seen] == list(range(1, len(program.seen) + 1))
    attempts = [seen.attempt for seen in program.seen if seen.number in three]
    assert attempts == [0] * 3 + {"basic_ack": [], "basic_nack": [0] * 3, "basic_reject": [1] * 3}[end]


def test_a_queue_that_is_deleted_is_no_migration(world: StayingWorld) -> None:
    """Its consumer is told, as without an agent: at once, or where the broker does not say more, after a moment."""
    program = PikaConsumer(world.clerk.parameters, "clerk.gone", Way())
    step = migration(world, "gone")
    step.delete()
    until(lambda: program.ended, "it is told")
    program.finish()
    assert program.ended == "cancelled"
    step.make()


def test_who_comes_while_it_is_away(world: StayingWorld) -> None:
    """A program that begins meanwhile consumes when the queue is back; a get finds nothing, a declare the queue."""
    step, queue = migration(world, "late"), "clerk.late"
    first = PikaConsumer(world.clerk.parameters, queue, Way())
    step.begin()
    world.publish("late", range(5))
    step.delete()
    until(lambda: world.waiting(queue) == 1, "it waits")
    first.finish()
    until(lambda: world.waiting(queue) == 0, "it has gone")
    # nobody waits any more, and the agent still knows
    second = PikaConsumer(world.clerk.parameters, queue, Way())
    with pika_connection(world.clerk.parameters) as connection:
        channel = connection.channel()
        assert channel.basic_get(queue)[0] is None
        assert channel.queue_declare(queue, passive=True).method.message_count == 0
        tag = channel.basic_consume(queue, lambda *_: None)
        channel.basic_cancel(tag)
    until(lambda: world.waiting(queue) == 1, "it waits, too")
    step.make()
    step.bring_back()
    step.end()
    until(lambda: has_seen(second, range(5)), "it has what was published meanwhile")
    second.finish()
    assert second.ended == ""


def test_the_agent_is_killed_while_it_waits(world: StayingWorld) -> None:
    """Its client connects again, and gets what it has not settled; the queue's absence ends it as little as before."""
    step = migration(world, "kill")
    with world.agent("clerk") as agent:
        ports = agent.port, agent.admin_port
        program = AioConsumer(agent.url, "clerk.kill").begin()
        world.publish("kill", range(10))
        until(lambda: has_seen(program, range(10)), "it has what was there")
        until(lambda: agent.metric("unsettled_deliveries") == 0, "all is settled")
        step.begin()
        world.publish("kill", range(10, 20))
        step.delete()
        until(lambda: agent.metric("waiting_consumers", queue="clerk.kill"), "it waits")
        agent.process.kill()
        agent.wait()
    with world.agent("clerk", ports) as agent:
        until(lambda: agent.metric("waiting_consumers", queue="clerk.kill"), "its client has come back, and waits")
        step.make()
        step.bring_back()
        step.end()
        until(lambda: has_seen(program, range(20)), "it has all")
        program.finish()
    assert [seen.number for seen in program.seen] == list(range(20))
    assert program.ended == "it has reconnected"
