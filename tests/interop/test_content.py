"""Bodies of every size, many channels at once, direct reply-to."""

from __future__ import annotations

import hashlib

import pytest

from tests.brokers import RunningBroker
from tests.interop.client import Channel, Client, Endpoint, PublishOutcome, ShownMessage
from tests.interop.conftest import Connect

CHANNELS = 100
ROUNDS = 5
REPLY_TO = "amq.rabbitmq.reply-to"


def test_bodies_of_every_size_arrive_whole(
    client: Client, connect: Connect, broker: RunningBroker, endpoint: Endpoint, straight: Endpoint
) -> None:
    """Empty, one byte, just under, at and over a frame, many frames; for each frame size the client can ask for.

    From 4.1 on the broker ends the connection of a client that asks for less than 8,192; the agent takes it, and has a
    size of its own upstream.
    """
    too_small = 8_192 if endpoint == straight and broker.version_numbers >= (4, 1) else 0
    for frame_max in client.frame_sizes:
        if (frame_max or too_small) < too_small:
            continue
        connection = connect(frame_max=frame_max)
        channel = connection.channel(confirms=True)
        queue = channel.declare_queue(exclusive=True).name
        payload = (frame_max or 131_072) - 8
        bodies = [_bytes(size) for size in (0, 1, payload - 1, payload, payload + 1, 3 * payload, 3 * payload + 7)]
        for body in bodies:
            assert channel.publish("", queue, body, mandatory=True) is PublishOutcome.CONFIRMED
        for body in bodies:
            message = channel.get(queue, no_ack=True)
            assert message is not None
            assert message.body == body
        connection.close()


def test_a_large_body_arrives_whole(confirmed: Channel, channel: Channel, queue: str) -> None:
    """Four megabytes."""
    body = _bytes(4 << 20)
    assert confirmed.publish("", queue, body, mandatory=True) is PublishOutcome.CONFIRMED
    channel.consume(queue)
    message = channel.next()
    assert message is not None
    assert message.body == body
    channel.ack(message.tag)


def test_an_empty_body_between_others(channel: Channel, queue: str) -> None:
    """It has no body frame, so what follows it is a method."""
    bodies = [b"", b"x", b"", b"", b"y"]
    channel.consume(queue, no_ack=True)
    for body in bodies:
        channel.publish("", queue, body, mandatory=False)
    assert [_next(channel).body for _ in bodies] == bodies


def test_a_hundred_channels_at_once(connect: Connect) -> None:
    """Each gets its own messages in its own order, whatever the others do."""
    connection = connect()
    channels = [connection.channel() for _ in range(CHANNELS)]
    queues = [channel.declare_queue(exclusive=True).name for channel in channels]
    for channel, queue in zip(channels, queues, strict=True):
        channel.consume(queue)
    for turn in range(ROUNDS):
        for number, channel in enumerate(channels):
            channel.publish("", queues[number], _labelled(number, turn), mandatory=False)
    for number, channel in enumerate(channels):
        messages = [_next(channel) for _ in range(ROUNDS)]
        assert [one.body for one in messages] == [_labelled(number, turn) for turn in range(ROUNDS)]
        assert [one.tag for one in messages] == list(range(1, ROUNDS + 1))
        channel.ack(messages[-1].tag, multiple=True)


def test_a_closed_channel_number_can_be_used_again(connect: Connect) -> None:
    """Fifty times opened and closed on one connection."""
    connection = connect()
    queue = connection.channel().declare_queue(exclusive=True).name
    for number in range(50):
        channel = connection.channel(confirms=True)
        channel.publish("", queue, b"%d" % number, mandatory=False)
        message = channel.get(queue, no_ack=True)
        assert message is not None
        assert message.body == b"%d" % number
        channel.close()


@pytest.mark.parametrize("size", [0, 10, 200_000])
def test_direct_reply_to(connect: Connect, size: int) -> None:
    """The answer comes back on the very channel that asked, from another connection."""
    asking = connect().channel()
    serving = connect().channel()
    queue = serving.declare_queue(auto_delete=True).name
    serving.consume(queue)
    asking.consume(REPLY_TO, no_ack=True)
    asking.publish("", queue, b"question", {"reply_to": REPLY_TO, "correlation_id": "7"}, mandatory=False)
    question = _next(serving)
    assert question.body == b"question"
    reply_to = question.properties["reply_to"]
    assert reply_to.startswith(f"{REPLY_TO}.")
    serving.publish("", reply_to, _bytes(size), {"correlation_id": "7"}, mandatory=False)
    serving.ack(question.tag)
    answer = _next(asking)
    assert answer.body == _bytes(size)
    assert answer.properties["correlation_id"] == "7"


def _next(channel: Channel) -> ShownMessage:
    message = channel.next()
    assert message is not None
    return message


def _labelled(channel: int, turn: int) -> bytes:
    """Of differing sizes, some over a frame of 4 KiB."""
    return b"%d.%d." % (channel, turn) + b"x" * ((channel * 37 + turn * 1001) % 5000)


def _bytes(size: int) -> bytes:
    """Bytes without a pattern that frames could hide in, the same every time."""
    return hashlib.shake_128(b"body").digest(size)
