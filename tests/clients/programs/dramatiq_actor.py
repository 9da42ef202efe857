"""Dramatiq's actor, as its guide has it, with its broker for RabbitMQ.

Publishes one task. Arguments: the queue; then `confirms`.
"""

from __future__ import annotations

import os
import sys

import dramatiq
from dramatiq.brokers.rabbitmq import RabbitmqBroker

dramatiq.set_broker(RabbitmqBroker(url=os.environ["AMQP_URL"], confirm_delivery="confirms" in sys.argv))


@dramatiq.actor(queue_name=sys.argv[1])
def count_words(text: str) -> None:
    """Its guide counts those of a page."""
    print(f"{len(text.split())} words", flush=True)


if __name__ == "__main__":
    count_words.send("two words")
