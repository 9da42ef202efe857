"""A service that takes messages, says when it has them all, and settles none: to be killed. Run as a program."""

from __future__ import annotations

import sys
from typing import Any

import pika


def main(url: str, queue: str, count: int) -> None:
    """Consume so many and keep them."""
    parameters = pika.URLParameters(url)
    parameters.connection_attempts, parameters.retry_delay = 5, 0.2  # as `RunningAgent.parameters`
    channel = pika.BlockingConnection(parameters).channel()
    channel.basic_qos(prefetch_count=count)
    got: list[int] = []

    def on_message(_: Any, method: Any, __: Any, ___: bytes) -> None:
        got.append(method.delivery_tag)
        if len(got) == count:
            print("all", flush=True)

    channel.basic_consume(queue, on_message)
    channel.start_consuming()


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], int(sys.argv[3]))
