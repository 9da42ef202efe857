"""Grants capital to strategies, and keeps count of what was traded. Runs until Ctrl-C or SIGTERM.

AMQP_URL=amqp://127.0.0.1:5672/letrade python capital_manager.py
"""

from __future__ import annotations

import os
import signal
import sys
from typing import Any

import pika
from envelope import unwrap, wrap
from pika.adapters.blocking_connection import BlockingChannel

AMQP_URL = os.environ.get("AMQP_URL", "amqp://127.0.0.1:5672/letrade")
CAPITAL = 10_000.0
LARGEST_SHARE = 0.05


def main() -> None:
    """Answer requests, and listen to trades."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    connection = pika.BlockingConnection(pika.URLParameters(AMQP_URL))
    channel = connection.channel()
    channel.confirm_delivery()
    channel.basic_qos(prefetch_count=20)
    channel.basic_consume("capital_manager.capital_allocation", on_request)
    channel.basic_consume("capital_manager.trade_executed", on_trade)
    channel.start_consuming()


def on_request(channel: BlockingChannel, method: Any, _: Any, body: bytes) -> None:
    """Decide, answer, and only then acknowledge: a crash in between asks again."""
    request = unwrap(body)
    affordable = CAPITAL * LARGEST_SHARE / request["price"]
    quantity = round(min(request["quantity"], affordable), 8)
    share = quantity * request["price"] / CAPITAL * 100
    answer = {
        "request_id": request["request_id"],
        "result": "approved" if quantity == request["quantity"] else "modified",
        "approved_quantity": quantity,
        "risk_level": "medium",
        "reasons": [] if quantity == request["quantity"] else [f"at most {LARGEST_SHARE:.0%} of the capital"],
        "suggested_stop_loss": request["stop_loss"],
        "suggested_take_profit": request["take_profit"],
        "portfolio_impact": {
            "position_size_percent": share,
            "new_portfolio_risk_percent": 10.0 + share,
            "available_capital_after": CAPITAL - quantity * request["price"],
        },
    }
    channel.basic_publish("letrade.requests", "response.capital.allocation", wrap("capital_manager", answer))
    channel.basic_ack(method.delivery_tag)
    print(f"capital_manager     grants {quantity} BTC, {share:.1f}% of the portfolio", flush=True)


def on_trade(channel: BlockingChannel, method: Any, _: Any, body: bytes) -> None:
    """Take note of a trade."""
    trade = unwrap(body)
    print(f"capital_manager     notes: {trade['cost']:.2f} USDT spent on {trade['symbol']}", flush=True)
    channel.basic_ack(method.delivery_tag)


if __name__ == "__main__":
    main()
