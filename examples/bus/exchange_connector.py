"""The trade flow, as the exchange connector sees it: place orders (here on a pretended exchange) and tell everybody.

Runs until Ctrl-C or SIGTERM.
"""

import asyncio
import itertools
from datetime import UTC, datetime
from functools import partial
from typing import Any

from running import until_stopped

from letrade_topo.bus import Message, MessageBus

SLIPPAGE, FEE = 1.002, 0.001
ORDER_NUMBERS = itertools.count(12_345)


async def execute(bus: MessageBus, topic: str, order: Message) -> None:
    """The command is acknowledged when this returns: by then the broker has the event."""
    trade = place(order)
    print(
        f"exchange_connector  {trade['side']}s {trade['filled']} {trade['symbol']} on {trade['exchange']}", flush=True
    )
    await bus.publish("letrade.events", "trade_executed", trade)


def place(order: Message) -> dict[str, Any]:
    """What a real exchange would answer."""
    price = order.get("price", 50_000.0) * SLIPPAGE
    cost = order["amount"] * price
    return {
        "strategy_id": order["strategy_id"],
        "order_id": str(next(ORDER_NUMBERS)),
        "symbol": order["symbol"],
        "side": order["side"],
        "type": order.get("type", "market"),
        "amount": order["amount"],
        "filled": order["amount"],
        "status": "filled",
        "average_price": price,
        "cost": cost,
        "fee": cost * FEE,
        "timestamp": datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z"),
        "exchange": order.get("exchange", "binance"),
    }


async def main() -> None:
    """One command after the other."""
    async with MessageBus() as bus:
        await bus.subscribe("commands.execute_trade", partial(execute, bus))
        await until_stopped("exchange_connector")


if __name__ == "__main__":
    asyncio.run(main())
