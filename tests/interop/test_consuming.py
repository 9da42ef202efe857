"""Consuming: acknowledgements of every kind, prefetch, get, cancel, recover."""

from __future__ import annotations

import time

import pytest

from tests.interop.client import LIMIT_SECONDS, Channel, ChannelClosed, ShownMessage
from tests.interop.conftest import Connect

QUIET_SECONDS = 0.15


def fill(channel: Channel, queue: str, count: int) -> None:
    """Publish `0`, `1`, …"""
    for number in range(count):
        channel.publish("", queue, b"%d" % number, mandatory=False)


def take(channel: Channel, count: int) -> list[ShownMessage]:
    """As many deliveries."""
    found = [channel.next() for _ in range(count)]
    assert None not in found
    return [one for one in found if one is not None]


def left(channel: Channel, queue: str, expected: int) -> None:
    """Wait until the queue has so many messages ready."""
    deadline = time.monotonic() + LIMIT_SECONDS
    while (found := channel.declare_queue(queue, passive=True).messages) != expected:
        assert time.monotonic() < deadline, f"{found} messages, expected {expected}"
        time.sleep(0.01)


def test_an_acknowledged_message_is_gone(connect: Connect, name: str) -> None:
    """And one that was not is back when its channel closes, marked redelivered."""
    connection = connect()
    consumer, observer = connection.channel(), connection.channel()
    observer.declare_queue(name, exclusive=True)
    fill(observer, name, 2)
    consumer.consume(name)
    first, second = take(consumer, 2)
    assert (first.body, second.body) == (b"0", b"1")
    assert (first.tag, second.tag) == (1, 2)
    consumer.ack(first.tag)
    consumer.close()
    left(observer, name, 1)
    message = observer.get(name, no_ack=True)
    assert message is not None
    assert (message.body, message.redelivered) == (b"1", True)


def test_a_multiple_ack_covers_what_came_before(connect: Connect, name: str) -> None:
    """Up to its tag, and no further; singles before and after it count once."""
    connection = connect()
    consumer, observer = connection.channel(), connection.channel()
    observer.declare_queue(name, exclusive=True)
    fill(observer, name, 10)
    consumer.consume(name)
    messages = take(consumer, 10)
    consumer.ack(messages[2].tag)
    consumer.ack(messages[6].tag, multiple=True)
    consumer.ack(messages[8].tag)
    consumer.close()
    left(observer, name, 2)
    found = [observer.get(name, no_ack=True) for _ in range(2)]
    assert [one.body for one in found if one] == [b"7", b"9"]


def test_nack_gives_back_or_drops(channel: Channel, queue: str) -> None:
    """Several at once with multiple; dropped ones do not return."""
    fill(channel, queue, 6)
    channel.consume(queue)
    messages = take(channel, 6)
    channel.nack(messages[2].tag, multiple=True, requeue=True)
    again = take(channel, 3)
    assert sorted(one.body for one in again) == [b"0", b"1", b"2"]
    assert all(one.redelivered for one in again)
    channel.nack(again[2].tag, multiple=True, requeue=False)
    assert channel.next(QUIET_SECONDS) is None
    left(channel, queue, 0)


def test_reject_gives_back_or_drops(channel: Channel, queue: str) -> None:
    """One at a time."""
    fill(channel, queue, 2)
    channel.consume(queue)
    first, second = take(channel, 2)
    channel.reject(first.tag, requeue=True)
    (again,) = take(channel, 1)
    assert (again.body, again.redelivered) == (b"0", True)
    channel.reject(again.tag, requeue=False)
    channel.reject(second.tag, requeue=False)
    assert channel.next(QUIET_SECONDS) is None
    left(channel, queue, 0)


def test_what_is_rejected_is_dead_lettered(channel: Channel, queue: str, name: str) -> None:
    """The broker's own record of it arrives: nested tables in a list."""
    arguments = {"x-dead-letter-exchange": "", "x-dead-letter-routing-key": queue}
    channel.declare_queue(name, exclusive=True, arguments=arguments)
    channel.publish("", name, b"poison", mandatory=False)
    channel.consume(name)
    (message,) = take(channel, 1)
    channel.reject(message.tag, requeue=False)
    left(channel, queue, 1)
    dead = channel.get(queue, no_ack=True)
    assert dead is not None
    (death,) = dead.headers["x-death"]
    assert (death["queue"], death["reason"], death["routing-keys"]) == (name, "rejected", [name])


def test_an_unknown_delivery_tag_closes_the_channel(connect: Connect) -> None:
    """406 in the broker's words, and the message is back in the queue."""
    connection = connect()
    observer = connection.channel()
    queue = observer.declare_queue(exclusive=True).name
    fill(observer, queue, 1)
    consumer = connection.channel()
    consumer.consume(queue)
    (message,) = take(consumer, 1)
    consumer.ack(message.tag)
    try:
        consumer.ack(message.tag)
    except (KeyError, ChannelClosed):
        return  # aio-pika does not let a message be acknowledged twice
    closed = consumer.closed()
    assert closed.code == 406
    assert "unknown delivery tag 1" in closed.text


def test_prefetch_bounds_what_is_on_offer(channel: Channel, queue: str) -> None:
    """No more than so many unacknowledged; each acknowledgement brings the next."""
    fill(channel, queue, 5)
    channel.qos(2)
    channel.consume(queue)
    first, second = take(channel, 2)
    assert channel.next(QUIET_SECONDS) is None
    channel.ack(first.tag)
    (third,) = take(channel, 1)
    assert third.body == b"2"
    channel.ack(third.tag, multiple=True)
    assert [one.body for one in take(channel, 2)] == [b"3", b"4"]
    assert second.body == b"1"


def test_get_takes_one_at_a_time(channel: Channel, queue: str) -> None:
    """In order, then nothing; unacknowledged ones are given back by nack."""
    assert channel.get(queue) is None
    fill(channel, queue, 2)
    left(channel, queue, 2)
    first, second = channel.get(queue), channel.get(queue)
    assert first is not None
    assert second is not None
    assert (first.body, second.body) == (b"0", b"1")
    assert channel.get(queue) is None
    channel.ack(first.tag)
    channel.nack(second.tag, requeue=True)
    left(channel, queue, 1)
    again = channel.get(queue, no_ack=True)
    assert again is not None
    assert (again.body, again.redelivered) == (b"1", True)
    assert channel.get(queue) is None


def test_get_and_consume_share_their_tags(channel: Channel, queue: str, name: str) -> None:
    """One multiple ack covers both."""
    channel.declare_queue(name, exclusive=True)
    fill(channel, queue, 2)
    fill(channel, name, 1)
    channel.consume(queue)
    messages = take(channel, 2)
    left(channel, name, 1)
    got = channel.get(name)
    assert got is not None
    assert {one.tag for one in (*messages, got)} == {1, 2, 3}
    channel.ack(got.tag, multiple=True)
    channel.recover()
    assert channel.next(QUIET_SECONDS) is None


def test_without_acknowledgements_nothing_stays_behind(connect: Connect) -> None:
    """no_ack: delivered is gone."""
    connection = connect()
    consumer, observer = connection.channel(), connection.channel()
    queue = observer.declare_queue(exclusive=True).name
    fill(observer, queue, 20)
    consumer.consume(queue, no_ack=True)
    assert [one.body for one in take(consumer, 20)] == [b"%d" % number for number in range(20)]
    consumer.close()
    left(observer, queue, 0)


def test_after_cancel_nothing_is_delivered(channel: Channel, queue: str) -> None:
    """What was delivered before can still be acknowledged."""
    fill(channel, queue, 1)
    tag = channel.consume(queue)
    (message,) = take(channel, 1)
    channel.cancel(tag)
    fill(channel, queue, 1)
    left(channel, queue, 1)
    assert channel.next(QUIET_SECONDS) is None
    channel.ack(message.tag)
    assert channel.declare_queue(queue, passive=True).consumers == 0
    assert channel.purge(queue) == 1


def test_two_consumers_have_tags_of_their_own(channel: Channel, queue: str, name: str) -> None:
    """Of two queues on one channel; cancelling one leaves the other."""
    channel.declare_queue(name, exclusive=True)
    first, second = channel.consume(queue), channel.consume(name)
    assert first != second
    channel.cancel(first)
    fill(channel, name, 1)
    (message,) = take(channel, 1)
    assert message.routing_key == name
    channel.ack(message.tag)


def test_an_exclusive_consumer_is_alone(connect: Connect) -> None:
    """403 for a second one."""
    connection = connect()
    channel = connection.channel()
    queue = channel.declare_queue(exclusive=True).name
    channel.consume(queue, exclusive=True)
    with pytest.raises(ChannelClosed) as closed:
        connection.channel().consume(queue)
    assert closed.value.code == 403


def test_recover_brings_everything_unacknowledged_again(channel: Channel, queue: str) -> None:
    """Marked redelivered; what was acknowledged stays away."""
    fill(channel, queue, 3)
    channel.consume(queue)
    messages = take(channel, 3)
    channel.ack(messages[1].tag)
    channel.recover()
    again = take(channel, 2)
    assert sorted(one.body for one in again) == [b"0", b"2"]
    assert all(one.redelivered for one in again)
    channel.ack(max(one.tag for one in again), multiple=True)
    assert channel.next(QUIET_SECONDS) is None
