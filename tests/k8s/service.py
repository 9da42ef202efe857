"""A service that closes its books when it is told to end: `python service.py PORT VHOST EXCHANGE KEY`.

It publishes with confirms. On SIGTERM it goes on with what it has begun, publishes some more after its own clean-up,
and prints how many messages were confirmed to it before and after the signal.
"""

from __future__ import annotations

import json
import signal
import sys
import time

import pika

from tests.soak.agents.world import order

AFTER_SIGTERM = 200
"""Messages that it publishes between SIGTERM and its end."""
CLEAN_UP_SECONDS = 1.0
"""In which it does something else, as an application that closes its files."""


def main(port: str, vhost: str, exchange: str, key: str) -> None:
    """Publish until SIGTERM, and then some more."""
    told = False

    def tell(*_: object) -> None:
        nonlocal told
        told = True

    signal.signal(signal.SIGTERM, tell)
    # one attempt: whoever is started after a sidecar's startup probe needs no other
    parameters = pika.ConnectionParameters(
        "127.0.0.1", int(port), vhost, pika.PlainCredentials("any", "any"), connection_attempts=1
    )
    connection = pika.BlockingConnection(parameters)
    channel = connection.channel()
    channel.confirm_delivery()
    before = 0
    while not told:
        channel.basic_publish(exchange, key, order(before), pika.BasicProperties(delivery_mode=2))
        before += 1
        if before == 1:
            print("publishing", flush=True)
    after = 0
    while after < AFTER_SIGTERM:
        if after == AFTER_SIGTERM // 2:
            time.sleep(CLEAN_UP_SECONDS)
        channel.basic_publish(exchange, key, order(before + after), pika.BasicProperties(delivery_mode=2))
        after += 1
    connection.close()
    print(json.dumps({"before": before, "after": after}), flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
