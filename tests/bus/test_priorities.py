"""Urgent messages, on every version: what a broker makes of a priority is its version's affair."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from letrade_topo.broker.capabilities import for_version
from letrade_topo.bus import Message
from tests.brokers import RunningBroker
from tests.bus.small import running_small
from tests.bus.world import BusWorld, run, until


@pytest.fixture(scope="module")
def small(broker: RunningBroker, tmp_path_factory: pytest.TempPathFactory) -> Iterator[BusWorld]:
    """The small topology with agents beside who makes and who takes."""
    with running_small(broker, tmp_path_factory.mktemp("small-"), "maker", "taker") as world:
        yield world


def test_urgent_messages_overtake_where_the_broker_can_do_that(small: BusWorld) -> None:
    """Strictly by priority from 4.3 on; 4.0 has two levels, two urgent ones to one other; before, in their order."""
    kinds = ["last"] * 3 + ["ordinary"] * 3 + ["urgent"] * 3 + ["first"] * 3
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
    match for_version(small.broker.version).quorum_priority_levels:
        case 32:
            assert seen == kinds[::-1]
        case 2:
            # Of each level in order of arrival: the numbers beyond the two levels make no difference.
            assert [kind for kind in seen if kind in ("urgent", "first")] == ["urgent"] * 3 + ["first"] * 3
            assert [kind for kind in seen if kind in ("last", "ordinary")] == ["last"] * 3 + ["ordinary"] * 3
            assert seen[0] == "urgent"
            assert seen[-3:] == ["ordinary"] * 3
        case levels:
            assert levels == 0
            assert seen == kinds
