"""The hand-over with a real broker: confirmed before acknowledged, kept while it fails, never dropped."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pika
import pika.exceptions
import pytest
from letrade_agent.filters.rulings import Ruling
from letrade_agent.hand_over.hand_overs import HandOvers
from letrade_agent.limits import DEFAULT_LIMITS, HandOverLimits

from letrade_topo.amqp.command import Command
from tests.agent.proxy.world import PATIENT, Passing, RunningProxy, broker_settings, running, wait_until
from tests.brokers import BrokerFactory, RunningBroker


class VhostPlace:
    """A queue to consume from, and an exchange for dead letters, in the vhost "/" of a broker."""

    def __init__(self, broker: RunningBroker) -> None:
        self.broker = broker
        suffix = uuid.uuid4().hex[:10]
        self.queue = f"work-{suffix}"
        self.dead = f"dead-{suffix}"

    def make(self) -> None:
        """The queue that is consumed from."""
        self.put(f"queues/%2F/{self.queue}", {"durable": True})

    def make_dead_exchange(self) -> None:
        """The exchange, with no queue behind it."""
        self.put(f"exchanges/%2F/{self.dead}", {"type": "topic", "durable": True})

    def make_dead_queue(self, arguments: dict[str, Any]) -> None:
        """A queue for it."""
        self.put(f"queues/%2F/{self.dead}", {"durable": True, "arguments": arguments})

    def bind(self) -> None:
        """The queue behind it, made if it is not there."""
        if self.broker.api("GET", f"/api/queues/%2F/{self.dead}").status_code == 404:
            self.make_dead_queue({})
        path = f"/api/bindings/%2F/e/{self.dead}/q/{self.dead}"
        assert self.broker.api("POST", path, json={"routing_key": "#"}).status_code == 201

    def put(self, path: str, body: dict[str, Any]) -> None:
        """Declare."""
        answer = self.broker.api("PUT", f"/api/{path}", json=body)
        assert answer.status_code in (201, 204), answer.text

    def delete(self) -> None:
        """Everything away."""
        for path in (f"queues/%2F/{self.queue}", f"queues/%2F/{self.dead}", f"exchanges/%2F/{self.dead}"):
            self.broker.api("DELETE", f"/api/{path}")

    def depth(self, proxy: RunningProxy, queue: str) -> int:
        """Messages ready in a queue, as the broker says to a client."""
        with proxy.pika() as connection:
            return int(connection.channel().queue_declare(queue, passive=True).method.message_count)

    def fill(self, proxy: RunningProxy, *bodies: bytes) -> None:
        """Put messages into the queue that is consumed from."""
        with proxy.pika() as connection:
            channel = connection.channel()
            channel.confirm_delivery()
            for body in bodies:
                channel.basic_publish("", self.queue, body)


@pytest.fixture
def place(broker: RunningBroker) -> Iterator[VhostPlace]:
    """Names, and the queue."""
    one = VhostPlace(broker)
    one.make()
    yield one
    one.delete()


@pytest.fixture
def proxy(broker: RunningBroker, place: VhostPlace) -> Iterator[RunningProxy]:
    """A proxy that hands over to the exchange of the place, and does not wait long between attempts."""
    limits = replace(PATIENT, hand_over=HandOverLimits(first_retry_seconds=0.05, longest_retry_seconds=0.5))
    with running(broker_settings(broker), username=broker.username, limits=limits) as one:
        passing = Passing(place.dead.encode())
        one.filters.inbound = passing
        yield one
        wait_until("nothing is held", lambda: one.measures.held == 0)


def consume(connection: Any, queue: str) -> list[bytes]:
    """Consume and acknowledge; the bodies so far."""
    channel = connection.channel()
    got: list[bytes] = []

    def on_message(_: object, method: Any, __: object, body: bytes) -> None:
        got.append(body)
        channel.basic_ack(method.delivery_tag)

    channel.basic_consume(queue, on_message)
    return got


def test_what_fails_goes_to_the_dead_letters(proxy: RunningProxy, place: VhostPlace) -> None:
    """A delivery that fails is not shown; it is among the dead letters, and acknowledged after the broker confirmed."""
    place.make_dead_exchange()
    place.bind()
    place.fill(proxy, b"good 1", b"bad 1", b"good 2", b"bad 2", b"good 3")
    with proxy.pika() as connection:
        got = consume(connection, place.queue)
        while len(got) < 3 or proxy.measures.hand_overs_in_flight or proxy.measures.held:
            connection.process_data_events(0.1)
        assert got == [b"good 1", b"good 2", b"good 3"]
    assert place.depth(proxy, place.dead) == 2
    assert place.depth(proxy, place.queue) == 0
    assert sum(proxy.measures.hand_over_seconds.counts) >= 2
    assert len(proxy.log.of("hand_over_works")) == 1


def test_a_missing_exchange_keeps_the_message(proxy: RunningProxy, place: VhostPlace) -> None:
    """While the exchange is not there the message stays unacknowledged; when it is there, it goes, by itself."""
    place.fill(proxy, b"bad", b"good")
    with proxy.pika() as connection:
        got = consume(connection, place.queue)
        while proxy.measures.hand_over_failures < 3 or not got:
            connection.process_data_events(0.1)
        assert got == [b"good"]
        assert proxy.measures.hand_overs_in_flight == 1
        assert "NOT_FOUND" in proxy.log.problem("hand_over_fails")
        assert len(proxy.log.of("hand_over_fails")) == 1
        place.make_dead_exchange()
        place.bind()
        while proxy.measures.hand_overs_in_flight:
            connection.process_data_events(0.1)
    assert place.depth(proxy, place.dead) == 1
    assert place.depth(proxy, place.queue) == 0


def test_a_message_that_reaches_no_queue_is_kept(proxy: RunningProxy, place: VhostPlace) -> None:
    """A return counts as a failure although a confirm follows it; with a queue bound the next attempt succeeds."""
    place.make_dead_exchange()
    place.fill(proxy, b"bad")
    with proxy.pika() as connection:
        consume(connection, place.queue)
        while proxy.measures.hand_over_failures < 2:
            connection.process_data_events(0.1)
        assert "reached no queue" in proxy.log.problem("hand_over_fails")
        place.bind()
        while proxy.measures.hand_overs_in_flight:
            connection.process_data_events(0.1)
    assert place.depth(proxy, place.dead) == 1


def test_a_message_that_is_refused_is_kept(proxy: RunningProxy, place: VhostPlace) -> None:
    """A nack of the broker (a full queue) counts as a failure; with room again the next attempt succeeds."""
    place.make_dead_exchange()
    place.make_dead_queue({"x-max-length": 1, "x-overflow": "reject-publish"})
    place.bind()
    place.fill(proxy, b"bad 1", b"bad 2", b"bad 3")
    with proxy.pika() as connection:
        consume(connection, place.queue)
        while proxy.measures.hand_over_failures < 3:
            connection.process_data_events(0.1)
        purged = 0
        while proxy.measures.hand_overs_in_flight:
            connection.process_data_events(0.1)
            purged += place.broker.api("DELETE", f"/api/queues/%2F/{place.dead}/contents").status_code == 204
    assert purged
    assert place.depth(proxy, place.queue) == 0


def test_a_client_that_leaves_while_the_hand_over_fails(proxy: RunningProxy, place: VhostPlace) -> None:
    """Its messages are in their queue again, so the hand-over is given up: no copy among the dead letters."""
    place.fill(proxy, b"bad", b"good")
    with proxy.pika() as connection:
        got = consume(connection, place.queue)
        while not got or proxy.measures.hand_over_failures < 2:
            connection.process_data_events(0.1)
    wait_until("it is given up", lambda: proxy.measures.hand_overs_in_flight == 0)
    place.make_dead_exchange()
    place.bind()
    wait_until("it is in its queue", lambda: place.depth(proxy, place.queue) == 1)
    assert place.depth(proxy, place.dead) == 0


class BrokenFilters(Passing):
    """Filters with a bug."""

    def rule(self, command: Command) -> Ruling:
        """Never answers."""
        raise ZeroDivisionError


def test_a_bug_while_a_hand_over_is_under_way(proxy: RunningProxy, place: VhostPlace) -> None:
    """Its connection ends with 541 and leaves nothing behind: no channel, no withheld delivery is counted any more."""
    place.fill(proxy, b"bad")
    with proxy.pika() as connection:
        consume(connection, place.queue)
        while not proxy.measures.hand_over_failures:
            connection.process_data_events(0.1)
        assert proxy.measures.held == 1
        proxy.filters.declares = BrokenFilters()
        with pytest.raises(pika.exceptions.ConnectionClosedByBroker) as closed:
            connection.channel().queue_purge(place.queue)
        assert closed.value.reply_code == 541
    wait_until("its delivery is counted out", lambda: proxy.measures.held == 0)
    wait_until("its hand-over is given up", lambda: proxy.measures.hand_overs_in_flight == 0)
    wait_until("its channel is counted out", lambda: proxy.measures.channels == 0)
    wait_until("its end is counted", lambda: proxy.measures.disconnects["internal_error"] == 1)
    assert proxy.measures.internal_errors == {"connection": 1}  # internal_errors_total
    assert "ZeroDivisionError" in proxy.log.problem("internal_error")
    proxy.filters.declares = Passing()
    proxy.log.lines.clear()  # what `running` takes for a failure of the test
    wait_until("the message is in its queue", lambda: place.depth(proxy, place.queue) == 1)


def test_without_acknowledgement_nothing_is_given_up(proxy: RunningProxy, place: VhostPlace) -> None:
    """row 25: a no-ack delivery that fails exists nowhere else: it is kept though its client has left."""
    place.fill(proxy, b"bad")
    with proxy.pika() as connection:
        channel = connection.channel()
        channel.basic_consume(place.queue, lambda *_: None, auto_ack=True)
        while proxy.measures.hand_over_failures < 2:
            connection.process_data_events(0.1)
    assert proxy.measures.hand_overs_in_flight == 1
    place.make_dead_exchange()
    place.bind()
    wait_until("it is handed over", lambda: proxy.measures.hand_overs_in_flight == 0)
    assert place.depth(proxy, place.dead) == 1


def test_the_hand_over_has_a_connection_of_its_own(proxy: RunningProxy, place: VhostPlace) -> None:
    """row 32: a service that only consumes never publishes on its own connection, so it is never blocked for it."""
    place.make_dead_exchange()
    place.bind()
    place.fill(proxy, b"bad")
    with proxy.pika() as connection:
        consume(connection, place.queue)
        while sum(proxy.measures.hand_over_seconds.counts) < 1:
            connection.process_data_events(0.1)
        assert proxy.measures.upstreams == 2
        names: list[str] = []

        def is_listed() -> bool:
            listed = place.broker.api("GET", "/api/connections").json()
            names.extend(str(each.get("client_properties", {}).get("connection_name")) for each in listed)
            return "dead letters via letrade-agent/strategy" in names

        wait_until("the broker lists it", is_listed)


def test_the_broker_dies_under_a_hand_over(start_broker: BrokerFactory) -> None:
    """Unconfirmed hand-overs of no-ack deliveries survive the broker's death, and are published when it is back."""
    # while the broker starts, many attempts fail
    limits = replace(PATIENT, hand_over=HandOverLimits(first_retry_seconds=0.1, longest_retry_seconds=1.0))
    broker = start_broker("4.0")
    place = VhostPlace(broker)
    place.make()
    with running(broker_settings(broker), username=broker.username, limits=limits) as proxy:
        proxy.filters.inbound = Passing(place.dead.encode())
        place.fill(proxy, *[b"bad"] * 20)
        with proxy.pika() as connection:
            channel = connection.channel()
            channel.basic_consume(place.queue, lambda *_: None, auto_ack=True)
            while proxy.measures.hand_overs_in_flight < 20:
                connection.process_data_events(0.1)
        broker.sync_metadata()
        broker.node.crash()
        wait_until("it is noticed", lambda: not proxy.proxy.dead_letters.is_connected)
        broker.node.start()
        place.make_dead_exchange()
        place.bind()
        wait_until("they are handed over", lambda: proxy.measures.hand_overs_in_flight == 0)
        assert place.depth(proxy, place.dead) >= 20


def test_how_long_one_waits() -> None:
    """The back-off doubles from half a second to a minute, and is at least half of that."""
    waits: list[tuple[float, float]] = []

    def record(low: float, high: float) -> float:
        waits.append((low, high))
        return high

    letters = HandOvers(
        None,  # type: ignore[arg-type]  # not asked for how long to wait
        service="s",
        measures=None,  # type: ignore[arg-type]  # not asked for how long to wait
        log=None,  # type: ignore[arg-type]  # not asked for how long to wait
        monotonic=lambda: 0.0,
        jitter=record,
    )
    for failures in range(12):
        letters._back_off(failures, DEFAULT_LIMITS.hand_over.longest_retry_seconds)

    assert waits[0] == (0.25, 0.5)
    assert waits[-1] == (30.0, 60.0)
    assert [high for _, high in waits] == sorted(high for _, high in waits)
