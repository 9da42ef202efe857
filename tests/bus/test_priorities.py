"""Urgent messages, on every version: what a broker makes of a priority is its version's affair."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from letrade_topo.broker.capabilities import for_version
from letrade_topo.bus import Message
from tests.brokers import RunningBroker
from tests.bus.small import running_small
from tests.bus.world import World, run, until


@pytest.fixture(scope="module")
def small(broker: RunningBroker, tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """The small topology with agents beside who makes and who takes."""
    with running_small(broker, tmp_path_factory.mktemp("small-"), "maker", "taker") as world:
        yield world


def test_urgent_messages_overtake_where_the_broker_can_do_that(small: World) -> None:
    """quorum queues have two levels from 4.0 on (two urgent ones to one other), and keep the order before."""
    kinds = ["ordinary"] * 6 + ["urgent"] * 6
    seen: list[str] = []

    async def note(topic: str, message: Message) -> None:
        seen.append(topic.rpartition(".")[2])

    async def scenario() -> None:
        async with small.bus("maker") as maker, small.bus("taker") as taker:
            for kind in kinds:
                await maker.publish("orders", f"today.{kind}", {"number": 1})
            await taker.subscribe("orders.today.*", note, prefetch=1)
            await until(lambda: len(seen) == len(kinds), "all arrive")

    run(scenario)
    if for_version(small.broker.version).quorum_priority_levels:
        assert seen[0] == "urgent"
        assert seen[-3:] == ["ordinary"] * 3
    else:
        assert seen == kinds
