"""Messages that come more than once: copies put straight to the broker, as a burst or one by one, are one message."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pika
import pytest

from tests.retry.world import EXCHANGE, RetryWorld, agent_parameters, always, never, pika_connection, until

QUEUE, KEY = "clerk.frail", "order.frail"
COPIES = 9


class ServiceByHand:
    """Consumes by hand: nothing is settled by itself."""

    def __init__(self, world: RetryWorld) -> None:
        self.connection: Any = pika.BlockingConnection(agent_parameters(world.agents["clerk"]))
        self.channel = self.connection.channel()
        self.channel.basic_qos(prefetch_count=50)
        self.seen: list[tuple[int, str, int]] = []
        self.channel.basic_consume(QUEUE, self._on_message)

    def _on_message(self, channel: Any, method: Any, properties: Any, body: bytes) -> None:
        attempt = (properties.headers or {}).get("letrade-attempt", 0)
        self.seen.append((method.delivery_tag, properties.message_id, attempt))

    def until(self, condition: Any, what: str) -> None:
        """Wait, and take what comes."""

        def looked() -> object:
            self.connection.process_data_events(0)
            return condition()

        until(looked, what)


@contextmanager
def serving(world: RetryWorld) -> Iterator[ServiceByHand]:
    """A service of the queue."""
    service = ServiceByHand(world)
    try:
        yield service
    finally:
        if service.connection.is_open:
            service.connection.close()


def burst(world: RetryWorld, channel: Any) -> str:
    """A genuine message, caught on its way, and its copies: all there before anybody has settled one."""
    message, properties, body = world.tapped(channel, KEY)
    for _ in range(COPIES):
        channel.basic_publish(EXCHANGE, KEY, body, properties)
    return message


@pytest.mark.parametrize("end", ["acknowledged", "rejected", "given back", "its consumer dies"])
def test_ten_copies_at_once_are_one_message(world: RetryWorld, end: str) -> None:
    """The service sees one at a time, whatever becomes of it, and once it is settled the others are repeats."""
    agent = world.agents["clerk"]
    repeats = agent.metric("repeats_total", queue=QUEUE)

    def repeated() -> float:
        return agent.metric("repeats_total", queue=QUEUE) - repeats

    def held() -> float:
        return agent.metric("held_deliveries")

    with pika_connection(world.straight()) as connection:
        with serving(world) as service:
            message = burst(world, connection.channel())
            service.until(lambda: service.seen and held() == COPIES, "one is seen, and the copies wait")
            assert [seen[1:] for seen in service.seen] == [(message, 0)]
            (tag, _, _) = service.seen.pop()
            match end:
                case "acknowledged":
                    service.channel.basic_ack(tag)
                case "rejected":
                    service.channel.basic_reject(tag, requeue=False)
                    service.until(lambda: service.seen, "its retry comes")
                    assert [seen[1:] for seen in service.seen] == [(message, 1)]
                    service.channel.basic_ack(service.seen.pop()[0])
                case "given back":
                    service.channel.basic_nack(tag, requeue=True)
                    service.until(lambda: service.seen and held() == COPIES, "one comes again, and the others wait")
                    service.channel.basic_ack(service.seen.pop()[0])
            if end != "its consumer dies":
                service.until(lambda: repeated() == COPIES, "the copies are repeats")
                assert service.seen == []
        with serving(world) as another:
            if end == "its consumer dies":
                another.until(lambda: another.seen and held() == COPIES, "one is seen, and the copies wait")
                assert [seen[1:] for seen in another.seen] == [(message, 0)]
                another.channel.basic_ack(another.seen.pop()[0])
                another.until(lambda: repeated() == COPIES, "the copies are repeats")
            another.until(lambda: world.under_way(QUEUE) == 0, "nothing is left")
            assert another.seen == []
    assert message not in world.look()


def test_a_dead_letter_that_is_moved_back_at_once_is_not_delivered(world: RetryWorld) -> None:
    """Its hop ends when it is written, whatever the clocks' difference that is tolerated: going back takes an
    operator's hop."""
    with world.consuming(QUEUE, never) as service, pika_connection(world.straight()) as connection:
        channel = connection.channel()
        tap = channel.queue_declare("", exclusive=True).method.queue
        channel.queue_bind(tap, "letrade.dlq", f"{KEY}.dead")
        message = world.publish(KEY)
        until(lambda: channel.queue_declare(tap, passive=True).method.message_count, "it is dead")
        _, properties, body = channel.basic_get(tap, auto_ack=True)
        channel.queue_delete(tap)
        channel.basic_publish("", QUEUE, body, properties)
        until(lambda: len(world.look().get(message, [])) == 2, "it is dead again")
        assert len(service.of(message)) == 2
    reasons = [letter["properties"]["headers"]["letrade-reason"] for letter in world.found[message]]
    assert reasons == ["rejected", "expired"]
    with world.consuming(QUEUE, always) as service:
        until(lambda: world.under_way(QUEUE) == 0, "nothing is left")
        assert service.seen == []
