"""The whole of the strategy's program, with the other services answered for by the test."""

import asyncio
from typing import Any

import capital_manager
import exchange_connector
import pytest
import strategy

from letrade_topo.testing import MemoryBus


@pytest.fixture
def letrade_service() -> str:
    """Which service the bus is of."""
    return "strategy"


def test_one_trade(bus: MemoryBus, monkeypatch: pytest.MonkeyPatch) -> None:
    """It asks for capital, orders, and ends when it hears of the trade."""
    monkeypatch.setattr(strategy, "MessageBus", lambda: bus)
    bus.answer("request.capital.allocation", capital_manager.allocate)

    async def trade() -> None:
        program = asyncio.create_task(strategy.main())
        while len(bus.published) < 2:
            await asyncio.sleep(0)
            assert not program.done(), program.exception()
        order: Any = dict(bus.published[1].payload)
        await bus.deliver("trade_executed", exchange_connector.place(order))
        await asyncio.wait_for(program, 10)

    asyncio.run(trade())
    assert [one.topic for one in bus.published] == ["request.capital.allocation", "commands.execute_trade"]
