"""The real-time data flow, the strategy's side: follows the market with a moving average, and ends after some candles.

Only symbols that begin with BTC are wanted. AMQP cannot say that; the bus takes the rest out.
"""

import asyncio
from collections import deque
from statistics import mean

from letrade_topo.bus import MessageBus

CANDLES, WINDOW = 10, 5


async def main() -> None:
    """The pattern has no declared queue, so this instance gets one of its own: data from now on, as long as it runs."""
    closes: deque[float] = deque(maxlen=WINDOW)
    async with MessageBus() as bus, await bus.subscribe("market_data.binance.btc*") as candles:
        print("market_watch        is ready", flush=True)
        count = 0
        async for candle in candles:
            closes.append(candle["close"])
            print(f"market_watch        {candle['symbol']} at {closes[-1]:.2f}, average {mean(closes):.2f}", flush=True)
            count += 1
            if count == CANDLES:
                break


asyncio.run(main())
