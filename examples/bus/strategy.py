"""The trade flow, as the strategy sees it: ask for capital, order the trade, wait until it is executed."""

import asyncio

from letrade_topo.bus import MessageBus

STRATEGY_ID = 123
TRADE = {"symbol": "BTC/USDT", "side": "buy", "price": 50_000.0, "stop_loss": 49_000.0, "take_profit": 55_000.0}


async def main() -> None:
    """One trade."""
    async with MessageBus() as bus:
        trades = await bus.subscribe("events.trade_executed")

        print("strategy            asks for capital: buy 0.01 BTC/USDT at 50000", flush=True)
        question = {"strategy_id": STRATEGY_ID, "quantity": 0.01, **TRADE}
        answer = await bus.request("letrade.requests", "request.capital.allocation", question)
        print(f"strategy            hears: {answer['result']}, {answer['approved_quantity']} BTC", flush=True)
        if answer["result"] == "rejected":
            return

        order = {"strategy_id": STRATEGY_ID, "exchange": "binance", "type": "market", **TRADE}
        order["amount"] = answer["approved_quantity"]
        await bus.publish("letrade.commands", "execute_trade", order)
        print("strategy            orders the trade", flush=True)

        async for trade in trades:
            if trade["strategy_id"] == STRATEGY_ID:
                print(
                    f"strategy            hears: {trade['status']}, {trade['filled']} at {trade['average_price']:.0f}"
                )
                await trade.ack()
                break


if __name__ == "__main__":
    asyncio.run(main())
