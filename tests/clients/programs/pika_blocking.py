"""pika's BlockingConnection, as pika's introduction and RabbitMQ's tutorials have it."""

from __future__ import annotations

import sys
from typing import Any

import pika

from tests.clients.programs.work import FOR_GOOD, CannotHandle, given, number_of, say, work


def consume(url: str, queue: str, _line: str = "") -> None:
    """Consume until the connection ends."""

    def on_message(channel: Any, method: Any, properties: Any, body: bytes) -> None:
        try:
            work(number_of(body))
        except CannotHandle:
            if number_of(body) < FOR_GOOD:
                channel.basic_reject(method.delivery_tag)
            else:
                channel.basic_reject(method.delivery_tag, requeue=False)
        else:
            channel.basic_ack(method.delivery_tag)

    connection = pika.BlockingConnection(pika.URLParameters(url))
    channel = connection.channel()
    channel.basic_qos(prefetch_count=1)
    channel.queue_declare(queue=queue, durable=True)
    channel.basic_consume(queue, on_message)
    say("ready")
    channel.start_consuming()


def publish(url: str, exchange: str, kind: str) -> None:
    """Publish what is given."""
    connection = pika.BlockingConnection(pika.URLParameters(url))
    channel = connection.channel()
    if "confirms" in kind:
        channel.confirm_delivery()
    say("ready")
    for key, body in given():
        channel.basic_publish(exchange, key, body, mandatory="mandatory" in kind)
        say("ok")
    connection.close()


if __name__ == "__main__":
    _, role, *arguments = sys.argv
    consume(*arguments) if role == "consume" else publish(*arguments)
