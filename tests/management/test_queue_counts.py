"""Counts that a guard relies on: what they show, and how soon."""

from __future__ import annotations

import pytest

from letrade_topo.broker.objects import Queue
from letrade_topo.management.client import ManagementClient
from letrade_topo.management.perform import create
from letrade_topo.management.reading import STATISTICS_DELAY_SECONDS, QueueCounts, read_queue_counts
from tests.brokers import BrokerFactory, RunningBroker
from tests.management.endpoints import amqp, endpoint_of, seconds_until

AT_ONCE_SECONDS = 1.0
# What a machine with too much to do may add; where it does nothing for longer, another try is not hit.
BUSY_SECONDS = 2.0
TRIES = 3


@pytest.mark.parametrize("queue_type", ["classic", "quorum"])
def test_counts_are_right_after_the_delay(
    client: ManagementClient, broker: RunningBroker, vhost: str, queue_type: str
) -> None:
    """Messages, consumers and their going are seen within STATISTICS_DELAY_SECONDS; a classic queue's messages
    and a consumer that has gone at once."""
    create(client, vhost, Queue("q", arguments={"x-queue-type": queue_type}))

    def counts() -> QueueCounts:
        return read_queue_counts(client, vhost)["q"]

    def publish_and_consume(number: int) -> tuple[float, float, float]:
        """Seconds until the message with this number is counted, two consumers are, and none is any more."""
        with amqp(broker, vhost) as channel:
            channel.confirm_delivery()
            channel.basic_publish("", "q", b"x")
            counted = seconds_until(lambda: counts().messages == number)
            channel.basic_qos(prefetch_count=2)
            channel.basic_consume("q", lambda *_: None)
            channel.basic_consume("q", lambda *_: None)
            consumed = seconds_until(lambda: counts().consumers == 2)
            assert counts().messages == number  # some of them unacknowledged
        return counted, consumed, seconds_until(lambda: counts().consumers == 0)

    assert counts() == QueueCounts(0, 0)
    at_once_or_late = AT_ONCE_SECONDS if queue_type == "classic" else STATISTICS_DELAY_SECONDS + BUSY_SECONDS
    limits = (at_once_or_late, STATISTICS_DELAY_SECONDS + BUSY_SECONDS, AT_ONCE_SECONDS)
    found: list[tuple[float, float, float]] = []
    while len(found) < TRIES:
        found.append(publish_and_consume(len(found) + 1))
        best = tuple(map(min, zip(*found, strict=True)))
        if all(seconds < limit for seconds, limit in zip(best, limits, strict=True)):
            return
    raise AssertionError(f"{found}: none is within {limits}")


def test_two_calls_for_any_number_of_queues(client: ManagementClient, vhost: str) -> None:
    """Together with a whole reading that makes fifteen."""
    for number in range(5):
        create(client, vhost, Queue(f"q{number}", arguments={"x-queue-type": "classic"}))
    client.whoami()  # which says who sees consumers, and is asked once
    before = client.calls

    assert len(read_queue_counts(client, vhost)) == 5
    assert client.calls == before + 2


def test_a_vhost_that_does_not_exist(client: ManagementClient, vhost_name: str) -> None:
    """No queues, no error."""
    assert read_queue_counts(client, vhost_name) == {}


def test_a_broker_without_statistics(broker_version: str, start_broker: BrokerFactory) -> None:
    """Where statistics are disabled, consumers are not known, which is not the same as none."""
    started = start_broker(broker_version, extra_configuration=("management_agent.disable_metrics_collector = true",))
    with ManagementClient(endpoint_of(started)) as client:
        create(client, "/", Queue("q", arguments={"x-queue-type": "classic"}))

        assert read_queue_counts(client, "/") == {"q": QueueCounts(0, None)}
