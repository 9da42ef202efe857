"""The trade flow, as the capital manager sees it: grant capital. Runs until Ctrl-C or SIGTERM."""

import asyncio
from typing import Any

from running import until_stopped

from letrade_topo.bus import Message, MessageBus

CAPITAL = 10_000.0


async def allocate(topic: str, request: Message) -> dict[str, Any]:
    """What is returned is the response; the bus gives it the request's id and sends it back."""
    cost = request["quantity"] * request["price"]
    approved = cost <= CAPITAL
    print(f"capital_manager     {'grants' if approved else 'refuses'} {cost:.0f} USDT", flush=True)
    return {
        "result": "approved" if approved else "rejected",
        "approved_quantity": request["quantity"] if approved else 0,
        "risk_level": "medium",
        "reasons": [] if approved else ["not enough capital"],
        "suggested_stop_loss": request["stop_loss"],
        "suggested_take_profit": request["take_profit"],
        "portfolio_impact": {
            "position_size_percent": 100 * cost / CAPITAL,
            "new_portfolio_risk_percent": 15.0,
            "available_capital_after": CAPITAL - cost,
        },
    }


async def main() -> None:
    """Up to ten requests at once."""
    async with MessageBus() as bus:
        await bus.respond("request.capital.allocation", allocate, concurrency=10)
        await until_stopped("capital_manager")


if __name__ == "__main__":
    asyncio.run(main())
