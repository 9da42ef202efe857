"""Prints every executed trade: the contract's subscriber. Runs until Ctrl-C or SIGTERM."""

import asyncio

from running import until_stopped

from letrade_topo.bus import Message, MessageBus


async def handle_trade_event(topic: str, message: Message) -> None:
    """Returning acknowledges; raising rejects, and the message comes back after a while."""
    print(f"Trade executed: {message}", flush=True)


async def subscribe_to_trades() -> None:
    """`trade_*` is part of a word: the bus binds the keys that the pattern matches."""
    async with MessageBus() as bus:
        await bus.subscribe("events.trade_*", handle_trade_event)
        await until_stopped("subscriber")


asyncio.run(subscribe_to_trades())
