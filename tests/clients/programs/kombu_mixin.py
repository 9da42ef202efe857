"""kombu's ConsumerMixin and Producer, as its user guide has them."""

from __future__ import annotations

import sys
from typing import Any

import kombu
from kombu.mixins import ConsumerMixin

from tests.clients.programs.work import CannotHandle, given, say, work


class _Worker(ConsumerMixin):  # type: ignore[misc]  # kombu's types are for itself
    def __init__(self, connection: Any, queue: str) -> None:
        self.connection = connection
        self._queue = queue

    def get_consumers(self, consumer: Any, channel: Any) -> list[Any]:
        return [consumer(queues=[kombu.Queue(self._queue, kombu.Exchange(""), self._queue)], callbacks=[self.on_task])]

    def on_consume_ready(self, connection: Any, channel: Any, consumers: Any, **given: Any) -> None:
        say("ready")

    def on_task(self, body: Any, message: Any) -> None:
        try:
            work(int(body["payload"]["number"]))
        except CannotHandle:
            message.reject()
        else:
            message.ack()


def consume(url: str, queue: str, _line: str = "") -> None:
    """Consume for ever."""
    with kombu.Connection(url) as connection:
        _Worker(connection, queue).run()


def publish(url: str, exchange: str, kind: str) -> None:
    """Publish what is given."""
    with kombu.Connection(url, transport_options={"confirm_publish": "confirms" in kind}) as connection:
        producer = connection.Producer(exchange=kombu.Exchange(exchange, "topic"))
        say("ready")
        for key, body in given():
            producer.publish(
                body,
                routing_key=key,
                content_type="application/json",
                content_encoding="utf-8",
                mandatory="mandatory" in kind,
                **({"retry": True} if "line" in kind else {}),
            )
            say("ok")


if __name__ == "__main__":
    _, role, *arguments = sys.argv
    consume(*arguments) if role == "consume" else publish(*arguments)
