"""Declares, bindings and deletes, and how the broker refuses them."""

from __future__ import annotations

import pytest

from tests.interop.client import Channel, ChannelClosed
from tests.interop.conftest import Connect


def test_a_named_queue_is_declared_once_and_found_again(confirmed: Channel, channel: Channel, name: str) -> None:
    """Its counts are the broker's; a second declare with the same arguments changes nothing."""
    assert channel.declare_queue(name, durable=True).name == name
    confirmed.publish("", name, b"one", mandatory=False)
    confirmed.publish("", name, b"two", mandatory=False)
    again = channel.declare_queue(name, durable=True)
    assert (again.name, again.messages, again.consumers) == (name, 2, 0)
    assert channel.declare_queue(name, passive=True).messages == 2
    assert channel.purge(name) == 2
    channel.delete_queue(name)


def test_the_broker_names_a_queue(confirmed: Channel, channel: Channel) -> None:
    """Two queues without a name get two; they can be used."""
    first, second = channel.declare_queue(exclusive=True).name, channel.declare_queue(exclusive=True).name
    assert first
    assert first != second
    confirmed.publish("", first, b"for the first", mandatory=False)
    message = channel.get(first, no_ack=True)
    assert message is not None
    assert message.body == b"for the first"


def test_an_exclusive_queue_is_closed_to_other_connections(connect: Connect, name: str) -> None:
    """405 for another connection, and gone when its own connection has ended."""
    owner = connect()
    owner.channel().declare_queue(name, exclusive=True)
    other = connect()
    with pytest.raises(ChannelClosed) as closed:
        other.channel().declare_queue(name, exclusive=True)
    assert closed.value.code == 405
    owner.close()
    with pytest.raises(ChannelClosed) as closed:
        other.channel().declare_queue(name, passive=True)
    assert closed.value.code == 404


def test_a_quorum_queue_keeps_its_arguments(channel: Channel, name: str) -> None:
    """Arguments arrive: a declare with others is refused with 406."""
    channel.declare_queue(name, durable=True, arguments={"x-queue-type": "quorum", "x-max-length": 3})
    with pytest.raises(ChannelClosed) as closed:
        channel.declare_queue(name, durable=True, arguments={"x-queue-type": "quorum", "x-max-length": 4})
    assert closed.value.code == 406


def test_bindings_decide_what_arrives(confirmed: Channel, channel: Channel, queue: str, name: str) -> None:
    """By pattern; after unbind nothing arrives any more."""
    channel.declare_exchange(name, "topic")
    channel.bind(queue, name, "market.*")
    confirmed.publish(name, "market.a", b"a", mandatory=False)
    confirmed.publish(name, "other.a", b"b", mandatory=False)
    message = channel.get(queue, no_ack=True)
    assert message is not None
    assert (message.exchange, message.routing_key, message.body) == (name, "market.a", b"a")
    assert channel.get(queue) is None
    channel.unbind(queue, name, "market.*")
    confirmed.publish(name, "market.a", b"a", mandatory=False)
    assert channel.get(queue) is None
    channel.delete_exchange(name)


def test_what_does_not_exist_closes_the_channel_only(connect: Connect, queue: str, name: str) -> None:
    """404 with the name in the text; another channel of the connection goes on."""
    connection = connect()
    bystander = connection.channel(confirms=True)
    mine = bystander.declare_queue(exclusive=True).name
    broken = connection.channel()
    with pytest.raises(ChannelClosed) as closed:
        broken.declare_queue(name, passive=True)
    assert closed.value.code == 404
    assert name in closed.value.text
    bystander.publish("", mine, b"still here", mandatory=False)
    message = bystander.get(mine, no_ack=True)
    assert message is not None
    assert message.body == b"still here"
    assert connection.channel().declare_queue(exclusive=True).messages == 0
