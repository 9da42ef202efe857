"""Past every agent: an administrator of the broker publishes a command straight to it, and finds it again.

The broker takes the command, as nobody may do more there. The agent of the exchange connector does not: the message
carries no token of a service that may order trades. It lies among the dead letters, with the reason.

    . .letrade/demo/env
    python forgery.py
"""

from __future__ import annotations

import os
import ssl
import time
from pathlib import Path
from urllib.parse import urlsplit

import pika
from envelope import wrap
from pika.adapters.blocking_connection import BlockingChannel

PATIENCE_SECONDS = 20
ORDER = {"strategy_id": 123, "symbol": "BTC/USDT", "side": "sell", "amount": 1000.0}


def main() -> None:
    """Publish, wait, and show the dead letter."""
    broker = urlsplit(os.environ["LETRADE_AGENT_UPSTREAM"])
    password = Path(os.environ["LETRADE_TOPO_PASSWORD_FILE"]).read_text(encoding="utf-8").strip()
    context = ssl.create_default_context(cafile=os.environ["LETRADE_TOPO_CA_FILE"])
    host = broker.hostname or "localhost"
    parameters = pika.ConnectionParameters(
        host,
        broker.port,
        "letrade",
        pika.PlainCredentials(os.environ["LETRADE_TOPO_USERNAME"], password),
        ssl_options=pika.SSLOptions(context, host),
    )
    connection = pika.BlockingConnection(parameters)
    channel = connection.channel()
    channel.confirm_delivery()
    channel.basic_publish("letrade.commands", "commands.execute_trade", wrap("strategy", ORDER), mandatory=True)
    print("the broker has confirmed it")
    show_dead_letter(channel)
    connection.close()


def show_dead_letter(channel: BlockingChannel) -> None:
    """What lies in letrade.dlq; it stays there."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while time.monotonic() < deadline:
        method, properties, body = channel.basic_get("letrade.dlq")
        if method is not None and properties is not None and body is not None:
            channel.basic_nack(method.delivery_tag, requeue=True)
            reason = (properties.headers or {}).get("letrade-reason")
            print(f"in letrade.dlq: {method.routing_key}, {len(body)} bytes, letrade-reason: {reason}")
            return
        time.sleep(0.1)
    raise SystemExit(f"nothing in letrade.dlq after {PATIENCE_SECONDS} s")


if __name__ == "__main__":
    main()
