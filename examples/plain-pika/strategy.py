"""Asks for capital, orders a trade, and waits until it is executed. Ends then.

AMQP_URL=amqp://127.0.0.1:5672/letrade python strategy.py
"""

from __future__ import annotations

import os
import uuid
from typing import Any

import pika
from envelope import unwrap, wrap
from pika.adapters.blocking_connection import BlockingChannel

AMQP_URL = os.environ.get("AMQP_URL", "amqp://127.0.0.1:5672/letrade")
STRATEGY_ID = 123
PATIENCE_SECONDS = 20
TRADE = {"symbol": "BTC/USDT", "side": "buy", "price": 50_000.0, "stop_loss": 49_000.0, "take_profit": 55_000.0}


def main() -> None:
    """One trade."""
    connection = pika.BlockingConnection(pika.URLParameters(AMQP_URL))
    channel = connection.channel()
    channel.confirm_delivery()

    # Everybody's answers share one routing key; each instance has a queue of its own, and picks out its own.
    replies = f"strategy.reply.{uuid.uuid4().hex}"
    channel.queue_declare(replies, exclusive=True)
    channel.queue_bind(replies, "letrade.requests", "response.capital.allocation")

    request_id = str(uuid.uuid4())
    question = {"request_id": request_id, "strategy_id": STRATEGY_ID, "quantity": 0.01, **TRADE}
    publish(channel, "letrade.requests", "request.capital.allocation", question)
    print("strategy            asks for capital: buy 0.01 BTC/USDT at 50000", flush=True)

    answer = wait_for(channel, replies, lambda payload: payload["request_id"] == request_id)
    print(f"strategy            hears: {answer['result']}, {answer['approved_quantity']} BTC", flush=True)
    if answer["result"] == "rejected":
        return

    order = {"strategy_id": STRATEGY_ID, "exchange": "binance", "type": "market", **TRADE}
    order |= {"amount": answer["approved_quantity"], "client_order_id": f"strategy_{STRATEGY_ID}_{request_id[:8]}"}
    publish(channel, "letrade.commands", "commands.execute_trade", order)
    print("strategy            orders the trade", flush=True)

    trade = wait_for(channel, "strategy.trade_executed", lambda payload: payload["strategy_id"] == STRATEGY_ID)
    print(
        f"strategy            hears: {trade['status']}, {trade['filled']} at {trade['average_price']:.0f}", flush=True
    )
    connection.close()


def publish(channel: BlockingChannel, exchange: str, routing_key: str, payload: dict[str, Any]) -> None:
    """Publish, and return when the broker has it; raises when it was refused or nobody would receive it."""
    channel.basic_publish(exchange, routing_key, wrap("strategy", payload), mandatory=True)


def wait_for(channel: BlockingChannel, queue: str, wanted: Any) -> dict[str, Any]:
    """The next payload of a queue that is wanted; others are acknowledged and left."""
    for method, _, body in channel.consume(queue, inactivity_timeout=PATIENCE_SECONDS):
        if method is None:
            raise SystemExit(f"strategy: nothing in {queue} after {PATIENCE_SECONDS} s")
        channel.basic_ack(method.delivery_tag)
        payload = unwrap(body)
        if wanted(payload):
            channel.cancel()
            return payload
    raise SystemExit(f"strategy: {queue} has gone")


if __name__ == "__main__":
    main()
