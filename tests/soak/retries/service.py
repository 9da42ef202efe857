"""A service to be killed: takes or rejects, and writes each message down before it acknowledges. Run as a program.

A line is written by one system call, so that a kill leaves whole lines: number, message id and attempt of what is
taken. What was written and not acknowledged comes again, and is written again.
"""

from __future__ import annotations

import os
import sys
import time
from typing import Any

import pika
import pika.exceptions

from tests.soak.retries.fates import identity, is_taken

PREFETCH = 50
_AGAIN_SECONDS = 0.1


def main(url: str, queue: str, book: str) -> None:
    """Consume until killed; connect again whenever the connection ends."""
    lines = os.open(book, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    while True:
        try:
            _consume(url, queue, lines)
        except (pika.exceptions.AMQPError, OSError):
            time.sleep(_AGAIN_SECONDS)  # as a client's own back-off


def _consume(url: str, queue: str, lines: int) -> None:
    def on_message(_: Any, method: Any, properties: Any, body: bytes) -> None:
        number, message_id = identity(body)
        attempt = int((properties.headers or {}).get("letrade-attempt", 0))
        if is_taken(number, attempt):
            os.write(lines, f"{number} {message_id} {attempt}\n".encode())
            channel.basic_ack(method.delivery_tag)
        else:
            channel.basic_reject(method.delivery_tag, requeue=False)

    with pika.BlockingConnection(pika.URLParameters(url)) as connection:
        channel = connection.channel()
        channel.basic_qos(prefetch_count=PREFETCH)
        channel.basic_consume(queue, on_message)
        channel.start_consuming()


if __name__ == "__main__":
    main(*sys.argv[1:])
