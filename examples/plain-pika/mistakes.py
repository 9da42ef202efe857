"""What a service hears when it publishes what it must not: three messages that its agent refuses.

AMQP_URL=amqp://127.0.0.1:5672/letrade python mistakes.py
"""

from __future__ import annotations

import os

import pika
from envelope import wrap
from pika.exceptions import ChannelClosedByBroker, NackError, UnroutableError

AMQP_URL = os.environ.get("AMQP_URL", "amqp://127.0.0.1:5672/letrade")
ORDER = {"strategy_id": 123, "symbol": "BTC/USDT", "side": "buy", "amount": 0.01}
MISTAKES = (
    ("too big", "commands.execute_trade", ORDER | {"client_order_id": "x" * 150_000}),
    ("undeclared", "commands.execute_trades", ORDER),
    ("wrong payload", "commands.execute_trade", ORDER | {"side": "hold", "amount": -1}),
)


def main() -> None:
    """Each with confirms (a nack, the reason in what is returned) and without (the channel is closed)."""
    connection = pika.BlockingConnection(pika.URLParameters(AMQP_URL))
    confirmed = connection.channel()
    confirmed.confirm_delivery()
    for name, routing_key, payload in MISTAKES:
        body = wrap("strategy", payload)
        try:
            confirmed.basic_publish("letrade.commands", routing_key, body, mandatory=True)
            print(f"{name:<14} went through")
        except (NackError, UnroutableError) as refused:
            told = refused.messages[0].method
            print(f"{name:<14} nack; {told.reply_code} {told.reply_text}")
    channel = connection.channel()
    try:
        channel.basic_publish("letrade.commands", "commands.execute_trades", wrap("strategy", ORDER))
        channel.queue_declare("strategy.error", passive=True)  # an answer to wait for
        print("no confirms    went through")
    except ChannelClosedByBroker as closed:
        print(f"no confirms    channel closed; {closed.reply_code} {closed.reply_text}")
    connection.close()


if __name__ == "__main__":
    main()
