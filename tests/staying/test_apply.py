"""`apply --allow migrate` under the hands of services that publish and consume through their agents."""

from __future__ import annotations

import itertools
import re
from collections.abc import Sequence

import pytest

from tests.retry.world import until
from tests.staying.world import PikaConsumer, Publisher, Seen, StayingWorld, Way

pytestmark = [pytest.mark.broker, pytest.mark.one_version]  # all: --every-version


def overtaken(numbers: Sequence[int]) -> int:
    """How many came first behind a larger one."""
    highest = list(itertools.accumulate(numbers, max))
    firsts = {number: place for place, number in reversed(list(enumerate(numbers)))}
    return sum(number < highest[place] for number, place in firsts.items())


def longest_pause(seen: Sequence[Seen]) -> float:
    """Between two deliveries, in seconds."""
    return max(later.at - earlier.at for earlier, later in itertools.pairwise(seen))


def test_a_migration_is_a_pause(world: StayingWorld) -> None:
    """Every confirmed order comes once, none is lost; nobody is cancelled. What nobody consumes is moved away and back,
    and the agent takes it as what it is, in its order."""
    world.publish("stock", range(200))
    programs = [PikaConsumer(world.clerk.parameters, "clerk.real", Way(prefetch=20)) for _ in range(2)]
    publisher = Publisher(world.agents["shop"].parameters, "real")
    publisher.start()
    until(lambda: len(publisher.confirmed) > 100, "orders are on their way")
    for name in ("real", "stock"):
        world.change(name, single_active_consumer=True)
    said = world.tool.run("apply", "--yes", "--allow", "migrate").check(0)
    until(lambda: programs[0].seen and not world.waiting("clerk.real"), "its consumers are back")
    count = len(publisher.confirmed)
    until(lambda: len(publisher.confirmed) > count + 50, "orders go on")
    publisher.finish()
    expected = set(publisher.confirmed)
    until(lambda: {one.number for program in programs for one in program.seen} >= expected, "every order has come")
    for program in programs:
        program.finish()

    seen = sorted((one for program in programs for one in program.seen), key=lambda one: one.at)
    told = re.search(r"migrated queue:clerk.real: .*?(?:([0-9,]+) of them behind newer ones)?;", said.out + said.err)
    assert told is not None, said
    first, second = (len(program.seen) for program in programs)
    late = overtaken([one.number for one in seen])
    print(
        f"{len(expected)} orders, pause {longest_pause(seen):.2f} s, {late} overtaken,"
        f" slowest confirm {publisher.slowest:.2f} s, shared {first} and {second}; {told[0]}"
    )
    assert [program.ended for program in programs] == ["", ""]
    assert publisher.unconfirmed == []
    assert sorted(one.number for one in seen) == sorted(expected), "none is lost, and none comes twice"
    for program in programs:
        assert [one.tag for one in program.seen] == list(range(1, len(program.seen) + 1))
    assert world.clerk.metric("consumer_returns_total", queue="clerk.real", outcome="back") == 2
    log = [(line.get("event"), line.get("queue")) for line in world.clerk.log()]
    assert ("queue_is_migrated", "clerk.real") in log, "the agent has seen why it is away"
    stock = PikaConsumer(world.clerk.parameters, "clerk.stock", Way())
    until(lambda: len(stock.seen) >= 200, "what was moved has come")
    stock.finish()
    assert [(one.number, one.attempt) for one in stock.seen] == [(number, 0) for number in range(200)]
    world.tool.run("drift").check(0)
