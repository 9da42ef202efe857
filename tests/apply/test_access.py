"""What a service may really do: AMQP over TLS with its own client certificate, against the shipped topology."""

from __future__ import annotations

import ssl
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pika
import pytest
from pika.adapters.blocking_connection import BlockingChannel
from pika.exceptions import AMQPConnectionError, ChannelClosedByBroker

from tests.brokers import RunningBroker
from tests.tool import Tool
from tests.topologies import SHIPPED

pytestmark = pytest.mark.broker

VHOST = "letrade"
REFUSED = 403
LIMIT_SECONDS = 60.0


@pytest.fixture(scope="module", autouse=True)
def _letrade(broker: RunningBroker, tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """The shipped topology, applied with a short first retry; destroyed at the end."""
    folder = tmp_path_factory.mktemp("access-")
    (folder / "topology.yaml").write_bytes(SHIPPED.read_bytes())
    (folder / "quick.yaml").write_text("retry: {delay: 1s}\n", encoding="utf-8")
    tool = Tool.at(broker, folder)
    tool.run("apply", "--yes", "--overlay", "quick.yaml").check(0)
    yield
    names = [one["name"] for one in broker.api("GET", f"/api/queues/{VHOST}").json()]
    for name in names:
        broker.api("DELETE", f"/api/queues/{VHOST}/{name}/contents")
    broker.api("DELETE", f"/api/vhosts/{VHOST}")
    tool.run("destroy", "--yes").check(0)


@contextmanager
def channel_of(broker: RunningBroker, service: str) -> Iterator[BlockingChannel]:
    """A channel of a service that logged in with its certificate alone."""
    certificate, key = broker.client_certificate(service)
    with _connected(broker, certificate, key) as connection:
        yield connection.channel()


@contextmanager
def _connected(broker: RunningBroker, certificate: Path, key: Path) -> Iterator[pika.BlockingConnection]:
    context = ssl.create_default_context(cafile=str(broker.ca_file))
    context.load_cert_chain(certificate, key)
    connection = pika.BlockingConnection(
        pika.ConnectionParameters(
            "127.0.0.1",
            broker.amqps_port,
            VHOST,
            pika.credentials.ExternalCredentials(),
            ssl_options=pika.SSLOptions(context, "127.0.0.1"),
        )
    )
    try:
        yield connection
    finally:
        if connection.is_open:
            connection.close()


def publish(channel: BlockingChannel, exchange: str, key: str, body: bytes = b"{}") -> None:
    """Publish and wait for the broker's confirmation."""
    channel.confirm_delivery()
    channel.basic_publish(exchange, key, body, mandatory=True)


def take(channel: BlockingChannel, queue: str) -> tuple[int, pika.BasicProperties, bytes]:
    """The next message of a queue, waited for."""
    deadline = time.monotonic() + LIMIT_SECONDS
    while time.monotonic() < deadline:
        method, properties, body = channel.basic_get(queue)
        if method is not None:
            assert properties is not None
            assert body is not None
            return method.delivery_tag, properties, body
        time.sleep(0.05)
    raise AssertionError(f"nothing in {queue} within {LIMIT_SECONDS} s")


def refused(broker: RunningBroker, service: str, act: Callable[[BlockingChannel], object]) -> None:
    """Assert that the broker closes the channel with 403."""
    with channel_of(broker, service) as channel:
        with pytest.raises(ChannelClosedByBroker) as closed:
            act(channel)
        assert closed.value.reply_code == REFUSED, closed.value.reply_text


def test_a_service_publishes_its_own_key(broker: RunningBroker) -> None:
    """It reaches the queue of the service that consumes it."""
    with channel_of(broker, "strategy") as channel:
        publish(channel, "letrade.commands", "commands.execute_trade", b'{"own": 1}')
    with channel_of(broker, "exchange_connector") as channel:
        tag, _, body = take(channel, "exchange_connector.execute_trade")
        assert body == b'{"own": 1}'
        channel.basic_ack(tag)


@pytest.mark.parametrize(
    ("service", "exchange", "key"),
    [
        ("strategy", "letrade.events", "events.trade_executed"),
        ("strategy", "letrade.requests", "response.market_data"),
        ("strategy", "letrade.requests", "request.capital.allocation.more"),
        ("core_engine", "letrade.commands", "commands.other"),
        ("capital_manager", "letrade.commands", "commands.execute_trade"),
        ("exchange_connector", "letrade.events", "market_data.binance"),
        ("strategy", "", "strategy.error"),
        ("strategy", "amq.topic", "events.error"),
        ("strategy", "letrade.retry", "core_engine.error.retry.1"),
        ("strategy", "letrade.dlq", "commands.execute_trade"),
    ],
)
def test_a_foreign_key_or_exchange_is_refused(broker: RunningBroker, service: str, exchange: str, key: str) -> None:
    """403 for another service's type, the default exchange, a predefined one, another's ladder."""
    refused(broker, service, lambda channel: publish(channel, exchange, key))


@pytest.mark.parametrize(
    "act",
    [
        lambda channel: channel.basic_get("core_engine.error"),
        lambda channel: channel.basic_get("letrade.dlq"),
        lambda channel: channel.basic_get("strategy.error.retry.1"),
        lambda channel: channel.queue_declare("strategy.own", durable=True),
        lambda channel: channel.queue_declare("core_engine.reply.1", exclusive=True),
        lambda channel: channel.queue_delete("strategy.error"),
        lambda channel: channel.queue_purge("core_engine.error"),
        lambda channel: channel.queue_bind("strategy.error", "letrade.events", "events.trade_executed"),
        lambda channel: channel.exchange_declare("strategy.reply", "topic"),
    ],
    ids=[
        "another's queue",
        "dead letters",
        "own ladder",
        "declare a durable queue",
        "declare with another's prefix",
        "delete own queue",
        "purge another's queue",
        "rebind own queue",
        "declare an exchange",
    ],
)
def test_what_is_not_declared_is_refused(broker: RunningBroker, act: Callable[[BlockingChannel], object]) -> None:
    """403: the tool alone makes durable things."""
    refused(broker, "strategy", act)


def test_run_time_queues_live_within_the_declared_patterns(broker: RunningBroker) -> None:
    """A service makes its own by prefix, binds what it consumes, receives it, and no more than that."""
    queue = "strategy.sub.test"
    with channel_of(broker, "strategy") as channel:
        channel.queue_declare(queue, exclusive=True)
        for exchange, key in (
            ("letrade.events", "market_data.binance.*"),
            ("letrade.events", "*.strategy_123.*"),
            ("letrade.requests", "response.market_data"),
        ):
            channel.queue_bind(queue, exchange, key)
        with channel_of(broker, "exchange_connector") as publisher:
            publish(publisher, "letrade.events", "market_data.binance.btcusdt", b"candle")
        assert take(channel, queue)[2] == b"candle"
        for exchange, key in (
            ("letrade.events", "#"),
            ("letrade.events", "*.*.*"),
            ("letrade.commands", "commands.execute_trade"),
            ("letrade.requests", "request.capital.allocation"),
            ("letrade.dlq", "#"),
        ):
            with pytest.raises(ChannelClosedByBroker) as closed:
                channel.queue_bind(queue, exchange, key)
            assert closed.value.reply_code == REFUSED
            channel = channel.connection.channel()


def test_what_is_rejected_goes_to_the_rejected_queue_and_the_ladder_brings_it_back(broker: RunningBroker) -> None:
    """With the original exchange and key in the broker's record; after the delay it is in the queue again."""
    queue = "core_engine.error"
    with channel_of(broker, "exchange_connector") as publisher:
        publish(publisher, "letrade.events", "events.error", b"boom")
    with channel_of(broker, "strategy") as other:
        other.basic_ack(take(other, "strategy.error")[0])
    with channel_of(broker, "core_engine") as channel:
        channel.basic_reject(take(channel, queue)[0], requeue=False)
        tag, properties, body = take(channel, f"{queue}.rejected")
        assert body == b"boom"
        death = (properties.headers or {})["x-death"][0]
        assert (death["queue"], death["reason"], death["exchange"]) == (queue, "rejected", "letrade.events")
        assert death["routing-keys"] == ["events.error"]
        publish(channel, "letrade.retry", f"{queue}.retry.1", body)
        channel.basic_ack(tag)
        tag, _, body = take(channel, queue)
        assert body == b"boom"
        channel.basic_ack(tag)
        publish(channel, "letrade.dlq", "events.error.dead", body)
    assert broker.api("DELETE", f"/api/queues/{VHOST}/letrade.dlq/contents").status_code == 204


def test_without_a_certificate_and_a_password_nobody_gets_in(broker: RunningBroker) -> None:
    """A service has no password, not even an empty one."""
    context = ssl.create_default_context(cafile=str(broker.ca_file))
    for password in ("", "strategy", "guest"):
        parameters = pika.ConnectionParameters(
            "127.0.0.1",
            broker.amqps_port,
            VHOST,
            pika.PlainCredentials("strategy", password),
            ssl_options=pika.SSLOptions(context, "127.0.0.1"),
        )
        with pytest.raises(AMQPConnectionError):
            pika.BlockingConnection(parameters)


def test_a_certificate_of_a_stranger_gets_nobody_in(broker: RunningBroker) -> None:
    """Signed by the right authority, but no user has that name."""
    certificate, key = broker.client_certificate("nobody-we-know")
    with pytest.raises(AMQPConnectionError), _connected(broker, certificate, key):
        pass
