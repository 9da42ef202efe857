"""Places orders on an exchange (here a pretended one), and tells everybody. Runs until Ctrl-C or SIGTERM.

AMQP_URL=amqp://127.0.0.1:5672/letrade python exchange_connector.py
"""

from __future__ import annotations

import itertools
import os
import signal
import sys
from typing import Any

import pika
from envelope import now, unwrap, wrap
from pika.adapters.blocking_connection import BlockingChannel

AMQP_URL = os.environ.get("AMQP_URL", "amqp://127.0.0.1:5672/letrade")
SLIPPAGE = 1.002
FEE = 0.001
ORDER_NUMBERS = itertools.count(12_345)


def main() -> None:
    """Carry out commands, one at a time."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    connection = pika.BlockingConnection(pika.URLParameters(AMQP_URL))
    channel = connection.channel()
    channel.confirm_delivery()
    channel.basic_qos(prefetch_count=1)
    channel.basic_consume("exchange_connector.execute_trade", on_command)
    channel.start_consuming()


def on_command(channel: BlockingChannel, method: Any, _: Any, body: bytes) -> None:
    """Place the order, publish what came of it, then acknowledge the command."""
    order = unwrap(body)
    trade = place(order)
    print(
        f"exchange_connector  {order['side']}s {trade['filled']} {order['symbol']} on {trade['exchange']}", flush=True
    )
    channel.basic_publish("letrade.events", "events.trade_executed", wrap("exchange_connector", trade), mandatory=True)
    channel.basic_ack(method.delivery_tag)


def place(order: dict[str, Any]) -> dict[str, Any]:
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
        "timestamp": now(),
        "exchange": order.get("exchange", "binance"),
    }


if __name__ == "__main__":
    main()
