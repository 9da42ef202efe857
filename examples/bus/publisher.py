"""Publishes one trade command: the contract's publisher."""

import asyncio

from letrade_topo.bus import MessageBus


async def publish_trade_command() -> None:
    """Returns when the broker has the command; raises, with the reason, when it was refused."""
    async with MessageBus() as bus:
        message = {"strategy_id": 123, "symbol": "BTC/USDT", "side": "buy", "amount": 0.01}
        message_id = await bus.publish("letrade.commands", "execute_trade", message)
        print(f"ordered: message {message_id}", flush=True)


asyncio.run(publish_trade_command())
