"""Publishing: confirms, returns, refusals, properties."""

from __future__ import annotations

from tests.interop.client import Channel, Client, PublishOutcome
from tests.interop.conftest import Connect

PROPERTIES = {
    "message_id": "550e8400-e29b-41d4-a716-446655440000",
    "correlation_id": "c-1",
    "content_type": "application/json",
    "content_encoding": "identity",
    "type": "order",
    "app_id": "interop",
    "priority": 3,
}


def test_without_confirms_messages_arrive_in_order(channel: Channel, queue: str) -> None:
    """Hundred in a row."""
    for number in range(100):
        assert channel.publish("", queue, b"%d" % number, mandatory=False) is PublishOutcome.SENT
    channel.consume(queue, no_ack=True)
    assert [_body(channel) for _ in range(100)] == [b"%d" % number for number in range(100)]


def test_every_publish_is_confirmed(confirmed: Channel, channel: Channel, queue: str) -> None:
    """One answer each, to an exchange without a queue behind, too."""
    for number in range(50):
        assert confirmed.publish("", queue, b"%d" % number, mandatory=True) is PublishOutcome.CONFIRMED
    assert confirmed.publish("amq.fanout", "nowhere", b"", mandatory=False) is PublishOutcome.CONFIRMED
    assert channel.declare_queue(queue, passive=True).messages == 50


def test_what_nobody_receives_is_returned_then_confirmed(confirmed: Channel, queue: str) -> None:
    """mandatory: basic.return with 312 and the whole message, properties included; the next one is fine."""
    body = b"nobody wants this"
    outcome = confirmed.publish("amq.direct", "nowhere", body, PROPERTIES, mandatory=True)
    assert outcome is PublishOutcome.RETURNED
    returned = confirmed.returned()
    assert (returned.code, returned.text) == (312, "NO_ROUTE")
    assert (returned.message.exchange, returned.message.routing_key) == ("amq.direct", "nowhere")
    assert returned.message.body == body
    assert {name: returned.message.properties[name] for name in PROPERTIES} == PROPERTIES
    assert confirmed.publish("", queue, b"wanted", mandatory=True) is PublishOutcome.CONFIRMED


def test_returns_without_confirms(client: Client, channel: Channel, queue: str) -> None:
    """In the order of publishing, and only those that nobody received."""
    for number in range(10):
        channel.publish("", queue if number % 2 else "nowhere", b"%d" % number, mandatory=True)
    channel.consume(queue, no_ack=True)
    assert [_body(channel) for _ in range(5)] == [b"1", b"3", b"5", b"7", b"9"]
    if client.tells_returns_without_confirms:
        assert [channel.returned().message.body for _ in range(5)] == [b"0", b"2", b"4", b"6", b"8"]


def test_a_full_queue_refuses(confirmed: Channel, channel: Channel, name: str) -> None:
    """basic.nack from the broker, and the channel goes on."""
    channel.declare_queue(name, exclusive=True, arguments={"x-max-length": 1, "x-overflow": "reject-publish"})
    assert confirmed.publish("", name, b"fits", mandatory=False) is PublishOutcome.CONFIRMED
    assert confirmed.publish("", name, b"full", mandatory=False) is PublishOutcome.REFUSED
    assert channel.purge(name) == 1
    assert confirmed.publish("", name, b"fits again", mandatory=False) is PublishOutcome.CONFIRMED


def test_properties_arrive_as_sent(confirmed: Channel, channel: Channel, queue: str) -> None:
    """Each of them, and none besides."""
    confirmed.publish("", queue, b"{}", PROPERTIES, mandatory=False)
    message = channel.get(queue, no_ack=True)
    assert message is not None
    assert {name: value for name, value in message.properties.items() if value not in ({}, None)} == PROPERTIES


def test_an_unknown_exchange_closes_the_channel(connect: Connect, name: str) -> None:
    """404 without a call waiting for an answer; the connection goes on."""
    connection = connect()
    channel = connection.channel()
    channel.publish(name, "key", b"", mandatory=False)
    closed = channel.closed()
    assert closed.code == 404
    assert name in closed.text
    assert connection.channel().declare_queue(exclusive=True).messages == 0


def _body(channel: Channel) -> bytes | None:
    message = channel.next()
    return None if message is None else message.body
