"""The exchange connector publishes what topology.yaml says, and takes the commands that others may send."""

import asyncio
from collections.abc import Callable
from functools import partial

import exchange_connector
import pytest

from letrade_topo.bus import SchemaRefused
from letrade_topo.testing import Contract, ContractBroken, MemoryBus

ORDER = {"strategy_id": 123, "symbol": "BTC/USDT", "side": "buy", "amount": 0.01}


@pytest.fixture
def letrade_service() -> str:
    """Which service the bus is of."""
    return "exchange_connector"


def test_a_command_becomes_a_trade(bus: MemoryBus) -> None:
    """Whoever sends the command, and whatever the handler publishes, is held to the topology."""

    async def trade() -> None:
        await bus.subscribe("commands.execute_trade", partial(exchange_connector.execute, bus))
        await bus.deliver("execute_trade", ORDER)

    asyncio.run(trade())
    (executed,) = bus.published
    assert executed.message_type == "events.trade_executed"
    assert executed.payload["filled"] == ORDER["amount"]


def test_a_trade_without_its_price_is_refused(bus: MemoryBus) -> None:
    """The same error as from the agent."""
    trade = exchange_connector.place(ORDER)  # type: ignore[arg-type]  # a Message is a dict
    del trade["average_price"]
    with pytest.raises(SchemaRefused, match="average_price"):
        asyncio.run(bus.publish("letrade.events", "trade_executed", trade))
    assert not bus.published


def test_nobody_sends_a_command_without_an_amount(bus: MemoryBus) -> None:
    """What is delivered has to be what a service of the topology could publish."""

    async def trade() -> None:
        await bus.subscribe("commands.execute_trade", partial(exchange_connector.execute, bus))
        await bus.deliver("execute_trade", {"symbol": "BTC/USDT"})

    with pytest.raises(ContractBroken, match="strategy_id"):
        asyncio.run(trade())


def test_another_clients_bytes(contract: Callable[[str], Contract]) -> None:
    """A service with another client shows the bytes that it would publish."""
    body = b'{"message_id": "1", "timestamp": "yesterday", "source": "exchange_connector", "payload": {}}'
    with pytest.raises(ContractBroken, match="is not a UUID"):
        contract("exchange_connector").publish("letrade.events", "events.trade_executed", body)
    with pytest.raises(ContractBroken, match="does not publish"):
        contract("exchange_connector").check_publishes("letrade.commands", "commands.execute_trade", ORDER)
