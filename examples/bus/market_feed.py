"""The real-time data flow, the exchange's side: a stream of candles (here a pretended WebSocket) goes onto the bus."""

import asyncio
import random
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Any

from letrade_topo.bus import MessageBus

SYMBOLS = ("BTC/USDT", "ETH/USDT")
BATCHES, PAUSE_SECONDS = 20, 0.1


async def stream() -> AsyncIterator[list[dict[str, Any]]]:
    """What an exchange sends: some candles at once, again and again."""
    prices = dict.fromkeys(SYMBOLS, 50_000.0)
    for _ in range(BATCHES):
        candles = []
        for symbol, price in prices.items():
            prices[symbol] = close = price * (1 + random.uniform(-0.001, 0.001))  # noqa: S311  # no secret
            candles.append(
                {
                    "symbol": symbol,
                    "timestamp": datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z"),
                    "open": price,
                    "high": max(price, close),
                    "low": min(price, close),
                    "close": close,
                    "volume": random.random(),  # noqa: S311  # no secret
                    "exchange": "binance",
                }
            )
        yield candles
        await asyncio.sleep(PAUSE_SECONDS)


def topic(candle: dict[str, Any]) -> str:
    """For example market_data.binance.btcusdt."""
    return f"market_data.{candle['exchange']}.{candle['symbol'].replace('/', '').lower()}"


async def main() -> None:
    """Each read of the stream is one batch: published at once, confirmed one by one."""
    sent = 0
    async with MessageBus() as bus:
        async for candles in stream():
            sent += len(await bus.publish_batch([("letrade.events", topic(each), each) for each in candles]))
    print(f"market_feed         published {sent} candles", flush=True)


asyncio.run(main())
